"""Sources that are read from a cursor on: no value of it, and no order in which transactions commit, loses a record."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.profile.records import Mapping
from proxy.profile.sources.reading import Record
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import source_rules, write_settings

SOURCES = "".join(
    f"""  {name}:
    records: {name}
    key: id
    subject: customer
    fields: {{v: v}}
    cursor: {cursor}
    deletes: {deletes}
"""
    for name, cursor, deletes in (
        ("timed", "changed", "keep"),
        ("counted", "n", "missing"),
        ("lite", "changed", "missing"),
        ("words", "changed", "missing"),
    )
)
TABLES = """
CREATE TABLE timed (id int PRIMARY KEY, customer int, v text, changed timestamptz);
CREATE TABLE counted (id int PRIMARY KEY, customer int, v text, n bigint);
CREATE TABLE words (id int PRIMARY KEY, customer int, v text, changed text)"""


@dataclass
class Place:
    server: PgServer
    folder: Path

    def sync(self, source: str, *options: str, code: int = 0) -> tuple[dict[str, int], str]:
        """What was done, and what was said on standard error."""
        settings = ("--config", str(self.folder / "consentry.yaml"))
        ended = run("profile", "sync", "--source", source, "--json", *options, *settings)
        assert ended.code == code, ended.err + ended.out
        (one,) = json.loads(ended.out)
        return one["counts"], str(one["error"] or one["warning"] or "")

    def status(self) -> str:
        return run("profile", "status", "--config", str(self.folder / "consentry.yaml")).out

    def change(self, script: str) -> None:
        with self.server.connect("cursors_sources") as connection:
            connection.execute(script.encode())

    def lite(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.folder / "lite.db")) as connection, connection:
            for one in statements:
                connection.execute(one)

    def kept(self, source: str) -> dict[str, str]:
        with self.server.connect("cursors") as connection:
            query = "SELECT key, value #>> '{}' FROM consentry.profile_values WHERE source = %s AND attribute = 'v'"
            return dict(connection.execute(query, [source]).fetchall())

    def run(self, script: str) -> None:
        self.server.run("cursors", script)


@pytest.fixture
def place(pg_server: PgServer, tmp_path: Path) -> Place:
    pg_server.create_database(
        "cursors",
        "CREATE TABLE customers AS SELECT generate_series(1::bigint, 50) AS id; ALTER TABLE customers ADD PRIMARY KEY (id)",
    )
    pg_server.create_database("cursors_sources", TABLES)
    place = Place(pg_server, tmp_path)
    place.lite("CREATE TABLE lite (id INTEGER PRIMARY KEY, customer INTEGER, v TEXT, changed TEXT)")
    sources: dict[str, Any] = {
        name: {"kind": "postgresql", "dsn": pg_server.dsn("cursors_sources")} for name in ("timed", "counted", "words")
    }
    rules = source_rules("cursors_crm", "{v: {label: Value}}", SOURCES)
    write_settings(tmp_path, pg_server, "cursors", rules, {**sources, "lite": {"kind": "sqlite", "path": "lite.db"}})
    assert run("consent", "setup", "--config", str(tmp_path / "consentry.yaml")).code == 0
    return place


@pytest.mark.parametrize("value", ["2999-01-01", "infinity"])
def test_a_time_of_the_future_does_not_blind_a_source(place: Place, value: str) -> None:
    place.change("INSERT INTO timed SELECT n, n, 'a', now() - interval '1 hour' FROM generate_series(1, 9) n")
    place.sync("timed")
    place.change(f"UPDATE timed SET v = 'b', changed = '{value}' WHERE id = 4")
    counts, said = place.sync("timed")
    assert counts["changed"] == 1
    assert "1 records (the first has key 4) are of the future by field" in said
    assert "warning: 1 records" in place.status()
    place.change("UPDATE timed SET v = 'after', changed = now() WHERE id = 5")
    assert place.sync("timed")[0]["changed"] == 1
    assert place.kept("timed") | {"4": "b", "5": "after"} == place.kept("timed")
    place.change("UPDATE timed SET changed = now() WHERE id = 4")
    assert place.sync("timed")[1] == ""
    assert "warning" not in place.status()


ERAS = ("0044-03-15 BC", "20000-01-01", "infinity", "-infinity", "4714-11-24 BC")


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_dates_that_python_does_not_have(place: Place, kind: str) -> None:
    place.change(f"ALTER TABLE timed ALTER v TYPE {kind} USING NULL, ALTER changed TYPE {kind} USING NULL")
    for number, at in enumerate(ERAS, 1):
        place.change(f"INSERT INTO timed VALUES ({number}, {number}, '{at}', '{at}')")
    place.change("INSERT INTO timed VALUES (6, 6, '2026-05-05', '2026-05-05')")
    with place.server.connect("cursors_sources") as connection:
        connection.execute("SET timezone = 'UTC'")
        truth = dict(connection.execute("SELECT id::text, v::text FROM timed WHERE id < 6").fetchall())
    for options in ([], ["--full"], []):
        assert "(the first has key 2) are of the future" in place.sync("timed", *options)[1]
        kept = place.kept("timed")
        assert kept.pop("6").startswith("2026-05-05")
        assert kept == truth
    place.change("UPDATE timed SET v = '2027-07-07', changed = '2026-06-06' WHERE id = 1")
    assert place.sync("timed")[0]["changed"] == 1


def test_such_keys_are_found_again(place: Place) -> None:
    place.change("ALTER TABLE counted ALTER id TYPE date USING NULL")
    place.change("INSERT INTO counted VALUES ('2026-01-01', 1, 'a', 5)")
    place.sync("counted")
    # Below what was read: the list of keys tells them.
    place.change("INSERT INTO counted VALUES ('0044-03-15 BC', 2, 'b', 1), ('infinity', 3, 'c', 2)")
    assert place.sync("counted")[0]["added"] == 2
    assert place.kept("counted") == {"2026-01-01": "a", "0044-03-15 BC": "b", "infinity": "c"}


def test_what_nobody_thought_of_in_one_source_stops_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.change("INSERT INTO timed VALUES (1, 1, 'secret', now()); INSERT INTO counted VALUES (1, 1, 'b', 1)")
    real = Mapping.row

    def failing(self: Mapping, record: Record) -> Any:
        if "secret" in record.values.values():
            raise OverflowError(record.values["v"])
        return real(self, record)

    monkeypatch.setattr(Mapping, "row", failing)
    settings = ("--config", str(place.folder / "consentry.yaml"))
    ended = run("profile", "sync", *settings)
    assert ended.code == 1
    assert 'source "timed": OverflowError in ' in ended.err
    assert "counted: 1 records read: 1 new" in ended.out
    assert "OverflowError in " in place.status()
    assert "secret" not in ended.err + ended.out + place.status()
    monkeypatch.setattr(Mapping, "row", real)
    assert place.sync("timed")[0]["added"] == 1
    assert "OverflowError" not in place.status()


def test_a_cursor_that_is_of_the_future_already_is_left(place: Place) -> None:
    place.change("INSERT INTO timed SELECT n, n, 'a', now() - interval '1 hour' FROM generate_series(1, 9) n")
    place.sync("timed")
    place.run("UPDATE consentry.profile_sources SET cursor = '2999-01-01T00:00:00+00:00'")
    place.change("UPDATE timed SET v = 'after', changed = now() - interval '9 minutes' WHERE id = 5")
    assert place.sync("timed")[0]["changed"] == 1
    assert place.sync("timed")[0]["read"] == 1


def test_times_of_sqlite_are_compared_as_times(place: Place) -> None:
    def then(expected: dict[str, int], *statements: str) -> None:
        place.lite(*statements)
        counts, said = place.sync("lite")
        assert said == ""
        assert {name: counts[name] for name in expected} == expected

    then({"added": 2}, "INSERT INTO lite VALUES (1, 1, 'a', '2026-01-01 10:00:00'), (2, 2, 'b', '2026-01-01 10:00:01')")
    then({"read": 2, "changed": 1}, "UPDATE lite SET v = 'b2' WHERE id = 2")
    then({"read": 3, "added": 1}, "INSERT INTO lite VALUES (3, 3, 'c', '2026-01-01 09:57:00')")  # within five minutes
    then({"added": 1}, "INSERT INTO lite VALUES (4, 4, 'd', '2026-01-01T13:00:00+02:00')")
    then({"read": 2, "changed": 1}, "UPDATE lite SET v = 'late', changed = '2026-01-01 12:00:00' WHERE id = 1")
    then({"read": 1}, "UPDATE lite SET changed = NULL WHERE id = 0")
    assert place.kept("lite") == {"1": "late", "2": "b2", "3": "c", "4": "d"}


@pytest.mark.parametrize(
    ("value", "said"),
    [("yesterday", "is neither a time such as .* nor a number"), ("1790000000", "is a number, and a time in others"),
     ("now", "is neither a time"), ("2026-13-45 10:00:00", "is neither a time")],
)  # fmt: skip
def test_what_is_no_time_is_named_and_nothing_is_lost(place: Place, value: str, said: str) -> None:
    place.lite("INSERT INTO lite VALUES (1, 1, 'a', '2026-01-01 10:00:00')")
    place.sync("lite")
    place.lite(f"INSERT INTO lite VALUES (6, 6, 'f', '{value}')")
    _, error = place.sync("lite", code=1)
    assert re.search(f'with key 6: field "changed" {said}', error)
    assert value not in error
    place.lite("UPDATE lite SET changed = '2026-01-01 10:00:05' WHERE id = 6", "UPDATE lite SET v = 'a2' WHERE id = 1")
    place.sync("lite")
    assert place.kept("lite") == {"1": "a2", "6": "f"}


def test_numbers_in_texts_of_sqlite_order_as_numbers(place: Place) -> None:
    place.lite("INSERT INTO lite VALUES (1, 1, 'a', '9')")
    place.sync("lite")
    place.lite("INSERT INTO lite VALUES (2, 2, 'b', '10')")
    assert place.sync("lite")[0]["added"] == 1
    place.lite("UPDATE lite SET changed = '11', v = 'c' WHERE id = 1")
    assert place.sync("lite")[0]["changed"] == 1


def test_a_text_of_postgresql_is_no_cursor(place: Place) -> None:
    _, error = place.sync("words", code=1)
    assert 'cursor: field "changed" is of type text' in error
    assert "name a view in `records` that casts it" in error


def test_a_cursor_that_becomes_of_another_kind(place: Place) -> None:
    place.change("INSERT INTO counted VALUES (1, 1, 'a', 1)")
    place.sync("counted")
    place.change("ALTER TABLE counted ALTER n TYPE timestamptz USING now()")
    assert 'field "n" has become timestamptz: read all with --full' in place.sync("counted", code=1)[1]
    place.sync("counted", "--full")


LATE: dict[str, tuple[str, Callable[[Place], None], str]] = {
    "a number that was taken before and commits after": (
        "counted", lambda p: p.change("INSERT INTO counted VALUES (10, 10, 'late', 10)"), "INSERT INTO counted VALUES (1, 1, 'a', 5), (11, 11, 'b', 11)"),
    "a row with an old time": (
        "lite", lambda p: p.lite("INSERT INTO lite VALUES (10, 10, 'late', '2020-01-01')"), "INSERT INTO lite VALUES (11, 11, 'b', '2026-01-01')"),
}  # fmt: skip


@pytest.mark.parametrize("case", LATE)
def test_what_comes_in_before_the_cursor_is_read_where_keys_tell_it(place: Place, case: str) -> None:
    source, insert, first = LATE[case]
    (place.lite if source == "lite" else place.change)(first)
    place.sync(source)
    insert(place)
    assert place.sync(source)[0]["added"] == 1
    assert place.kept(source)["10"] == "late"
    counts, _ = place.sync(source)
    assert (counts["added"], counts["changed"], counts["deleted"], counts["read"]) == (0, 0, 0, 1)


def test_many_that_come_in_late_are_read_in_batches(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.profile.one_source.BATCH", 7)
    place.change("INSERT INTO counted VALUES (1, 1, 'a', 100)")
    place.sync("counted")
    place.change(
        "INSERT INTO counted SELECT n, n, 'v' || n, n FROM generate_series(2, 40) n; DELETE FROM counted WHERE id = 1"
    )
    counts, _ = place.sync("counted", "--accept-deletes")
    assert (counts["added"], counts["deleted"]) == (39, 1)
    assert place.kept("counted") == {str(n): f"v{n}" for n in range(2, 41)}


def test_who_was_erased_is_not_asked_for_again(place: Place) -> None:
    place.change("INSERT INTO counted SELECT n, n, 'v', n FROM generate_series(1, 9) n")
    place.sync("counted")
    place.run("BEGIN; INSERT INTO consentry.profile_tombstones SELECT consentry.profile_tombstone('record', 'counted', '3');"
              "DELETE FROM consentry.profile_records WHERE key = '3'; COMMIT")  # fmt: skip
    counts, _ = place.sync("counted")
    assert (counts["read"], counts["erased"], counts["added"]) == (1, 0, 0)


@pytest.mark.parametrize("source", ["counted", "lite"])
def test_two_records_of_one_key_in_different_syncs(place: Place, source: str) -> None:
    """The second one would pass for a change of the first."""
    if source == "lite":
        place.lite("CREATE TABLE loose (id, customer INTEGER, v TEXT, changed TEXT)", "DROP TABLE lite",
                   "ALTER TABLE loose RENAME TO lite",
                   "INSERT INTO lite VALUES (1, 1, 'a', '2026-01-01T00:00:00Z')")  # fmt: skip
    else:
        place.change("ALTER TABLE counted DROP CONSTRAINT counted_pkey; INSERT INTO counted VALUES (1, 1, 'a', 5)")
    place.sync(source)
    if source == "lite":
        place.lite("INSERT INTO lite VALUES (1, 1, 'b', '2026-03-01T00:00:00Z')")
    else:
        place.change("INSERT INTO counted VALUES (1, 1, 'b', 50)")
    _, said = place.sync(source, code=1)
    assert 'two records have the same key, 1 (field "id"): `key` must name one record' in said
    assert place.kept(source) == {"1": "a"}


def test_two_records_of_one_key_that_are_read_together(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same record twice is one; two that differ are an error, in one batch or in two."""
    monkeypatch.setattr("proxy.profile.one_source.BATCH", 2)
    place.change("ALTER TABLE timed DROP CONSTRAINT timed_pkey; INSERT INTO timed VALUES (1, 1, 'a', '2026-01-01'),"
                 "(1, 1, 'a', '2026-01-02'), (2, 2, 'b', '2026-01-03'), (1, 1, 'a', '2026-01-04')")  # fmt: skip
    assert place.sync("timed")[0]["added"] == 2
    for day in ("2026-01-02", "2026-01-05"):
        place.change(f"INSERT INTO timed VALUES (1, 1, 'other', '{day}')")
        _, said = place.sync("timed", "--full", code=1)
        assert re.search(r'same key, 1 \(field "id"\), and differ', said), said
        assert place.kept("timed") == {"1": "a", "2": "b"}
        place.change("DELETE FROM timed WHERE v = 'other'")


