"""Decisions about consent that is kept in a table of the database's own: read, written, refused; by service, CLI, API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.consent import ledger, needs, service
from proxy.consent.mapped import ConsentMapping, ReadOnlyError, mapping_of
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from tests.gateways import write_settings
from tests.integration.governed import governed
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.websites import prepare, website

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text);
INSERT INTO customers SELECT n, 'name-' || n, 'mail-' || n, 'phone-' || n FROM generate_series(1, 9) n;
CREATE TABLE user_consents (
    user_id int NOT NULL, partner_code varchar(20) NOT NULL, field_name varchar(20), status text NOT NULL,
    valid_until timestamptz, given_at timestamptz, by_whom text, CHECK (status IN ('yes', 'no')));
CREATE INDEX ON user_consents (user_id, partner_code, field_name);
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """version: 1
attributes: {name: {}, email: {}, phone: {}}
tables: {public.customers: {subject: id, columns: {id: open, name: name, email: email, phone: phone}}}
apps:
  mailco: {logins: [decided_mailco], consent_id: mc-7}
  shipco: {logins: [decided_shipco]}
policies:
  - {name: in, apps: [mailco], attributes: [name, email], action: show, consent: opt_in}
  - {name: out, apps: [shipco], attributes: [phone], action: show, consent: opt_out}
consent:
  store:
    table: public.user_consents
    subject: user_id
    app: partner_code
    attribute: field_name
    attributes: {email: mail_optin}
    granted: "status = 'yes' and (valid_until is null or valid_until > now())"
    since: given_at
    expires: valid_until
"""
WRITE = """    write:
      granted: {status: "'yes'", valid_until: ":expires_at", given_at: ":now", by_whom: ":actor"}
      withdrawn: {status: "'no'", valid_until: "null", given_at: ":now"}
