"""Four stores with known duplicates come together: each value counted, each record whose it is, whatever goes wrong."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.cli.opening import open_database
from proxy.consent import locks
from proxy.errors import ConsentryError, UnreachableError
from proxy.profile import sync as syncing
from proxy.profile.one_source import Plan, Synced
from proxy.profile.tombstones import forget
from tests.cutting import Cutting
from tests.gateways import audit_records, consentry, environment
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import RULES, Stores, make_stores

CUSTOMERS = 300
SMALL_BATCHES = "import proxy.profile.one_source as s; s.BATCH = 20; from proxy.cli.main import main; main()"


@pytest.fixture(scope="module")
def synced(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Stores that were synced once; nothing may change them."""
    stores = make_stores(pg_server, tmp_path_factory.mktemp("stores"), "stores", CUSTOMERS)
    consentry(stores.folder, "consent", "setup")
    report = json.loads(consentry(stores.folder, "profile", "sync", "--json"))
    assert {one["source"]: one["counts"]["added"] for one in report} == {
        source: len(records) for source, records in stores.truth.items()
    }
    return stores


@pytest.fixture
def stores(synced: Stores, tmp_path: Path) -> Stores:
    """The same, to be changed: copies of the databases and files."""
    copy = replace(synced, folder=tmp_path, database="stores_copy")
    with synced.server.connect() as connection:
        for old, new in ((synced.database, copy.database), (synced.members, copy.members)):
            connection.execute(f"DROP DATABASE IF EXISTS {new} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {new} TEMPLATE {old}")
    for name in ("newsletter.db", "crm.csv", "tickets.jsonl"):
        shutil.copy(synced.folder / name, tmp_path)
    copy.write_settings()
    return copy


@pytest.fixture
def files(synced: Stores, tmp_path: Path) -> Stores:
    """The same databases, with copies of the files to be spoilt."""
    for name in ("newsletter.db", "crm.csv", "tickets.jsonl"):
        shutil.copy(synced.folder / name, tmp_path)
    copy = replace(synced, folder=tmp_path)
    copy.write_settings()
    return copy


def command(stores: Stores, *arguments: str, code: int = 0) -> str:
    """`consentry ARGUMENTS`, in this process: standard output, or the error where another exit code is expected."""
    ended = run(*arguments, "--config", str(stores.folder / "consentry.yaml"))
    assert ended.code == code, ended.err
    return ended.err if code else ended.out


def query(stores: Stores, text: str, *values: Any) -> list[tuple[Any, ...]]:
    with stores.server.connect(stores.database) as connection:
        return connection.execute(text, values).fetchall()


def change(stores: Stores, text: str, *values: Any) -> None:
    with stores.server.connect(stores.database) as connection:
        connection.execute(text, values)


def change_members(stores: Stores, text: str) -> None:
    with stores.server.connect(stores.members) as connection:
        connection.execute(text)


def change_newsletter(stores: Stores, text: str) -> None:
    with closing(sqlite3.connect(stores.folder / "newsletter.db")) as connection, connection:
        connection.execute(text)


def change_file(stores: Stores, name: str, old: str, new: str) -> None:
    file = stores.folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


async def sync(stores: Stores, *sources: str, dsn: str | None = None, **options: Any) -> dict[str, Synced]:
    opened = open_database(stores.folder / "consentry.yaml")
    dsn = dsn or opened.control_dsn
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    try:
        compiled = opened.compiled(await take_snapshot(connection))
        plan = Plan(opened.configuration, opened.database, opened.rules, compiled, **options)
        return {one.source: one for one in await syncing.sync(connection, plan, dsn, sources)}
    finally:
        await connection.close()


def kept_values(stores: Stores) -> dict[str, Counter[str]]:
    """How many values each source has of each attribute."""
    found: dict[str, Counter[str]] = {}
    for source, attribute, count in query(
        stores,
        "SELECT r.source, v.key, count(*) FROM consentry.profile_records r, jsonb_each(r.values) v GROUP BY 1, 2",
    ):
        found.setdefault(source, Counter())[attribute] = count
    return found


def whose(stores: Stores) -> dict[str, dict[str, int | None]]:
    found: dict[str, dict[str, int | None]] = {}
    for source, key, subject in query(stores, "SELECT source, key, subject FROM consentry.profile_records"):
        found.setdefault(source, {})[key] = subject
    return found


def everything(stores: Stores) -> dict[str, Any]:
    """All that is kept, but for when it was read."""
    records = "source, key, subject, how, candidates, formerly, erased, values, digest"
    return {
        "data": query(stores, "SELECT * FROM consentry.profile_data ORDER BY subject"),
        "records": query(stores, f"SELECT {records} FROM consentry.profile_records ORDER BY 1, 2"),
        "keys": query(stores, "SELECT source, key, kind, raw, value FROM consentry.profile_keys ORDER BY 1, 2, 3, 4"),
    }


