"""What an app is shown, against a plain model: the last event of each consent decides. By many hands at the same time."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.catalog.model import SearchPath
from proxy.consent import import_export, ledger, service, spans
from proxy.consent.names import Names
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.table import CompiledRules
from proxy.rewrite.plan import Planner
from tests.servers import PgServer

RULES = """
version: 1
attributes: {email: {label: E}, phone: {label: P}, history: {label: H}}
tables:
  public.people: {subject: id, columns: {id: open, name: email, phone: phone}}
  public.members: {subject: {column: person, references: public.people.id}, columns: {person: open, level: history, note: email}}
  public.visits: {subject: {column: person, references: public.people.id}, columns: {id: open, person: open, place: phone}}
apps:
  mail: {logins: [modelmail], kind: partner}
  shop_2: {logins: [modelshop], kind: partner}
  shop: {logins: [modelstat], kind: partner}
policies:
  - {name: row, apps: [shop], tables: [public.visits], rows: {consent: [email]}}
  - {name: out, apps: [mail, shop], attributes: [history], action: show, consent: opt_out}
  - {name: in, apps: [mail, shop_2, shop], attributes: [email, phone, history], action: show, consent: opt_in}
  - {name: all, attributes: all, action: show}
"""
APPS = ("mail", "shop_2", "shop")
ATTRIBUTES = ("email", "phone", "history")
OUT = {("mail", "history"), ("shop", "history")}
WORDS = Vocabulary(APPS, ATTRIBUTES)
SCHEMA = """
CREATE DOMAIN person AS int CHECK (VALUE <> 77777);
CREATE TABLE people (id bigint PRIMARY KEY, name text, phone text);
CREATE TABLE members (person person, level text, note text) PARTITION BY RANGE (person);
CREATE TABLE members_below PARTITION OF members FOR VALUES FROM (MINVALUE) TO (0);
CREATE TABLE members_above PARTITION OF members DEFAULT;
CREATE TABLE visits (id serial, person smallint, place text);
"""
FAR = (-(2**63), -(2**63) + 127, -(2**63) + 128, 2**63 - 1, 2**63 - 128, 2**31, -(2**31) - 1, 2**40 + 5)
NEAR = tuple(range(-130, -120)) + tuple(range(-3, 4)) + tuple(range(124, 132)) + (255, 256, 32767, -32768)
KEYS = FAR + NEAR
ROUNDS, STEPS = (10, 60) if os.environ.get("CONSENTRY_NIGHTLY") else (2, 15)


@pytest.fixture
async def connection(pg_server: PgServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(pg_server.create_database("model", SCHEMA))
    await connection.execute("INSERT INTO people SELECT k, 'name', 'phone' FROM unnest($1::bigint[]) k", list(KEYS))
    await connection.execute("INSERT INTO members SELECT k, 'level', 'note' FROM unnest($1::int[]) k", list(NEAR))
    await connection.execute("INSERT INTO members VALUES (NULL, 'level', 'note')")
    await connection.execute(
        "INSERT INTO visits (person, place) SELECT k, 'place' FROM unnest($1::int[]) k, generate_series(1, 2)",
        list(NEAR),
    )
    await connection.execute("INSERT INTO visits (person, place) VALUES (NULL, 'place'), (9999, 'place')")
    await ledger.setup(connection, "bigint", APPS)
    await spans.follow(connection, await compiled(connection))
    yield connection
    await connection.close()


async def compiled(connection: asyncpg.Connection) -> CompiledRules:
    return compile_rules(load_rules([("r.yaml", RULES)]), await take_snapshot(connection))


class Truth:
    """The last event of each consent, and nothing else."""

    def __init__(self, events: list[asyncpg.Record]) -> None:
        self.last: dict[tuple[int, str, str], asyncpg.Record] = {}
        for event in sorted(events, key=lambda one: (one["at"], one["id"])):
            self.last[event["subject"], event["app"], event["attribute"]] = event

    def shown(self, subject: int | None, app: str, attribute: str, at: datetime) -> bool:
        event = self.last.get((subject, app, attribute)) if subject is not None else None
        if (app, attribute) in OUT:
            return subject is not None and (event is None or event["decision"] != "withdrawn")
        if event is None or event["decision"] == "withdrawn":
            return False
        return event["expires_at"] is None or event["expires_at"] > at


async def agrees(connection: asyncpg.Connection, rules: CompiledRules) -> int:
    """Fails where what any app is shown is not what the events say; how many values were looked at."""
    snapshot = await take_snapshot(connection)
    looked = 0
    for app in APPS:
        planner = Planner(rules.apps[app], rules, snapshot)
        for text, attributes in (
            ("select id, name, phone, statement_timestamp() from people", ("email", "phone")),
            ("select person, level, note, statement_timestamp() from members", ("history", "email")),
            ("select person, place, statement_timestamp() from visits", ("phone",)),
        ):
            sent = planner.plan(text.encode(), SearchPath()).text.decode()
            assert "spans_" in sent
            for settings in ("SELECT 1", "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off", PARALLEL):
                async with connection.transaction(isolation="repeatable_read"):
                    await connection.execute(settings)
                    rows = await connection.fetch(sent)
                    truth = Truth(await connection.fetch("SELECT * FROM consentry.events"))
                subjects = []
                for subject, *values, at in rows:
                    for attribute, value in zip(attributes, values, strict=True):
                        assert (value is not None) == truth.shown(subject, app, attribute, at), (
                            app,
                            subject,
                            attribute,
                        )
                        looked += 1
                    subjects.append(subject)
                if "visits" in text and app == "shop":
                    assert sorted(subjects) == sorted(k for k in NEAR if truth.shown(k, app, "email", at) for _ in "12")
    async with connection.transaction(isolation="repeatable_read"):
        truth = Truth(await connection.fetch("SELECT * FROM consentry.events"))
        for subject in KEYS:
            for standing in await service.show(connection, str(subject)):
                assert truth.last[subject, standing.app, standing.attribute]["id"] == standing.event
    return looked


PARALLEL = """
SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL enable_indexscan = off; SET LOCAL debug_parallel_query = on"""


async def hand(dsn: str, random: Random, names: Names, troubles: list[BaseException]) -> None:
    """Decides, and brings files, for a while."""
    connection = await asyncpg.connect(dsn)
    try:
        for _ in range(STEPS):
            now = datetime.now(UTC)
            decision: Any = random.choice(["granted", "granted", "withdrawn"])
            soon = random.choice([None, None, timedelta(milliseconds=random.randint(5, 900)), timedelta(days=1)])
            expires = now + soon if soon is not None and decision == "granted" else None
            try:
                if random.random() < 0.8:
                    await service.decide(
                        connection, WORDS, str(random.choice(KEYS)), random.choice(APPS),
                        random.sample(ATTRIBUTES, random.randint(1, 3)), decision, expires_at=expires,
                    )  # fmt: skip
                    continue
                lines = ["subject,app,attribute,decision,at,expires_at"]
                for _ in range(random.randint(1, 30)):
                    at = now - timedelta(seconds=random.randint(0, 3))
                    until = at + timedelta(seconds=random.choice([1, 2, 4000]))
                    decision = random.choice(["granted", "withdrawn"])
                    ends = until.isoformat() if decision == "granted" and random.random() < 0.5 else ""
                    when = at.isoformat() if ends or random.random() < 0.5 else ""
                    key, app, attribute = random.choice(KEYS), random.choice(APPS), random.choice(ATTRIBUTES)
                    lines.append(f"{key},{app},{attribute},{decision},{when},{ends}")
                file = io.BytesIO("\n".join(lines).encode())
                await import_export.import_records(connection, names, file, "csv", origin=Origin("import"))
            except (asyncpg.PostgresError, ConsentryError) as error:
                if "must expire after it begins" not in str(error):  # it waited for longer than that
                    troubles.append(error)
    finally:
        await connection.close()


@pytest.mark.parametrize("few", [1000, 10])
async def test_every_app_is_shown_what_the_events_say(
    connection: asyncpg.Connection, pg_server: PgServer, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(import_export, "FEW", few)
    rules = await compiled(connection)
    names = Names(WORDS, rules, load_rules([("r.yaml", RULES)]).attributes)
    for number in range(ROUNDS):
        troubles: list[BaseException] = []
        hands = [
            asyncio.create_task(hand(pg_server.dsn("model"), Random(f"{number} {one} {few}"), names, troubles))
            for one in range(5)
        ]
        while not all(task.done() for task in hands):
            await agrees(connection, rules)
        await asyncio.gather(*hands)
        assert await agrees(connection, rules) > 300
        assert not troubles, troubles
