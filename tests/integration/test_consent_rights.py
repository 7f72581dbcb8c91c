"""Who may do what in the schema consentry: Consentry's own role with the printed grants, and each app's login."""

from __future__ import annotations

import asyncio
import io
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import yaml

from proxy.catalog.introspect import take_snapshot
from proxy.consent import import_export, ledger, locks, needs, service, spans
from proxy.consent.names import Names
from proxy.consent.service import Origin, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.web import tokens
from tests.gateways import write_settings
from tests.integration.test_cli import DONE, run
from tests.servers import PgServer
from tests.websites import SETTINGS, Website, website

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text);
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', '1');
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """version: 1
attributes: {name: {}, email: {}, phone: {}}
tables: {public.customers: {subject: id, columns: {id: open, name: name, email: email, phone: phone}}}
apps:
  rightmail: {logins: [rightmail, rightmail_batch]}
  righthash: {logins: [righthash]}
  rightcrm: {logins: [rightcrm]}
  rightroot: {logins: [rightroot], trusted: true}
policies:
  - {name: in, apps: [rightmail], attributes: [name, email], action: show, consent: opt_in}
  - {name: hashed, apps: [righthash], attributes: [email], action: mask, mask: hash}
  - {name: crm, apps: [rightcrm], attributes: all, action: show}
"""
APPS = ["rightcrm", "righthash", "rightmail"]
LOGINS = ["rightmail", "rightmail_batch", "righthash", "rightcrm", "rightroot"]
MAIL = {("state_rightmail", "SELECT"), ("spans_rightmail", "SELECT"), ("preferences", "SELECT")}


@pytest.fixture
async def owner(pg_server: PgServer) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a fresh ledger, whose grants are in force."""
    dsn = pg_server.create_database("ledger_roles", SCHEMA)
    for login in LOGINS:
        pg_server.create_login(login, group="auth_trust")
    pg_server.create_login("consentry", group="auth_trust")
    connection = await asyncpg.connect(dsn)
    compiled = compile_rules(load_rules([("r.yaml", RULES)]), await take_snapshot(connection))
    await ledger.setup(connection, "bigint", APPS, needs.key_names(compiled))
    await spans.follow(connection, compiled)
    compiled = compile_rules(load_rules([("r.yaml", RULES)]), await take_snapshot(connection))
    await needs.apply_grants(connection, needs.grants(compiled), ())
    yield connection
    await connection.close()


async def names_of(connection: asyncpg.Connection) -> Names:
    rules = load_rules([("r.yaml", RULES)])
    compiled = compile_rules(rules, await take_snapshot(connection))
    return Names(Vocabulary(APPS, list(rules.attributes)), compiled, rules.attributes)


async def everything(connection: asyncpg.Connection, names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that Consentry does in the ledger with its own connection."""
    words, subject = names.vocabulary, str(secrets.randbelow(10**9))
    await ledger.setup(connection, "bigint", APPS)
    await service.decide(connection, words, subject, "rightmail", ["email", "name"], "granted", request="r")
    await service.withdraw(connection, words, subject, "rightmail", "email")
    assert len(await service.history(connection, subject)) == 3
    assert len(await service.show(connection, subject)) == 2
    for few in (0, 1000):
        monkeypatch.setattr(import_export, "FEW", few)
        file = io.BytesIO(f"subject,app,attribute,decision\n{subject},rightmail,all,granted\n".encode())
        key = f"{subject} {few}"
        for _ in range(2):
            await import_export.import_records(connection, names, file, "csv", origin=Origin("import"), key=key)
            file.seek(0)
    pieces = [piece async for piece in import_export.export(connection, "csv", subject=subject)]
    assert len("".join(pieces).splitlines()) == 8
    name = f"t {subject}"
    _, secret = await tokens.add(connection, name, ["read"])
    assert await tokens.recognise(connection, secret)
    assert any(token.name == name for token in await tokens.every(connection))
    await tokens.revoke(connection, name)


