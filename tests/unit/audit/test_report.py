"""Reports, against a plain reading of the same log."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.customers import customer_tables
from proxy.audit.files import compress
from proxy.audit.question import micros
from proxy.audit.report import findings
from proxy.audit.report_forms import ConsentChange, as_csv, as_html, facts
from proxy.audit.subject import Decided, accesses
from proxy.policy.load import load_rules
from tests.audit_logs import START, write_log

RULES = """
version: 1
attributes:
  full_name: {label: Name}
  email: {label: "Email <script>"}
  phone: {label: Phone}
  birth_date: {label: Born}
  card: {label: Card, group: sensitive}
  street: {label: Street}
  city: {label: City}
tables:
  public.customers:
    subject: id
    columns: {id: open, full_name: full_name, email: email, phone: phone, birth_date: birth_date, card: card}
  public.addresses: {subject: id, columns: {id: open, street: street, city: city, email: email}}
profile: {subject: public.customers.id}
apps:
  crm: {logins: [crm_app], label: Customer service, purpose: helping}
  analytics: {logins: [analytics_app]}
  mailco: {logins: [mailco_app], kind: partner, purpose: newsletters}
  idle: {logins: [idle_app]}
policies:
  - {name: all of it, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: those who agreed, apps: [mailco], attributes: all, action: show, consent: opt_in}
  - {name: years, apps: [analytics], attributes: all, action: mask, mask: "null"}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    paths = write_log(folder, 4000, file_records=1500, gap=100)
    (folder / "1-2026-11-01.jsonl").write_text(
        '{"time":"2026-11-01T09:00:00.000000Z","seq":1,"worker":1,"event":"reload","rules_version":"cd"}\n'
        '{"time":"2026-11-01T10:00:00.000000Z","seq":2,"worker":1,"event":"reload","rules_version":"cd",'
        '"message":"=HYPERLINK(1)"}\n'
    )
    compress(paths[0])
    return folder


