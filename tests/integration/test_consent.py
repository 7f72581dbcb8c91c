"""The ledger in a real database: migrations, state, chain, guards, keys, rights."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.consent import ledger, needs, service
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.table import (
    AppPolicy,
    CompiledRules,
    GovernedColumn,
    GovernedTable,
    Mask,
    PolicyRef,
    RowPolicy,
    Subject,
    SubjectStep,
    Treatment,
)
from tests.servers import PgServer

WORDS = Vocabulary(["crm", "mailco"], ["email", "phone", "birth_date"])


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def server(request: pytest.FixtureRequest) -> PgServer:
    server: PgServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="module")
def dsn(server: PgServer) -> str:
    dsn = server.create_database("ledger")

    async def make() -> None:
        connection = await asyncpg.connect(dsn)
        await ledger.setup(connection, "bigint", WORDS.apps)
        await connection.close()

    asyncio.run(make())
    return dsn


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def state(connection: asyncpg.Connection, subject: int, app: str = "mailco") -> tuple[Any, ...]:
    row = await connection.fetchrow(
        f'SELECT granted, withdrawn, expiring FROM consentry."state_{app}" WHERE subject = $1', subject
    )
    return (row["granted"], row["withdrawn"] or [], json.loads(row["expiring"] or "{}")) if row else ()


async def in_force(connection: asyncpg.Connection, subject: int, attribute: str, app: str = "mailco") -> bool:
    """As the governed form asks it (docs/reference/governed-form.md)."""
    query = f"""SELECT ($2::pg_catalog.text OPERATOR(pg_catalog.=) ANY (c."granted"))
        OR ((c."expiring" OPERATOR(pg_catalog.->>) $2)::pg_catalog.timestamptz
            OPERATOR(pg_catalog.>) pg_catalog.statement_timestamp())
        FROM consentry."state_{app}" c WHERE c."subject" = $1"""
    return bool(await connection.fetchval(query, subject, attribute))


# Setting up


async def test_setup_again_does_nothing(connection: asyncpg.Connection) -> None:
    report = await ledger.setup(connection, "bigint", WORDS.apps)
    assert (report.migrations, report.apps, report.keys) == ((), (), ())


async def test_setup_adds_what_the_rules_gained(server: PgServer) -> None:
    connection = await asyncpg.connect(server.create_database("ledger_grows"))
    try:
        first = await ledger.setup(connection, "bigint", ["crm"])
        assert first.migrations == tuple(f"{one.version:03d}_{one.name}" for one in ledger.migrations())
        assert (first.apps, first.keys) == (("crm",), ("default",))
        second = await ledger.setup(connection, "bigint", ["crm", 'O"dd app'], ["default", "research"])
        assert (second.migrations, second.apps, second.keys) == ((), ('O"dd app',), ("research",))
        words = Vocabulary(['O"dd app'], ["email"])
        await service.grant(connection, words, "1", 'O"dd app', "email")
        assert await connection.fetchval('SELECT count(*) FROM consentry."state_O""dd app"') == 1
    finally:
        await connection.close()


async def test_two_setups_at_once(server: PgServer) -> None:
    dsn = server.create_database("ledger_twice")
    connections = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(4)))
    try:
        reports = await asyncio.gather(*(ledger.setup(c, "bigint", ["crm"]) for c in connections))
        assert sorted(len(report.migrations) for report in reports) == [0, 0, 0, len(ledger.migrations())]
    finally:
        await asyncio.gather(*(c.close() for c in connections))


async def test_a_changed_migration_and_a_newer_ledger_are_errors(server: PgServer) -> None:
    connection = await asyncpg.connect(server.create_database("ledger_changed"))
    try:
        await ledger.setup(connection, "uuid", [])
        await connection.execute("UPDATE consentry.migrations SET sha256 = 'other' WHERE version = 1")
        with pytest.raises(ConsentryError, match="migration 1 of the ledger is not the one"):
            await ledger.setup(connection, "uuid", [])
        await connection.execute("INSERT INTO consentry.migrations (version, sha256) VALUES (999, '')")
        with pytest.raises(ConsentryError, match="made by a newer Consentry"):
            await ledger.setup(connection, "uuid", [])
    finally:
        await connection.close()


async def test_the_subject_type_changes_while_the_ledger_is_empty(server: PgServer) -> None:
    connection = await asyncpg.connect(server.create_database("ledger_type"))
    try:
        await ledger.setup(connection, "bigint", ["crm"])
        await ledger.setup(connection, "text", ["crm"])
        assert await ledger.installed_subject_type(connection) == "text"
        await service.grant(connection, WORDS, "ann", "crm", "email")
        assert await connection.fetchval("SELECT subject FROM consentry.state_crm") == "ann"
        with pytest.raises(ConsentryError, match="keys are uuid, and the ledger has events with keys of type text"):
            await ledger.setup(connection, "uuid", ["crm"])
    finally:
        await connection.close()


# Decisions and the state that is joined


async def test_grant_and_withdraw(connection: asyncpg.Connection) -> None:
    assert await state(connection, 1) == ()
    event = await service.grant(connection, WORDS, "1", "mailco", "email", origin=Origin("customer", "page"))
    assert (event.subject, event.decision, event.actor, event.source) == ("1", "granted", "customer", "page")
    await service.grant(connection, WORDS, "1", "mailco", "email")
    assert await state(connection, 1) == (["email"], [], {})
    await service.grant(connection, WORDS, "1", "mailco", "phone")
    await service.withdraw(connection, WORDS, "1", "mailco", "email")
    assert await state(connection, 1) == (["phone"], ["email"], {})
    assert await in_force(connection, 1, "phone")
    assert not await in_force(connection, 1, "email")
    assert not await in_force(connection, 1, "phone", "crm")
    await service.grant(connection, WORDS, "1", "mailco", "email")
    assert await state(connection, 1) == (["phone", "email"], [], {})


async def test_expiry_needs_no_job(connection: asyncpg.Connection) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    later = datetime.now(UTC) + timedelta(days=1)
    await service.grant(connection, WORDS, "2", "mailco", "email", expires_at=soon)
    await service.grant(connection, WORDS, "2", "mailco", "phone", expires_at=later)
    assert await in_force(connection, 2, "email")
    async with asyncio.timeout(10):
        while await connection.fetchval("SELECT statement_timestamp() <= $1", soon):
            await asyncio.sleep(0.02)
    assert not await in_force(connection, 2, "email")
    assert await in_force(connection, 2, "phone")
    standings = {s.attribute: s for s in await service.show(connection, "2")}
    assert not standings["email"].granted
    assert standings["phone"].granted
    assert standings["phone"].expires_at == later


async def test_a_grant_replaces_one_with_another_term(connection: asyncpg.Connection) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    await service.grant(connection, WORDS, "3", "mailco", "email", expires_at=later)
    await service.grant(connection, WORDS, "3", "mailco", "email")
    assert await state(connection, 3) == (["email"], [], {})
    await service.grant(connection, WORDS, "3", "mailco", "email", expires_at=later)
    granted, withdrawn, expiring = await state(connection, 3)
    assert (granted, withdrawn, list(expiring)) == ([], [], ["email"])
    await service.withdraw(connection, WORDS, "3", "mailco", "email")
    assert await state(connection, 3) == ([], ["email"], {})


async def test_an_older_event_changes_nothing(connection: asyncpg.Connection) -> None:
    await service.withdraw(connection, WORDS, "4", "mailco", "email")
    await connection.execute(
        "INSERT INTO consentry.events (subject, app, attribute, decision, at, actor) "
        "VALUES (4, 'mailco', 'email', 'granted', now() - interval '1 day', 'import'), "
        "(4, 'mailco', 'phone', 'withdrawn', now() - interval '1 day', 'import'), "
        "(4, 'mailco', 'phone', 'granted', now() - interval '2 days', 'import')"
    )
    assert await state(connection, 4) == ([], ["email", "phone"], {})


async def test_events_of_one_statement_count_in_order(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO consentry.events (subject, app, attribute, decision, actor) "
        "SELECT 5, 'mailco', 'email', CASE WHEN i % 2 = 1 THEN 'granted' ELSE 'withdrawn' END, 'import' "
        "FROM generate_series(1, 9) i"
    )
    assert await state(connection, 5) == (["email"], [], {})
    assert await verify_chain(connection, 5) == 9


async def covering(connection: asyncpg.Connection) -> bool:
    plan = await connection.fetch(
        "EXPLAIN SELECT granted, withdrawn, expiring FROM consentry.state_crm WHERE subject = '1' AND app = 'crm'"
    )
    return "Index Only Scan" in plan[0][0]


@pytest.mark.parametrize(("many", "expected"), [(45, True), (60, False), (400, False)])
async def test_every_attribute_of_any_profile_fits(server: PgServer, many: int, expected: bool) -> None:
    """Names without a pattern, so that compression does not help."""
    names = [hashlib.sha256(str(i).encode()).hexdigest()[:18] for i in range(many)]
    connection = await asyncpg.connect(server.create_database("ledger_wide"))
    try:
        await ledger.setup(connection, "text", ["crm"], attributes=names[:1])
        await ledger.setup(connection, "text", ["crm"], attributes=names)
        assert await covering(connection) is expected
        words, later = Vocabulary(["crm"], names), datetime.now(UTC)
        for number, name in enumerate(names):
            expires = later + timedelta(days=1, seconds=number * 99991, microseconds=number * 7919)
            await service.grant(connection, words, "s" * 40, "crm", name, expires_at=expires)
        assert sum(s.granted for s in await service.show(connection, "s" * 40)) == many
    finally:
        await connection.close()


async def test_show(connection: asyncpg.Connection) -> None:
    await service.grant(connection, WORDS, "7", "crm", "email")
    await service.withdraw(connection, WORDS, "7", "mailco", "phone")
    shown = [(s.app, s.attribute, s.decision, s.granted) for s in await service.show(connection, "7")]
    assert shown == [("crm", "email", "granted", True), ("mailco", "phone", "withdrawn", False)]
    assert await service.show(connection, "70000") == []


async def test_a_decision_about_several_attributes(connection: asyncpg.Connection) -> None:
    events = await service.decide(connection, WORDS, "9", "mailco", ["email", "phone"], "granted", scope="group:basic")
    assert [(e.attribute, e.scope) for e in events] == [("email", "group:basic"), ("phone", "group:basic")]
    with pytest.raises(ConsentryError, match='no attribute "zzz"'):
        await service.decide(connection, WORDS, "9", "mailco", ["email", "zzz"], "withdrawn")
    with pytest.raises(ConsentryError, match="nothing to decide"):
        await service.decide(connection, WORDS, "9", "mailco", [], "withdrawn")
    assert await state(connection, 9) == (["email", "phone"], [], {})
    assert await service.history(connection, "9") == events[::-1]
    assert await service.history(connection, "9", before=events[1].id, limit=1) == events[:1]
    assert await service.event(connection, "9", events[0].id) == events[0]
    assert await service.event(connection, "10", events[0].id) is None
    assert await verify_chain(connection, 9) == 2


async def test_a_decision_on_what_is_no_longer_so_is_refused(connection: asyncpg.Connection) -> None:
    (first,) = await service.decide(connection, WORDS, "11", "mailco", ["email"], "granted", expected=0)
    (second,) = await service.decide(connection, WORDS, "11", "mailco", ["email"], "withdrawn", expected=first.id)
    for stale in (0, first.id):
        with pytest.raises(service.StaleError) as caught:
            await service.decide(connection, WORDS, "11", "mailco", ["email"], "granted", expected=stale)
        assert [s.event for s in caught.value.standings] == [second.id]
    assert await state(connection, 11) == ([], ["email"], {})


async def test_of_two_who_looked_at_the_same_one_decides(dsn: str) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(8)))
    try:
        made = await asyncio.gather(
            *(service.decide(c, WORDS, "12", "mailco", ["email"], "granted", expected=0) for c in connections),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in made) == ["StaleError"] * 7 + ["list"]
        assert await verify_chain(connections[0], 12) == 1
    finally:
        await asyncio.gather(*(c.close() for c in connections))


async def test_a_request_that_is_sent_again_is_one_decision(dsn: str) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(4)))

    async def send(connection: asyncpg.Connection, subject: str = "13") -> list[service.Event]:
        return await service.decide(connection, WORDS, subject, "mailco", ["email", "phone"], "granted", request="r-1")

    try:
        first, *others = await asyncio.gather(*map(send, connections))
        assert all(events == first for events in others)
        await service.withdraw(connections[0], WORDS, "13", "mailco", "email")
        assert await send(connections[1]) == first  # and it is not granted again
        assert await state(connections[0], 13) == (["phone"], ["email"], {})
        with pytest.raises(service.RequestReusedError):
            await service.decide(connections[0], WORDS, "13", "mailco", ["email"], "granted", request="r-1")
        assert (await send(connections[0], "14"))[0].subject == "14"
        assert await verify_chain(connections[0], 13) == 3
    finally:
        await asyncio.gather(*(c.close() for c in connections))


async def test_other_systems_hear_of_a_decision_at_its_commit(dsn: str) -> None:
    listener, writer = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    heard: asyncio.Queue[str] = asyncio.Queue()
    try:
        await listener.add_listener("consentry_consent", lambda *given: heard.put_nowait(given[3]))
        event = await service.grant(writer, WORDS, "15", "mailco", "email")
        async with asyncio.timeout(10):
            assert json.loads(await heard.get()) == {"event": event.id}
    finally:
        await listener.close()
        await writer.close()


@pytest.mark.parametrize(
    ("subject", "app", "attribute", "said"),
    [
        ("1", "mailc", "email", 'no app "mailc" in the rules; did you mean "mailco"'),
        ("1", "mailco", "emial", 'no attribute "emial" in the rules; did you mean "email"'),
        ("1", "mailco", "zzz", "the rules have birth_date, email, phone"),
        ("ann", "mailco", "email", '"ann" is not a subject key of type bigint'),
        ("9" * 30, "mailco", "email", "is not a subject key of type bigint"),
        ("\x00", "mailco", "email", "zero byte"),
    ],
)
async def test_slips_are_named(
    connection: asyncpg.Connection, subject: str, app: str, attribute: str, said: str
) -> None:
    with pytest.raises(ConsentryError, match=said):
        await service.grant(connection, WORDS, subject, app, attribute)


async def test_impossible_times_are_named(connection: asyncpg.Connection) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(ConsentryError, match="must expire after it begins"):
        await service.grant(connection, WORDS, "8", "mailco", "email", expires_at=past)
    with pytest.raises(ConsentryError, match="no time zone"):
        await service.grant(connection, WORDS, "8", "mailco", "email", expires_at=datetime(2100, 1, 1))  # noqa: DTZ001
    with pytest.raises(asyncpg.DatetimeFieldOverflowError, match="in the future"):
        await connection.execute(
            "INSERT INTO consentry.events (subject, app, attribute, decision, at, actor) "
            "VALUES (8, 'mailco', 'email', 'granted', now() + interval '1 hour', 'import')"
        )
    with pytest.raises(ConsentryError, match="does not know the app yet"):
        await service.grant(connection, Vocabulary(["new"], ["email"]), "8", "new", "email")


async def test_without_a_ledger(server: PgServer) -> None:
    connection = await asyncpg.connect(server.create_database("no_ledger"))
    try:
        with pytest.raises(ConsentryError, match="no consent ledger"):
            await service.grant(connection, WORDS, "1", "mailco", "email")
    finally:
        await connection.close()


# The chain


async def verify_chain(connection: asyncpg.Connection, subject: int) -> int:
    """Recomputes each hash from the columns, in Python; gives the number of events."""
    before, count = bytes(32), 0
    for e in await connection.fetch(
        "SELECT *, evidence::text AS proof FROM consentry.events WHERE subject = $1 ORDER BY id", subject
    ):
        fields = [str(e["id"]), str(e["subject"]), e["app"], e["attribute"], e["decision"], iso(e["at"])]
        fields += [iso(e["expires_at"]), e["actor"], e["source"], e["policy_version"], e["text_version"], e["proof"]]
        if e["scope"] is not None or e["request"] is not None:
            fields += [e["scope"], e["request"]]
        hashed = hashlib.sha256(before + json.dumps(fields, ensure_ascii=False).encode()).digest()
        assert (e["prev_hash"], e["hash"]) == (before, hashed)
        before, count = hashed, count + 1
    return count


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_the_chain_can_be_recomputed(connection: asyncpg.Connection) -> None:
    origin = Origin("customer", 'a "page"\\\n\t\x01é€\U0001f600', "v1", "t2", {"ip": "::1", "n": [1.50, None]})
    await connection.execute("SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'SQL, DMY'")
    await service.grant(connection, WORDS, "20", "mailco", "email", origin=origin)
    later = datetime.now(UTC) + timedelta(days=30)
    await service.grant(connection, WORDS, "20", "crm", "phone", expires_at=later, origin=origin)
    await service.withdraw(connection, WORDS, "20", "mailco", "email")
    assert await verify_chain(connection, 20) == 3
    assert await in_force(connection, 20, "phone", "crm")


async def test_changes_of_one_subject_take_turns(dsn: str) -> None:
    connections = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(6)))
    try:

        async def decide(connection: asyncpg.Connection, number: int) -> None:
            for round_ in range(10):
                attribute = ("email", "phone", "birth_date")[(number + round_) % 3]
                await service.grant(connection, WORDS, "21", "mailco", attribute)
                await service.withdraw(connection, WORDS, "21", "mailco", attribute)
                await service.grant(connection, WORDS, "21", "mailco", attribute)

        await asyncio.gather(*(decide(c, n) for n, c in enumerate(connections)))
        assert await verify_chain(connections[0], 21) == 180
        last = await connections[0].fetch(
            "SELECT DISTINCT ON (attribute) attribute, decision FROM consentry.events WHERE subject = 21 "
            "ORDER BY attribute, id DESC"
        )
        granted, withdrawn, _ = await state(connections[0], 21)
        assert sorted(granted) == sorted(r["attribute"] for r in last if r["decision"] == "granted")
        assert sorted(withdrawn) == sorted(r["attribute"] for r in last if r["decision"] == "withdrawn")
    finally:
        await asyncio.gather(*(c.close() for c in connections))


async def test_a_writer_with_an_old_view_cannot_fork_the_chain(dsn: str) -> None:
    first, second = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        old = first.transaction(isolation="repeatable_read")
        await old.start()
        await first.fetchval("SELECT count(*) FROM consentry.events")
        await service.grant(second, WORDS, "22", "mailco", "email")
        with pytest.raises((asyncpg.UniqueViolationError, asyncpg.SerializationError)):
            await service.withdraw(first, WORDS, "22", "mailco", "email")
        await old.rollback()
        assert await verify_chain(second, 22) == 1
    finally:
        await first.close()
        await second.close()


async def test_an_uncommitted_decision_is_not_in_force(dsn: str) -> None:
    writer, reader = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        transaction = writer.transaction()
        await transaction.start()
        await service.grant(writer, WORDS, "23", "mailco", "email")
        assert not await in_force(reader, 23, "email")
        await transaction.commit()
        assert await in_force(reader, 23, "email")
    finally:
        await writer.close()
        await reader.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consentry.events SET decision = 'granted'",
        "UPDATE consentry.events SET decision = 'granted' WHERE false",
        "DELETE FROM consentry.events",
        "TRUNCATE consentry.events",
        "SET session_replication_role = replica; DELETE FROM consentry.events",
        "MERGE INTO consentry.events e USING (VALUES (1)) v(x) ON true WHEN MATCHED THEN DELETE",
    ],
)
async def test_events_are_never_changed_not_even_by_the_owner(connection: asyncpg.Connection, change: str) -> None:
    await service.grant(connection, WORDS, "24", "mailco", "email")
    before = await connection.fetchval("SELECT count(*) FROM consentry.events")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed or removed"):
        await connection.execute(change)
    assert await connection.fetchval("SELECT count(*) FROM consentry.events") == before


async def test_a_writer_cannot_choose_the_hash(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO consentry.events (id, subject, app, attribute, decision, actor, prev_hash, hash) "
        "VALUES (1, 25, 'mailco', 'email', 'granted', 'agent', '\\x00', '\\x00')"
    )
    assert await verify_chain(connection, 25) == 1


# What masks call


async def test_keyed_hash_is_hmac(connection: asyncpg.Connection) -> None:
    for number, key in enumerate((b"k", b"a key of just the block's size..".ljust(64, b"!"), bytes(range(32)))):
        padded = key.ljust(64, b"\0")
        await connection.execute(
            'INSERT INTO consentry.keys (name, "inner", "outer") VALUES ($1, $2, $3)',
            f"known {number}", bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded),
        )  # fmt: skip
        for value in ("", "ann@example.org", "é€\U0001f600", "x" * 10000):
            given = await connection.fetchval("SELECT consentry.keyed_hash($1, $2)", f"known {number}", value)
            assert given == hmac.new(key, value.encode(), "sha256").digest()
    assert await connection.fetchval("SELECT consentry.keyed_hash('default', NULL)") is None


async def test_made_keys_are_keys(connection: asyncpg.Connection) -> None:
    await connection.fetchval("SELECT consentry.make_key('second')")
    rows = await connection.fetch("SELECT \"inner\", \"outer\" FROM consentry.keys WHERE name IN ('default', 'second')")
    keys = [bytes(b ^ 0x36 for b in row["inner"]) for row in rows]
    assert [bytes(b ^ 0x5C for b in row["outer"]) for row in rows] == keys
    assert all(key[32:] == bytes(32) and len(set(key[:32])) > 10 for key in keys)
    assert keys[0] != keys[1]
    assert await connection.fetchval("SELECT consentry.make_key('second')") is False


async def test_a_missing_key_is_an_error(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UndefinedObjectError, match='no key "lost"'):
        await connection.fetchval("SELECT consentry.keyed_hash('lost', 'value')")


async def test_json_keys(connection: asyncpg.Connection) -> None:
    for document, emptied in [
        ({"a": 1, "b": {"c": "x", "d": [True, None, {"e": 2}]}, "f": {}, "g": []},
         {"a": None, "b": {"c": None, "d": [None, None, {"e": None}]}, "f": {}, "g": []}),
        ("secret", None),
        ([], []),
    ]:  # fmt: skip
        given = await connection.fetchval("SELECT consentry.json_keys($1::text::jsonb)", json.dumps(document))
        assert json.loads(given) == emptied


async def test_a_deep_document_is_no_error(connection: asyncpg.Connection) -> None:
    deep = "[" * 5000 + '"secret"' + "]" * 5000
    given = await connection.fetchval("SELECT consentry.json_keys($1::text::jsonb)", deep)
    assert given == "[" * 100 + "null" + "]" * 100


# Rights


def rules(subject: Subject | None = None, tables: dict[tuple[str, str], GovernedTable] | None = None) -> CompiledRules:
    under_consent = Treatment("show", Mask("hash", (("key", "letters"),)), "opt_in")
    columns = (GovernedColumn("id", None, Treatment("show")), GovernedColumn("email", "email", under_consent))
    customers = GovernedTable("public", "customers", subject or Subject("id"), columns)
    mailco = AppPolicy(
        "mailco", "MailCo", "partner", "mail", ("ledger_mailco",), tables=tables or {customers.key: customers}
    )
    deploy = AppPolicy("deploy", "Deploy", "internal", "", ("ledger_deploy",), trusted=True)
    return CompiledRules("v", {"mailco": mailco, "deploy": deploy}, {"ledger_mailco": "mailco"})


def test_what_a_row_policy_reads_is_granted() -> None:
    where = "EXISTS (SELECT 1 FROM core.loans AS l WHERE l.customer = id)"
    table = GovernedTable(
        "core", "customers", None, (), (RowPolicy(PolicyRef("borrowers", "bank.yaml", 1), (), where),)
    )
    app = AppPolicy("lender", "Lender", "partner", "", ("lender_app",), tables={table.key: table})
    (_, statements) = needs.grants(CompiledRules("v", {"lender": app}, {"lender_app": "lender"}))[1]
    assert statements == ('GRANT SELECT ON "core"."loans" TO "lender_app"',)


async def test_an_app_reaches_its_own_state_and_nothing_else(server: PgServer) -> None:
    server.create_login("ledger_mailco", "secret")
    server.create_login("consentry", "secret")
    connection = await asyncpg.connect(server.create_database("ledger_rights"))
    await ledger.setup(connection, "bigint", WORDS.apps, needs.key_names(rules()))
    given = dict(needs.grants(rules()))
    assert set(given) == {"consentry", "ledger_mailco"}
    for statements in given.values():
        for statement in statements:
            await connection.execute(statement)
    await connection.close()

    app = await asyncpg.connect(server.dsn("ledger_rights", "ledger_mailco", "secret"))
    control = await asyncpg.connect(server.dsn("ledger_rights", "consentry", "secret"))
    try:
        await service.grant(control, WORDS, "1", "mailco", "email")
        assert [s.granted for s in await service.show(control, "1")] == [True]
        assert await app.fetchval("SELECT count(*) FROM consentry.state_mailco") == 1
        assert len(await app.fetchval("SELECT consentry.keyed_hash('letters', 'x')")) == 32
        for connection, forbidden in [
            (app, "SELECT * FROM consentry.state_crm"),
            (app, "SELECT * FROM consentry.state"),
            (app, "SELECT * FROM consentry.events"),
            (app, "SELECT * FROM consentry.keys"),
            (app, "SELECT consentry.make_key('mine')"),
            (app, "SELECT consentry.json_keys('1')"),
            (app, "INSERT INTO consentry.state_mailco (subject, app) VALUES (2, 'mailco')"),
            (app, "UPDATE consentry.state_mailco SET granted = '{email}'"),
            (control, "SELECT * FROM consentry.keys"),
            (control, "SELECT consentry.keyed_hash('letters', 'x')"),
            (control, "UPDATE consentry.state SET granted = '{email}'"),
            (control, "DELETE FROM consentry.events"),
            (control, "INSERT INTO consentry.events (id, subject, app, attribute, decision, actor) "
                      "VALUES (1, 1, 'mailco', 'email', 'granted', 'agent')"),
        ]:  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        with pytest.raises(ConsentryError, match='run "consentry consent setup", which prints the grants'):
            await service.grant(app, WORDS, "1", "mailco", "email")
    finally:
        await app.close()
        await control.close()


def test_a_subject_in_another_table_needs_its_key_columns() -> None:
    subject = Subject("customer_id", (SubjectStep("order_id", "public", "orders", "id"),))
    statements = dict(needs.grants(rules(subject)))["ledger_mailco"]
    assert 'GRANT SELECT ("customer_id", "id") ON "public"."orders" TO "ledger_mailco"' in statements


def test_plain_apps_need_nothing() -> None:
    plain = GovernedTable("public", "t", None, (GovernedColumn("id", None, Treatment("show")),))
    assert [role for role, _ in needs.grants(rules(tables={plain.key: plain}))] == ["consentry"]


def snapshot(**types: str) -> Snapshot:
    relations = {}
    for oid, (name, base) in enumerate(types.items()):
        columns = (Column("id", 1, 0, base, base, "N"), Column("email", 2, 25, "text", "text", "S"))
        relations[("public", name)] = Relation(oid, "public", name, "r", columns)
    return Snapshot("shop", 180000, relations, {})


@pytest.mark.parametrize(
    ("base", "kind"),
    [("int4", "bigint"), ("int8", "bigint"), ("varchar", "text"), ("citext", "text"), ("uuid", "uuid")],
)
def test_the_ledgers_type_follows_the_subject_key(base: str, kind: str) -> None:
    assert needs.subject_type(rules(), snapshot(customers=base)) == kind
    steps = (SubjectStep("order_id", "public", "orders", "id"),)
    reached = rules(Subject("id", steps))
    assert needs.subject_type(reached, snapshot(customers="date", orders=base)) == kind


def test_subject_keys_that_no_ledger_can_hold() -> None:
    with pytest.raises(ConsentryError, match=r"public\.customers\.id has type date"):
        needs.subject_type(rules(), snapshot(customers="date"))
    columns = (GovernedColumn("id", None, Treatment("show")),)
    tables = {("public", n): GovernedTable("public", n, Subject("id"), columns) for n in ("customers", "members")}
    with pytest.raises(ConsentryError, match=r"bigint \(public.customers.id\) and text \(public.members.id\)"):
        needs.subject_type(rules(tables=tables), snapshot(customers="int8", members="text"))