def data(stores: Stores, subject: int) -> dict[str, Any]:
    rows = query(stores, "SELECT to_jsonb(d) FROM consentry.profile_data d WHERE subject = %s", subject)
    return dict(rows[0][0]) if rows else {}


def some(stores: Stores, *sources: str) -> int:
    """A customer whom each of these sources has."""
    return min(set.intersection(*({one for one in stores.truth[name].values() if one} for name in sources)))


# -- what comes together ----------------------------------------------------------------------------------------------


def test_every_value_and_every_record_is_there_and_with_its_customer(synced: Stores) -> None:
    assert kept_values(synced) == synced.values
    assert whose(synced) == synced.truth
    known = {one for source in synced.truth.values() for one in source.values() if one is not None}
    assert query(synced, "SELECT count(*) FROM consentry.profile_data") == [(len(known),)]


def test_each_value_that_counts_says_where_it_is_from(synced: Stores) -> None:
    for attribute in ("full_name", "email", "phone", "born", "size", "city"):
        rows = query(
            synced,
            f"SELECT d.{attribute}::text, v.value #>> '{{}}' FROM consentry.profile_data d LEFT JOIN "
            "consentry.profile_values v ON v.subject = d.subject AND v.attribute = %s AND v.chosen",
            attribute,
        )
        assert [one for one, _ in rows if one] != []
        assert all(one == other for one, other in rows), attribute
    # The CRM's word counts before the newsletter's.
    both = some(synced, "crm", "newsletter")
    sources = query(
        synced,
        "SELECT source, chosen FROM consentry.profile_values WHERE subject = %s AND attribute = 'full_name' ORDER BY 1",
        both,
    )
    assert sources[0] == ("crm", True)
    assert not any(chosen for _, chosen in sources[1:])


def test_tickets_are_a_list_newest_first_and_can_be_searched(synced: Stores) -> None:
    lists = [row[0] for row in query(synced, "SELECT tickets FROM consentry.profile_data WHERE tickets IS NOT NULL")]
    assert sum(map(len, lists)) == len(synced.truth["tickets"])
    assert any(len(tickets) > 1 for tickets in lists)
    for tickets in lists:
        opened = [ticket["opened"] for ticket in tickets]
        assert opened == sorted(opened, reverse=True)
        assert set(tickets[0]) == {"opened", "subject", "body"}
    found = query(
        synced, "SELECT count(*) FROM consentry.profile_data WHERE to_tsvector('english', tickets) @@ 'shoe'::tsquery"
    )
    assert 0 < found[0][0] < len(lists)


async def test_a_second_sync_changes_nothing(synced: Stores) -> None:
    before = everything(synced)
    again = await sync(synced)
    assert {name for name, one in again.items() if one.unchanged} == {"crm", "tickets"}
    assert all((one.counts.added, one.counts.changed, one.counts.deleted) == (0, 0, 0) for one in again.values())
    full = await sync(synced, full=True)
    assert [one.counts.read for one in full.values()] == [len(synced.truth[name]) for name in full]
    assert everything(synced) == before