@pytest.fixture(scope="module")
def plain(log: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    again = tmp_path_factory.mktemp("again")
    paths = write_log(again, 4000, gap=100)
    return [json.loads(line) for line in paths[0].read_text().splitlines()]


def reads(record: dict[str, Any]) -> bool:
    failed = "sqlstate" in record
    return record["event"] == "statement" and (bool(record.get("rows", failed)) if failed else "rows" in record)


def made(log: Path, **options: Any) -> dict[str, Any]:
    rules = load_rules([("rules.yaml", RULES)])
    found = findings(log, options.get("since"), options.get("until"), None, customer_tables(rules))
    return facts(
        found,
        rules,
        since="x",
        until="y",
        organisation="Shop & Co",
        consent_changes=options.get("changes"),
    )


def test_numbers_are_those_of_the_log(log: Path, plain: list[dict[str, Any]]) -> None:
    report = made(log)
    statements: Counter[tuple[str, str]] = Counter()
    rows: Counter[tuple[str, str]] = Counter()
    for record in filter(reads, plain):
        for attribute in {one["attribute"] for one in record["disclosed"]}:
            statements[(record["app"], attribute)] += 1
            rows[(record["app"], attribute)] += record.get("rows", 0)
    found = {(app["app"], one["attribute"]): one for app in report["apps"] for one in app["readings"]}
    assert {key: one["statements"] for key, one in found.items()} == statements
    assert {key: one["rows"] for key, one in found.items()} == rows
    assert sum(sum(day["apps"].values()) for day in report["days"]) == sum(map(reads, plain))
    assert report["records"] == 4002
    assert sum(one["count"] for one in report["refusals"]) == sum(r["event"] == "refused" for r in plain)
    assert [one["problem"] for one in report["rule_changes"]] == [None, "=HYPERLINK(1)"]


def test_on_which_basis(log: Path) -> None:
    apps = {app["app"]: app for app in made(log)["apps"]}
    bases = {name: {tuple(one["basis"]) for one in app["readings"]} for name, app in apps.items()}
    assert bases["crm"] == {("contract",)}
    assert bases["mailco"] == {("consent (opt-in)",)}
    assert bases["shipfast"] == {("none named",)}  # the rules no longer have it
    (policy,) = apps["mailco"]["readings"][0]["policies"]
    assert (policy["name"], policy["file"]) == ("those who agreed", "rules.yaml")
    assert RULES.splitlines()[policy["line"] - 1].strip().startswith("- {name: those who agreed")
    assert made(log)["apps_that_read_nothing"] == ["idle"]


def test_customers_are_at_most_the_rows_where_nothing_failed(tmp_path: Path) -> None:
    """A statement that failed may have sent rows that nobody counted."""
    line = (
        '{{"time":"2026-11-01T00:00:0{n}.000000Z","seq":{n},"worker":0,"event":"statement","session":"s","app":"crm",'
        '"login":"crm_app","statement":"{text}","fingerprint":"{n}","rewritten":false,"disclosed":[{{"relation":'
        '"public.customers","column":"{a}","attribute":"{a}","treatment":"show"}}],"policies":[],"consent":"none",'
        '"rules_version":"ab",{tail}}}\n'
    )
    texts = [
        ("SELECT email FROM customers WHERE id = $1", "email", '"rows":1,"duration_us":1'),
        ("SELECT phone FROM customers", "phone", '"rows":7,"duration_us":1'),
        ("SELECT phone FROM customers", "phone", '"rows":8,"duration_us":1'),
        ("SELECT max(card) FROM customers", "card", '"rows":1,"duration_us":1'),
        ("SELECT city FROM customers", "city", '"rows":5,"duration_us":1'),
        ("SELECT city FROM customers", "city", '"duration_us":5,"sqlstate":"57014","message":"cancelled"'),
        ("SELECT street FROM customers", "street", '"rows":0,"duration_us":1'),
        ("SELECT street FROM customers", "street", '"duration_us":5,"sqlstate":"42703","message":"no"'),
    ]
    (tmp_path / "0.jsonl").write_text(
        "".join(line.format(n=n, text=text, a=a, tail=tail) for n, (text, a, tail) in enumerate(texts))
    )
    (app,) = made(tmp_path)["apps"]
    assert {one["attribute"]: one["customers"] for one in app["readings"]} == {
        "email": {"at_least": 1, "at_most": 1, "known": True},
        "phone": {"at_least": 8, "at_most": 15, "known": False},
        "card": {"at_least": 0, "at_most": None, "known": False},
        "city": {"at_least": 5, "at_most": None, "known": False},
        # Nobody was shown, and that nobody is there was told.
        "street": {"at_least": 0, "at_most": 0, "known": True},
    }


def test_statements_that_may_have_read_more_are_counted_and_noted(tmp_path: Path) -> None:
    line = (
        '{{"time":"2026-11-01T00:00:0{n}.000000Z","seq":{n},"worker":0,"event":"statement","session":"s","app":"crm",'
        '"login":"crm_app","statement":"SELECT $1","fingerprint":"f","rewritten":false,"disclosed":[],{why}'
        '"policies":[],"consent":"none","rules_version":"ab","rows":1,"duration_us":1}}\n'
    )
    told = tmp_path / "told"
    for folder, whys in ((told, ("",)), (tmp_path / "log", ("", '"unknown":"what a DO block reads",'))):
        folder.mkdir()
        (folder / "0.jsonl").write_text("".join(line.format(n=n, why=why) for n, why in enumerate(whys)))
    report = made(tmp_path / "log")
    assert [(app["app"], app["untold_statements"]) for app in report["apps"]] == [("crm", 1)]
    assert any("`unknown`" in note for note in report["notes"])
    assert "1 statements that may have read more" in as_html(report)
    assert made(told)["apps"] == []
    assert not any("`unknown`" in note for note in made(told)["notes"])


def test_a_part_of_the_time(log: Path, plain: list[dict[str, Any]]) -> None:
    since, until = int(START * 1e6) + 86_400_000_000, int(START * 1e6) + 2 * 86_400_000_000 - 1
    report = made(log, since=since, until=until)
    inside = [r for r in plain if since <= micros(r["time"]) <= until]
    assert report["records"] == len(inside) > 500
    assert [day["day"] for day in report["days"]] == ["2026-11-02"]


def test_as_a_page(log: Path) -> None:
    changes = [ConsentChange("mailco", "email", "withdrawn", "customer", 3, 2)]
    page = as_html(made(log, changes=changes))
    assert "Email &lt;script&gt;" in page
    assert "<script" not in page
    assert not re.search(r"""(src|href)=|@import|url\(""", page)
    assert page.count("<svg") == 3
    for said in ("Shop &amp; Co", "those who agreed (rules.yaml:", "consent (opt-in)", "withdrawn", "at most"):
        assert said in page


def test_as_csv(log: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO(as_csv(made(log, changes=[ConsentChange("a", "b", "granted", "agent", 1, 1)]))))
    )
    sections = Counter(row["section"] for row in rows)
    assert sections["rule change"] == 2
    assert sections["consent change"] == 1
    assert sections["reading"] == sum(len(app["readings"]) for app in made(log)["apps"])
    assert "'=HYPERLINK(1)" in {row["detail"] for row in rows}


def test_what_a_customer_had_decided_at_the_time_counts(log: Path, plain: list[dict[str, Any]]) -> None:
    start = int(START * 1e6)
    hour = 3_600_000_000
    decided = [
        Decided("mailco", "email", True, start + 10 * hour, start + 30 * hour),
        Decided("mailco", "full_name", True, start + 10 * hour),
        Decided("mailco", "full_name", False, start + 20 * hour),
    ]
    found = {(one.app, one.attribute, one.got): one.statements for one in accesses(log, decided)}

    def count(app: str, attribute: str, begin: float = 0, end: float = 1e9) -> int:
        return sum(
            reads(r)
            and r["app"] == app
            and any(one["attribute"] == attribute for one in r["disclosed"])
            and start + begin * hour <= micros(r["time"]) < start + end * hour
            for r in plain
        )

    assert found[("mailco", "email", "value")] == count("mailco", "email", 10, 30) > 0
    assert found[("mailco", "email", "nothing")] == count("mailco", "email") - count("mailco", "email", 10, 30) > 0
    assert found[("mailco", "full_name", "value")] == count("mailco", "full_name", 10, 20) > 0
    assert found[("crm", "card", "value")] == count("crm", "card")
    assert found[("analytics", "email", "masked")] == count("analytics", "email")
    assert ("mailco", "city", "value") not in found