"""
APPS = ["decided_mailco", "decided_shipco"]


@pytest.fixture(scope="module")
def dsn(pg_server: PgServer) -> str:
    return pg_server.create_database("decided", SCHEMA)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    await ledger.setup(connection, "bigint", ["mailco", "shipco"])
    await connection.execute("TRUNCATE user_consents")
    yield connection
    await connection.close()


async def words(connection: asyncpg.Connection, rules: str = RULES + WRITE) -> Vocabulary:
    compiled = compile_rules(load_rules([("r.yaml", rules)]), await take_snapshot(connection))
    return Vocabulary(["mailco", "shipco"], ["name", "email", "phone"], mapping_of(compiled))


async def rows(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    query = "SELECT user_id, partner_code, field_name, status, valid_until, by_whom FROM user_consents ORDER BY 1, 2, 3"
    return [tuple(row) for row in await connection.fetch(query)]


async def show(connection: asyncpg.Connection, mapping: ConsentMapping | None, subject: str = "1") -> dict[str, Any]:
    return {s.attribute: s for s in await service.show(connection, subject, mapping)}


async def test_a_decision_is_written_as_the_mapping_says(connection: asyncpg.Connection) -> None:
    known = await words(connection)
    until = datetime.now(UTC) + timedelta(days=9)
    event = await service.grant(
        connection, known, "1", "mailco", "email", expires_at=until, origin=Origin("customer", "page")
    )
    assert (event.attribute, event.decision, event.source) == ("email", "granted", "page")
    assert await rows(connection) == [(1, "mc-7", "mail_optin", "yes", until, "customer")]
    email = (await show(connection, known.mapping))["email"]
    assert (email.app, email.decision, email.granted, email.expires_at) == ("mailco", "granted", True, until)
    assert email.since is not None
    await service.withdraw(connection, known, "1", "mailco", "email")
    assert await rows(connection) == [(1, "mc-7", "mail_optin", "no", None, "customer")]
    assert not (await show(connection, known.mapping))["email"].granted
    history = await service.history(connection, "1")
    assert [e.decision for e in history][:2] == ["withdrawn", "granted"]


async def test_all_rows_of_a_consent_are_written(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO user_consents VALUES (1, 'mc-7', 'name', 'yes'), (1, 'mc-7', 'name', 'no'), (1, 'x', 'name', 'yes')"
    )
    known = await words(connection)
    await service.withdraw(connection, known, "1", "mailco", "name")
    assert [row[1:4] for row in await rows(connection)] == [
        ("mc-7", "name", "no"),
        ("mc-7", "name", "no"),
        ("x", "name", "yes"),
    ]


async def test_what_stands_in_the_table(connection: asyncpg.Connection) -> None:
    await connection.execute("""
        INSERT INTO user_consents (user_id, partner_code, field_name, status) VALUES
            (1, 'mailco', 'name', 'yes'), (1, 'shipco', 'phone', 'yes'), (1, 'shipco', 'phone', 'no'),
            (2, 'shipco', 'phone', 'yes'), (3, 'mc-7', 'name', 'no'), (3, 'mc-7', 'name', 'yes'), (3, 'mc-7', NULL, 'yes');
        INSERT INTO user_consents VALUES
            (1, 'mc-7', 'name', 'yes', now() - interval '1 h'), (1, 'mc-7', 'mail_optin', 'yes', 'infinity')
    """)
    mapping = (await words(connection)).mapping
    shown = await show(connection, mapping)
    assert {a: (s.app, s.decision, s.granted) for a, s in shown.items()} == {
        "name": ("mailco", "granted", False),  # it has expired
        "email": ("mailco", "granted", True),
        "phone": ("shipco", "withdrawn", False),  # opt_out: a row says no
    }
    assert shown["email"].expires_at is None
    assert (await show(connection, mapping, "2"))["phone"].granted
    assert (await show(connection, mapping, "3"))["name"].granted  # opt_in: a row says yes
    assert await show(connection, mapping, "4") == {}


async def test_a_change_by_others_makes_what_was_seen_stale(connection: asyncpg.Connection) -> None:
    known = await words(connection)
    await service.grant(connection, known, "1", "mailco", "email")
    await service.grant(connection, known, "1", "mailco", "name")
    seen = await service.show(connection, "1", known.mapping)
    await connection.execute("UPDATE user_consents SET status = 'no' WHERE field_name = 'mail_optin'")
    before = await rows(connection)
    with pytest.raises(service.StaleError) as caught:
        await service.decide(
            connection, known, "1", "mailco", ["email", "name"], "granted", expected=service.version(seen)
        )
    assert await rows(connection) == before
    now = caught.value.standings
    assert {s.attribute: s.granted for s in now} == {"email": False, "name": True}
    await service.decide(connection, known, "1", "mailco", ["email", "name"], "granted", expected=service.version(now))
    assert {row[3] for row in await rows(connection)} == {"yes"}
    nothing = await service.decide(connection, known, "5", "shipco", ["phone"], "granted", expected=0)
    assert len(nothing) == 1


async def test_a_request_sent_again_is_not_written_again(connection: asyncpg.Connection) -> None:
    known = await words(connection)
    (first,) = await service.decide(connection, known, "1", "mailco", ["name"], "granted", request="once")
    await connection.execute("UPDATE user_consents SET status = 'no'")
    (again,) = await service.decide(connection, known, "1", "mailco", ["name"], "granted", request="once")
    assert again == first
    assert (await rows(connection))[0][3] == "no"


async def test_decisions_at_once_make_one_row(connection: asyncpg.Connection, dsn: str) -> None:
    known = await words(connection)
    others = await asyncio.gather(*(asyncpg.connect(dsn) for _ in range(4)))
    try:
        await asyncio.gather(*(service.grant(other, known, "7", "mailco", "name") for other in others))
    finally:
        await asyncio.gather(*(other.close() for other in others))
    assert [row[:4] for row in await rows(connection)] == [(7, "mc-7", "name", "yes")]


async def test_without_write_the_table_is_read_only(connection: asyncpg.Connection) -> None:
    known = await words(connection, RULES)
    events = await service.history(connection, "1")
    with pytest.raises(
        ReadOnlyError, match=r"kept in public\.user_consents.*add `write` to consent\.store \(r\.yaml:11\)"
    ):
        await service.grant(connection, known, "1", "mailco", "email")
    assert await rows(connection) == []
    assert await service.history(connection, "1") == events


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\"'yes'\"", "\"'no'\"", "does not say granted after it was written"),
        ("\"'yes'\"", "\"'perhaps'\"", "refuses this decision"),
        (', valid_until: ":expires_at"', "", "keeps no expiry: add :expires_at"),
    ],
)
async def test_a_write_that_cannot_hold_changes_nothing(
    connection: asyncpg.Connection, old: str, new: str, message: str
) -> None:
    known = await words(connection, RULES + WRITE.replace(old, new, 1))
    until = datetime.now(UTC) + timedelta(days=1)
    events = await service.history(connection, "1")
    with pytest.raises(ConsentryError, match=message):
        await service.grant(connection, known, "1", "mailco", "email", expires_at=until)
    assert await rows(connection) == []
    assert await service.history(connection, "1") == events


async def test_the_control_roles_grants_are_enough(connection: asyncpg.Connection, pg_server: PgServer) -> None:
    compiled = compile_rules(load_rules([("r.yaml", RULES + WRITE)]), await take_snapshot(connection))
    pg_server.create_login("consentry", group="auth_trust")
    await needs.apply_grants(connection, needs.grants(compiled), await needs.missing_roles(connection, compiled))
    known = await words(connection)
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE consentry")
        await service.grant(connection, known, "1", "mailco", "email")
        assert (await show(connection, known.mapping))["email"].granted
        await service.withdraw(connection, known, "1", "mailco", "email")
        assert not (await show(connection, known.mapping))["email"].granted


def test_a_decision_counts_in_the_next_statement(pg_server: PgServer, tmp_path: Path) -> None:
    with governed(pg_server, tmp_path, "decided_now", SCHEMA, RULES + WRITE, APPS) as gateway:

        async def decide(decision: Any) -> None:
            connection = await asyncpg.connect(gateway.database)
            try:
                await ledger.setup(connection, "bigint", ["mailco", "shipco"])
                await service.decide(connection, await words(connection), "1", "mailco", ["email"], decision)
            finally:
                await connection.close()

        with gateway.connect("decided_mailco", prepare_threshold=0) as app:
            for decision in ("granted", "withdrawn", "granted", "withdrawn"):
                asyncio.run(decide(decision))
                found = app.execute("select email from customers where id = %s", [1]).fetchone()
                assert found == ("mail-1" if decision == "granted" else None,)


def test_the_commands(pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pg_server.create_database("decided_cli", SCHEMA)
    for login in APPS:
        pg_server.create_login(login, group="auth_trust")
    write_settings(pg_server, tmp_path, RULES + WRITE, {"shop": "decided_cli"})
    monkeypatch.chdir(tmp_path)
    checked = run("check")
    assert checked.code == 0, checked.err
    assert "login decided_mailco of app mailco may not read field_name, partner_code" in checked.err
    assert run("consent", "setup", "--apply").code == 0
    assert "may not read" not in run("check").err
    assert run("consent", "grant", "1", "mailco", "email", "--expires", "30d").code == 0
    (shown,) = run("consent", "show", "1", "--json").json
    assert (shown["app"], shown["attribute"], shown["granted"]) == ("mailco", "email", True)
    assert run("consent", "show", "1").out.count("mailco") == 1
    assert run("consent", "withdraw", "1", "mailco", "email").code == 0
    assert not run("consent", "show", "1", "--json").json[0]["granted"]
    (tmp_path / "rules" / "rules.yaml").write_text(RULES)
    refused = run("consent", "grant", "1", "mailco", "email")
    assert refused.code != 0
    assert "add `write` to consent.store" in refused.err


@pytest.mark.parametrize(
    ("script", "old", "new", "message"),
    [
        ("", "status = 'yes' and", "status and", "`granted` of consent.store: "),
        ("", "granted: \"status = 'yes' and (valid_until is null or valid_until > now())\"", "granted: status",
         "`granted` of consent.store gives text, and the column's type is bool"),
        ("", "since: given_at", "since: by_whom", "`since` of consent.store gives text"),
        ("", "status = 'yes'", "status = 'yes' and valid_until > clock_timestamp()", "pg_catalog.clock_timestamp is volatile"),
        ("", "valid_until: \":expires_at\"", "valid_until: \":actor\"", "`write` of consent.store: valid_until where granted"),
        ("CREATE TYPE code AS ENUM ('mc-7'); DROP INDEX user_consents_user_id_partner_code_field_name_idx; ALTER TABLE user_consents "
         "ALTER partner_code TYPE code USING NULL", "", "", "`app` of consent.store for shipco (shipco): invalid input value for enum"),
        ("DROP INDEX user_consents_user_id_partner_code_field_name_idx", "", "",
         "no index of public.user_consents begins with (user_id, partner_code, field_name)"),
        ("ALTER TABLE user_consents ENABLE ROW LEVEL SECURITY", "", "", "public.user_consents has row security"),
    ],
)  # fmt: skip
def test_check_of_a_mapping(
    pg_server: PgServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    old: str,
    new: str,
    message: str,
) -> None:
    pg_server.create_database("decided_check", SCHEMA + script)
    text = RULES + WRITE
    assert old in text
    write_settings(pg_server, tmp_path, text.replace(old, new, 1), {"shop": "decided_check"})
    monkeypatch.chdir(tmp_path)
    checked = run("check")
    assert message in checked.err
    assert any(message in line and "rules.yaml:11: " in line for line in checked.err.splitlines()), checked.err


async def test_the_api(pg_server: PgServer, tmp_path: Path) -> None:
    await asyncio.to_thread(prepare, pg_server, tmp_path, "decided_api", SCHEMA, RULES + WRITE, APPS)
    path = f"/api/subjects/{quote('1')}/consents/mailco/email"
    async with (
        website(tmp_path, pg_server.dsn("decided_api")) as web,
        web.client(await web.token("all", "read", "write")) as client,
    ):
        before = await client.get(path)
        assert (before.json()["granted"], before.headers["etag"]) == (False, '"0"')
        done = await client.put(path, json={"decision": "granted"}, headers={"If-Match": '"0"'})
        assert done.status_code == 200, done.text
        after = await client.get(path)
        assert after.json()["granted"]
        assert after.headers["etag"] == done.headers["etag"]
        connection = await asyncpg.connect(pg_server.dsn("decided_api"))
        await connection.execute("UPDATE user_consents SET status = 'no'")
        await connection.close()
        stale = await client.put(path, json={"decision": "granted"}, headers={"If-Match": done.headers["etag"]})
        assert stale.status_code == 412
        assert stale.headers["etag"] == (await client.get(path)).headers["etag"]
        every = (await client.get("/api/subjects/1/access")).json()
        (mailco,) = (app for app in every["apps"] if app["app"] == "mailco")
        assert {a["attribute"]: a["granted"] for a in mailco["attributes"]}["email"] is False


async def test_the_api_says_that_a_table_is_read_only(pg_server: PgServer, tmp_path: Path) -> None:
    await asyncio.to_thread(prepare, pg_server, tmp_path, "decided_fixed", SCHEMA, RULES, APPS)
    async with (
        website(tmp_path, pg_server.dsn("decided_fixed")) as web,
        web.client(await web.token("all", "read", "write")) as client,
    ):
        refused = await client.put("/api/subjects/1/consents/mailco/email", json={"decision": "granted"})
        assert refused.status_code == 409
        assert "kept in public.user_consents" in refused.json()["detail"]