async def test_the_printed_grants_are_enough_for_consentrys_role_and_none_is_too_much(
    owner: asyncpg.Connection, pg_server: PgServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await names_of(owner)
    control = await asyncpg.connect(pg_server.dsn("ledger_roles", "consentry"), statement_cache_size=0)
    try:
        await everything(control, names, monkeypatch)
        printed = dict(needs.grants(names.rules))["consentry"]
        for grant in printed:
            if re.search(
                r"consentry\.(checkpoints|profile|receipts|restrictions|requests)", grant
            ):  # no part of the ledger
                continue
            await owner.execute(re.sub(r"^GRANT (.*) TO ", r"REVOKE \1 FROM ", grant))
            with pytest.raises((ConsentryError, asyncpg.InsufficientPrivilegeError)):
                await everything(control, names, monkeypatch)
            await owner.execute(grant)
        await everything(control, names, monkeypatch)
    finally:
        await control.close()


async def granted(owner: asyncpg.Connection, login: str) -> set[tuple[str, str]]:
    """(relation or function of the schema, right) that the login has, on a whole relation or on any column of it."""
    query = """
        SELECT c.relname::text, p FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
        WHERE c.relnamespace = 'consentry'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND has_any_column_privilege($1, c.oid, p)
        UNION ALL
        SELECT c.relname::text, p FROM pg_class c CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) p
        WHERE c.relnamespace = 'consentry'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND has_table_privilege($1, c.oid, p)
        UNION ALL
        SELECT c.relname::text, p FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'USAGE', 'UPDATE']) p
        WHERE c.relnamespace = 'consentry'::regnamespace AND c.relkind = 'S' AND has_sequence_privilege($1, c.oid, p)
        UNION ALL
        SELECT f.proname::text, 'EXECUTE' FROM pg_proc f
        WHERE f.pronamespace = 'consentry'::regnamespace AND has_function_privilege($1, f.oid, 'EXECUTE')
        UNION ALL SELECT 'consentry', 'CREATE' WHERE has_schema_privilege($1, 'consentry', 'CREATE')"""
    return {tuple(row) for row in await owner.fetch(query, login)}


@pytest.mark.parametrize(
    ("login", "rights"),
    [
        ("rightmail", MAIL),
        ("rightmail_batch", MAIL),
        ("righthash", {("keyed_hash", "EXECUTE")}),
        ("rightcrm", set()),
        ("rightroot", set()),
    ],
)
async def test_what_an_apps_login_may_do_in_the_schema(
    owner: asyncpg.Connection, login: str, rights: set[tuple[str, str]]
) -> None:
    """What its governed forms name and nothing else, also for who comes to the database without the gateway."""
    assert await granted(owner, login) == rights
    usage = await owner.fetchval("SELECT has_schema_privilege($1, 'consentry', 'USAGE')", login)
    assert usage is bool(rights)


async def test_public_has_nothing(owner: asyncpg.Connection) -> None:
    assert await granted(owner, "public") == set()
    assert not await owner.fetchval("SELECT has_schema_privilege('public', 'consentry', 'USAGE')")


async def test_setup_by_who_may_not_says_so(owner: asyncpg.Connection, pg_server: PgServer) -> None:
    """Nothing to do is done by anybody; what is to do is said to need an owner."""
    control = await asyncpg.connect(pg_server.dsn("ledger_roles", "consentry"))
    try:
        report = await ledger.setup(control, "bigint", APPS)
        assert (report.migrations, report.apps, report.keys, report.views) == ((), (), (), ())
        for more in ({"apps": [*APPS, "new"]}, {"apps": APPS, "keys": ["new"]}):
            with pytest.raises(ConsentryError, match="use --dsn with an owner's"):
                await ledger.setup(control, "bigint", **more)
        await owner.execute("DROP SCHEMA consentry CASCADE")
        with pytest.raises(ConsentryError, match="cannot bring the ledger up to date: permission denied for database"):
            await ledger.setup(control, "bigint", APPS)
    finally:
        await control.close()


async def test_the_commands_and_the_web_side_work_as_that_role(
    owner: asyncpg.Connection, pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(pg_server, tmp_path, RULES, {"shop": "ledger_roles"}, SETTINGS)
    settings = yaml.safe_load((tmp_path / "consentry.yaml").read_text())
    settings["control"]["dsn"] = pg_server.dsn("ledger_roles", "consentry")
    (tmp_path / "consentry.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "c.csv").write_text("subject,app,attribute,decision\n1,rightmail,all,granted\n")
    monkeypatch.chdir(tmp_path)

    def commands() -> None:
        for arguments in (
            ("check",),
            ("consent", "setup"),
            ("consent", "grant", "1", "rightmail", "email"),
            ("consent", "withdraw", "1", "rightmail", "group:basic"),
            ("consent", "show", "1"),
            ("consent", "history", "1"),
            ("consent", "import", "c.csv", "--key", "k"),
            ("consent", "export", "out.csv"),
            ("token", "add", "t", "--scope", "read"),
            ("token", "list"),
            ("token", "revoke", "t"),
            ("explain", "--app", "rightmail"),
        ):
            ended = run(*arguments)
            assert ended.code == DONE, (arguments, ended.err)

    await asyncio.to_thread(commands)
    async with website(tmp_path, pg_server.dsn("ledger_roles")) as web, web.client(await _token(web)) as client:
        done = await client.put("/api/subjects/1/consents/rightmail/email", json={"decision": "granted"})
        assert done.status_code == 200, done.text
        assert (await client.get("/api/subjects/1/access")).status_code == 200
        text = (tmp_path / "c.csv").read_bytes()
        done = await client.post("/api/consents/import", content=text, headers={"Content-Type": "text/csv"})
        assert done.status_code == 200, done.text


async def _token(web: Website) -> str:
    return await web.token("all", "read", "write")


async def keys_of_locks(connection: asyncpg.Connection) -> set[int]:
    """Of the advisory locks that the connection's transaction holds."""
    query = """
        SELECT ((classid::bigint << 32) | objid::bigint) FROM pg_locks
        WHERE locktype = 'advisory' AND pid = pg_backend_pid()"""
    return {row[0] for row in await connection.fetch(query)}


async def test_no_app_can_know_the_locks_under_which_customers_decide(
    owner: asyncpg.Connection, pg_server: PgServer
) -> None:
    """An app may take advisory locks: whichever key it could compute would be the same in every database."""
    taken = []
    other = await asyncpg.connect(pg_server.create_database("ledger_locks", SCHEMA))
    try:
        await ledger.setup(other, "bigint", APPS)
        words = (await names_of(owner)).vocabulary
        for connection in (owner, other):
            async with connection.transaction():
                await service.grant(connection, words, "5", "rightmail", "email")
                await connection.execute(locks.WRITING)
                await connection.execute(locks.SYNCING)
                taken.append(await keys_of_locks(connection))
        assert [len(keys) for keys in taken] == [3, 3]
        assert taken[0].isdisjoint(taken[1])
        for login in LOGINS:
            for secret in ("SELECT consentry.lock_key('subject 5')", "SELECT * FROM consentry.lock_seed"):
                app = await asyncpg.connect(pg_server.dsn("ledger_roles", login))
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await app.fetch(secret)
                await app.close()
    finally:
        await other.close()
