"""What each app sees of one customer, and why: the compiled rules and the customer's decisions, put side by side.

Pure, and the only answer to that question beside the governed forms: the API, the pages and receipts read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from proxy.consent.service import Decision, Standing
from proxy.errors import ConsentryError
from proxy.policy.model import Attribute
from proxy.policy.table import AppPolicy, CompiledRules, ConsentMode, GovernedTable, Part, PolicyRef

Sight = Literal["nothing", "masked", "value"]
Why = Literal["consent", "basis", "never", "unrestricted"]
Decided = Mapping[str, bool]  # attribute -> shared, of one app; attributes of which nothing was decided are not in it

ALL = "all"
GROUP = "group:"
_SIGHTS: tuple[Sight, ...] = ("nothing", "masked", "value")


@dataclass(frozen=True, slots=True)
class AttributeAccess:
    """What one app sees of one attribute of one customer now.

    `why`: by the customer's consent (also where it is not given), on a basis of law (`basis`, None where the rules name
    none), never, or because the app is not restricted. `consent`: how it asks, None: it does not, there is no switch;
    consent to another attribute may decide whether the app has the customer's rows at all. `granted`: the switch's
    position. `standing`: the decision behind it, None: none was made. `policy`: what the rules say, None: defaults.
    `last_read`: the last time that the app read it, of whichever customers, where that can have been of this one.
    """

    attribute: str
    label: str
    group: str
    sees: Sight
    why: Why
    basis: str | None
    consent: ConsentMode | None
    granted: bool
    standing: Standing | None
    policy: PolicyRef | None
    last_read: datetime | None = None


@dataclass(frozen=True, slots=True)
class AppAccess:
    """One app, with every attribute of the rules in their order."""

    app: str
    label: str
    purpose: str
    kind: str
    trusted: bool
    monitored: bool
    attributes: tuple[AttributeAccess, ...]

    def attribute(self, name: str) -> AttributeAccess:
        """Raises KeyError."""
        return next(one for one in self.attributes if one.attribute == name)


@dataclass(frozen=True, slots=True)
class Change:
    """What a decision changes for one attribute of one app."""

    attribute: str
    label: str
    before: Sight
    after: Sight


def access(
    rules: CompiledRules,
    attributes: Mapping[str, Attribute],
    standings: Sequence[Standing],
    last_read: Mapping[tuple[str, str], datetime] | None = None,
    *,
    restricted: bool = False,
) -> tuple[AppAccess, ...]:
    """Every app of the rules, in their order. `standings`: one customer's; `last_read`: by (app, attribute);
    `restricted`: the customer's data is (GDPR 18).
    """
    return tuple(
        _app_access(app, attributes, [s for s in standings if s.app == app.name], last_read or {}, restricted)
        for app in rules.apps.values()
    )


def asked(app: AppPolicy) -> Mapping[str, ConsentMode]:
    """The attributes for which the app asks consent, and how: those that a switch is for."""
    return {} if app.trusted or app.monitor else app.asked


def of_several(what: str) -> bool:
    """Whether what stands in an attribute's place names a group or all."""
    return what == ALL or what.startswith(GROUP)


def named(app: AppPolicy, attributes: Mapping[str, Attribute], what: str) -> tuple[list[str], str | None]:
    """(attributes, scope) that `what` means for the app: an attribute, `group:NAME` or `all`.

    A group and `all` mean what the app asks consent for now, and nothing that it may ask later.
    Raises ConsentryError where that is nothing.
    """
    if not of_several(what):
        return [what], None
    group = what.removeprefix(GROUP)
    found = [name for name in asked(app) if what == ALL or attributes[name].group == group]
    if not found:
        wanted = "anything" if what == ALL else f"an attribute of group {group}"
        raise ConsentryError(f"app {app.name} asks no consent for {wanted}")
    return sorted(found), what


