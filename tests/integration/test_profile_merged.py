"""A list of a table and of sources: synced, asked for by two apps, and each entry with where it is from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import audit_records
from tests.integration.governed import Governed, governed
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import write_settings

SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text, phone text);
CREATE TABLE calls (customer bigint REFERENCES customers, at timestamptz NOT NULL, about text);
INSERT INTO customers VALUES (1, 'ann@example.org', NULL), (2, NULL, NULL);
INSERT INTO calls VALUES (1, '2026-01-02 10:00+01', 'call one'), (1, '2026-01-04 10:00+00', 'call two');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {email: {}, phone: {}, contacts: {}, letters: {}}
tables:
  public.customers: {subject: id, columns: {id: open, email: email, phone: phone}}
  public.calls: {subject: customer, columns: {customer: open, at: contacts, about: contacts}}
apps:
  mgall: {logins: [mgall], explain: allow}
  mgpart: {logins: [mgpart]}
policies:
  - {name: calls are not theirs, apps: [mgpart], columns: [public.calls.at, public.calls.about], action: drop}
  - {name: letters by consent, apps: [mgpart], attributes: [letters], action: show, consent: opt_in}
  - {name: everything, apps: [mgall, mgpart], attributes: all, action: show, basis: contract}
sources:
  mails:
    key: number
    subject: customer
    fields: {from: email, tel: phone}
    lists:
      contacts: {fields: [sent, title], order_by: sent}
      letters: {fields: [body, sent], order_by: sent, search: english}
  chats:
    key: id
    match: {email: address}
    fields: {address: email}
    lists: {contacts: {fields: [day, text], order_by: day}}
profile:
  subject: public.customers.id
  lists:
    contacts: {from: public.calls, columns: [at, about], order_by: at, limit: 4}
"""
MAILS = [
    {"number": 7, "customer": 1, "from": "ann@work.example", "tel": "1", "sent": "2026-01-03T12:00:00+01:00", "title": "m1", "body": "Two parcels were lost"},
    {"number": 8, "customer": 2, "from": "bob@example.org", "tel": None, "sent": "2026-01-01", "title": "m2", "body": "My parcel is here"},
]  # fmt: skip
CHATS = [("c1", "Ann@Example.org", "2026-01-05T00:00:00Z", "[/] hello"), ("c2", "ann@example.org", "2025-12-31", "old")]


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("merged")
    with governed(pg_server, folder, "merged", SCHEMA, RULES, ["mgall", "mgpart"]) as running:
        sources = {"mails": {"kind": "jsonl", "path": "mails.jsonl"}, "chats": {"kind": "csv", "path": "chats.csv"}}
        write_settings(folder, pg_server, "merged", RULES, sources)
        (folder / "mails.jsonl").write_text("".join(json.dumps(one) + "\n" for one in MAILS))
        with (folder / "chats.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "address", "day", "text"), *CHATS])
        command(folder, "profile", "sync")
        yield running


def command(folder: Path, *arguments: str) -> str:
    ended = run(*arguments, "--config", str(folder / "consentry.yaml"))
    assert ended.code == 0, ended.err
    return ended.out


def contacts(gateway: Governed, app: str, subject: int) -> Any:
    with gateway.connect(app) as connection:
        connection.execute("SET timezone = 'UTC'")
        query = "SELECT contacts FROM consentry.profile WHERE subject = %s"
        return connection.execute(query, [subject]).fetchall()[0][0]


MAIL = {"sent": "2026-01-03T11:00:00+00:00", "title": "m1"}
HELLO, OLD = {"day": "2026-01-05T00:00:00+00:00", "text": "[/] hello"}, {"day": "2025-12-31", "text": "old"}
TWO, ONE = {"at": "2026-01-04T10:00:00+00:00", "about": "call two"}, {"at": "2026-01-02T09:00:00+00:00", "about": "call one"}  # fmt: skip


def test_two_apps_after_a_sync(gateway: Governed) -> None:
    """One has all, newest first and as many as the limit says; the other, who may not see calls, what sources say."""
    assert contacts(gateway, "mgall", 1) == [HELLO, TWO, MAIL, ONE]
    assert contacts(gateway, "mgpart", 1) == [HELLO, MAIL, OLD]
    assert contacts(gateway, "mgpart", 2) == [{"sent": "2026-01-01", "title": "m2"}]


def test_words_in_a_text_are_found_by_those_who_may_read_it(gateway: Governed) -> None:
    """By an index where the app has the attribute of everybody; where consent decides, only of those who agreed."""
    query = (
        "SELECT subject FROM consentry.profile "
        "WHERE to_tsvector('english', letters) @@ plainto_tsquery('english', 'parcel {}') ORDER BY 1"
    )
    gateway.give("grant", 2, "mgpart", "letters")
    expected = {("mgall", ""): [(1,), (2,)], ("mgall", "lost"): [(1,)], ("mgpart", ""): [(2,)], ("mgpart", "lost"): []}
    for (app, word), found in expected.items():
        with gateway.connect(app) as connection:
            assert connection.execute(query.format(word)).fetchall() == found
    with gateway.connect("mgall") as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in connection.execute("EXPLAIN " + query.format("lost")).fetchall())
    assert "Index Scan on profile_search_letters" in plan


