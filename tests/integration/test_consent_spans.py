"""Consents by spans of keys: always what the state says, whoever writes, and what governed forms join."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import import_export, ledger, needs, service, spans
from proxy.consent.names import Names
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.spans import MOST
from proxy.policy.table import CompiledRules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer

LONG = "a" * 50  # as long as a name can be
RULES = """
version: 1
attributes: {email: {label: E}, phone: {label: P}, history: {label: H}, LONG: {label: O}}
tables:
  public.people: {subject: id, columns: {id: open, name: email, phone: phone, odd: LONG}}
  public.visits: {subject: {column: person, references: public.people.id}, columns: {id: open, person: open, place: history}}
apps: {mail: {logins: [spanmail], kind: partner}, shop: {logins: [spanshop], kind: partner}}
policies:
  - {name: row, apps: [shop], tables: [public.visits], rows: {consent: [email]}}
  - {name: out, apps: [mail], attributes: [history], action: show, consent: opt_out}
  - {name: in, apps: [mail, shop], attributes: [email, phone, LONG], action: show, consent: opt_in}
  - {name: all, attributes: all, action: show}
""".replace("LONG", LONG)
# Both sides of the ends of spans, of zero, and of what the type holds.
KEYS = (0, 1, 7, 8, 63, 64, 126, 127, 128, 129, 255, 256, 1000, -1, -127, -128, -129, 2**63 - 1, -(2**63))
ATTRIBUTES = ("email", "phone", "history", LONG)
WORDS = Vocabulary(["mail", "shop"], ATTRIBUTES)
SCHEMA = """
CREATE TABLE people (id bigint PRIMARY KEY, name text, phone text, odd text);
CREATE TABLE visits (id int, person smallint, place text);
"""
FILL = f"""
INSERT INTO people SELECT k, 'name', 'phone', 'odd' FROM unnest(ARRAY{list(KEYS)}::bigint[]) k;
INSERT INTO visits SELECT row_number() OVER (), k, 'place' FROM unnest(ARRAY{[k for k in KEYS if abs(k) < 2000]}::int[]) k;
INSERT INTO visits VALUES (100, NULL, 'nobody''s'), (101, 2000, 'a stranger''s');
"""


@pytest.fixture
async def connection(pg_server: PgServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(pg_server.create_database("spans", SCHEMA + FILL))
    await ledger.setup(connection, "bigint", WORDS.apps)
    yield connection
    await connection.close()


async def compiled(connection: asyncpg.Connection, rules: str = RULES) -> CompiledRules:
    return compile_rules(load_rules([("r.yaml", rules)]), await take_snapshot(connection))


async def decide_at_random(connection: asyncpg.Connection, seed: int, times: int) -> None:
    random = Random(seed)
    now = datetime.now(UTC)
    for _ in range(times):
        decision = random.choice(["granted", "granted", "withdrawn"])
        expires = random.choice([None, now + timedelta(days=1)]) if decision == "granted" else None
        await service.decide(
            connection,
            WORDS,
            str(random.choice(KEYS)),
            random.choice(WORDS.apps),
            random.sample(ATTRIBUTES, random.randint(1, 3)),
            decision,
            expires_at=expires,
        )


async def expire_some(connection: asyncpg.Connection) -> None:
    """What was granted for a while, and that is over: as an import brings it."""
    past = datetime.now(UTC) - timedelta(days=2)
    for key in KEYS[::3]:
        await connection.execute(
            "INSERT INTO consentry.events (subject, app, attribute, decision, at, expires_at, actor) "
            "SELECT $1, app, 'email', 'granted', $2, $3, 'import' FROM unnest(ARRAY['mail', 'shop']) app",
            key,
            past,
            past + timedelta(days=1),
        )


async def spans_are_what_the_state_says(connection: asyncpg.Connection, app: str, attributes: tuple[str, ...]) -> None:
    state = {
        r["subject"]: r
        for r in await connection.fetch(
            "SELECT subject, granted, withdrawn, (SELECT jsonb_object_agg(key, value::timestamptz) "
            "FROM jsonb_each_text(expiring))::text AS expiring FROM consentry.state WHERE app = $1", app
        )
    }  # fmt: skip
    rows = {r["span"]: r for r in await connection.fetch(f"SELECT * FROM consentry.spans_{app}")}
    assert rows.keys() >= {subject >> 7 for subject in state}
    for span, row in rows.items():
        for place in range(128):
            one = state.get((span << 7) + place)
            for name in attributes:
                granted, withdrawn, expiring = (row[f"{what}_{name}"] for what in ("granted", "withdrawn", "expiring"))
                assert _bit(granted, place) == (one is not None and name in one["granted"])
                assert _bit(withdrawn, place) == (one is not None and name in (one["withdrawn"] or ()))
                until = expiring[place] if expiring else None
                assert (until is not None) == (one is not None and f'"{name}"' in (one["expiring"] or ""))


def _bit(value: bytes | None, place: int) -> bool:
    return value is not None and bool(value[place // 8] >> place % 8 & 1)


async def answers(connection: asyncpg.Connection, rules: CompiledRules, app: str) -> list[Any]:
    planner = Planner(rules.apps[app], rules, await take_snapshot(connection))
    found = []
    for text in (
        "select * from people order by id",
        "select name from people where id = 127",
        "select * from visits order by id",
        "select p.id, v.place from people p join visits v on v.person = p.id order by p.id",
        "select count(*) from visits",
    ):
        sent = planner.plan(text.encode(), SearchPath()).text.decode()
        found.append((sent, await connection.fetch(sent)))
    return found


async def test_forms_that_join_spans_answer_as_those_that_join_the_state(connection: asyncpg.Connection) -> None:
    await decide_at_random(connection, 1, 40)
    await expire_some(connection)
    assert await spans.follow(connection, await compiled(connection)) == (
        f"spans of app mail: {LONG}, email, history, phone",
        f"spans of app shop: {LONG}, email, phone",
    )
    await decide_at_random(connection, 2, 60)
    rules = await compiled(connection)
    for app in WORDS.apps:
        await spans_are_what_the_state_says(connection, app, ("email", "phone", LONG))
        without = replace(rules, apps={**rules.apps, app: replace(rules.apps[app], spans=frozenset())})
        joined, looked_up = await answers(connection, rules, app), await answers(connection, without, app)
        assert [rows for _, rows in joined] == [rows for _, rows in looked_up]
        assert all("spans_" in text and "state_" not in text for text, _ in joined)
        assert all("state_" in text and "spans_" not in text for text, _ in looked_up)
        people = joined[0][1]
        assert {row["name"] for row in people} == {"name", None}


async def test_what_expires_goes_by_itself_and_the_next_statement_sees_a_change(connection: asyncpg.Connection) -> None:
    await spans.follow(connection, await compiled(connection))
    rules = await compiled(connection)
    planner = Planner(rules.apps["mail"], rules, await take_snapshot(connection))
    name = planner.plan(b"select name from people where id = 128", SearchPath()).text.decode()
    seen = await connection.prepare(name)
    assert await seen.fetchval() is None
    await service.grant(connection, WORDS, "128", "mail", "email")
    assert await seen.fetchval() == "name"
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await service.decide(connection, WORDS, "128", "mail", ["email"], "granted", expires_at=soon)
    assert await seen.fetchval() == ("name" if datetime.now(UTC) < soon else None)
    async with asyncio.timeout(10):
        while await seen.fetchval() is not None:
            await asyncio.sleep(0.05)
    assert datetime.now(UTC) >= soon
    await service.withdraw(connection, WORDS, "128", "mail", "email")
    assert await seen.fetchval() is None


async def test_nothing_to_do_the_second_time_and_what_the_rules_gain_is_filled(connection: asyncpg.Connection) -> None:
    fewer = RULES.replace("[mail, shop], attributes: [email, phone,", "[mail, shop], attributes: [email,")
    assert (await spans.follow(connection, await compiled(connection, fewer)))[1] == f"spans of app shop: {LONG}, email"
    await decide_at_random(connection, 3, 40)
    rules = await compiled(connection)
    mail = (await answers(connection, rules, "mail"))[0][0]
    assert "state_mail" in mail  # of an attribute that has no span yet the state is asked
    assert await spans.follow(connection, rules) == ("spans of app mail: phone", "spans of app shop: phone")
    assert await spans.follow(connection, rules) == ()
    for app in WORDS.apps:
        await spans_are_what_the_state_says(connection, app, ("email", "phone", LONG))


async def test_files_of_many_records(connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await spans.follow(connection, await compiled(connection))
    names = Names(WORDS, await compiled(connection), load_rules([("r.yaml", RULES)]).attributes)
    lines = [f"{key},{app},{what},granted" for key in KEYS for app in WORDS.apps for what in ("email", "phone")]
    lines += [f"{key},mail,email,withdrawn" for key in KEYS[::2]]
    for few in (1000, 0):
        monkeypatch.setattr(import_export, "FEW", few)
        file = io.BytesIO("\n".join(["subject,app,attribute,decision", *lines]).encode())
        await import_export.import_records(connection, names, file, "csv", origin=Origin("import"))
        for app in WORDS.apps:
            await spans_are_what_the_state_says(connection, app, ("email", "phone"))


async def test_customers_of_one_span_at_the_same_time(connection: asyncpg.Connection, pg_server: PgServer) -> None:
    """The second waits for the first, and both are in the span; where it could not see the first, it is refused."""
    await spans.follow(connection, await compiled(connection))
    first, second = [await asyncpg.connect(pg_server.dsn("spans")) for _ in range(2)]
    try:
        for key, isolation in ((0, "read_committed"), (200, "repeatable_read"), (0, "repeatable_read")):
            one = first.transaction()
            await one.start()
            await service.grant(first, WORDS, str(key), "mail", "email")
            other = second.transaction(isolation=isolation)
            await other.start()
            await second.fetchval("SELECT 1 FROM consentry.events LIMIT 1")  # its snapshot
            waiting = asyncio.create_task(service.grant(second, WORDS, str(key + 1), "mail", "email"))
            async with asyncio.timeout(20):
                while not await connection.fetchval("SELECT bool_or(wait_event_type = 'Lock') FROM pg_stat_activity"):
                    await asyncio.sleep(0.02)
            await one.commit()
            if isolation == "read_committed":
                await waiting
                await other.commit()
            else:
                with pytest.raises(asyncpg.SerializationError):
                    await waiting
                await other.rollback()
            await spans_are_what_the_state_says(connection, "mail", ("email",))
    finally:
        await first.close()
        await second.close()


async def test_two_setups_at_once(connection: asyncpg.Connection, pg_server: PgServer) -> None:
    rules = await compiled(connection)
    others = [await asyncpg.connect(pg_server.dsn("spans")) for _ in range(3)]
    try:
        made = await asyncio.gather(*(spans.follow(other, rules) for other in others))
        assert sorted(len(one) for one in made) == [0, 0, 2]
    finally:
        await asyncio.gather(*(other.close() for other in others))


async def test_keys_that_are_no_numbers_have_no_spans(connection: asyncpg.Connection) -> None:
    await spans.follow(connection, await compiled(connection))
    await ledger.setup(connection, "text", WORDS.apps)
    tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'spans_%' AND relkind = 'r'"
    assert await connection.fetchval(tables) == 0
    await connection.execute("DROP TABLE visits; ALTER TABLE people ALTER id TYPE text")
    rules = await compiled(connection, "\n".join(line for line in RULES.splitlines() if "public.visits" not in line))
    assert await spans.follow(connection, rules) == ()
    await service.grant(connection, WORDS, "ann", "mail", "email")
    assert rules.apps["mail"].spans == frozenset()


async def test_more_attributes_than_fit_into_a_row(connection: asyncpg.Connection) -> None:
    many = [f"a{number:03d}" for number in range(MOST + 20)]
    columns = ", ".join(f"{name} text" for name in many)
    await connection.execute(f"DROP TABLE people, visits; CREATE TABLE people (id int PRIMARY KEY, {columns})")
    rules = f"""
