"""A report as facts (JSON), as CSV, and as a page to read and print. Pure but for the page's template.

The facts have what Article 30 of the GDPR asks of a record of processing for each recipient: purposes, categories of
data and recipients, on which basis; and what was really read.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from proxy.audit import charts
from proxy.audit.report import Findings, Reading
from proxy.audit.subject import Access
from proxy.policy.decide import Decisions
from proxy.policy.rules import Rules
from proxy.yaml_lines import nearest

_TEMPLATES = Environment(
    loader=PackageLoader("proxy.audit"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
Facts = dict[str, Any]
NOBODY: Final = (
    "No row, no record of a source and no decision has this key: it may be written wrongly, or they were erased."
)
_SUBJECT_NOTE: Final = (
    "The log names no customers: these are all reads that can have been of this one. Where an app has the value only "
    "of those who agreed, it is what this customer had decided at the time of each read that counts."
)


@dataclass(frozen=True, slots=True)
class ConsentChange:
    """Decisions of a kind, and of how many customers."""

    app: str
    attribute: str
    decision: str
    actor: str
    decisions: int
    customers: int


def facts(
    found: Findings,
    rules: Rules,
    *,
    since: str,
    until: str,
    organisation: str,
    consent_changes: Sequence[ConsentChange] | None,
    rules_version: str | None = None,
) -> Facts:
    """The report as JSON has it. `consent_changes`: None where the ledger was not asked."""
    decisions = Decisions(rules)
    apps: dict[str, Facts] = {}
    for name, app in rules.apps.items():
        apps[name] = {
            "app": name,
            "label": app.label or name,
            "kind": app.kind,
            "purpose": app.purpose,
            "untold_statements": found.untold.get(name, 0),
            "readings": [],
        }
    for reading in found.readings:
        unknown = {"app": reading.app, "label": reading.app, "kind": "unknown", "purpose": ""}
        app_facts = apps.setdefault(reading.app, {**unknown, "untold_statements": 0, "readings": []})
        app_facts["readings"].append(_reading(reading, rules, decisions))
    return {
        "organisation": organisation,
        "from": since,
        "to": until,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "records": found.records,
        "first_record": found.first or None,
        "last_record": found.last or None,
        "events": dict(sorted(found.events.items())),
        "apps": [app for app in apps.values() if app["readings"] or app["untold_statements"]],
        "apps_that_read_nothing": [
            name for name, app in apps.items() if not app["readings"] and not app["untold_statements"]
        ],
        "days": _days(found),
        "refusals": [asdict(one) for one in found.refusals],
        "rule_changes": [asdict(one) for one in found.rule_changes],
        "consent_changes": None if consent_changes is None else [asdict(one) for one in consent_changes],
        "rules_versions": sorted(found.rules_versions - {""}),
        "notes": _notes(found, rules_version, consent_changes),
    }


def narrowed(
    report: Facts, rules: Rules, apps: Collection[str], attributes: Collection[str], kind: str | None
) -> Facts:
    """Of a report the readings of these apps, attributes and kind of app (nothing given: all), and nothing else.

    Raises ValueError for a name that neither the rules nor the log have: nothing read would be no answer.
    """
    read = {one["attribute"] for app in report["apps"] for one in app["readings"]}
    _check_names("app", apps, {*rules.apps, *(app["app"] for app in report["apps"])})
    _check_names("attribute", attributes, {*rules.attributes, *read})
    chosen = []
    for app in report["apps"]:
        readings = [one for one in app["readings"] if not attributes or one["attribute"] in attributes]
        if readings and (not apps or app["app"] in apps) and kind in (None, app["kind"]):
            chosen.append({**app, "readings": readings})
    names = {app["app"] for app in chosen}
    days = [{"day": day["day"], "apps": {a: n for a, n in day["apps"].items() if a in names}} for day in report["days"]]
    without: Facts = {"apps_that_read_nothing": [], "refusals": [], "rule_changes": [], "consent_changes": []}
    return {**report, **without, "apps": chosen, "days": days}


def as_csv(report: Facts) -> str:
    """One line for each reading, refusal and change; `section` says which."""
    out = io.StringIO()
    columns = (
        "section app kind purpose attribute group basis policies treatments relations statements rows "
        "customers_at_least customers_at_most first last detail"
    ).split()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for app in report["apps"]:
        for one in app["readings"]:
            joined = {name: "; ".join(one[name]) for name in ("basis", "treatments", "relations")}
            named = "; ".join(policy["name"] for policy in one["policies"])
            plain = {name: one[name] for name in ("attribute", "group", "statements", "rows", "first", "last")}
            most = one["customers"]["at_most"]
            shared = {"section": "reading", **{name: app[name] for name in ("app", "kind", "purpose")}}
            customers = "any number" if most is None else most
            least = one["customers"]["at_least"]
            _row(
                writer,
                **shared,
                **plain,
                **joined,
                policies=named,
                customers_at_least=least,
                customers_at_most=customers,
            )
    for one in report["refusals"]:
        _row(
            writer, section="refusal", app=one["app"], statements=one["count"], last=one["last"], detail=one["message"]
        )
    for one in report["rule_changes"]:
        _row(writer, section="rule change", first=one["time"], detail=one["problem"] or one["rules_version"])
    for one in report["consent_changes"] or ():
        detail = f"{one['decision']} by {one['actor']}: {one['decisions']} decisions of {one['customers']} customers"
        _row(writer, section="consent change", app=one["app"], attribute=one["attribute"], detail=detail)
    return out.getvalue()


def as_html(report: Facts) -> str:
    """A page that needs nothing from elsewhere."""
    return _TEMPLATES.get_template("report.html").render(report=report, charts=chart_set(report))


def written(report: Facts, form: str) -> tuple[str, str]:
    """(text, media type) of the form html, csv or json."""
    if form == "json":
        return json.dumps(report, indent=1, ensure_ascii=False) + "\n", "application/json"
    return (as_csv(report), "text/csv") if form == "csv" else (as_html(report), "text/html")


def subject_written(
    subject: str, accesses: Sequence[Access], rules: Rules, form: str, *, known: bool | None
) -> tuple[str, str]:
    """(text, media type) of what a customer's data was read by, in the form html, csv or json. `known`: whether there
    is something of them; None where that cannot be said.
    """
    note = _SUBJECT_NOTE if known is not False else f"{NOBODY} {_SUBJECT_NOTE}"
    if form == "json":
        facts = {"subject": subject, "known": known, "accesses": [asdict(one) for one in accesses], "note": note}
        return json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "application/json"
    if form == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, ("app", "attribute", "got", "statements", "first", "last"), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) for one in accesses)
        return out.getvalue(), "text/csv"
    apps = {name: app.label or name for name, app in rules.apps.items()}
    attributes = {name: one.label or name for name, one in rules.attributes.items()}
    template = _TEMPLATES.get_template("subject.html")
    page = template.render(subject=subject, accesses=accesses, apps=apps, attributes=attributes, note=note)
    return page, "text/html"


def chart_set(report: Facts) -> dict[str, Markup]:
    """Statements by app, by attribute and by day."""
    by_app = [(app["label"], sum(day["apps"].get(app["app"], 0) for day in report["days"])) for app in report["apps"]]
    attributes: Counter[str] = Counter()
    for app in report["apps"]:
        for one in app["readings"]:
            attributes[one["label"]] += one["statements"]
    days = [day["day"] for day in report["days"]]
    series = {
        app["label"]: {day["day"]: day["apps"].get(app["app"], 0) for day in report["days"]} for app in report["apps"]
    }
    by_attribute = sorted(attributes.items(), key=lambda item: -item[1])
    made = {
        "apps": charts.bars("Statements that read personal data, by app", by_app),
        "attributes": charts.bars("Statements that read an attribute, by attribute", by_attribute[:20]),
        "days": charts.columns("Statements that read personal data, by day and app", days, series),
    }
    return {name: Markup(svg) for name, svg in made.items()}  # noqa: S704 - charts escapes what it is given


# -- inside ------------------------------------------------------------------------------------------------------------


def _reading(reading: Reading, rules: Rules, decisions: Decisions) -> Facts:
    attribute = rules.attributes.get(reading.attribute)
    policies: dict[int, Facts] = {}
    bases: set[str] = set()
    for relation, column in sorted(reading.columns):
        schema, _, table = relation.rpartition(".")
        number = decisions.decide(reading.app, reading.attribute, (schema, table, column))
        if number is None:
            bases.add("none named")
            continue
        policy = rules.policies[number]
        file, line = rules.where(("policies", number, "name"))
        policies[number] = {"name": policy.name, "file": file, "line": line}
        bases.add(_BASES.get(policy.consent or "", policy.basis or "none named"))
    return {
        "attribute": reading.attribute,
        "label": (attribute.label if attribute else "") or reading.attribute,
        "group": attribute.group if attribute else "unknown",
        "basis": sorted(bases),
        "policies": list(policies.values()),
        "treatments": sorted(reading.treatments),
        "relations": sorted({relation for relation, _ in reading.columns}),
        "statements": reading.statements,
        "rows": reading.rows,
        "customers": {
            "at_least": reading.at_least,
            "at_most": reading.customers,
            "known": reading.at_least == reading.customers,
        },
        "first": reading.first,
        "last": reading.last,
    }


def _days(found: Findings) -> list[Facts]:
    """Each day from the first to the last one, also those on which nothing was read."""
    days = sorted({day for day, _ in found.days})
    if not days:
        return []
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    every = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    by_day: dict[str, dict[str, int]] = {day: {} for day in every}
    for (day, app), count in found.days.items():
        by_day[day][app] = count
    return [{"day": day, "apps": apps} for day, apps in by_day.items()]


def _notes(found: Findings, rules_version: str | None, consent_changes: object) -> list[str]:
    notes = [
        "The log names no customers. Where each row of a result is of one customer at most, their number is at most "
        "that of the rows, and a customer who was read twice is counted twice; of aggregates and sub-queries it can be "
        "any number. At least as many were read as the largest result of a statement has rows that are each of another "
        "customer: of a table with one row a customer, read alone and without asking consent.",
        "Reads by which a row was only found or joined are reads of the attribute too, and so are statements that were "
        "answered without a row.",
    ]
    if found.untold:
        notes.append(
            "Of some statements (of temp tables; of trusted and monitored apps, which pass as they are) it is not "
            "known whether they read more than is told here: `unknown` in their records says why."
        )
    others = found.rules_versions - {"", rules_version or ""}
    if others:
        notes.append(
            f"Basis and policies are those of the rules as they are now; {len(others)} other version"
            f"{'s' if len(others) > 1 else ''} of rules or catalog were in force in this time."
        )
    if found.unreadable:
        notes.append(
            f"{found.unreadable:,} lines of the log are no records, and are not counted: it was damaged or changed. "
            "`consentry audit verify` says where."
        )
    if consent_changes is None:
        notes.append("Changes of consent are not in this report: the ledger was not asked.")
    return notes


def _check_names(what: str, given: Collection[str], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f'there is no {what} "{name}"{nearest(name, known)}')


def _row(writer: csv.DictWriter[str], **cells: object) -> None:
    writer.writerow({name: harmless(cell) for name, cell in cells.items()})


def harmless(cell: object) -> object:
    """A cell of CSV that no spreadsheet takes for a formula: an app chose what is in it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


_BASES: Final[Mapping[str, str]] = {"opt_in": "consent (opt-in)", "opt_out": "opt-out: unless withdrawn"}
