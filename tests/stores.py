"""An organisation whose customers are in four more stores, with known duplicates: for tests and the benchmark.

The governed database has the customers. A members' database (PostgreSQL) names them by key; a newsletter tool (SQLite),
a CRM's export (CSV) and tickets (JSON lines) know addresses and numbers only, each written in its own way.
"""

from __future__ import annotations

import csv
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.servers import PgServer


def source_rules(login: str, attributes: str, sources: str, columns: str = "id: open") -> str:
    """Rules of a database of customers and its sources: `crm`, an app with this login, sees everything."""
    return f"""version: 1
attributes: {attributes}
tables:
  public.customers: {{subject: id, columns: {{{columns}}}}}
apps:
  crm: {{logins: [{login}]}}
policies:
  - {{name: service, apps: [crm], attributes: all, action: show, basis: contract}}
sources:
{sources}"""


def write_settings(
    folder: Path, server: PgServer, database: str, rules: str, sources: Mapping[str, Any], control: str | None = None
) -> None:
    """consentry.yaml and rules.yaml for a database and where its sources are. `control`: a DSN, or the superuser's."""
    upstream = f"postgresql://{server.host}:{server.port}/{database}"
    settings = {
        "databases": {"shop": {"upstream": upstream, "rules": "rules.yaml", "sources": dict(sources)}},
        "control": {"dsn": control or server.admin_dsn},
    }
    (folder / "consentry.yaml").write_text(yaml.safe_dump(settings))
    (folder / "rules.yaml").write_text(rules)


CUSTOMERS = "CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, phone text)"
MEMBERS = """
CREATE TABLE members (number bigint PRIMARY KEY, customer bigint NOT NULL, born date, size text,
                      changed timestamptz NOT NULL, gone boolean NOT NULL DEFAULT false)"""
_ATTRIBUTES = """
  full_name: {label: Name}
  email: {label: Email address}
  phone: {label: Phone number}
  born: {label: Date of birth, group: sensitive}
  size: {label: Shirt size}
  city: {label: City}
  tickets: {label: Support tickets, group: unstructured}"""
_SOURCES = """  members:
    records: public.members
    key: number
    subject: customer
    fields: {born: {attribute: born, type: date}, size: size}
    cursor: changed
    deletes: {flag: gone}
  newsletter:
    records: subscribers
    key: id
    match: {email: address}
    fields: {address: email, name: full_name}
  crm:
    key: account
    match: {email: mail, phone: tel, region: DE}
    fields: {mail: email, tel: phone, name: full_name, city: city}
  tickets:
    key: number
    match: {email: from}
    fields: {from: email}
    lists:
      tickets: {fields: [opened, subject, body], order_by: opened, limit: 50, search: english}
conflicts:
  default: [crm, newsletter]
"""
_COLUMNS = "id: open, full_name: full_name, email: email, phone: phone"
RULES = source_rules("stores_crm", _ATTRIBUTES, _SOURCES, _COLUMNS)
FIRST = "Ada Bob Cem Dora Emil Fay Gül Hans Ines Jan Kai Lea Max Nina Olaf Pia Quin Rosa Sven Tina".split()
LAST = "Arndt Bauer Celik Diaz Ebert Fuchs Graf Haas Ilg Jung Koch Lang Maier Novak Otto Popp Reich Sauer Thiel".split()
CITIES = "Berlin Köln Hamburg Jena Ulm Trier".split()
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Stores:
    """The stores as they are, and whose each record is: `truth[source][key]`, None where nobody can know.

    `values[source]`: how many values each attribute has in the source.
    """

    server: PgServer
    folder: Path
    database: str
    truth: dict[str, dict[str, int | None]] = field(default_factory=dict)
    values: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def members(self) -> str:
        return f"{self.database}_members"

    def write_settings(self, rules: str = RULES, members: Mapping[str, Any] | None = None) -> None:
        """consentry.yaml and rules; `members`: more settings of that source."""
        sources = {
            "members": {"kind": "postgresql", "dsn": self.server.dsn(self.members), **(members or {})},
            "newsletter": {"kind": "sqlite", "path": "newsletter.db"},
            "crm": {"kind": "csv", "path": "crm.csv"},
            "tickets": {"kind": "jsonl", "path": "tickets.jsonl"},
        }
        write_settings(self.folder, self.server, self.database, rules, sources)


