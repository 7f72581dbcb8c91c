"""The demo's stores are the same each time, and have what makes them a test of matching."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from proxy.demo import stores
from proxy.profile import identity

COUNT = 1000


def written(folder: Path) -> tuple[list[Any], list[Any], list[Any], stores.Truth]:
    folder.mkdir()
    truth = stores.write(folder, stores.people(COUNT))
    files = stores.Files.of(folder)
    with closing(sqlite3.connect(files.newsletter)) as connection:
        subscribers = connection.execute("SELECT * FROM subscribers").fetchall()
    with files.crm_export.open(encoding="utf-8", newline="") as file:
        accounts = list(csv.DictReader(file))
    tickets = [json.loads(line) for line in files.tickets.read_text("utf-8").splitlines()]
    return subscribers, accounts, tickets, truth


def test_they_are_the_same_each_time(tmp_path: Path) -> None:
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_each_customer_has_a_key_an_address_and_a_number_of_their_own() -> None:
    people = stores.people(COUNT)
    assert len(people) == len({one.id for one in people}) == len({one.email for one in people}) == COUNT
    for one in people:
        assert identity.email(one.email) == one.email
        if one.phone:
            assert identity.phone(one.national, "DE") == identity.phone(one.phone) is not None


def test_they_have_duplicates_spellings_strangers_and_riddles(tmp_path: Path) -> None:
    subscribers, accounts, tickets, truth = written(tmp_path / "stores")
    by_id = {one.id: one for one in stores.people(COUNT)}
    assert len(truth) == len(subscribers) + len(accounts) + len(tickets)
    times = Counter(whose for (source, _), whose in truth.items() if source == "newsletter" and whose)
    assert sum(count == 2 for count in times.values()) > COUNT / 50  # duplicates in one store
    spelt = [(address, by_id[whose].email) for number, address, *_ in subscribers
             if (whose := truth["newsletter", str(number)]) in by_id]  # fmt: skip
    assert all(identity.email(address) == email for address, email in spelt)
    assert sum(address != email for address, email in spelt) > COUNT / 50
    riddles = [one for one in accounts if truth["crm_export", one["account"]] is None]
    assert riddles
    by_number_alone = 0
    for one in accounts:
        whose = truth["crm_export", one["account"]]
        if whose in by_id:
            by_number_alone += one["mail"] != by_id[whose].email
    assert by_number_alone > COUNT / 50