def test_what_a_view_raises_is_not_quoted(place: Place) -> None:
    place.change("""INSERT INTO timed VALUES (1, 1, 'secret', now()); ALTER TABLE timed RENAME TO timed_rows;
        CREATE FUNCTION said(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not %', $1; END$$;
        CREATE VIEW timed AS SELECT id, customer, said(v) AS v, changed FROM timed_rows""")
    _, said = place.sync("timed", code=1)
    assert "secret" not in said
    assert "SQLSTATE P0001" in said


def test_floating_point_numbers(place: Place) -> None:
    """As PostgreSQL writes them from 10^15 on: nanoseconds since 1970, say."""
    place.change(
        "ALTER TABLE counted ALTER n TYPE float8; INSERT INTO counted VALUES (1, 1, 'a', 1.7e18), (2, 2, 'b', 3)"
    )
    assert place.sync("counted")[0]["added"] == 2
    place.change("INSERT INTO counted VALUES (3, 3, 'c', 1.8e18)")
    counts, _ = place.sync("counted")
    assert (counts["read"], counts["added"]) == (2, 1)  # from the last one on
    assert place.kept("counted") == {"1": "a", "2": "b", "3": "c"}


# -- records that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "left", "new", "refused"),
    [(10, 4, 0, True), (20, 2, 0, True), (30, 0, 1, True), (10, 0, 10, True), (11, 5, 50, True), (4, 0, 0, True), (1, 0, 0, True),
     (10, 5, 0, False), (4, 1, 0, False), (4, 0, 1, False), (6, 2, 0, False), (20, 10, 0, False)],
)  # fmt: skip
@pytest.mark.parametrize("source", ["counted", "lite"])
def test_most_of_a_source_is_gone(place: Place, source: str, before: int, left: int, new: int, refused: bool) -> None:
    rows = [f"({n}, 1, 'v', {n})" for n in range(before)] + [f"({n}, 1, 'new', {n})" for n in range(100, 100 + new)]
    change = place.lite if source == "lite" else place.change
    change(f"INSERT INTO {source} VALUES {', '.join(rows[:before])}")
    place.sync(source)
    change(f"DELETE FROM {source} WHERE id >= {left}")
    if new:
        change(f"INSERT INTO {source} VALUES {', '.join(rows[before:])}")
    counts, said = place.sync(source, code=int(refused))
    assert (f"{before - left} of {before} records are not there any more" in said) == refused
    assert counts["deleted"] == (0 if refused else before - left)
    assert len([key for key in place.kept(source) if int(key) < 100]) == (before if refused else left)
    place.sync(source, "--accept-deletes")
    assert len(place.kept(source)) == left + new


