"""Files of consent records: all of a file or nothing of it; out again; by the commands and as the control role."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.consent import import_export, ledger, needs, service
from proxy.consent.import_export import Imported, WrongLinesError, import_records
from proxy.consent.names import Names
from proxy.consent.records import Format
from proxy.consent.service import Origin, RequestReusedError, Vocabulary
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from tests.gateways import COMMAND, environment, write_settings
from tests.integration.test_cli import DONE, WRONG, on_a_terminal, run, run_process
from tests.integration.test_consent import verify_chain
from tests.servers import PgServer

SCHEMA = "CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text)"
RULES = """version: 1
attributes: {name: {}, email: {}, phone: {group: sensitive}}
tables: {public.customers: {subject: id, columns: {id: open, name: name, email: email, phone: phone}}}
apps:
  mailco: {logins: [import_mailco]}
  shipco: {logins: [import_shipco]}
policies:
  - {name: in, apps: [mailco], attributes: [name, email], action: show, consent: opt_in}
  - {name: out, apps: [shipco], attributes: [phone], action: show, consent: opt_out}
"""
APPS = ("mailco", "shipco")
HEADER = "subject,app,attribute,decision,at,expires_at,text_version\n"


@pytest.fixture(scope="module")
def dsn(pg_server: PgServer) -> str:
    return pg_server.create_database("imports", SCHEMA)


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The superuser, with an empty ledger."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA IF EXISTS consentry CASCADE")
    await ledger.setup(connection, "bigint", APPS)
    yield connection
    await connection.close()


@pytest.fixture
async def connection(owner: asyncpg.Connection, pg_server: PgServer, names: Names) -> AsyncIterator[asyncpg.Connection]:
    """Consentry's own role, with the rights that `consent setup` prints and no others."""
    pg_server.create_login("consentry", "secret")
    given = dict(needs.grants(names.rules))["consentry"]
    await needs.apply_grants(owner, [("consentry", given)], [])
    connection = await asyncpg.connect(pg_server.dsn("imports", "consentry", "secret"), statement_cache_size=0)
    yield connection
    await connection.close()


@pytest.fixture
async def names(owner: asyncpg.Connection) -> Names:
    rules = load_rules([("r.yaml", RULES)])
    compiled = compile_rules(rules, await take_snapshot(owner))
    return Names(Vocabulary(APPS, list(rules.attributes)), compiled, rules.attributes)


async def take(
    connection: asyncpg.Connection, names: Names, text: str, kind: Format = "csv", key: str | None = None
) -> Imported:
    origin = Origin("import", "test", "v1")
    return await import_records(connection, names, io.BytesIO(text.encode()), kind, origin=origin, key=key)


async def state(connection: asyncpg.Connection) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(
        "SELECT subject, app, granted, withdrawn, expiring FROM consentry.state ORDER BY 1, 2"
    )
    return [tuple(row) for row in rows]


async def count(connection: asyncpg.Connection) -> tuple[int, int]:
    return await connection.fetchval("SELECT count(*) FROM consentry.events"), await connection.fetchval(
        "SELECT count(*) FROM consentry.imports"
    )


async def exported(connection: asyncpg.Connection, kind: Format = "csv", **only: Any) -> str:
    return "".join([piece async for piece in import_export.export(connection, kind, **only)])


async def test_a_file_is_taken(connection: asyncpg.Connection, names: Names) -> None:
    done = await take(
        connection,
        names,
        HEADER
        + "1,mailco,email,granted,2026-01-01,,t1\n"
        + "1,mailco,email,withdrawn,2026-02-01,,\n"
        + "2,mailco,all,granted,,,\n"
        + "3,shipco,group:sensitive,withdrawn,,,\n"
        + "4,mailco,name,granted,2025-01-01,2025-02-01,\n",
    )
    assert (done.records, done.events, done.repeated) == (5, 6, False)
    assert [row[:4] for row in await state(connection)] == [
        (1, "mailco", [], ["email"]),
        (2, "mailco", ["email", "name"], None),
        (3, "shipco", [], ["phone"]),
        (4, "mailco", [], None),
    ]
    (second, first) = await service.history(connection, "1")
    assert (first.actor, first.text_version, first.policy_version) == ("import", "t1", "v1")
    assert (first.source, first.scope) == (f"import {done.id}, test", None)
    assert second.prev_hash == first.hash
    assert {e.scope for e in await service.history(connection, "2")} == {"all"}
    assert not any(s.granted for s in await service.show(connection, "4"))
    assert [await verify_chain(connection, n) for n in (1, 2, 3, 4)] == [2, 2, 1, 1]


