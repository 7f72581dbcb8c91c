"""`subject find` looks inside of documents: where the rules' paths lead, and in what they leave."""

from __future__ import annotations

import json

import asyncpg
import pytest

from proxy.catalog.introspect import take_snapshot
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.table import CompiledRules
from proxy.rights.finding import find
from tests.servers import PgServer

DOCUMENTS = {
    1: {"email": "c1@priv.org", "contacts": [{"phone": "+49 89 5550101", "note": "plain"}, {"phone": None}]},
    2: {"email": ["c2@priv.org", {"old": "c22@priv.org"}], "first name": 'Åsa "x"', "deep": {"id": "c2@priv.org", "n": [[7]]}},
    3: "c3@priv.org",
    4: {"contacts": {"phone": "089 5550104"}, "deep": "c1@priv.org"},
}  # fmt: skip
SCHEMA = f"""
CREATE TABLE people (id int PRIMARY KEY, seen jsonb, sent json, hidden jsonb);
INSERT INTO people SELECT key::int, value, value::json, value FROM jsonb_each('{json.dumps(DOCUMENTS)}');
INSERT INTO people (id, sent) VALUES (5, '{{"email": "zero\\u0000@priv.org"}}');
"""
RULES = """
version: 1
attributes: {email: {}, phone: {}, name: {}, contact: {}, rest: {}}
tables:
  public.people:
    subject: id
    columns:
      id: open
      seen:
        attribute: rest
        paths: {$.email: email, '$.contacts[*].phone': phone, $.contacts: contact, '$."first name"': name, $.deep.id: open}
      sent: {attribute: open, paths: {$.email: email}}
      hidden: open
apps: {crm: {logins: [find_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
"""


@pytest.fixture(scope="module")
def dsn(pg_server: PgServer) -> str:
    return pg_server.create_database("finding", SCHEMA)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c1@priv.org", ["1 seen $.email email exact", "1 sent $.email email exact", "4 seen  rest exact"]),
        ("C22@priv", ["2 seen $.email email begins", "2 sent $.email email begins"]),
        ("c2@priv.org", ["2 seen $.email email exact", "2 sent $.email email exact"]),  # what is at $.deep.id is open
        ("089/5550101", ["1 seen $.contacts[*].phone phone same"]),
        ("0895550104", ["4 seen $.contacts[*].phone phone same"]),
        ("plain", ["1 seen $.contacts contact exact"]),
        ('åsa "x"', ['2 seen $."first name" name same']),
        ("c3@priv.org", ["3 seen  rest exact"]),
        ("7", ["2 seen  rest exact"]),
        ("zero", []),
        ("nobody", []),
    ],
)
async def test_what_is_in_documents(dsn: str, text: str, found: list[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        rules = await compiled(connection)
        places = [one async for one in find(connection, rules, text, 100)]
    finally:
        await connection.close()
    told = [f"{one.subject} {one.column} {one.path or ''} {', '.join(one.attributes)} {one.how}" for one in places]
    assert sorted(told) == sorted(found)


async def compiled(connection: asyncpg.Connection) -> CompiledRules:
    return compile_rules(load_rules([("rules.yaml", RULES)]), await take_snapshot(connection))
