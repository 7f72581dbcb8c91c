"""Paths through a gateway: whatever an app does with a document, it does with the one that the rules leave.

The same statements run in schema `seen` of the same database, where tables hold what a reference in Python makes of the
documents: the answers must be equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer
from tests.unit.policy.test_paths import ABSENT, Reference, Steps

DOCUMENTS: list[Any] = [
    {"email": "ann@example.org", "rest": "r1", "contact": {"phone": "1001", "city": "Bonn"}, "cards": [{"pin": "11", "kind": "a"}, {"pin": "12"}], "a.b": "dot", "n": 5, "tags": ["x", "y"]},
    {"email": "bob@example.org", "rest": "r2", "contact": {"phone": "1002"}, "cards": [], "n": 15, "tags": []},
    {"email": None, "contact": None, "cards": None, "rest": None, "n": 25},
    {"email": {"x": "eve@example.org"}, "contact": [{"phone": "1004"}], "cards": {"pin": "41", "kind": "b"}, "n": "35", "tags": "x"},
    {"contact": "1005", "cards": [[{"pin": "51"}]], "a": {"b": "shown"}, "a.b": ["dot"], "tags": [["x"], {"y": 1}]},
    {},
    [],
    [{"email": "list@example.org"}],
    "email",
    None,
]  # fmt: skip
SCHEMA = """
CREATE TABLE {0}docs (id int PRIMARY KEY, person int, payload jsonb, raw json);
CREATE INDEX ON {0}docs ((payload ->> 'email'));
CREATE INDEX ON {0}docs USING gin (payload);
CREATE VIEW {0}v_docs AS SELECT id, payload, raw ->> 'rest' AS rest FROM {0}docs;
"""
PATHS: list[tuple[str, Steps, str]] = [
    ("$.email", ("email",), "email"),
    ("$.contact.phone", ("contact", "phone"), "phone"),
    ("$.cards[*].pin", ("cards", None, "pin"), "pin"),
    ('$."a.b"', ("a.b",), "dot"),
    ("$.n", ("n",), "number"),
    ("$.tags[*]", ("tags", None), "tag"),
]
# app -> what it has of the column's attribute and of each path's, as the reference knows it
APPS: dict[str, dict[str, str]] = {
    "masker": {"rest": "show", "email": "null", "phone": "first", "pin": "drop", "dot": "drop", "number": "round", "tag": "first"},
    "picker": {"rest": "drop", "email": "show", "phone": "show", "pin": "show", "dot": "drop", "number": "drop", "tag": "drop"},
    "asker": {"rest": "show", "email": "granted", "phone": "granted", "pin": "refused", "dot": "refused", "number": "show", "tag": "show"},
}  # fmt: skip
RULES = f"""
version: 1
attributes: {{{", ".join(f"{name}: {{}}" for name in APPS["masker"])}}}
tables:
  public.docs:
    subject: person
    columns:
      id: open
      person: open
      payload: &document {{attribute: rest, paths: {{{", ".join(f"'{path}': {name}" for path, _, name in PATHS)}}}}}
      raw: *document
apps: {{masker: {{logins: [masker]}}, picker: {{logins: [picker]}}, asker: {{logins: [asker]}}}}
masks: {{one: {{kind: first, characters: 1}}, hundreds: {{kind: round, to: 100}}}}
policies:
  - {{name: m1, apps: [masker], attributes: [email], action: mask, mask: "null"}}
  - {{name: m2, apps: [masker], attributes: [phone, tag], action: mask, mask: one}}
  - {{name: m3, apps: [masker], attributes: [pin, dot], action: drop}}
  - {{name: m4, apps: [masker], attributes: [number], action: mask, mask: hundreds}}
  - {{name: p1, apps: [picker], attributes: [email, phone, pin], action: show}}
  - {{name: p2, apps: [picker], attributes: all, action: drop}}
  - {{name: a1, apps: [asker], attributes: [email, phone], action: show, consent: opt_out}}
  - {{name: a2, apps: [asker], attributes: [pin, dot], action: show, consent: opt_in, otherwise: {{mask: one}}}}
  - {{name: the rest, attributes: all, action: show}}