@pytest.mark.parametrize("few", [0, 1000])
async def test_one_bad_line_among_many_and_nothing_is_written(
    connection: asyncpg.Connection, names: Names, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "FEW", few)
    lines = [f"{n},mailco,email,granted,2026-01-01,,\n" for n in range(1, 20_001)]
    lines[12_345] = "12346,mailco,emial,granted,2026-01-01,,\n"
    with pytest.raises(WrongLinesError) as caught:
        await take(connection, names, HEADER + "".join(lines), key="k")
    (wrong,) = caught.value.lines
    assert wrong.line == 12_347
    assert wrong.reason == 'there is no attribute "emial" in the rules; did you mean "email"?'
    assert str(caught.value) == "nothing was imported: 1 of 20000 records cannot be taken"
    assert await count(connection) == (0, 0)
    lines[12_345] = "12346,mailco,email,granted,2026-01-01,,\n"
    done = await take(connection, names, HEADER + "".join(lines), key="k")
    assert (done.records, done.events) == (20_000, 20_000)
    assert await count(connection) == (20_000, 1)


async def test_what_the_database_refuses_late_leaves_nothing(
    connection: asyncpg.Connection, owner: asyncpg.Connection, names: Names
) -> None:
    await owner.execute("DROP TABLE consentry.state_shipco")
    text = HEADER + "1,mailco,email,granted,,,\n" * 2000 + "1,shipco,phone,granted,,,\n"
    with pytest.raises(ConsentryError, match="does not know the app yet"):
        await take(connection, names, text)
    assert await count(connection) == (0, 0)


async def test_many_wrong_lines_are_counted(connection: asyncpg.Connection, names: Names) -> None:
    with pytest.raises(WrongLinesError, match="7000 of 7001") as caught:
        await take(connection, names, HEADER + "1,mailco,email,granted,,,\n" + "x,mailco,email,granted,,,\n" * 7000)
    assert [one.line for one in caught.value.lines] == list(range(3, 103))
    assert caught.value.count == 7000


@pytest.mark.parametrize("few", [0, 1000])
async def test_a_key_makes_an_import_once(
    connection: asyncpg.Connection, names: Names, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "FEW", few)
    text = HEADER + "1,mailco,email,granted,,,\n"
    first = await take(connection, names, text, key="signup")
    await service.withdraw(connection, names.vocabulary, "1", "mailco", "email")
    again = await take(connection, names, text, key="signup")
    assert again == Imported(first.id, 1, 1, repeated=True)
    assert not any(s.granted for s in await service.show(connection, "1"))
    with pytest.raises(RequestReusedError, match=f"for another file \\(import {first.id}\\)"):
        await take(connection, names, text + "2,mailco,email,granted,,,\n", key="signup")
    assert await count(connection) == (2, 1)


