"""An organisation with a source of every kind, whose records change at random, and what the profile must say of them."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow
from pyarrow import parquet

from tests.mariadb import MariaDb
from tests.servers import PgServer
from tests.stores import source_rules, write_settings

CUSTOMERS = 60
_TABLE = (
    "(number varchar(9) PRIMARY KEY, who bigint NOT NULL, word text, changed bigint NOT NULL, gone boolean NOT NULL)"
)
_BY_KEY = "key: number\n    subject: who\n    fields: {word: word}"
_BY_MAIL = "key: number\n    match: {email: mail}\n    fields: {mail: email, word: word}"
# What a source's records have, and how they are read; the first's word counts where they disagree: by their names.
_RULES = {
    "batches": f"records: data\n    {_BY_KEY}\n    cursor: changed\n    deletes: {{flag: gone}}",
    "csv": _BY_MAIL,
    "followed": f"records: data\n    {_BY_KEY}",
    "jsonl": "key: number\n    match: {email: mail}\n    fields: {mail: email}\n"
    "    lists: {words: {fields: [word, at], order_by: at}}",
    "mysql": f"records: data\n    {_BY_KEY}\n    cursor: changed",
    "parquet": _BY_KEY,
    "sqlite": f"records: data\n    {_BY_MAIL}",
    "web": f"{_BY_KEY}\n    cursor: changed",
    "whole": f"records: data\n    {_BY_KEY}",
}


@dataclass
class Row:
    """A record of a source. `changed`: grows with each change of any."""

    number: str
    who: int
    word: str | None
    changed: int
    gone: bool = False

    @property
    def mail(self) -> str:
        return f"C{self.who}@Example.org"

    def document(self) -> dict[str, Any]:
        return {
            "number": self.number, "who": self.who, "mail": self.mail, "word": self.word, "changed": self.changed,
            "gone": self.gone,
        }  # fmt: skip


class _Pages(BaseHTTPRequestHandler):
    """All records of `rows`, a page each twenty."""

    rows: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        page = int(self.path.partition("page=")[2] or 0)
        rows = self.rows[20 * page : 20 * page + 20]
        following = f"/?page={page + 1}" if len(self.rows) > 20 * page + 20 else None
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"rows": rows, "next": following}).encode())

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class ManyStores:
    """The sources, in databases and files. `server` decodes its log; without `mariadb` there is no source in it."""

    server: PgServer
    folder: Path
    mariadb: MariaDb | None
    database: str = "many"
    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    chosen: random.Random = field(default_factory=random.Random)
    _clock: int = 0

    def __post_init__(self) -> None:
        self.rows = {name: {} for name in _RULES if name != "mysql" or self.mariadb is not None}
        self._pages = ThreadingHTTPServer(("127.0.0.1", 0), type("Pages", (_Pages,), {"rows": []}))
        threading.Thread(target=self._pages.serve_forever, daemon=True).start()
        customers = f"""CREATE TABLE customers (id bigint PRIMARY KEY, email text);
            INSERT INTO customers SELECT n, 'c' || n || '@example.org' FROM generate_series(1, {CUSTOMERS}) n"""
        self.server.create_database(self.database, customers)
        for name in ("batches", "whole", "followed"):
            self.server.create_database(self._of(name), f"CREATE TABLE data {_TABLE}")
        if self.mariadb is not None:
            self.mariadb.run(f"DROP DATABASE IF EXISTS {self.database}", f"CREATE DATABASE {self.database}",
                f"CREATE TABLE {self.database}.data {_TABLE}", "CREATE USER IF NOT EXISTS many@'127.0.0.1'",
                "GRANT SELECT ON *.* TO many@'127.0.0.1'")  # fmt: skip
        with closing(sqlite3.connect(self.folder / "data.db")) as connection, connection:
            connection.execute(f"CREATE TABLE data {_TABLE.replace('who', 'mail text, who')}")
        self._write_settings()
        for name in self.rows:
            self._store(name, [self._new(f"{number:05}") for number in range(70)], [])

    def close(self) -> None:
        self._pages.shutdown()
        self._pages.server_close()

    def change(self) -> None:
        """Some records come, change and go, in every source."""
        for name, rows in self.rows.items():
            known = [number for number, row in rows.items() if not row.gone]
            some = self.chosen.sample(known, 12)
            fresh = [f"{number}" for number in self.chosen.sample(range(10**4, 10**5), 8) if f"{number}" not in rows]
            changed = [self._new(number, self.rows[name].get(number)) for number in (*some[:8], *fresh)]
            self._store(name, changed, some[8:])

    def _new(self, number: str, old: Row | None = None) -> Row:
        self._clock += 1
        who = old.who if old is not None else self.chosen.randint(1, CUSTOMERS)
        return Row(number, who, self.chosen.choice((None, f"w{self._clock}")), self._clock)

    def _of(self, source: str) -> str:
        return f"{self.database}_{source}"

    def _write_settings(self) -> None:
        places: dict[str, dict[str, Any]] = {
            name: {"kind": "postgresql", "dsn": self.server.dsn(self._of(name))}
            for name in ("batches", "whole", "followed")
        }
        places["followed"]["replication"] = {"slot": f"{self.database}_followed"}
        places |= {kind: {"kind": kind, "path": f"data.{kind}"} for kind in ("csv", "jsonl", "parquet")}
        places["sqlite"] = {"kind": "sqlite", "path": "data.db"}
        places["web"] = {"kind": "http", "url": f"http://127.0.0.1:{self._pages.server_port}/", "records": "rows"}
        if self.mariadb is not None:
            places["mysql"] = {"kind": "mysql", "dsn": self.mariadb.dsn(self.database, "many")}
        attributes = "{email: {label: Email}, word: {label: Word}, words: {label: Words}}"
        sources = "".join(f"  {name}:\n    {_RULES[name]}\n" for name in self.rows)
        rules = source_rules("many_crm", attributes, sources, "id: open, email: email")
        write_settings(self.folder, self.server, self.database, rules, places)

    def _store(self, name: str, changed: list[Row], gone: list[str]) -> None:
        rows = self.rows[name]
        if name == "batches":  # who goes is flagged
            for number in gone:
                self._clock += 1
                changed.append(Row(number, rows[number].who, None, self._clock, gone=True))
            gone = []
        for row in changed:
            rows[row.number] = row
        for number in gone:
            del rows[number]
        documents = [row.document() for row in rows.values()]
        if name in ("batches", "whole", "followed"):
            self._store_postgresql(name, changed, gone)
        elif name == "mysql":
            assert self.mariadb is not None
            kept = ", ".join(self._literal(row) for row in changed)
            lost = ", ".join(f"'{number}'" for number in [*gone, "none"])
            self.mariadb.run(f"REPLACE INTO data VALUES {kept}", f"DELETE FROM data WHERE number IN ({lost})", database=self.database)  # fmt: skip
        elif name == "sqlite":
            with closing(sqlite3.connect(self.folder / "data.db")) as connection, connection:
                connection.executemany("REPLACE INTO data (number, who, mail, word, changed, gone) VALUES "
                    "(:number, :who, :mail, :word, :changed, :gone)", [row.document() for row in changed])  # fmt: skip
                connection.executemany("DELETE FROM data WHERE number = ?", [(number,) for number in gone])
        elif name == "csv":
            lines = (f"{row.number},{row.mail},{row.word or ''}\n" for row in rows.values())
            (self.folder / "data.csv").write_text("number,mail,word\n" + "".join(lines))
        elif name == "jsonl":
            lines = [row.document() | {"at": _at(row)} for row in rows.values()]
            (self.folder / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
        elif name == "parquet":
            columns = {key: [one[key] for one in documents] for key in documents[0]}
            parquet.write_table(pyarrow.table(columns), self.folder / "data.parquet")
        else:
            self._pages.RequestHandlerClass.rows[:] = sorted(documents, key=lambda one: one["changed"])  # type: ignore[attr-defined]

    def _store_postgresql(self, name: str, changed: list[Row], gone: list[str]) -> None:
        """Each in a transaction of its own, now and then all anew."""
        update = "word = excluded.word, changed = excluded.changed, gone = excluded.gone"
        script = [
            f"INSERT INTO data VALUES {self._literal(row)} ON CONFLICT (number) DO UPDATE SET {update}"
            for row in changed
        ]
        script += [f"DELETE FROM data WHERE number = '{number}'" for number in gone]
        if self.chosen.random() < 0.2:
            kept = ", ".join(self._literal(row) for row in self.rows[name].values())
            script = ["BEGIN", "TRUNCATE data", f"INSERT INTO data VALUES {kept}", "COMMIT"]
        with self.server.connect(self._of(name)) as connection:
            connection.execute("SET synchronous_commit = on")
            for statement in script:
                connection.execute(statement.encode())

    def _literal(self, row: Row) -> str:
        word = "NULL" if row.word is None else f"'{row.word}'"
        return f"('{row.number}', {row.who}, {word}, {row.changed}, {row.gone})"

    # -- the truth ----------------------------------------------------------------------------------------------------

    def expected(self) -> dict[str, list[tuple[Any, ...]]]:
        """What `found` is after a sync."""
        records, values, data = [], [], []
        for source, number, row in self._living():
            records.append((source, number, row.who, _values(source, row)))
        for who in {row.who for _, _, row in self._living()}:
            theirs = [(source, number, row) for source, number, row in self._living() if row.who == who]
            counts: dict[str, Any] = {"email": None, "word": None, "words": None}
            for attribute in counts:
                having = [
                    (list(_RULES).index(source), number, source, _values(source, row)[attribute])
                    for source, number, row in theirs
                    if attribute in _values(source, row)
                ]
                having.sort(key=lambda one: one[:2])
                if having and attribute == "words":
                    counts[attribute] = sorted((one[3] for one in having), key=lambda one: one["at"], reverse=True)
                elif having:
                    counts[attribute] = having[0][3]
                for place, (_, number, source, value) in enumerate(having):
                    values.append((who, attribute, value, source, number, attribute == "words" or place == 0))
            data.append((who, *counts.values()))
        return {"records": sorted(records, key=str), "values": sorted(values, key=str), "data": sorted(data, key=str)}

    def found(self) -> dict[str, list[tuple[Any, ...]]]:
        """What is kept: each record, each value with where it is from, what counts of each customer."""
        asked = {
            "records": 'SELECT source, key, subject, "values" FROM consentry.profile_records',
            "values": "SELECT subject, attribute, value, source, key, chosen FROM consentry.profile_values",
            "data": "SELECT subject, email, word, words FROM consentry.profile_data",
        }
        with self.server.connect(self.database) as connection:
            return {name: sorted(connection.execute(text.encode()).fetchall(), key=str) for name, text in asked.items()}

    def _living(self) -> Iterable[tuple[str, str, Row]]:
        for source, rows in self.rows.items():
            for number, row in rows.items():
                if not row.gone:
                    yield source, number, row


def _at(row: Row) -> str:
    """The time of its change."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=row.changed)).isoformat()


def _values(source: str, row: Row) -> dict[str, Any]:
    """What is kept of a record."""
    if source == "jsonl":
        return {"email": row.mail, "words": {"at": _at(row), "word": row.word}}  # as jsonb has them
    kept = {"word": row.word} if row.word is not None else {}
    return {"email": row.mail, **kept} if "match" in _RULES[source] else kept