async def test_a_full_sync_mends_what_apps_read(stores: Stores) -> None:
    await sync(stores)
    before = query(stores, "SELECT * FROM consentry.profile_data ORDER BY subject")
    damage = """DELETE FROM consentry.profile_data WHERE subject % 3 = 0;
        UPDATE consentry.profile_data SET email = 'x@x.org' WHERE subject % 3 = 1;
        INSERT INTO consentry.profile_data (subject, email) VALUES (123456789, 'nobody@x.org')"""
    connection = await asyncpg.connect(stores.server.dsn(stores.database))
    await connection.execute(damage)
    await connection.close()
    await sync(stores)
    assert query(stores, "SELECT * FROM consentry.profile_data ORDER BY subject") != before
    await sync(stores, full=True)
    assert query(stores, "SELECT * FROM consentry.profile_data ORDER BY subject") == before


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE consentry.profile_records SET values = jsonb_set(values, '{email}', '"x@example.org"') WHERE values ? 'email'""",
        "UPDATE consentry.profile_records SET subject = subject + 1 WHERE how = 'key' AND mod(subject, 3) = 0",
        "DELETE FROM consentry.profile_records WHERE mod(subject, 3) = 0",
        "DELETE FROM consentry.profile_records WHERE subject IS NULL",
        "DELETE FROM consentry.profile_keys",
        "UPDATE consentry.profile_keys SET value = 'x@example.org' WHERE kind = 'email'",
        "DELETE FROM consentry.profile_data",
        "UPDATE consentry.profile_records SET erased = true",
        "UPDATE consentry.profile_records SET candidates = ARRAY[1, 2]",
        "UPDATE consentry.profile_records SET how = 'email', formerly = 1 WHERE how = 'key'",
    ],
)
async def test_a_full_sync_mends_what_is_kept(stores: Stores, damage: str) -> None:
    before = everything(stores)
    change(stores, damage)
    assert everything(stores) != before
    done = await sync(stores, full=True)
    assert [one.error for one in done.values() if one.error] == []
    assert everything(stores) == before


async def test_changes_and_deletes_follow(stores: Stores) -> None:
    member, reader, account = some(stores, "members"), some(stores, "newsletter"), some(stores, "crm", "newsletter")
    change_members(stores, f"UPDATE members SET size = 'XXL', changed = now() WHERE customer = {member}")
    change_members(stores, f"UPDATE members SET gone = true, changed = now() WHERE customer = {member + 1}")
    first = next(key for key, whose in stores.truth["newsletter"].items() if whose == reader)
    change_newsletter(stores, f"UPDATE subscribers SET name = 'New Name' WHERE id = {first}")
    lines = (stores.folder / "crm.csv").read_text().splitlines(keepends=True)
    (stores.folder / "crm.csv").write_text("".join(one for one in lines if not one.startswith(f"A-{account},")))
    done = await sync(stores)
    assert (done["members"].counts.changed, done["members"].counts.deleted) == (1, 1)
    assert (done["newsletter"].counts.changed, done["crm"].counts.deleted) == (1, 1)
    assert data(stores, member)["size"] == "XXL"
    assert data(stores, member + 1).get("born") is None
    assert data(stores, account).get("city") is None
    assert data(stores, account)["email"] is not None  # the newsletter has it too
    assert query(
        stores,
        "SELECT values ->> 'full_name' FROM consentry.profile_records WHERE (source, key) = ('newsletter', %s)",
        first,
    ) == [("New Name",)]


async def test_rules_that_change_are_followed(stores: Stores) -> None:
    both = some(stores, "crm", "newsletter")
    rules = RULES.replace("default: [crm, newsletter]", "default: [newsletter, crm]")
    stores.write_settings(rules.replace(", size: size}", "}"))
    change(stores, "UPDATE consentry.profile_data SET city = 'stale'")
    done = await sync(stores)
    assert done["members"].counts.changed > 0
    assert "size" not in data(stores, both)
    assert data(stores, both)["city"] != "stale"
    assert {row[0] for row in query(stores, "SELECT DISTINCT source FROM consentry.profile_values "
        "WHERE subject = %s AND attribute = 'email' AND chosen", both)} == {"newsletter"}  # fmt: skip


# -- failures ---------------------------------------------------------------------------------------------------------


BAD: dict[str, tuple[str, Callable[[Stores], None], str]] = {
    "a column of the file is gone": (
        "crm", lambda s: change_file(s, "crm.csv", "city", "town"), r'"crm": there is no field "city".*it has: account'),
    "a file cut in a line": (
        "crm", lambda s: (s.folder / "crm.csv").write_bytes((s.folder / "crm.csv").read_bytes()[:-3]) and None,
        "ends in the middle of a line"),
    "a file cut in a quoted value": (
        "crm", lambda s: (s.folder / "crm.csv").write_text('account,name,mail,tel,city\nA-1,"Ann\n') and None,
        r"line 2: unexpected end of data"),
    "too many values": ("crm", lambda s: change_file(s, "crm.csv", "\n", "\nA-0,a,b,c,d,e\n"), "line 2: it has 6 values"),
    "one key twice": (
        "crm", lambda s: change_file(s, "crm.csv", "\n", "\nA-x,a,,,d\nA-x,b,,,d\n"), "line 2 and line 3 have the same key, A-x .field .account.., and differ"),
    "an empty key": ("crm", lambda s: change_file(s, "crm.csv", "\n", "\n,a,,,d\n"), 'line 2: field "account" is empty'),
    "not the encoding, in line 6 of 9": (
        "crm", lambda s: (s.folder / "crm.csv").write_bytes(b"account,name,mail,tel,city\n" + b"".join(
            b"A-%d,%s,,,\n" % (n, b"\xfc" if n == 6 else b"u") for n in range(2, 10))) and None,
        "line 6: not utf-8 text: set `encoding` in its settings"),
    "a list whose time is none": (
        "tickets", lambda s: change_file(s, "tickets.jsonl", '"opened": "', '"opened": "the '),
        'line 1 with key 1: field "opened" is no time such as'),
    "not the encoding": ("crm", lambda s: (s.folder / "crm.csv").write_bytes(b"account,name,mail,tel,city\nA-1,\xff,,,\n") and None,
        "not utf-8 text"),
    "an empty file": ("crm", lambda s: (s.folder / "crm.csv").write_text("") and None, "is empty"),
    "all records gone": ("crm", lambda s: (s.folder / "crm.csv").write_text("account,name,mail,tel,city\n") and None,
        r"records are not there any more: if that is right, say --accept-deletes"),
    "a key that no index has room for": (
        "crm", lambda s: change_file(s, "crm.csv", "\n", f"\n{'long' * 600},a,,,d\n"), 'line 2: field "account" is longer than 2000 bytes'),
    "nested more deeply than anybody reads": (
        "tickets", lambda s: (s.folder / "tickets.jsonl").write_text('{"body": ' + "[" * 9999 + "]" * 9999 + "}\n") and None,
        "line 1: not JSON: it is nested too deeply"),
    "more words than a search can have": (
        "tickets", lambda s: change_file(s, "tickets.jsonl", '"body": "', '"body": "' + " ".join(map(str, range(10**6, 10**6 + 150_000)))),
        "the record with key 1 has more words in tickets than a search can have: .*leave `search` out"),
    "the file is not there": ("crm", lambda s: (s.folder / "crm.csv").unlink(), "cannot be read: No such file"),
    "half an object": ("tickets", lambda s: (s.folder / "tickets.jsonl").write_bytes((s.folder / "tickets.jsonl").read_bytes()[:-9]) and None,
        r"line \d+: not JSON: .*was it cut"),
    "no record has the field": (
        "tickets", lambda s: (s.folder / "tickets.jsonl").write_text((s.folder / "tickets.jsonl").read_text().replace('"body"', '"text"')) and None,
        'no record has the field "body"'),
    "a column of the database is gone": ("members", lambda s: change_members(s, "ALTER TABLE members RENAME size TO sizes"),
        'no field "size".*did you mean "sizes"'),
    "a column of another type": (
        "members", lambda s: change_members(s, "ALTER TABLE members ALTER born TYPE text USING 'in ' || born; UPDATE members SET changed = now()"),
        'record 1 with key .+: field "born" is no date such as 1990-12-31$'),
    "no such table": ("members", lambda s: change_members(s, "DROP TABLE members"), "does not exist"),
    "a table of SQLite gone": ("newsletter", lambda s: change_newsletter(s, "DROP TABLE subscribers"), "no such table"),
    "no database of SQLite": ("newsletter", lambda s: (s.folder / "newsletter.db").write_text("nothing of that kind" * 99) and None,
        "not a database"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_source_is_named_and_leaves_what_is_kept(case: str, request: pytest.FixtureRequest) -> None:
    source, spoil, said = BAD[case]
    stores: Stores = request.getfixturevalue("stores" if source == "members" else "files")
    before = everything(stores)
    spoil(stores)
    done = await sync(stores, source)
    with pytest.raises(ConsentryError, match=said):
        raise done[source].error or AssertionError("no error")
    assert str(done[source].error).startswith(f'source "{source}": ')
    assert everything(stores) == before
    assert str(done[source].error) in str(query(stores, "SELECT error FROM consentry.profile_sources"))


async def test_what_is_too_long_for_an_address_is_none(stores: Stores) -> None:
    """Neither a record's nor a customer's keeps others from being matched."""
    change_newsletter(stores, f"INSERT INTO subscribers VALUES (999999, '{'long' * 2500}@example.org', 'Long')")
    change(stores, "INSERT INTO customers VALUES (999999, 'Long', repeat(md5(random()::text), 2000))")
    done = await sync(stores)
    assert [one.error for one in done.values()] == [None] * 4
    assert whose(stores)["newsletter"]["999999"] is None


async def test_words_of_many_records_that_are_too_many_together(stores: Stores) -> None:
    """No ticket alone: the customer is named."""
    subject = some(stores, "tickets")
    ((address,),) = query(stores, "SELECT email FROM customers WHERE id = %s", subject)
    with (stores.folder / "tickets.jsonl").open("a") as file:
        for number in range(20):
            body = " ".join(f"word{n}" for n in range(number * 10**4, (number + 1) * 10**4))
            file.write(
                json.dumps(
                    {"number": 10**6 + number, "from": address, "opened": "2026-01-01", "subject": "s", "body": body}
                )
                + "\n"
            )
    before = everything(stores)
    error = str((await sync(stores, "tickets"))["tickets"].error)
    assert f"the records of customer {subject} together have more words in tickets than a search can have" in error
    assert everything(stores) == before


async def test_one_bad_source_does_not_keep_others_from_their_sync(stores: Stores) -> None:
    (stores.folder / "crm.csv").unlink()
    change_members(stores, "UPDATE members SET size = 'XXL', changed = now()")
    done = await sync(stores)
    assert [name for name, one in done.items() if one.error] == ["crm"]
    assert data(stores, 1)["size"] == "XXL"


async def test_what_cannot_be_reached(stores: Stores) -> None:
    settings = (stores.folder / "consentry.yaml").read_text()
    (stores.folder / "consentry.yaml").write_text(settings.replace(stores.members, "no_such_database"))
    done = await sync(stores, "members")
    assert isinstance(done["members"].error, UnreachableError)


def test_what_cannot_be_reached_by_command(stores: Stores) -> None:
    settings = (stores.folder / "consentry.yaml").read_text()
    (stores.folder / "consentry.yaml").write_text(settings.replace(stores.members, "no_such_database"))
    said = command(stores, "profile", "sync", "--source", "members", code=3)
    assert 'source "members": database no_such_database' in said


async def test_two_syncs_at_once(stores: Stores) -> None:
    holding = await asyncpg.connect(stores.server.dsn(stores.database))
    try:
        async with holding.transaction():
            await holding.execute(locks.SYNCING)
            with pytest.raises(ConsentryError, match="another sync of this database is running"):
                await sync(stores)
        await sync(stores)
    finally:
        await holding.close()


async def test_consentrys_own_login_needs_no_more_than_the_printed_grants(stores: Stores) -> None:
    stores.server.create_login("consentry", group="auth_trust")
    await asyncio.to_thread(command, stores, "consent", "setup", "--apply")
    change_members(stores, "UPDATE members SET size = 'XXL', changed = now()")
    own = stores.server.dsn(stores.database, "consentry")
    done = await sync(stores, dsn=own, full=True)
    assert [one.error for one in done.values()] == [None] * 4
    assert done["members"].counts.changed == CUSTOMERS


# -- what people decide -----------------------------------------------------------------------------------------------


async def test_who_was_erased_does_not_come_back(stores: Stores) -> None:
    whom = some(stores, "members", "newsletter", "crm", "tickets")
    theirs = {(source, key) for source, records in stores.truth.items() for key, one in records.items() if one == whom}
    connection = await asyncpg.connect(stores.server.dsn(stores.database))
    try:
        async with connection.transaction():
            await forget(connection, str(whom))
            await connection.execute("DELETE FROM customers WHERE id = $1", whom)
    finally:
        await connection.close()
    change_newsletter(stores, f"INSERT INTO subscribers SELECT id + 100000, address, name FROM subscribers WHERE id = "
        f"{next(key for source, key in theirs if source == 'newsletter')}")  # fmt: skip
    done = await sync(stores, full=True)
    assert sum(one.counts.erased for one in done.values()) == len(theirs) + 1
    assert data(stores, whom) == {}
    kept = {(source, key) for source, key, *_ in query(stores, "SELECT source, key FROM consentry.profile_records")}
    assert not kept & theirs
    assert f".{whom}@" not in str(everything(stores))


def test_review(stores: Stores) -> None:
    """What fits two, and what fits nobody: shown side by side, decided, kept by later syncs, taken back."""
    listed = json.loads(command(stores, "profile", "review", "--json", "--limit", "1000"))
    expected = {
        (source, key) for source, records in stores.truth.items() for key, one in records.items() if one is None
    }
    assert {(one["source"], one["key"]) for one in listed} == expected
    assert len(listed[0]["candidates"]) == 2
    source, key, (one, two) = listed[0]["source"], listed[0]["key"], listed[0]["candidates"]
    shown = json.loads(command(stores, "profile", "review", "show", source, key, "--json"))
    assert [person["subject"] for person in shown["people"]] == [one, two]
    assert {reason for person in shown["people"] for reason in person["why"]} == {"email", "phone"}
    assert shown["values"]["email"] in shown["people"][0]["values"]["email"] + shown["people"][1]["values"]["email"]
    assert "in common" in command(stores, "profile", "review", "show", source, key)
    assert len(acts(stores, "show")) == 2
    said = command(stores, "profile", "review", "decide", source, key, "same", code=1)
    assert "say whose with --subject" in said
    command(stores, "profile", "review", "decide", source, key, "other", "--subject", two)
    assert whose(stores)[source][key] == int(one)  # one candidate is left
    command(stores, "profile", "review", "decide", source, key, "same", "--subject", two)
    asyncio.run(sync(stores, full=True))
    assert whose(stores)[source][key] == int(two)
    for _ in range(2):
        command(stores, "profile", "review", "undo", source, key)
    assert whose(stores)[source][key] is None
    assert "nothing was decided" in command(stores, "profile", "review", "undo", source, key, code=1)
    stranger = next(row for row in listed if row["source"] == "newsletter" and not row["candidates"])
    said = command(stores, "profile", "review", "decide", "newsletter", stranger["key"], "new")
    made = whose(stores)["newsletter"][stranger["key"]]
    assert made is not None
    assert made < 0
    assert said == f"it is customer {made}'s\n"
    assert data(stores, made)["email"]
    asyncio.run(sync(stores, full=True))
    assert whose(stores)["newsletter"][stranger["key"]] == made


async def test_people_whom_nobody_knows_become_customers_where_the_rules_say_so(stores: Stores) -> None:
    stores.write_settings(RULES.replace("match: {email: address}", "match: {email: address, unmatched: new}"))
    change_newsletter(stores, "INSERT INTO subscribers SELECT id + 100000, upper(address), 'again' FROM subscribers "
        "WHERE address LIKE 'stranger%'")  # fmt: skip
    await sync(stores)
    strangers: dict[str, set[int | None]] = {}
    for address, subject in query(
        stores, "SELECT lower(values ->> 'email'), subject FROM consentry.profile_records WHERE source = 'newsletter' "
        "AND values ->> 'email' ILIKE 'stranger%%'"):  # fmt: skip
        strangers.setdefault(address, set()).add(subject)
    made = {subject for subjects in strangers.values() for subject in subjects}
    assert all(len(subjects) == 1 for subjects in strangers.values())
    assert len(made) == len(strangers) > 0
    assert all(subject is not None and subject < 0 for subject in made)
    before = everything(stores)
    await sync(stores, full=True)
    assert everything(stores) == before


async def test_a_record_that_says_it_is_somebody_else_now_waits_for_review(stores: Stores) -> None:
    key, old = next((key, one) for key, one in stores.truth["newsletter"].items() if one is not None)
    other = query(stores, "SELECT id, email FROM customers WHERE email IS NOT NULL AND id <> %s", old)[0]
    change_newsletter(stores, f"UPDATE subscribers SET address = '{other[1]}' WHERE id = {key}")
    await sync(stores)
    rows = query(
        stores,
        "SELECT subject, candidates FROM consentry.profile_records WHERE source = 'newsletter' AND key = %s",
        key,
    )
    assert [(subject, sorted(candidates)) for subject, candidates in rows] == [(None, sorted([old, other[0]]))]
    change_newsletter(stores, f"UPDATE subscribers SET address = 'unknown@example.net' WHERE id = {key}")
    await sync(stores)
    assert whose(stores)["newsletter"][key] == old


def waits(stores: Stores, key: str) -> list[int] | None:
    """Whose a newsletter's record may be, where it waits."""
    where = "source = 'newsletter' AND key = %s"
    ((subject, candidates),) = query(
        stores, f"SELECT subject, candidates FROM consentry.profile_records WHERE {where}", key
    )
    return sorted(candidates) if subject is None else None


