"""Erases one customer (GDPR 17): rows as the rules say, consents, the profile store; tells what stays, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import asyncpg

from proxy.audit.acts import Acts
from proxy.catalog.model import Snapshot
from proxy.consent import service
from proxy.consent.access import asked
from proxy.consent.service import Origin
from proxy.policy.table import CompiledRules
from proxy.profile import own, tombstones
from proxy.rights import erasing, grants, plan
from proxy.rights.desk import Act, Desk, act
from proxy.rights.erasing import TableOutcome, careful
from proxy.rights.keys import foreign_keys
from proxy.rights.restricting import restricted_since

LEDGER: Final = "decisions prove that processing was lawful (GDPR 7(1), 17(3)(e)); the key stands in them, nothing else"
CONSENTS: Final = "consents are kept in it, and the rules do not say how to erase them: list it with `erase`"
FULL_TEXT: Final = "audit.text is full: statements are in the log with their constants, until audit.keep deletes them"
RESTRICTION: Final = (
    "apps would see rows that are kept or anonymised under the key again; `subject restrict --lift` ends it"
)
# Records of other sources, and what the database's own are matched by.
_PROFILE: Final = """
SELECT (SELECT count(*) FROM consentry.profile_records WHERE subject = $1::text::{kind})
       + (SELECT count(*) FROM consentry.profile_keys WHERE source = '' AND key = $1)"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was, or would be, done. `consents`: decisions that were withdrawn; `events`: those that the ledger keeps;
    `profile`: records of other sources; `kept`: (what, why) of what stays and is in no table of the customer's.
    `receipt` None: a dry run, or nothing was left to do.
    """

    tables: tuple[TableOutcome, ...]
    consents: int
    events: int
    profile: int
    kept: tuple[tuple[str, str], ...] = ()
    receipt: Mapping[str, Any] | None = None

    @property
    def anything(self) -> bool:
        """Whether there is, or was, anything to do."""
        return bool(self.consents or self.profile or any(table.rows for table in self.tables))


async def needed(connection: asyncpg.Connection, rules: CompiledRules, snapshot: Snapshot) -> tuple[str, ...]:
    """The rights that erasing needs, as GRANT takes them. Raises CannotEraseError where the rules do not say it all."""
    made = plan.erasure(rules, snapshot, await foreign_keys(connection))
    return grants.rights(made, snapshot.server_version)


async def survey(desk: Desk, subject: str) -> Erasure:
    """What `erase` would do, all of one moment, nothing locked. Errors as `erase`."""
    made = plan.erasure(desk.rules, desk.snapshot, await foreign_keys(desk.connection))
    subject, kind = await desk.key(subject), await desk.check(subject)
    async with careful(desk.connection, writes=False):
        return await _survey(desk, subject, kind, made, lock=False)


async def erase(desk: Desk, subject: str, opened: Acts | None = None) -> Erasure:
    """Does it, in one transaction. Again, it does what is left to do. `opened`: the log, where it is open already.

    Raises CannotEraseError where anything would be left that the rules do not keep, or would break; ConsentryError;
    UnreachableError where no record can be written. Nothing is changed then.
    """
    subject = await desk.key(subject)
    async with act(desk, "erase", subject=subject, opened=opened) as under_way:
        return await erase_in(under_way, subject)


async def erase_in(under_way: Act, subject: str, *, requested: bool = False) -> Erasure:
    """The same, in an act about this customer.

    `requested`: by the customer, who gets a receipt, and is kept out of what sources say, also where nothing is here:
    that there is nothing of them is an answer. Nobody else's word is taken for that: a key may be mistyped.
    """
    desk = under_way.desk
    made = plan.erasure(desk.rules, desk.snapshot, await foreign_keys(desk.connection))
    kind = await desk.check(subject)
    found = await _survey(desk, subject, kind, made, lock=True)
    if not found.anything and not requested:
        return found
    await _withdraw(desk, subject)
    known = await own.of_customer(desk.connection, desk.written, desk.rules, subject, kind)
    tables = await erasing.carry_out(desk.connection, made, (subject,), found.tables)
    await _forget(desk, subject, kind, known)
    done = replace(found, tables=tuple(tables), events=await _events(desk, subject, kind))
    return replace(done, receipt=await under_way.finish(told(done)))


def told(found: Erasure) -> dict[str, Any]:
    """As JSON, for receipts, records and programs."""
    return {
        "tables": [
            {"relation": one.relation, "action": one.action, "rows": one.rows}
            | ({"kept": [{"rows": one.kept[why], "reason": why} for why in _told(one)]} if _told(one) else {})
            | ({"columns_kept": list(one.stays)} if one.stays else {})
            for one in found.tables
            if one.action != "keep" or _told(one)
        ],
        "consents_withdrawn": found.consents,
        "profile_rows": found.profile,
        "ledger": {"events": found.events, "reason": LEDGER},
        "also_kept": [{"what": what, "reason": why} for what, why in found.kept],
    }


def _told(one: TableOutcome) -> list[str]:
    return [why for why in one.kept if why not in one.secret]


async def _survey(desk: Desk, subject: str, kind: str, made: plan.Plan, *, lock: bool) -> Erasure:
    tables = await erasing.survey(desk.connection, made, (subject,), lock=lock)
    events = await _events(desk, subject, kind)
    profile = int(await desk.connection.fetchval(_PROFILE.format(kind=kind), subject))
    known = bool(events or profile or any(one.rows or one.kept for one in tables))
    to_withdraw = await _to_withdraw(desk, subject) if known else {}
    kept = list(made.unasked)
    mapping = desk.words.mapping
    if mapping is not None and mapping.name not in {one.relation for one in tables}:
        kept.append((mapping.name, CONSENTS))
    if await restricted_since(desk.connection, subject, kind) is not None:
        kept.append(("restriction", RESTRICTION))
    if desk.audit.full_text:
        kept.append(("audit log", FULL_TEXT))
    return Erasure(tuple(tables), sum(map(len, to_withdraw.values())), events, profile, tuple(kept))


async def _events(desk: Desk, subject: str, kind: str) -> int:
    query = f"SELECT count(*) FROM consentry.events WHERE subject = $1::text::{kind}"
    return int(await desk.connection.fetchval(query, subject))


async def _to_withdraw(desk: Desk, subject: str) -> dict[str, Sequence[str]]:
    """By app, the attributes that it has now by consent, or because nobody objected."""
    mapping = desk.words.mapping
    if mapping is not None and mapping.store.write is None:
        return {}  # the table is the organisation's own, and erased as its rules say
    standings = {(s.app, s.attribute): s.granted for s in await service.show(desk.connection, subject, mapping)}
    found = {
        name: [a for a, mode in asked(app).items() if standings.get((name, a), mode == "opt_out")]
        for name, app in desk.rules.apps.items()
    }
    return {name: attributes for name, attributes in found.items() if attributes}


async def _withdraw(desk: Desk, subject: str) -> None:
    origin = Origin("agent", f"erasure, {desk.actor}", desk.digest)
    # By the apps' names, as whoever decides about several does: in two orders they would wait for each other for ever.
    for app, attributes in sorted((await _to_withdraw(desk, subject)).items()):
        await service.decide(desk.connection, desk.words, subject, app, attributes, "withdrawn", origin=origin)


async def _forget(desk: Desk, subject: str, kind: str, known: Sequence[own.Known]) -> None:
    """Takes the customer out of the profile store, for good, and out of the queue; a restriction stays.

    `known`: the addresses and numbers that they had.
    """
    connection, match = desk.connection, f"subject = $1::text::{kind}"
    await tombstones.forget(connection, subject, known)
    await connection.execute(
        "UPDATE consentry.requests SET subject = NULL, value = NULL, decided_at = coalesce(decided_at, now()), "
        "reason = CASE WHEN status = 'open' AND kind <> 'erase' THEN $2 ELSE reason END, "
        "status = CASE WHEN status <> 'open' THEN status WHEN kind = 'erase' THEN 'done' ELSE 'refused' END "
        f"WHERE {match}",
        subject,
        "the customer was erased first",
    )
