"""A watch of sources goes on: through a restart of the database, with customers who come meanwhile; and ends clearly."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.errors import UnreachableError
from proxy.ops import watch
from proxy.ops.backoff import Backoff
from proxy.profile.one_source import Synced
from tests.gateways import COMMAND, environment
from tests.integration.test_cli import run
from tests.servers import PgServer, start_server
from tests.stores import source_rules, write_settings

RULES = source_rules(
    "watched_crm",
    "{email: {label: Email}, size: {label: Size}, city: {label: City}, note: {label: Note}}",
    """  members: {records: members, key: number, subject: customer, fields: {size: size}}
  visits: {records: visits, key: number, subject: customer, fields: {city: city}, cursor: changed}
  letters: {records: letters, key: number, match: {email: address}, fields: {address: email, note: note}}
""",
    "id: open, email: email",
)
SOURCES = """
CREATE TABLE members (number bigint PRIMARY KEY, customer bigint NOT NULL, size text);
CREATE TABLE visits (number bigint PRIMARY KEY, customer bigint NOT NULL, city text, changed bigint NOT NULL);
CREATE TABLE letters (number bigint PRIMARY KEY, address text, note text);
INSERT INTO members SELECT n, n, 'S' FROM generate_series(1, 20) n;
INSERT INTO visits SELECT n, n, 'Ulm', n FROM generate_series(1, 20) n;
"""
CUSTOMERS = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text);
INSERT INTO customers SELECT n, 'c' || n || '@example.org' FROM generate_series(1, 20) n"""


class Watching:
    """`consentry profile sync --watch`, in a process of its own; what it says is in `lines`."""

    def __init__(self, folder: Path, pause: str, program: str = COMMAND[-1]) -> None:
        command = [
            sys.executable,
            "-c",
            program,
            "profile",
            "sync",
            "--watch",
            pause,
            "--config",
            str(folder / "consentry.yaml"),
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, condition: Callable[[], bool], seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, "".join(self.lines)
            assert time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.02)

    def says(self, text: str) -> int:
        """How many lines have the text so far."""
        return sum(text in line for line in list(self.lines))

    def ended(self) -> int:
        code = self.process.wait(40)
        self._reader.join(40)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(40)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
        self.process.stdout.close()