@pytest.mark.parametrize("option", ["--full", "--once"])
def test_a_record_that_is_with_a_wrong_customer_waits(stores: Stores, option: str) -> None:
    """Nothing of it was read otherwise than before; it is where it is since somebody wrote that into the table."""
    key, right = next((key, one) for key, one in stores.truth["newsletter"].items() if one is not None)
    wrong = next(one for one in stores.truth["members"].values() if one not in (None, right))
    stranger = next(key for key, one in stores.truth["newsletter"].items() if one is None)
    command(stores, "profile", "review", "decide", "newsletter", stranger, "same", "--subject", str(right))
    change_newsletter(stores, f"UPDATE subscribers SET name = 'Marked' WHERE id IN ({key}, {stranger})")
    asyncio.run(sync(stores))
    for damaged in (key, stranger):
        where = "source = 'newsletter' AND key = %s"
        change(stores, f"UPDATE consentry.profile_records SET subject = {wrong} WHERE {where}", damaged)
    options = ("--source", "newsletter", option, *(("--cutover",) if option == "--once" else ()))
    for _ in range(2):
        said = command(stores, "profile", "sync", *options, code=int(option == "--once"))
        assert waits(stores, key) == sorted([right, wrong])
        assert whose(stores)["newsletter"][stranger] == right  # an agent's word
        assert query(stores, "SELECT count(*) FROM consentry.profile_values WHERE subject = %s AND value = '\"Marked\"'", wrong) == [(0,)]  # fmt: skip
        assert data(stores, wrong)["full_name"] != "Marked"
        if option == "--once":
            assert "nothing is cut over: newsletter: (customer) differ" in said
            assert "`profile review`" in said
    assert query(stores, "SELECT count(cut_over_at) FROM consentry.profile_sources") == [(0,)]
    command(stores, "profile", "review", "decide", "newsletter", key, "same", "--subject", str(right))
    command(stores, "profile", "sync", *options)
    assert whose(stores)["newsletter"][key] == right