def make_stores(server: PgServer, folder: Path, database: str, customers: int) -> Stores:
    """Makes the databases and files of so many customers, always the same ones."""
    stores = Stores(server, folder, database)
    chosen = random.Random(7)
    people = [_person(chosen, number) for number in range(1, customers + 1)]
    server.create_database(database, CUSTOMERS)
    server.create_database(stores.members, MEMBERS)
    with server.connect(database) as connection, connection.cursor().copy("COPY customers FROM STDIN") as copy:
        for person in people:
            copy.write_row((person["id"], person["name"], person["email"], person["phone"]))
    _members(stores, people)
    _newsletter(stores, people, chosen)
    _crm(stores, people, chosen)
    _tickets(stores, people, chosen)
    stores.write_settings()
    return stores


def _person(chosen: random.Random, number: int) -> dict[str, Any]:
    first, last = chosen.choice(FIRST), chosen.choice(LAST)
    return {
        "id": number,
        "name": f"{first} {last}",
        "email": f"{first}.{last}.{number}@example.org".lower() if number % 20 else None,
        "phone": f"+49301{number:07d}" if number % 3 else None,
        "born": date(1950, 1, 1) + timedelta(days=chosen.randrange(18_000)),
        "city": chosen.choice(CITIES),
    }


def _note(stores: Stores, source: str, key: object, whose: int | None, **values: object) -> None:
    stores.truth.setdefault(source, {})[str(key)] = whose
    given = Counter(name for name, value in values.items() if value not in (None, ""))
    stores.values.setdefault(source, Counter()).update(given)


def _members(stores: Stores, people: list[dict[str, Any]]) -> None:
    with (
        stores.server.connect(stores.members) as connection,
        connection.cursor().copy("COPY members FROM STDIN") as copy,
    ):
        for person in people:
            size = "SML"[person["id"] % 3] if person["id"] % 4 else None
            number, changed = 10**6 + person["id"], START + timedelta(seconds=person["id"])
            copy.write_row((number, person["id"], person["born"], size, changed, False))
            _note(stores, "members", number, person["id"], born=person["born"], size=size)


def _newsletter(stores: Stores, people: list[dict[str, Any]], chosen: random.Random) -> None:
    """Six of ten customers; some twice, written otherwise; some who are nobody's; some with what is no address."""
    rows: list[tuple[int, str, str | None]] = []

    def add(address: str, name: str | None, whose: int | None) -> None:
        rows.append((len(rows) + 1, address, name))
        _note(stores, "newsletter", len(rows), whose, email=address, full_name=name)

    for person in people:
        if person["email"] and chosen.random() < 0.6:
            add(person["email"], person["name"] if chosen.random() < 0.5 else None, person["id"])
            if chosen.random() < 0.1:
                add(f" {person['email'].upper()}", person["name"].upper(), person["id"])
        elif chosen.random() < 0.1:
            add(f"stranger{person['id']}@example.net", "Who Knows", None)
    add("no address", None, None)
    with closing(sqlite3.connect(stores.folder / "newsletter.db")) as connection, connection:
        connection.execute("CREATE TABLE subscribers (id INTEGER PRIMARY KEY, address TEXT, name TEXT)")
        connection.executemany("INSERT INTO subscribers VALUES (?, ?, ?)", rows)


def _crm(stores: Stores, people: list[dict[str, Any]], chosen: random.Random) -> None:
    """Half of the customers, with numbers as people write them; some rows join two customers: nobody can know."""
    with (stores.folder / "crm.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["account", "name", "mail", "tel", "city"])
        for person in people:
            if chosen.random() > 0.5:
                continue
            whose: int | None = person["id"]
            mail, number = person["email"], person["phone"]
            tel = f"(030) 1{number[6:9]}-{number[9:]}" if number else ""
            other = people[person["id"] % len(people)]
            if mail and other["phone"] and chosen.random() < 0.02:
                tel, whose = other["phone"], None
            elif number and chosen.random() < 0.3:
                mail = f"{person['id']}@other.example"
            if not number and not mail:
                whose = None
            key = f"A-{person['id']}"
            out.writerow([key, person["name"], mail or "", tel, person["city"]])
            _note(
                stores, "crm", key, whose, email=mail, phone=tel, full_name=person["name"], city=person["city"]
            )  # fmt: skip


def _tickets(stores: Stores, people: list[dict[str, Any]], chosen: random.Random) -> None:
    with (stores.folder / "tickets.jsonl").open("w") as file:
        number = 0
        for person in people:
            for _ in range(chosen.choice((0, 0, 0, 1, 2)) if person["email"] else 0):
                number += 1
                document = {
                    "number": number,
                    "from": person["email"].title(),
                    "opened": (START + timedelta(minutes=chosen.randrange(10**6))).isoformat(),
                    "subject": f"Parcel {number}",
                    "body": f"Where are my {chosen.choice(('books', 'shoes', 'apples'))}?",
                }
                file.write(json.dumps(document) + "\n")
                _note(stores, "tickets", number, person["id"], email=document["from"], tickets="one")