def test_a_sync_that_was_refused_is_refused_again(place: Place) -> None:
    place.change("INSERT INTO counted SELECT n, 1, 'v', n FROM generate_series(1, 100) n")
    place.sync("counted")
    place.change("UPDATE counted SET id = id + 1000, n = n + 1000")
    for _ in range(2):
        counts, said = place.sync("counted", code=1)
        assert ("100 of 100 records" in said, counts["deleted"], counts["added"]) == (True, 0, 0)
    place.sync("counted", "--accept-deletes")
    assert set(place.kept("counted")) == {str(n) for n in range(1001, 1101)}


def test_a_record_without_a_key_is_a_clear_error(place: Place) -> None:
    place.lite("CREATE TABLE loose (id, customer INTEGER, v TEXT, changed TEXT)", "DROP TABLE lite",
               "ALTER TABLE loose RENAME TO lite",
               "INSERT INTO lite VALUES ('1', 1, 'v', '2026-01-01T00:00:00Z'), ('2', 1, 'w', '2026-03-01T00:00:00Z')")  # fmt: skip
    place.sync("lite")
    place.lite("UPDATE lite SET id = NULL WHERE id = '1'")
    _, said = place.sync("lite", code=1)
    assert 'a key (field "id") is no text' in said
    assert set(place.kept("lite")) == {"1", "2"}