async def test_records_follow_the_addresses_that_customers_have_now(stores: Stores) -> None:
    """Who has an address was somebody else when the record was read last."""
    of: dict[int, str] = {}
    for key, one in stores.truth["newsletter"].items():
        if one is not None and list(stores.truth["newsletter"].values()).count(one) == 1:
            of[one] = key
    first, second, third, fourth = list(of)[:4]
    addresses = dict(query(stores, "SELECT id, email FROM customers WHERE id = ANY (%s)", [first, second, third]))
    set_email = "UPDATE customers SET email = %s WHERE id = %s"
    change(stores, set_email, addresses[second], first)
    change(stores, set_email, addresses[first], second)
    change(stores, set_email, "moved@example.org", third)
    change(stores, "INSERT INTO customers VALUES (5803, 'New', %s)", addresses[third])
    change(stores, set_email, "nobody-else-has@example.org", fourth)
    await sync(stores)
    assert {key: waits(stores, of[key]) for key in (first, second, third)} == {
        first: [first, second], second: [first, second], third: [third, 5803],
    }  # fmt: skip
    assert whose(stores)["newsletter"][of[fourth]] == fourth  # who was theirs is nobody else's
    assert (
        query(stores, "SELECT FROM consentry.profile_values WHERE (source, key) = ('newsletter', %s)", of[first]) == []
    )
    before = everything(stores)
    await sync(stores)
    assert everything(stores) == before
    await sync(stores, full=True)
    assert everything(stores) == before
    change(stores, set_email, addresses[first], first)
    change(stores, set_email, addresses[second], second)
    await sync(stores)
    assert (whose(stores)["newsletter"][of[first]], whose(stores)["newsletter"][of[second]]) == (first, second)