class Place:
    """The governed database and one with its sources, on a server that may be stopped, or on two."""

    def __init__(self, server: PgServer, folder: Path, source: PgServer | None = None) -> None:
        self.server = server
        self.source = source or server
        self.folder = folder
        self.watches: list[Watching] = []
        with self.source.connect() as connection:
            while connection.execute(  # a watch that was killed: its server may not have noticed yet
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL"
            ).fetchall():
                time.sleep(0.02)
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'watched'"
            )
        server.create_database("watched", CUSTOMERS)
        self.source.create_database("watched_sources", SOURCES)
        server.create_login("watcher", "first", group="auth_password", options="SUPERUSER")
        self.write()
        self.command("consent", "setup")

    def write(self, rules: str = RULES) -> None:
        dsn = self.source.dsn("watched_sources")
        sources: dict[str, Any] = {
            name: {"kind": "postgresql", "dsn": dsn} for name in ("members", "visits", "letters")
        }
        sources["members"] = {**sources["members"], "replication": {"slot": "watched"}}
        control = self.server.dsn("watched", "watcher", "first")
        write_settings(self.folder, self.server, "watched", rules, sources, control)

    def watch(self, pause: str, program: str = COMMAND[-1]) -> Watching:
        watching = Watching(self.folder, pause, program)
        self.watches.append(watching)
        watching.until(lambda: watching.says("letters: ") > 0)
        return watching

    def command(self, *arguments: str) -> str:
        """`consentry ARGUMENTS`, in this process."""
        ended = run(*arguments, "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == 0, ended.err
        return ended.out

    def change(self, script: str) -> None:
        """In the sources; in their log at once, also if the server crashes."""
        with self.source.connect("watched_sources") as connection:
            connection.execute("SET synchronous_commit = on")
            connection.execute(script.encode())

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.server.connect("watched") as connection:
            return connection.execute(text.encode()).fetchall()

    def kept(self) -> list[tuple[Any, ...]]:
        """What counts of each customer."""
        return self.query("SELECT subject, size, city FROM consentry.profile_data ORDER BY 1")

    def truth(self) -> list[tuple[Any, ...]]:
        with self.source.connect("watched_sources") as connection:
            return connection.execute(
                "SELECT customer, size, city FROM members FULL JOIN visits USING (customer) ORDER BY 1"
            ).fetchall()

    def whose(self) -> list[tuple[Any, ...]]:
        """Whose each letter is, and by what that is known."""
        return self.query(
            "SELECT key, subject, how FROM consentry.profile_records WHERE source = 'letters' ORDER BY key::int"
        )

    def values(self) -> list[tuple[Any, ...]]:
        return self.query(
            "SELECT source, attribute, count(*), count(DISTINCT key) FROM consentry.profile_values GROUP BY 1, 2 ORDER BY 1"
        )


@pytest.fixture(scope="module")
def restarted() -> Iterator[PgServer]:
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None
    server = start_server(binaries, settings={"wal_level": "logical"})
    yield server
    server.close()


@pytest.fixture
def place(restarted: PgServer, tmp_path: Path) -> Iterator[Place]:
    place = Place(restarted, tmp_path)
    yield place
    for watching in place.watches:
        watching.close()


def test_the_database_restarts(place: Place) -> None:
    """With a change of either source just before, one while nobody listens to it, and one afterwards."""
    postgres = place.server.process
    assert postgres is not None
    watching = place.watch("500ms")
    place.change(
        "UPDATE members SET size = 'M' WHERE number = 1; UPDATE visits SET city = 'Jena', changed = 100 WHERE number = 1"
    )
    for number, mode in ((2, "fast"), (3, "immediate")):
        place.change(
            f"UPDATE members SET size = 'L' WHERE number = {number}; INSERT INTO members VALUES ({number}00, {number}00, 'L');"
            f"UPDATE visits SET city = 'Trier', changed = {number}00 WHERE number = {number}"
        )
        postgres.stop(mode)
        watching.until(lambda: watching.says("tried again until it succeeds") == number - 1)  # noqa: B023
        postgres.start()
        before = watching.says("letters: ")
        watching.until(lambda: watching.says("letters: ") > before and place.kept() == place.truth())  # noqa: B023
    place.change("UPDATE members SET size = 'XL' WHERE number = 4; DELETE FROM members WHERE number = 5;"
                 "UPDATE visits SET city = 'Bonn', changed = 400 WHERE number = 4")  # fmt: skip
    watching.until(lambda: place.kept() == place.truth())
    assert place.values() == [("members", "size", 21, 21), ("visits", "city", 20, 20)]
    assert watching.says("tried again until it succeeds") == 2
    assert watching.says("connection ended") + watching.says("cannot be reached") == 2, "".join(watching.lines)


def test_only_changes_come_in_after_a_break(place: Place) -> None:
    """Where a pause is long, all is synced at once after a break, and what is followed goes on within seconds."""
    watching = place.watch("10m")
    place.change("UPDATE visits SET city = 'Jena', changed = 100 WHERE number = 1")
    place.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watcher'")
    watching.until(lambda: place.kept() == place.truth())
    place.change("UPDATE members SET size = 'XL' WHERE number = 4")
    watching.until(lambda: place.kept() == place.truth())


def test_a_source_restarts(pg_server: PgServer, restarted: PgServer, tmp_path: Path) -> None:
    """It is followed again when it is back, long before the next sync of all."""
    postgres = restarted.process
    assert postgres is not None
    place = Place(pg_server, tmp_path, restarted)
    watching = place.watch("10m")
    try:
        postgres.stop()
        watching.until(lambda: watching.says('source "members": ') > 0)
        postgres.start()
        place.change("UPDATE members SET size = 'XL' WHERE number = 4")
        watching.until(lambda: place.kept() == place.truth())
    finally:
        watching.close()


def test_a_source_that_cannot_be_reached_is_spoken_of_once() -> None:
    source, away = watch._Followed(Backoff()), UnreachableError("away")
    heard = [
        source.is_news(Synced("members", error=error)) for error in (away, away, UnreachableError("gone"), None, away)
    ]
    assert heard == [True, False, True, True, True]
    assert source.due > time.monotonic()


def test_what_cannot_go_on_ends_clearly(place: Place) -> None:
    watching = place.watch("200ms")
    place.server.create_login("watcher", "second", group="auth_password", options="SUPERUSER")
    place.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watcher'")
    assert watching.ended() == 3
    assert "does not let us in: password authentication failed" in watching.lines[-1]
    place.server.create_login("watcher", "first", group="auth_password", options="SUPERUSER")
    watching = place.watch("200ms")
    place.server.run("watched", "DROP SCHEMA consentry CASCADE")
    assert watching.ended() == 1
    assert "consent setup" in watching.lines[-1]
    assert watching.says("Traceback") == 0, "".join(watching.lines)


def test_a_database_that_was_never_reached(place: Place) -> None:
    settings = (place.folder / "consentry.yaml").read_text()
    (place.folder / "consentry.yaml").write_text(settings.replace("/watched\n", "/nowhere\n"))
    watching = Watching(place.folder, "10m")
    place.watches.append(watching)
    assert watching.ended() == 3
    assert "nowhere" in "".join(watching.lines)


# -- customers who come meanwhile -------------------------------------------------------------------------------------

LOOKING = "import proxy.ops.watch as w; w._LOOK = 0.3; from proxy.cli.main import main; main()"
NEW = RULES.replace("{email: address}", "{email: address, unmatched: new}")


def test_a_customer_who_comes_gets_the_record_that_waited(place: Place) -> None:
    """Long before the next sync of all; no other record is touched."""
    place.change("INSERT INTO letters VALUES (1, 'New@Example.org ', 'hers'), (2, 'other@example.org', 'nobodys')")
    watching = place.watch("10m", LOOKING)
    assert place.whose() == [("1", None, None), ("2", None, None)]
    place.server.run("watched", "INSERT INTO customers VALUES (21, 'new@example.org')")
    watching.until(lambda: place.whose() == [("1", 21, "email"), ("2", None, None)])
    assert place.query("SELECT email, note FROM consentry.profile_data WHERE subject = 21") == [
        ("New@Example.org ", "hers")
    ]
    place.server.run("watched", "UPDATE customers SET email = 'OTHER@example.org' WHERE id = 7")
    watching.until(lambda: place.whose() == [("1", 21, "email"), ("2", 7, "email")])
    watching.until(lambda: watching.says("1 records are with customers who came") == 2)


def test_a_customer_who_comes_with_the_address_that_somebody_had(place: Place) -> None:
    """The record is asked about at once: whose it was has another address by now."""
    place.change("INSERT INTO letters VALUES (1, 'one@example.org', 'hers')")
    place.server.run("watched", "INSERT INTO customers VALUES (21, 'one@example.org')")
    watching = place.watch("10m", LOOKING)
    assert place.whose() == [("1", 21, "email")]
    place.server.run("watched", "UPDATE customers SET email = 'moved@example.org' WHERE id = 21")
    place.command("profile", "sync")
    place.server.run("watched", "INSERT INTO customers VALUES (22, 'one@example.org')")
    watching.until(lambda: place.whose() == [("1", None, None)])
    assert place.query("SELECT candidates FROM consentry.profile_records WHERE source = 'letters'") == [([21, 22],)]
    assert place.query("SELECT FROM consentry.profile_data WHERE note = 'hers'") == []


def test_a_customer_who_comes_is_the_one_whom_a_sync_made(place: Place) -> None:
    """As if they had been there first. Who was only likely to be them is compared anew by `profile match`."""
    place.write(NEW)
    place.change("INSERT INTO letters VALUES (1, 'new@example.org', 'hers'), (2, 'NEW@example.org', 'also hers')")
    place.change("INSERT INTO letters VALUES (3, NULL, 'somebody like her')")
    place.command("profile", "sync")
    ((_, made, _), (_, again, how), _) = place.whose()
    assert made == again < 0
    assert how == "new"
    place.server.run("watched", f"INSERT INTO consentry.profile_likely VALUES ('letters', '3', {made}, 0.99, true)")
    watching = place.watch("10m", LOOKING)
    assert place.whose()[2] == ("3", made, "likely")
    place.server.run("watched", "INSERT INTO customers VALUES (21, 'new@example.org')")
    watching.until(lambda: place.whose() == [("1", 21, "email"), ("2", 21, "email"), ("3", None, None)])
    assert place.query(f"SELECT FROM consentry.profile_data WHERE subject = {made}") == []
    assert place.query("SELECT note FROM consentry.profile_data WHERE subject = 21") != []


def test_a_made_customer_who_is_known_by_their_key_waits(place: Place) -> None:
    """Who withdrew consent, is restricted or asked for something does not lose that by being somebody else suddenly."""
    place.write(NEW)
    place.change("INSERT INTO letters SELECT n, 'n' || n % 3 || '@example.org', 'x' FROM generate_series(1, 6) n")
    place.command("profile", "sync")
    made = [subject for _, subject, _ in place.whose()[:3]]
    place.server.run("watched", f"""
        INSERT INTO consentry.events (subject, app, attribute, decision, actor)
            VALUES ({made[0]}, 'crm', 'note', 'withdrawn', 'agent');
        INSERT INTO consentry.restrictions (subject) VALUES ({made[1]});
        INSERT INTO consentry.requests (subject, kind, source) VALUES ({made[2]}, 'export', 'page');
        INSERT INTO customers SELECT 30 + n, 'n' || n % 3 || '@example.org' FROM generate_series(1, 3) n""")  # fmt: skip
    for _ in range(2):
        place.command("profile", "sync")
        assert place.query(
            "SELECT key::int, subject, candidates FROM consentry.profile_records WHERE source = 'letters' ORDER BY 1"
        ) == [(n, None, [made[(n - 1) % 3], 31 + (n - 1) % 3]) for n in range(1, 7)]
    place.command("profile", "review", "decide", "letters", "1", "same", "--subject", str(made[0]))
    place.command("profile", "sync")
    assert place.whose()[0] == ("1", made[0], "agent")


def test_what_an_agent_decided_stands_when_the_customer_comes(place: Place) -> None:
    place.write(NEW)
    place.change("INSERT INTO letters VALUES (1, 'new@example.org', 'hers'), (2, 'two@example.org', 'his')")
    place.command("profile", "sync")
    second = place.whose()[1][1]
    place.server.run("watched", "INSERT INTO customers VALUES (21, 'elsewhere@example.org')")
    place.command("profile", "review", "decide", "letters", "1", "other", "--subject", "21")
    place.command("profile", "review", "decide", "letters", "2", "new")
    place.command("profile", "sync")
    before = place.whose()
    place.server.run(
        "watched",
        "UPDATE customers SET email = 'new@example.org' WHERE id = 21; INSERT INTO customers VALUES (22, 'two@example.org')",
    )
    for _ in range(2):
        place.command("profile", "sync")
        assert place.whose() == before
    assert before[0][2] == "new"
    assert before[1][2] == "agent"
    assert before[1][1] != second


@pytest.mark.parametrize("kills", [2, pytest.param(24, marks=(pytest.mark.nightly, pytest.mark.timeout(600)))])
def test_killed_while_customers_come(place: Place, kills: int) -> None:
    """Whatever moment it is: in the end each has their record, and a made customer has none."""
    place.write(NEW)
    place.change("INSERT INTO letters SELECT n, 'n' || n || '@example.org', 'x' FROM generate_series(1, 120) n")
    place.command("profile", "sync")
    share = 120 // kills
    for first in range(0, 120, share):
        watching = place.watch("10m", LOOKING)
        place.server.run(
            "watched",
            "INSERT INTO customers SELECT 1000 + n, 'n' || n || '@example.org' "
            f"FROM generate_series({first + 1}, {first + share}) n",
        )
        time.sleep(random.uniform(0, 0.8))
        watching.close()
    watching = place.watch("10m", LOOKING)
    watching.until(lambda: [(int(key), who) for key, who, _ in place.whose()] == [(n, 1000 + n) for n in range(1, 121)])
    assert place.query("SELECT count(*), min(subject) FROM consentry.profile_data WHERE note IS NOT NULL") == [
        (120, 1001)
    ]


@pytest.mark.parametrize("rules", [RULES, NEW])
def test_a_customer_who_came_and_was_erased_between_two_syncs_stays_erased(place: Place, rules: str) -> None:
    """No sync knew their address, and none takes it in afterwards: neither to wait nor as somebody new."""
    place.write(rules.replace("email: email}", "email: email}, erase: delete"))
    place.command("profile", "sync")
    place.server.run("watched", "INSERT INTO customers VALUES (21, 'Zebra@example.org')")
    receipt = place.command("subject", "erase", "21", "--yes", "--json")
    assert "zebra" not in receipt.lower()
    place.change("INSERT INTO letters VALUES (1, 'zebra@example.org', 'hers'), (2, 'other@example.org', 'nobodys')")
    assert "1 of erased customers left out" in place.command("profile", "sync")
    assert [key for key, _, _ in place.whose()] == ["2"]


def test_a_made_customer_has_all_rights(place: Place) -> None:
    """Their key is a number below zero: no command takes it for an option. Once erased, no sync makes them again."""
    place.write(NEW.replace("email: email}", "email: email}, erase: delete"))
    place.change("INSERT INTO letters VALUES (1, 'zebra@example.org', 'zebra wrote')")
    place.command("profile", "sync")
    made = str(place.whose()[0][1])
    assert int(made) < 0
    assert "zebra wrote" in place.command("profile", "show", made)
    assert "zebra wrote" in place.command("subject", "export", made)
    place.command("consent", "grant", made, "crm", "note")
    assert "granted" in place.command("consent", "show", made)
    for text, attribute in ((" ZEBRA@example.org", "email"), ("zebra w", "note")):
        assert f"{made}  letters.1  {attribute}  (" in place.command("subject", "find", text)
    place.command("subject", "erase", made, "--yes")
    place.command("profile", "sync")
    assert place.whose() == []
    assert place.query("SELECT FROM consentry.profile_data WHERE note IS NOT NULL") == []
