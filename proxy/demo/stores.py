"""What the demo's customers left in four stores: the shop's database, a newsletter tool in SQLite, a CRM's CSV, tickets
in JSON lines. Made up and always the same, each store with its own spelling, with duplicates, and with records that
could be anybody's. Whose each record is, is known.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path

import asyncpg

_SEED = 4
_FIRST_NAMES = "Alma Bruno Clara Elif Felix Greta Hugo Ida Jonas Käthe Leon Mina Noah Olga Paul Rita Thea Yusuf".split()
_LAST_NAMES = "Albrecht Brandt Çelik Dietz Engel Frank Günther Horn Jansen Krüger Lenz Möller Özdemir Roth".split()
_PLAIN = str.maketrans("äçöüÖÇ", "acouOC")
_TOPICS = ("tea", "cups", "books", "recipes")
_ASKED = (
    ("Parcel", "Where is my parcel?"),
    ("Broken", "The cup arrived broken."),
    ("Invoice", "I need an invoice for my last order."),
)
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

_Truth = dict[tuple[str, str], int | None]
Truth = Mapping[tuple[str, str], int | None]  # (source, key) -> whose the record is; None where nobody can know


@dataclass(frozen=True, slots=True)
class Person:
    """A customer as the shop has them."""

    id: int
    name: str
    email: str
    phone: str | None
    born: date
    since: datetime

    @property
    def national(self) -> str:
        """The phone number as people write it who never call from abroad."""
        assert self.phone is not None
        _, area, number = self.phone.split(" ")
        return f"(0{area}) {number[:4]}-{number[4:]}"


# Those of rules/shop/schema.sql whose records are told one by one.
_ANN = Person(1, "Ann Archer", "ann@example.org", "+49 89 5550101", date(1985, 3, 14), _BEGIN)
_BEN = Person(2, "Ben Baker", "ben@example.net", "+49 30 5550102", date(1992, 11, 2), _BEGIN)
_FIRST_ID = 6  # the first who is not in schema.sql


@dataclass(frozen=True, slots=True)
class Files:
    """The stores beside the shop's database."""

    newsletter: Path
    crm_export: Path
    tickets: Path

    @staticmethod
    def of(folder: Path) -> Files:
        return Files(folder / "newsletter.db", folder / "crm.csv", folder / "tickets.jsonl")


def people(count: int) -> list[Person]:
    """So many customers beside those of schema.sql."""
    return list(_people(count))


def _people(count: int) -> Iterator[Person]:
    chosen = random.Random(_SEED)  # noqa: S311 - made up
    names = list(product(_FIRST_NAMES, _LAST_NAMES))
    for number in range(_FIRST_ID, _FIRST_ID + count):
        first, last = chosen.choice(names)
        email = f"{first}.{last}.{number}@example.org".translate(_PLAIN).lower()
        phone = f"+49 30 2{number:07d}" if chosen.random() < 0.8 else None
        born = date(1950, 1, 1) + timedelta(days=chosen.randrange(20_000))
        yield Person(number, f"{first} {last}", email, phone, born, _BEGIN - timedelta(hours=chosen.randrange(40_000)))


async def fill_shop(connection: asyncpg.Connection, customers: Sequence[Person]) -> None:
    """Adds them to the shop's own table."""
    columns = ("id", "full_name", "email", "phone", "born", "created_at")
    rows = ((one.id, one.name, one.email, one.phone, one.born, one.since) for one in customers)
    await connection.copy_records_to_table("customers", schema_name="public", columns=columns, records=rows)
    await connection.execute("SELECT setval(pg_get_serial_sequence('public.customers', 'id'), max(id)) FROM customers")


def write(folder: Path, customers: Sequence[Person]) -> Truth:
    """Writes the three other stores into the folder: whose each of their records is."""
    files = Files.of(folder)
    chosen = random.Random(_SEED + 1)  # noqa: S311 - made up
    truth: _Truth = {}
    _newsletter(files.newsletter, customers, chosen, truth)
    _crm_export(files.crm_export, customers, chosen, truth)
    _tickets(files.tickets, customers, chosen, truth)
    return truth


def _newsletter(path: Path, customers: Sequence[Person], chosen: random.Random, truth: _Truth) -> None:
    """Six of ten customers, some twice and spelt otherwise; strangers; and what is no address."""
    rows: list[tuple[int, str, str | None, str]] = []

    def add(whose: int | None, address: str, name: str | None) -> None:
        rows.append((len(rows) + 1, address, name, ", ".join(chosen.sample(_TOPICS, 2))))
        truth["newsletter", str(len(rows))] = whose

    add(_ANN.id, "ANN@example.org ", "Annie")
    add(None, "no address", None)
    for person in customers:
        if chosen.random() < 0.6:
            add(person.id, person.email, person.name if chosen.random() < 0.5 else None)
            if chosen.random() < 0.1:
                add(person.id, f" {person.email.upper()}", person.name.upper())
        elif chosen.random() < 0.05:
            add(None, f"stranger{person.id}@example.net", None)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE subscribers (id INTEGER PRIMARY KEY, address TEXT, name TEXT, topics TEXT)")
        connection.executemany("INSERT INTO subscribers VALUES (?, ?, ?, ?)", rows)


def _crm_export(path: Path, customers: Sequence[Person], chosen: random.Random, truth: _Truth) -> None:
    """Half of the customers, most by their address, some by their number alone; some records join two of them."""
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["account", "name", "mail", "tel", "group"])

        def add(account: str, whose: int | None, name: str, mail: str, tel: str) -> None:
            out.writerow([account, name, mail, tel, chosen.choice(("gold", "silver", "bronze"))])
            truth["crm_export", account] = whose

        add("C-1", _ANN.id, "Archer, Ann", "a.archer@work.example", _ANN.national)
        add("C-2", None, "B. Baker", _BEN.email, _ANN.national)
        before = _ANN
        for person in customers:
            last, first = reversed(person.name.split(" "))
            account, told = f"C-{person.id}", chosen.random()
            if told < 0.02 and person.phone and before.phone:
                add(account, None, person.name, before.email, person.national)
            elif told < 0.1 and person.phone:
                add(account, person.id, f"{last}, {first}", f"{last}@work.example".lower(), person.national)
            elif told < 0.5:
                add(account, person.id, f"{first[0]}. {last}", person.email, person.national if person.phone else "")
            before = person


def _tickets(path: Path, customers: Sequence[Person], chosen: random.Random, truth: _Truth) -> None:
    """None, one or two a customer."""
    number = 0
    with path.open("w", encoding="utf-8") as file:

        def add(whose: int, email: str, minute: int, subject: str, body: str) -> None:
            nonlocal number
            number += 1
            opened = _BEGIN + timedelta(minutes=minute)
            ticket = {"number": number, "customer": {"email": email}, "opened_at": opened.isoformat()}
            file.write(json.dumps({**ticket, "subject": subject, "body": body}) + "\n")
            truth["tickets", str(number)] = whose

        add(_ANN.id, "Ann@Example.org", 300_000, "Book", "Can the book be signed?")
        add(_ANN.id, "ann@example.org", 350_000, "Kettle", "Is the kettle quiet?")
        for person in customers:
            for _ in range(chosen.choice((0, 0, 0, 1, 2))):
                add(person.id, person.email.title(), chosen.randrange(400_000), *chosen.choice(_ASKED))