def found(stores: Stores, source: str, key: str) -> dict[str, Any]:
    """A record as reviewers see it."""
    return dict(json.loads(command(stores, "profile", "review", "show", source, key, "--json")))


def test_a_decided_record_that_says_it_is_somebody_elses_waits_again(stores: Stores) -> None:
    key = next(key for key, one in stores.truth["newsletter"].items() if one is None)
    (one, _), (two, address) = query(
        stores, "SELECT id, email FROM customers WHERE email IS NOT NULL ORDER BY id LIMIT 2"
    )
    command(stores, "profile", "review", "decide", "newsletter", key, "same", "--subject", str(one))
    change_newsletter(
        stores, f"UPDATE subscribers SET name = 'Marked', address = 'unheard@example.net' WHERE id = {key}"
    )
    asyncio.run(sync(stores))
    assert whose(stores)["newsletter"][key] == one  # it is nobody else's
    change_newsletter(stores, f"UPDATE subscribers SET address = '{address}' WHERE id = {key}")
    asyncio.run(sync(stores))
    for _ in range(2):
        waiting = found(stores, "newsletter", key)
        assert (waiting["subject"], waiting["formerly"]) == (None, str(one))
        assert {person["subject"] for person in waiting["people"]} == {str(one), str(two)}
        values = "SELECT count(*) FROM consentry.profile_values WHERE (source, key) = ('newsletter', %s)"
        assert query(stores, values, key) == [(0,)]
        assert "Marked" not in str(data(stores, one))
        asyncio.run(sync(stores, full=True))
    shown = command(stores, "profile", "review", "show", "newsletter", key)
    assert f"it was customer {one}'s" in shown
    change_newsletter(stores, f"UPDATE subscribers SET name = 'Marked again' WHERE id = {key}")
    asyncio.run(sync(stores))
    decide = ("profile", "review", "decide", "newsletter", key, "same", "--subject", str(one), "--seen")
    assert "changed meanwhile" in command(stores, *decide, waiting["seen"], code=1)
    command(stores, *decide, found(stores, "newsletter", key)["seen"])
    change_newsletter(stores, f"UPDATE subscribers SET name = 'Marked once more' WHERE id = {key}")
    asyncio.run(sync(stores))  # who decided knew its address
    assert whose(stores)["newsletter"][key] == one


