"""consentry.profile_data follows the rules; tombstones are written for all by which a customer would come back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from proxy.consent import ledger
from proxy.errors import ConsentryError
from proxy.policy.load import load_rules
from proxy.policy.rules import Rules
from proxy.profile import shape
from proxy.profile.tombstones import forget
from tests.gateways import consentry, write_settings
from tests.integration.test_cli import run
from tests.servers import PgServer

HEAD = """version: 1
attributes: {full_name: {}, born: {}, notes: {}, tickets: {}}
sources:
"""
CRM = "  crm: {subject: id, fields: {name: full_name, born: {attribute: born, type: date}}}\n"
NOTES = "  notes: {subject: id, fields: {text: {attribute: notes, search: english}}}\n"
TICKETS = "  desk: {key: number, subject: id, lists: {tickets: {fields: [body], search: simple}}}\n"


def rules(*sources: str) -> Rules:
    return load_rules([("rules.yaml", HEAD + "".join(sources))])


@pytest.fixture
async def owner(pg_server: PgServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(pg_server.create_database("profile_shape"))
    await ledger.setup(connection, "bigint", [])
    yield connection
    await connection.close()


async def test_columns_and_indexes_are_those_of_the_rules(owner: asyncpg.Connection) -> None:
    assert await shape.follow(owner, rules(CRM, NOTES, TICKETS)) != ()
    assert await shape.follow(owner, rules(CRM, NOTES, TICKETS)) == ()
    await owner.execute("INSERT INTO consentry.profile_data VALUES (1, '2000-01-01', 'Ann', 'likes cats', '[]')")
    await owner.execute("SET enable_seqscan = off")
    for condition in ("to_tsvector('english', notes) @@ 'cat'", "to_tsvector('simple', tickets) @@ 'cat'"):
        plan = await owner.fetch(f"EXPLAIN SELECT FROM consentry.profile_data WHERE {condition}")
        assert "profile_search_" in str(plan)
    plan = await owner.fetch("EXPLAIN SELECT FROM consentry.profile_data WHERE full_name = 'Ann'")
    assert "profile_value_full_name_" in str(plan)
    await owner.execute("UPDATE consentry.profile_data SET full_name = repeat('Ann ', 1000000)")  # of any length
    await owner.execute("UPDATE consentry.profile_data SET full_name = 'Ann'")
    changed = rules(CRM.replace("type: date", "type: text"), NOTES.replace("english", "german"))
    assert await shape.follow(owner, changed) != ()
    row = dict(await owner.fetchrow("SELECT * FROM consentry.profile_data"))
    assert row == {"subject": 1, "full_name": "Ann", "notes": "likes cats", "born": None}
    indexes = await owner.fetch("SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'profile_search_%'")
    assert ["'german'" in row["indexdef"] for row in indexes] == [True]


async def test_who_is_not_the_owner_is_told_what_to_do(owner: asyncpg.Connection, pg_server: PgServer) -> None:
    pg_server.create_login("profile_other", group="auth_trust")
    await owner.execute("GRANT ALL ON SCHEMA consentry TO profile_other; SET ROLE profile_other")
    with pytest.raises(ConsentryError, match="run `consentry consent setup` with an owner's --dsn"):
        await shape.follow(owner, rules(CRM))
    await owner.execute("RESET ROLE")


async def test_the_ledgers_subjects_can_change_their_type_while_nothing_is_there(owner: asyncpg.Connection) -> None:
    await ledger.setup(owner, "text", [])
    await owner.execute(
        "INSERT INTO consentry.profile_records (source, key, subject, how, candidates, values, digest, read_at) "
        "VALUES ('crm', '1', 'ann', 'key', '{bob}', '{}', '', now())"
    )
    assert await owner.fetchval("SELECT count(*) FROM consentry.profile_values") == 0
    with pytest.raises(ConsentryError, match="the profile has records of sources with keys of type text"):
        await ledger.setup(owner, "uuid", [])


async def test_what_is_forgotten(owner: asyncpg.Connection) -> None:
    await shape.follow(owner, rules(CRM))
    await owner.execute("""
        INSERT INTO consentry.profile_records (source, key, subject, how, candidates, values, digest, read_at) VALUES
            ('crm', 'a', 1, 'key', '{}', '{"full_name": "Ann"}', '', now()),
            ('crm', 'b', 2, 'key', '{}', '{"full_name": "Bob"}', '', now()),
            ('news', 'c', NULL, NULL, '{1,2}', '{"full_name": "A."}', '', now()),
            ('news', 'd', NULL, NULL, '{1,2}', '{"full_name": "?"}', '', now());
        INSERT INTO consentry.profile_keys VALUES
            ('', '1', 'email', 'ANN@x.org', 'ann@x.org'), ('', '2', 'email', 'bob@x.org', 'bob@x.org'),
            ('crm', 'a', 'phone', '030 1', '+49301'), ('news', 'c', 'phone', '+49301', '+49301');
        INSERT INTO consentry.profile_decisions (source, key, decision, subject, actor) VALUES
            ('news', 'd', 'other', 1, 'me'), ('crm', 'b', 'same', 2, 'me');
        INSERT INTO consentry.profile_likely VALUES ('news', 'c', 1, 0.9, false), ('news', 'd', 2, 0.9, false);
        INSERT INTO consentry.profile_data (subject, full_name) VALUES (1, 'Ann'), (2, 'Bob');
        INSERT INTO consentry.profile_others VALUES (1), (2)""")
    async with owner.transaction():
        counts = await forget(owner, "1")
    assert counts == {
        "consentry.profile_keys": 3, "consentry.profile_decisions": 1, "consentry.profile_records": 2,
        "consentry.profile_data": 1, "consentry.profile_others": 1, "consentry.profile_likely": 1,
    }  # fmt: skip
    for table in ("records", "keys", "decisions", "likely", "data", "others"):
        rows = str(await owner.fetch(f"SELECT *, 0 FROM consentry.profile_{table}"))
        assert "Ann" not in rows
        assert "+49301" not in rows
        assert "subject=1 " not in rows
    assert await owner.fetchval("SELECT candidates FROM consentry.profile_records WHERE key = 'd'") == [2]
    hashes = {row["hash"] for row in await owner.fetch("SELECT hash FROM consentry.profile_tombstones")}
    expected = [("subject", "", "1"), ("record", "crm", "a"), ("email", "", "ann@x.org"), ("phone", "", "+49301")]
    assert hashes == {await owner.fetchval("SELECT consentry.profile_tombstone($1, $2, $3)", *one) for one in expected}


def test_one_setup_is_enough_and_check_knows_what_sources_have(pg_server: PgServer, tmp_path: Path) -> None:
    pg_server.create_login("shape_mailco", group="auth_trust")
    pg_server.create_database(
        "profile_once",
        "CREATE TABLE customers (id int PRIMARY KEY, full_name text); GRANT SELECT ON customers TO PUBLIC",
    )
    upstream = f"postgresql://{pg_server.host}:{pg_server.port}/profile_once"
    sources = {name: {"kind": "csv", "path": f"{name}.csv"} for name in ("crm", "desk")}
    settings = {
        "databases": {"shop": {"upstream": upstream, "rules": "rules/", "sources": sources}},
        "control": {"dsn": pg_server.dsn("profile_once")},
    }
    write_settings(pg_server, tmp_path, ONCE, {}, settings)
    consentry(tmp_path, "consent", "setup", "--apply")
    found = json.loads(consentry(tmp_path, "check", "--json"))
    said = [
        one for one in found["warnings"]
        if "no column has attribute" in one or "can never match" in one or "run `consentry consent setup`" in one
    ]  # fmt: skip
    assert len(said) == 1
    assert 'no column has attribute "unheard"' in said[0]
    assert "the ledger is up to date" in run("consent", "setup", "--config", str(tmp_path / "consentry.yaml")).err


ONCE = """version: 1
attributes: {full_name: {}, born: {}, tickets: {}, unheard: {}}
tables: {public.customers: {subject: id, columns: {id: open, full_name: full_name}}}
profile: {subject: public.customers.id}
apps: {mailco: {logins: [shape_mailco], kind: partner}}
policies:
  - {name: names, attributes: [full_name], action: show, basis: contract}
  - {name: agreed, attributes: [born, tickets], action: show, consent: opt_in}
sources:
  crm: {key: key, subject: id, fields: {born: born}}
  desk: {key: number, subject: id, lists: {tickets: {fields: [body]}}}
"""
