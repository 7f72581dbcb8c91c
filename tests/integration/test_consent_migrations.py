"""From every version of the ledger to this one, with decisions in it: all kept, the chain whole, decisions go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from proxy.consent import ledger, service, spans
from proxy.consent.service import Vocabulary
from proxy.policy.table import AppPolicy, CompiledRules, GovernedColumn, GovernedTable, Subject, Treatment
from tests.integration.test_consent import verify_chain
from tests.servers import PgServer

WORDS = Vocabulary(["crm", "mailco"], ["email", "phone", "name"])
VERSIONS = [migration.version for migration in ledger.migrations()]
KEYS = {"bigint": ("1", "2"), "text": ("ann", "o'hara \\"), "uuid": (f"{1:032x}", f"{2:032x}")}


async def old_ledger(connection: asyncpg.Connection, version: int, kind: str) -> None:
    """The ledger as the release with this newest migration made it."""
    await connection.execute("CREATE SCHEMA consentry")
    for migration in [one for one in ledger.migrations() if one.version <= version]:
        await connection.execute(migration.text.replace(":subject_type", kind))
        await connection.execute(
            "INSERT INTO consentry.migrations (version, sha256) VALUES ($1, $2)", migration.version, migration.sha256
        )
    for app in WORDS.apps:
        await connection.execute(
            f"CREATE TABLE consentry.state_{app} PARTITION OF consentry.state FOR VALUES IN ('{app}')"
        )


async def decide(connection: asyncpg.Connection, subject: str, kind: str, **values: Any) -> None:
    """As every version wrote an event."""
    fields = {"app": "mailco", "attribute": "email", "decision": "granted", "actor": "customer", **values}
    columns = ", ".join(fields)
    marks = ", ".join(f"${number}" for number in range(2, len(fields) + 2))
    await connection.execute(
        f"INSERT INTO consentry.events (subject, {columns}) VALUES ($1::text::{kind}, {marks})",
        subject,
        *fields.values(),
    )


async def the_spans_go_on(connection: asyncpg.Connection, subject: str, kind: str) -> None:
    """What the ledger had is in them, where keys are whole numbers, and so is what comes after."""
    columns = tuple(GovernedColumn(name, name, Treatment("show", consent="opt_in")) for name in WORDS.attributes)
    table = GovernedTable("public", "customers", Subject("id"), columns)
    app = AppPolicy("mailco", "MailCo", "partner", "news", ("mailco",), tables={table.key: table})
    rules = CompiledRules("v", {"mailco": app}, {"mailco": "mailco"})
    if kind != "bigint":
        assert await spans.follow(connection, rules) == ()
        return
    assert await spans.follow(connection, rules) == ("spans of app mailco: email, name, phone",)
    said = f"""
        SELECT get_bit(granted_email, {subject}) AS granted, get_bit(withdrawn_name, {subject}) AS withdrawn,
               expiring_phone[{subject} + 1] IS NOT NULL AS phone, expiring_email[{subject} + 1] IS NOT NULL AS email
        FROM consentry.spans_mailco WHERE span = 0"""
    assert dict(await connection.fetchrow(said)) == {"granted": None, "withdrawn": None, "phone": True, "email": True}
    await service.grant(connection, WORDS, subject, "mailco", "email")
    await service.withdraw(connection, WORDS, subject, "mailco", "name")
    assert dict(await connection.fetchrow(said)) == {"granted": 1, "withdrawn": 1, "phone": True, "email": False}
    assert await spans.follow(connection, rules) == ()


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_upward(pg_server: PgServer, version: int, kind: str) -> None:
    dsn = pg_server.create_database("ledger_upward")
    connection = await asyncpg.connect(dsn)
    later = datetime.now(UTC) + timedelta(days=30)
    one, two = KEYS[kind]
    try:
        await old_ledger(connection, version, kind)
        await decide(connection, one, kind, evidence=json.dumps({"form": [1, None]}), source='a "page"')
        await decide(connection, one, kind, attribute="phone", expires_at=later, text_version="t1")
        await decide(connection, one, kind, attribute="name", decision="withdrawn")
        await decide(connection, one, kind, decision="withdrawn", actor="agent", policy_version="v0")
        await decide(connection, two, kind, app="crm", actor="import", at=datetime(2020, 1, 1, tzinfo=UTC))
        old = "id, subject, app, attribute, decision, at, expires_at, actor, source, policy_version, text_version"
        query = f"SELECT {old}, evidence::text AS evidence, prev_hash, hash FROM consentry.events ORDER BY id"
        before = await connection.fetch(query)

        report = await ledger.setup(connection, kind, WORDS.apps)
        assert len(report.migrations) == sum(one > version for one in VERSIONS)
        assert report.views == ("consentry.preferences",)
        assert await connection.fetch(query) == before
        shown = {(s.app, s.attribute): (s.granted, s.decision) for s in await service.show(connection, one)}
        assert shown == {
            ("mailco", "email"): (False, "withdrawn"),
            ("mailco", "name"): (False, "withdrawn"),
            ("mailco", "phone"): (True, "granted"),
        }
        state = await connection.fetchrow(
            f"SELECT granted, withdrawn, expiring FROM consentry.state_mailco WHERE subject = $1::text::{kind}", one
        )
        assert state is not None
        assert (state["granted"], sorted(state["withdrawn"]), list(json.loads(state["expiring"]))) == (
            [],
            ["email", "name"],
            ["phone"],
        )
        # An empty array or object is NULL now, so that what reads the state reads less.
        assert await connection.fetchval("SELECT withdrawn IS NULL AND expiring IS NULL FROM consentry.state_crm")
        known = await connection.fetch("SELECT attribute, granted FROM consentry.preferences WHERE app = 'mailco'")
        assert {row["attribute"]: row["granted"] for row in known} == {"email": False, "name": False, "phone": True}

        events = await service.decide(
            connection, WORDS, one, "mailco", ["email", "name"], "granted", scope="all", request="r", expires_at=later
        )
        assert events[0].prev_hash == before[3]["hash"].hex()
        assert [e.granted for e in await service.show(connection, one)] == [True, True, True]
        await the_spans_go_on(connection, one, kind)
        key = await connection.fetchval(f"SELECT $1::text::{kind}", one)
        assert await verify_chain(connection, key) == (8 if kind == "bigint" else 6)
        report = await ledger.setup(connection, kind, WORDS.apps)
        assert (report.migrations, report.apps, report.keys, report.views) == ((), (), (), ())
    finally:
        await connection.close()