def test_a_decision_for_none_of_the_candidates_holds(stores: Stores) -> None:
    listed = json.loads(command(stores, "profile", "review", "--source", "crm", "--json"))
    key, candidates = listed[0]["key"], listed[0]["candidates"]
    third = next(one for one in (1, 2, 3) if str(one) not in candidates)
    command(stores, "profile", "review", "decide", "crm", key, "same", "--subject", str(third))
    file = stores.folder / "crm.csv"
    file.write_text(file.read_text().replace(f"\n{key},", f"\n{key},More "))
    done = asyncio.run(sync(stores))
    assert done["crm"].counts.changed == 1
    assert whose(stores)["crm"][key] == third


def test_nothing_is_decided_for_somebody_who_is_not_there(stores: Stores) -> None:
    key = next(key for key, one in stores.truth["newsletter"].items() if one is None)
    decide = ("profile", "review", "decide", "newsletter", key)
    for choice in ("same", "other"):
        said = command(stores, *decide, choice, "--subject", "424242", code=1)
        assert 'there is no customer "424242"' in said
    assert "not a subject key" in command(stores, *decide, "same", "--subject", "none", code=1)
    change(stores, "INSERT INTO consentry.profile_data (subject) VALUES (777777)")  # whom only sources know
    change(stores, "INSERT INTO customers (id) VALUES (888888)")  # without an address, and no sync saw them
    for subject in ("777777", "888888"):
        command(stores, *decide, "same", "--subject", subject)
        command(stores, "profile", "review", "undo", "newsletter", key)