def after(
    standings: Sequence[Standing], app: str, attributes: Sequence[str], decision: Decision, at: datetime
) -> list[Standing]:
    """The standings as they would be after a decision: to say what it changes before it is made."""
    kept = [s for s in standings if s.app != app or s.attribute not in attributes]
    made = [Standing(app, a, decision, decision == "granted", at, None, "customer", 0) for a in attributes]
    return kept + made


def changes(before: AppAccess, later: AppAccess) -> tuple[Change, ...]:
    """What is different for the app, also of attributes that another one's consent hides."""
    pairs = zip(before.attributes, later.attributes, strict=True)
    return tuple(Change(b.attribute, b.label, b.sees, a.sees) for b, a in pairs if b.sees != a.sees)


def _app_access(
    app: AppPolicy,
    attributes: Mapping[str, Attribute],
    standings: Sequence[Standing],
    last_read: Mapping[tuple[str, str], datetime],
    restricted: bool,
) -> AppAccess:
    by_attribute = {s.attribute: s for s in standings}
    decided = {s.attribute: s.granted for s in standings}
    modes = asked(app)
    shown = tuple(
        _with_last_read(
            replace(
                _attribute_access(app, name, decided, modes.get(name), restricted),
                label=attribute.label or name,
                group=attribute.group,
                standing=by_attribute.get(name),
            ),
            last_read.get((app.name, name)),
        )
        for name, attribute in attributes.items()
    )
    return AppAccess(app.name, app.label or app.name, app.purpose, app.kind, app.trusted, app.monitor, shown)


def _with_last_read(one: AttributeAccess, last: datetime | None) -> AttributeAccess:
    """A read from before the customer agreed was of others; which was the last before a withdrawal, no log tells."""
    since = one.standing.since if one.standing is not None else None
    before = one.why == "consent" and one.granted and last is not None and since is not None and last < since
    return one if one.sees == "nothing" or before else replace(one, last_read=last)


def _attribute_access(
    app: AppPolicy, name: str, decided: Decided, mode: ConsentMode | None, restricted: bool
) -> AttributeAccess:
    none = AttributeAccess(name, "", "", "nothing", "never", None, None, False, None, None)
    if app.trusted or app.monitor:
        return replace(none, sees="value", why="unrestricted")
    best, sight = None, 0
    for table, part in _parts(app, name):
        seen = _SIGHTS.index(_sees(table, part, decided, restricted))
        # Of what is seen alike, what needs no consent says why: it stays when the consent goes.
        if best is None or (seen, part.treatment.consent is None) > (sight, best.treatment.consent is None):
            best, sight = part, seen
    policy = best.treatment.policy if best else None
    granted = mode is not None and decided.get(name, mode == "opt_out")
    if mode is not None and (sight == 0 or (best and best.treatment.consent)):
        return replace(none, sees=_SIGHTS[sight], why="consent", consent=mode, granted=granted, policy=policy)
    if sight == 0:
        agreed = dict.fromkeys(asked(app), True)
        hidden = any(_sees(table, part, agreed, restricted) != "nothing" for table, part in _parts(app, name))
        return replace(none, why="consent" if hidden else "never", policy=policy)
    basis = best.treatment.basis if best else None
    return replace(none, sees=_SIGHTS[sight], why="basis", basis=basis, consent=mode, granted=granted, policy=policy)


def _parts(app: AppPolicy, attribute: str) -> Iterator[tuple[GovernedTable, Part]]:
    for table in app.tables.values():
        for column in table.columns:
            for part in column.parts:
                if part.attribute == attribute:
                    yield table, part


def _sees(table: GovernedTable, part: Part, decided: Decided, restricted: bool) -> Sight:
    treatment = part.treatment
    if restricted and any(row.restricts for row in table.rows):
        return "nothing"
    hidden = any(not decided.get(attribute, False) for row in table.rows for attribute in row.consent)
    if hidden or not treatment.visible:
        return "nothing"
    if treatment.action == "show" and (
        treatment.consent is None or decided.get(part.attribute or "", treatment.consent == "opt_out")
    ):
        return "value"
    return "nothing" if treatment.mask is None or treatment.mask.kind in ("null", "redact") else "masked"