def test_each_value_says_where_it_is_from(gateway: Governed) -> None:
    """All that `consentry.profile` has of a customer is there with its source, and what does not count is told apart."""
    values = json.loads(command(gateway.directory, "profile", "show", "1", "--json"))
    assert all((one["read_at"] is None) == (one["kind"] == "table") for one in values)
    found = [(one["attribute"], one["value"], one["source"], one["key"], one["chosen"]) for one in values]
    calls = [one for one in found if one[2] == "public.calls"]
    assert [(name, call["about"], key, chosen) for name, call, _, key, chosen in calls] == [
        ("contacts", "call one", "at, about", True),
        ("contacts", "call two", "at, about", True),
    ]
    assert sorted((one for one in found if one not in calls), key=str) == sorted(
        [
            ("contacts", HELLO, "chats", "c1", True),
            ("contacts", OLD, "chats", "c2", True),
            ("contacts", MAIL, "mails", "7", True),
            ("letters", {"body": "Two parcels were lost", "sent": MAIL["sent"]}, "mails", "7", True),
            ("email", "ann@example.org", "public.customers", "email", True),
            ("email", "Ann@Example.org", "chats", "c1", False),
            ("email", "ann@example.org", "chats", "c2", False),
            ("email", "ann@work.example", "mails", "7", False),
            ("phone", "1", "mails", "7", True),
        ],
        key=str,
    )
    with gateway.connect("mgall") as connection:
        shown = connection.execute("SELECT email, phone FROM consentry.profile WHERE subject = 1").fetchall()
    assert shown == [("ann@example.org", "1")]
    said = command(gateway.directory, "profile", "show", "1", "--attribute", "contacts")
    assert "[/] hello" in said
    assert "public.calls" in said
    assert "example" not in said
    nobody = run("profile", "show", "3", "--config", str(gateway.directory / "consentry.yaml"))
    assert (nobody.code, nobody.out, nobody.err) == (1, "", "nothing of 3 is known\n")
    records = [one for one in audit_records(gateway.directory / "audit") if one.get("act") == "show"]
    assert len(records) == 3
    assert all(one["actor"].startswith("command, ") and "ann" not in str(one) for one in records)


def test_an_export_says_where_each_entry_is_from(gateway: Governed) -> None:
    document = json.loads(command(gateway.directory, "subject", "export", "1"))
    entries = {
        (one["source"], one["key"]): one["value"] for one in document["sources"] if one["attribute"] == "contacts"
    }
    assert entries == {("chats", "c1"): HELLO, ("chats", "c2"): OLD, ("mails", "7"): MAIL}
    (calls,) = (one for one in document["tables"] if one["relation"] == "public.calls")
    assert calls["attributes"] == {"at": ["contacts"], "about": ["contacts"]}
    assert [one["about"] for one in calls["rows"]] == ["call one", "call two"]