def test_once_and_for_all(stores: Stores) -> None:
    """A migration: all is compared with its source, and then the source is left alone."""
    done = json.loads(command(stores, "profile", "sync", "--once", "--cutover", "--json"))
    for one in done:
        compared = {each["attribute"]: each for each in one["compared"]}
        customers = sum(whose is not None for whose in stores.truth[one["source"]].values())
        assert {name: each["read"] for name, each in compared.items()} == {
            **stores.values[one["source"]],
            "(customer)": customers,
        }
        assert all(each["read_sum"] == each["kept_sum"] != "0" for each in compared.values())
    (record,) = acts(stores, "cutover")
    assert record["sources"] == sorted(stores.truth)
    assert record["actor"].startswith("command, ")
    (stores.folder / "crm.csv").unlink()
    before = everything(stores)
    assert "its data lives here since" in command(stores, "profile", "sync")
    assert everything(stores) == before
    facts = json.loads(command(stores, "profile", "status", "--json"))
    assert all(source["cut_over_at"] for source in facts["sources"])


def test_what_went_without_its_flag(stores: Stores) -> None:
    """A comparison finds it, says what to do, and that mends it."""
    change_members(stores, "DELETE FROM members WHERE customer = 3")
    members = ("profile", "sync", "--source", "members", "--once")
    said = command(stores, *members, code=1)
    assert 'source "members": what is kept is not what was read' in said
    assert "`profile sync --once --accept-deletes` removes them" in said
    assert "DIFFERS" not in command(stores, *members, "--accept-deletes")
    assert "DIFFERS" not in command(stores, *members)
    assert data(stores, 3).get("born") is None


def test_review_of_no_source(synced: Stores) -> None:
    said = command(synced, "profile", "review", "--source", "nope", code=1)
    assert 'the rules have no source "nope"; they have: members, newsletter, crm, tickets' in said


def acts(stores: Stores, act: str) -> list[dict[str, Any]]:
    """The records of the audit log of acts of this name."""
    return [one for one in audit_records(stores.folder / "audit") if one.get("act") == act]


def test_status(synced: Stores) -> None:
    facts = json.loads(command(synced, "profile", "status", "--json"))
    assert {one["name"]: one["records"] for one in facts["sources"]} == {
        name: len(records) for name, records in synced.truth.items()
    }
    waiting = {name: list(records.values()).count(None) for name, records in synced.truth.items()}
    assert {one["name"]: one["waiting"] for one in facts["sources"]} == waiting
    email = next(one for one in facts["attributes"] if one["attribute"] == "email")
    disagreeing = json.loads(command(synced, "profile", "status", "--conflicts", "email", "--json", "--limit", "9999"))
    assert email["conflicts"] == len(disagreeing) > 0
    assert email["customers"] > email["conflicts"]
    assert acts(synced, "find")[-1]["customers"] == len(disagreeing)
    assert "customers are known from sources" in command(synced, "profile", "status")


async def test_watching_goes_on(stores: Stores) -> None:
    member = some(stores, "members")
    command = [sys.executable, "-c", SMALL_BATCHES, "profile", "sync", "--watch", "100ms"]
    process = await asyncio.create_subprocess_exec(
        *command, "--config", str(stores.folder / "consentry.yaml"), stdout=subprocess.PIPE, env=environment()
    )
    try:
        assert process.stdout is not None
        assert b"members: " in await process.stdout.readline()
        change_members(stores, f"UPDATE members SET size = 'XXL', changed = now() WHERE customer = {member}")
        while b"1 changed" not in (line := await process.stdout.readline()):
            assert line
        assert data(stores, member)["size"] == "XXL"
    finally:
        process.kill()
        await process.wait()


def test_a_lock_that_is_lost_when_all_is_done_is_no_error(stores: Stores) -> None:
    (stores.folder / "crm.csv").write_text((stores.folder / "crm.csv").read_text().replace("Berlin", "Bern"))
    way = Cutting(stores.server, b"lock_key('sync')", "before")
    try:
        done = run(
            "profile",
            "sync",
            "--json",
            "--dsn",
            way.dsn(stores.database),
            "--config",
            str(stores.folder / "consentry.yaml"),
        )
    finally:
        way.close()
    assert way.cut == 1
    assert done.code == 0, done.err
    assert all(one["error"] is None for one in done.json)