"""


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    server: PgServer = request.getfixturevalue(request.param)
    with governed(
        server, tmp_path_factory.mktemp("documents"), "documents", SCHEMA.format(""), RULES, list(APPS)
    ) as made:
        with psycopg.connect(server.dsn("documents"), autocommit=True) as connection:
            rows = [(number, number, json.dumps(document)) for number, document in enumerate(DOCUMENTS, 1)]
            connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s, %s)", [(*r, r[2]) for r in rows])
            connection.execute("INSERT INTO docs VALUES (99, NULL, NULL, NULL)")
            for app, has in APPS.items():
                connection.execute(f"CREATE SCHEMA seen_{app}; {SCHEMA.format(f'seen_{app}.')}".encode())
                reference = Reference(has["rest"], [(steps, has[name]) for _, steps, name in PATHS])
                seen = [
                    (number, number, *2 * [_seen(reference, document)]) for number, document in enumerate(DOCUMENTS, 1)
                ]
                insert = f"INSERT INTO seen_{app}.docs VALUES (%s, %s, %s, %s)"
                connection.cursor().executemany(insert.encode(), [*seen, (99, None, None, None)])
                connection.execute(f"UPDATE seen_{app}.docs SET raw = raw::jsonb::json".encode())
                connection.execute(
                    f"GRANT USAGE ON SCHEMA seen_{app} TO {app}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {app}".encode()
                )
        yield made


def _seen(reference: Reference, document: Any) -> str | None:
    made = reference.govern(document)
    if made is ABSENT and isinstance(document, dict | list):
        made = type(document)()
    return None if made is ABSENT else json.dumps(made)


READS = """
select * from docs order by id
select id, payload::text, raw::text from docs order by id
select d::text from docs d order by id
select row_to_json(d), to_jsonb(d) from docs d order by id
select payload -> 'email', payload ->> 'email', raw -> 'contact', raw ->> 'n', payload -> 0, raw -> -1 from docs order by id
select payload #> '{cards,0,pin}', payload #>> '{contact,phone}', raw #> '{tags,0}', raw #>> '{a.b}' from docs order by id
select payload['contact']['phone'], payload['tags'][1], payload['cards'] from docs order by id
select id from docs where payload @> '{"rest": "r1"}' or payload @> '{"cards": [{"pin": "11"}]}' order by id
select id, payload ? 'email', payload ?| array['pin', 'a.b'], payload ?& array['cards', 'n'], payload <@ '{}' from docs order by id
select id, payload @? '$.cards[*].pin', payload @@ '$.n > 10', jsonb_path_exists(payload, '$.**.phone') from docs order by id
select id, jsonb_path_query(payload, '$.**') from docs order by id
select jsonb_path_query_array(payload, '$.cards[*].pin'), jsonb_path_query_first(payload, '$.tags[last]') from docs order by id
select id, e.* from docs, jsonb_each(payload) e where jsonb_typeof(payload) = 'object' order by id, key
select id, e.* from docs, json_each_text(raw) e where json_typeof(raw) = 'object' order by id, key
select id, t from docs, jsonb_array_elements(payload -> 'tags') t where jsonb_typeof(payload -> 'tags') = 'array' order by id
select id, r.* from docs, jsonb_to_record(payload) r (email text, contact json, n text) where jsonb_typeof(payload) = 'object' order by id
select id, r.* from docs, json_to_recordset(raw -> 'cards') r (pin text, kind text) where json_typeof(raw -> 'cards') = 'array' and id < 5 order by id
select id, jsonb_object_keys(payload) from docs where jsonb_typeof(payload) = 'object' order by 1, 2
select jsonb_typeof(payload), json_typeof(raw), payload is null, raw is null, payload = 'null', pg_typeof(payload), pg_typeof(raw) from docs order by id
select id from docs order by payload desc, id
select payload -> 'contact' as c, count(*), max(payload ->> 'email') from docs group by 1 order by 1
select distinct payload -> 'cards' from docs order by 1
select jsonb_agg(payload order by id), json_object_agg(id, raw order by id) from docs
select payload || '{"z": 1}', payload - 'rest', payload #- '{contact}', jsonb_set(payload, '{rest}', '2'), jsonb_pretty(payload) from docs where jsonb_typeof(payload) = 'object' order by id
select (payload ->> 'n')::int + 1 from docs where payload ->> 'n' ~ '^[0-9]+$' order by id
select a.id, b.id from docs a join docs b on a.payload -> 'contact' = b.payload -> 'contact' order by 1, 2
with d as (select * from docs) select (select payload -> 'rest' from d where d.id = e.id), l.x from docs e, lateral (select e.payload -> 'a.b' as x) l order by e.id
select lag(payload -> 'email') over (order by id), first_value(raw -> 'n') over (order by id) from docs order by id
select id, payload, rest from v_docs order by id
select to_tsvector('simple', payload), hashtext(payload::text), jsonb_strip_nulls(payload) from docs order by id
select coalesce(payload -> 'email', '"none"'), case when payload ? 'n' then payload -> 'n' end from docs order by id
""".strip().splitlines()
NEWER = """
select json_value(payload, '$.email'), json_query(payload, '$.cards[*].pin' with wrapper), json_exists(payload, '$.contact.phone'), json_value(raw, '$.n') from docs order by id
select id, t.* from docs, json_table(payload, '$' columns (email text path '$.email', nested '$.cards[*]' columns (pin text path '$.pin'))) t order by id, 2, 3
""".strip().splitlines()  # from PostgreSQL 17 on


@pytest.mark.parametrize("app", APPS)
def test_reads_are_of_the_document_that_the_rules_leave(gateway: Governed, app: str) -> None:
    with gateway.connect(app) as through, psycopg.connect(gateway.database, autocommit=True) as direct:
        direct.execute(f"SET search_path = seen_{app}".encode())
        newer = NEWER if direct.info.server_version >= 170000 else []
        for text in [*READS, *newer]:
            if app == "asker":
                text = text.replace("select ", "select /* as the asker */ ", 1)
            assert through.execute(text.encode()).fetchall() == direct.execute(text.encode()).fetchall(), text


@pytest.mark.parametrize(
    "text", ["copy docs to stdout", "copy (select payload from docs order by id) to stdout (format csv)"]
)
def test_copies_too(gateway: Governed, text: str) -> None:
    with gateway.connect("masker") as through, psycopg.connect(gateway.database, autocommit=True) as direct:
        direct.execute("SET search_path = seen_masker")
        with through.cursor().copy(text) as one, direct.cursor().copy(text) as other:
            assert list(one.rows()) == list(other.rows())


def test_consent_is_asked_row_by_row_and_path_by_path(gateway: Governed) -> None:
    sql = "SELECT payload -> 'email', payload #> '{contact,phone}', payload #> '{cards,0,pin}', payload -> 'a.b' FROM docs WHERE id = 1"
    with gateway.connect("asker") as connection:
        for text in (sql, f"{sql} FOR UPDATE", f"WITH d AS MATERIALIZED ({sql}) SELECT * FROM d"):
            assert connection.execute(text.encode()).fetchall() == [("ann@example.org", "1001", "1", "d")]
        returning = sql.split(" FROM ")[0].removeprefix("SELECT ")
        update = f"UPDATE docs SET person = person WHERE payload ->> 'a.b' = 'd' RETURNING {returning}"
        assert connection.execute(update.encode()).fetchall() == [("ann@example.org", "1001", "1", "d")]
        gateway.give("grant", 1, "asker", "pin")
        gateway.give("withdraw", 1, "asker", "phone")
        try:
            assert connection.execute(sql.encode()).fetchall() == [("ann@example.org", None, "11", "d")]
            assert connection.execute(f"{sql} FOR UPDATE".encode()).fetchall() == [("ann@example.org", None, "11", "d")]
            assert connection.execute(update.encode()).fetchall() == [("ann@example.org", None, "11", "d")]
            other = (
                "SELECT payload #> '{contact,phone}', payload #> '{cards,pin}' FROM docs WHERE id IN (2, 4) ORDER BY id"
            )
            assert connection.execute(other.encode()).fetchall() == [("1002", None), (None, "4")]
            nobody = "INSERT INTO docs (id) VALUES (200)"
            assert connection.execute(nobody.encode()).rowcount == 1
        finally:
            gateway.give("withdraw", 1, "asker", "pin")
            gateway.give("grant", 1, "asker", "phone")
            connection.execute("DELETE FROM docs WHERE id = 200")


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE docs SET payload = '{}'",
        "UPDATE docs SET payload['x'] = '1'",
        "INSERT INTO docs (id, raw) VALUES (201, '{}')",
    ],
)
def test_a_document_of_which_something_is_hidden_is_not_written(gateway: Governed, text: str) -> None:
    with gateway.connect("masker") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(text.encode())


@pytest.mark.parametrize(
    "stored",
    [
        '{"email": "hidden", "email": "hidden2", "rest": 1}',
        '{"email": "hidden", "rest": "\\u0000"}',
        '{"email": "hidden", "rest": "\\ud83d"}',
        '{"email": "hidden", "rest": "\\\\u0000"}',
        '{"email": "hidden", "rest": "\\ud83d\\ude00"}',
        '{"email": "hidden", "rest": 1e999999}',
        '{"email": "hidden", "rest": "a2e12345"}',
        ' {"rest" : 1 , "email":"hidden" } ',
        '{"emai\\u006c": "hidden", "rest": 1}',
    ],
)
def test_what_json_takes_and_jsonb_does_not_leaks_nothing_and_fails_for_nothing(gateway: Governed, stored: str) -> None:
    with psycopg.connect(gateway.database, autocommit=True) as direct:
        direct.execute("INSERT INTO docs (id, raw) VALUES (300, %s)", [stored])
        try:
            with gateway.connect("masker") as connection:
                row = connection.execute(
                    "SELECT raw::text, raw ->> 'email', raw -> 'rest' FROM docs WHERE id = 300"
                ).fetchone()
            assert row is not None
            assert "hidden" not in str(row)
            try:
                expected = direct.execute("SELECT raw::jsonb -> 'rest' FROM docs WHERE id = 300").fetchone()
            except psycopg.Error:
                expected = (None,)
            assert (row[2],) == expected
        finally:
            direct.execute("DELETE FROM docs WHERE id = 300")