async def test_the_same_key_at_the_same_time(
    connection: asyncpg.Connection, names: Names, pg_server: PgServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = HEADER + "".join(f"{n},mailco,email,granted,,,\n" for n in range(1500))
    others = [await asyncpg.connect(pg_server.dsn("imports", "consentry", "secret")) for _ in range(3)]
    try:
        done = await asyncio.gather(*(take(c, names, text, key="once") for c in others))
        assert sorted(one.repeated for one in done) == [False, True, True]
        assert await count(connection) == (1500, 1)
    finally:
        await asyncio.gather(*(c.close() for c in others))


@pytest.mark.parametrize("few", [0, 100_000])
async def test_decisions_and_imports_of_the_same_subjects_take_turns(
    connection: asyncpg.Connection, names: Names, pg_server: PgServer, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_export, "FEW", few)
    subjects = range(1, 21)
    forward = HEADER + "".join(f"{n},mailco,email,granted,,,\n" for n in subjects)
    backward = HEADER + "".join(f"{n},mailco,name,granted,,,\n" for n in reversed(subjects))
    others = [await asyncpg.connect(pg_server.dsn("imports", "consentry", "secret")) for _ in range(4)]

    async def decide(one: asyncpg.Connection) -> None:
        for n in subjects:
            await service.withdraw(one, names.vocabulary, str(n), "shipco", "phone")

    async def imports(one: asyncpg.Connection, text: str) -> None:
        for _ in range(5):
            await take(one, names, text)

    try:
        await asyncio.gather(
            decide(others[0]), decide(others[1]), imports(others[2], forward), imports(others[3], backward)
        )
        assert [await verify_chain(connection, n) for n in subjects] == [12] * 20
    finally:
        await asyncio.gather(*(c.close() for c in others))


async def test_a_decision_made_while_a_file_is_read_is_later(
    connection: asyncpg.Connection, names: Names, pg_server: PgServer
) -> None:
    """A grant of the file is of the time when the import began, and does not undo a withdrawal made since."""
    other = await asyncpg.connect(pg_server.dsn("imports", "consentry", "secret"))
    loop = asyncio.get_running_loop()

    class Slow(io.BytesIO):
        def readline(self, limit: int | None = -1, /) -> bytes:
            if self.tell() == 0:
                withdrawn = service.withdraw(other, names.vocabulary, "1", "mailco", "email")
                asyncio.run_coroutine_threadsafe(withdrawn, loop).result(30)
            return super().readline(limit)

    try:
        file = Slow((HEADER + "1,mailco,email,granted,,,\n").encode())
        await import_records(connection, names, file, "csv", origin=Origin("import"))
        assert [s.granted for s in await service.show(connection, "1")] == [False]
        assert await verify_chain(connection, 1) == 2
    finally:
        await other.close()


async def test_a_large_import_is_one_word_to_other_systems(
    connection: asyncpg.Connection, names: Names, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = await asyncpg.connect(dsn)
    heard: asyncio.Queue[str] = asyncio.Queue()
    try:
        await listener.add_listener("consentry_consent", lambda *given: heard.put_nowait(given[3]))
        text = HEADER + "1,mailco,email,granted,,,\n2,mailco,email,granted,,,\n"
        await take(connection, names, text)
        monkeypatch.setattr(import_export, "FEW", 0)
        done = await take(connection, names, text)
        await service.grant(connection, names.vocabulary, "3", "mailco", "email")
        async with asyncio.timeout(10):
            words = [json.loads(await heard.get()) for _ in range(4)]
        assert [list(word) for word in words] == [["event"], ["event"], ["import"], ["event"]]
        assert words[2] == {"import": done.id}
    finally:
        await listener.close()


async def test_what_is_exported_is_imported_again(
    connection: asyncpg.Connection, owner: asyncpg.Connection, names: Names, pg_server: PgServer
) -> None:
    lines = [f"{n % 700},{'mailco,email' if n % 3 else 'shipco,phone'},{'granted' if n % 2 else 'withdrawn'}"
             f",2026-01-{n % 28 + 1:02d}T00:00:00.000{n % 10}01Z,{'2099-01-01' if n % 4 == 1 else ''},t\n"
             for n in range(6000)]  # fmt: skip
    await take(connection, names, HEADER + "".join(lines))
    before = await state(owner)
    for kind in ("csv", "jsonl"):
        text = await exported(connection, kind)  # type: ignore[arg-type]
        assert len(text.splitlines()) == 6000 + (kind == "csv")
        await owner.execute("DROP SCHEMA consentry CASCADE")
        await ledger.setup(owner, "bigint", APPS)
        await needs.apply_grants(owner, [("consentry", dict(needs.grants(names.rules))["consentry"])], [])
        await take(connection, names, text, kind)  # type: ignore[arg-type]
        assert await state(owner) == before
        assert await exported(connection, kind) == text  # type: ignore[arg-type]


async def test_what_is_exported_can_be_chosen(connection: asyncpg.Connection, names: Names) -> None:
    assert await exported(connection) == HEADER
    assert await exported(connection, "jsonl") == ""
    await take(
        connection, names, HEADER + "1,mailco,email,granted,2026-01-01,,\n2,shipco,phone,withdrawn,2026-01-01,,\n"
    )
    assert await exported(connection, app="shipco") == HEADER + "2,shipco,phone,withdrawn,2026-01-01T00:00:00+00:00,,\n"
    assert json.loads(await exported(connection, "jsonl", subject="1"))["attribute"] == "email"
    assert await exported(connection, app="shipco", subject="1") == HEADER
    with pytest.raises(ConsentryError, match='"x" is not a subject key of type bigint'):
        await exported(connection, subject="x")


# The commands


@pytest.fixture
def folder(owner: asyncpg.Connection, pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_settings(pg_server, tmp_path, RULES, {"shop": "imports"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_import_and_export(folder: Path) -> None:
    text = HEADER + "1,mailco,all,granted,2026-01-01,,\n"
    (folder / "c.csv").write_text(text)
    ended = run("consent", "import", "c.csv", "--key", "a", "--json")
    assert (ended.code, ended.err) == (DONE, "")
    assert ended.json == {"id": 1, "records": 1, "events": 2, "repeated": False}
    again = run("consent", "import", "c.csv", "--key", "a")
    assert again.out == "nothing to do: this is import 1, taken before (1 records)\n"
    assert run("consent", "export", "out.jsonl").code == DONE
    assert len((folder / "out.jsonl").read_text().splitlines()) == 2
    ended = run_process(folder, "consent", "export", "--app", "mailco")
    assert (ended.code, ended.err) == (DONE, "")
    assert ended.out.startswith(HEADER + "1,mailco,email,granted,2026-01-01T00:00:00+00:00,,\n")
    ended = run("consent", "import", "out.jsonl")
    assert ended.out == "imported 2 records, 2 decisions (import 3)\n"  # 2 was tried, and taken before
    command = [*COMMAND, "consent", "import", "-", "--format", "jsonl"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        input=(folder / "out.jsonl").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(run("consent", "history", "1", "--json").json) == 6


def test_wrong_lines_on_the_terminal(folder: Path) -> None:
    (folder / "c.csv").write_text(HEADER + "1,mailco,email,granted,,,\n" + "x,mailco,email,granted,,,\n" * 101)
    ended = run("consent", "import", "c.csv")
    assert (ended.code, ended.out) == (WRONG, "")
    lines = ended.err.splitlines()
    assert lines[0] == 'line 3: "x" is not a subject key of type bigint'
    assert lines[99:] == ['line 102: "x" is not a subject key of type bigint', "and 1 more",
                          "consentry: nothing was imported: 101 of 102 records cannot be taken"]  # fmt: skip
    facts = run("consent", "import", "c.csv", "--json").json
    assert (facts["records"], facts["wrong"], len(facts["lines"])) == (102, 101, 100)
    assert run("consent", "show", "1", "--json").json == []


def test_progress_is_for_a_terminal(folder: Path) -> None:
    (folder / "c.csv").write_text(HEADER + "".join(f"{n},mailco,email,granted,,,\n" for n in range(2000)))
    shown = on_a_terminal("consent", "import", "c.csv", errors=True)
    for word in ("reading", "writing", "100%", "imported 2000 records, 2000 decisions"):
        assert word in shown
    ended = run_process(folder, "consent", "import", "c.csv")
    assert (ended.out, ended.err) == ("imported 2000 records, 2000 decisions (import 2)\n", "")


def test_files_that_are_not_there(folder: Path) -> None:
    assert run("consent", "import", "none.csv").code == 3
    assert "none.csv cannot be read: No such file or directory" in run("consent", "import", "none.csv").err
    assert run("consent", "import", "none").code == 2
    assert run("consent", "export", "no/where.csv").code == 3
    assert "did you mean" in run("consent", "export", "--app", "mailko").err


def test_groups_and_all_by_command(folder: Path) -> None:
    assert run("consent", "grant", "7", "mailco", "all").out == (
        "7 shares email with mailco (event 1)\n7 shares name with mailco (event 2)\n"
    )
    events = run("consent", "withdraw", "7", "mailco", "group:basic", "--json").json
    assert [(e["attribute"], e["scope"]) for e in events] == [("email", "group:basic"), ("name", "group:basic")]
    ended = run("consent", "grant", "7", "mailco", "group:sensitive")
    assert (ended.code, ended.err) == (
        WRONG,
        "consentry: app mailco asks no consent for an attribute of group sensitive\n",
    )
    shown = run("consent", "history", "7", "--limit", "3").out
    for word in ("Decisions of 7", "withdrawn", "group:basic"):
        assert word in shown
    assert len(run("consent", "history", "7", "--before", "3", "--json").json) == 2
    assert run("consent", "history", "8").out == "8 has decided nothing yet\n"


def test_a_mapped_table_takes_no_import(folder: Path, pg_server: PgServer) -> None:
    with pg_server.connect("imports") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS own (customer int, app text, yes boolean)")
    store = "consent: {store: {table: public.own, subject: customer, app: app, granted: 'yes'}}\n"
    (folder / "rules" / "rules.yaml").write_text(RULES + store)
    (folder / "c.csv").write_text(HEADER + "1,mailco,email,granted,,,\n")
    ended = run("consent", "import", "c.csv")
    assert ended.code == WRONG
    assert ended.err.startswith("consentry: consent is kept in public.own, as consent.store (rules/rules.yaml:10) says")
    assert "load the file there" in ended.err