version: 1
attributes: {{{", ".join(f"{name}: {{label: x}}" for name in many)}}}
tables:
  public.people: {{subject: id, columns: {{id: open, {", ".join(f"{name}: {name}" for name in many)}}}}}
apps: {{mail: {{logins: [spanmail], kind: partner}}}}
policies: [{{name: in, attributes: all, action: show, consent: opt_in}}]
"""
    await spans.follow(connection, await compiled(connection, rules))
    app = (await compiled(connection, rules)).apps["mail"]
    assert app.spans == frozenset(many[:MOST])
    words = Vocabulary(["mail"], many)
    later = datetime.now(UTC) + timedelta(days=1)
    await service.decide(connection, words, "5", "mail", many, "granted", expires_at=later)
    # As wide as a row of spans can get.
    await connection.execute(
        "INSERT INTO consentry.events (subject, app, attribute, decision, expires_at, actor) "
        "SELECT k, 'mail', a, 'granted', $2, 'import' FROM generate_series(0, 127, 2) k, unnest($1::text[]) a",
        many[:MOST],
        later,
    )
    await connection.execute(
        "INSERT INTO consentry.events (subject, app, attribute, decision, actor) "
        "SELECT k, 'mail', a, CASE k % 2 WHEN 0 THEN 'granted' ELSE 'withdrawn' END, 'import' "
        "FROM generate_series(0, 126, 3) k, unnest($1::text[]) a",
        many[:MOST],
    )
    await spans_are_what_the_state_says(connection, "mail", tuple(many[:MOST:9]))


async def test_who_may_not_make_them_is_told(connection: asyncpg.Connection, pg_server: PgServer) -> None:
    pg_server.create_login("consentry", group="auth_trust")
    rules = await compiled(connection)
    await needs.apply_grants(connection, needs.grants(rules)[:1], ())
    control = await asyncpg.connect(pg_server.dsn("spans", "consentry"))
    try:
        with pytest.raises(ConsentryError, match="owner's"):
            await spans.follow(control, rules)
        await spans.follow(connection, rules)
        assert await spans.follow(control, await compiled(connection)) == ()
        await service.grant(control, WORDS, "5", "mail", "email")
        await spans_are_what_the_state_says(connection, "mail", ("email",))
        for wrong in ("UPDATE consentry.spans_mail SET granted_email = NULL", "SELECT * FROM consentry.spans_mail"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await control.execute(wrong)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await control.execute("SELECT consentry.refresh_spans('mail', '{email}', '{0}')")
    finally:
        await control.close()
