"""Relations of one name in several schemas, told apart by nothing but their schemas: as in a database that holds what the
app may see.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

TABLES = """
CREATE SCHEMA past;
CREATE SCHEMA plain;
CREATE TABLE public.person (id int PRIMARY KEY, {secret} name text, mail text, boss int);
CREATE TABLE past.person (id int PRIMARY KEY, name text, {secret} until int);
CREATE TABLE plain.person (id int PRIMARY KEY, nick text, boss int);
INSERT INTO plain.person VALUES (1, 'a', 2), (2, 'b', 1), (5, 'e', NULL);
CREATE TABLE public.notes (id int, body text);
INSERT INTO public.notes VALUES (1, 'one'), (2, 'two'), (9, 'nine');
"""
SCHEMA = (
    TABLES.format(secret="secret text,")
    + """
INSERT INTO public.person SELECT n, 's' || n, 'name' || n, 'mail' || n, n % 3 + 1 FROM generate_series(1, 9) n;
INSERT INTO past.person SELECT n, 'was' || n, 's' || n, n * 10 FROM generate_series(1, 9) n;
GRANT USAGE ON SCHEMA past, plain TO PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, past, plain TO PUBLIC;
"""
)
COPY = (
    TABLES.format(secret="")
    + """
INSERT INTO public.person SELECT n, 'name' || n, NULL, n % 3 + 1 FROM generate_series(1, 4) n;
INSERT INTO past.person SELECT n, 'was' || n, n * 10 FROM generate_series(1, 9) n;
"""
)
RULES = """version: 1
attributes: {secret: {}, mail: {}}
tables:
  public.person: {columns: {id: open, secret: secret, name: open, mail: mail, boss: open}}
  past.person: {columns: {id: open, name: open, secret: secret, until: open}}
  plain.person: open
  public.notes: open
apps: {shop: {logins: [namesake]}}
policies:
  - {name: secrets, attributes: [secret], action: drop}
  - {name: mails, attributes: [mail], action: mask, mask: "null"}
  - {name: the rest, attributes: all, action: show, write: allow}
  - {name: the first, tables: [public.person], rows: {where: id <= 4}}
"""
READS = [
    "SELECT public.person.name, past.person.name, until FROM public.person JOIN past.person USING (id) ORDER BY id",
    "SELECT person.*, q.* FROM person, LATERAL (SELECT past.person.name AS n FROM past.person WHERE past.person.id = public.person.boss) q ORDER BY 1",
    "SELECT * FROM public.person JOIN past.person ON public.person.id = past.person.id ORDER BY 1",
    "SELECT past.person.*, public.person.* FROM past.person, person WHERE past.person.id = public.person.id ORDER BY 1",
    "SELECT plain.person.*, past.person.until FROM plain.person LEFT JOIN past.person USING (id) ORDER BY 1",
    "SELECT nick, mail FROM plain.person JOIN person USING (id) ORDER BY 1",
    "SELECT until, nick, mail FROM past.person JOIN public.person USING (id, name) JOIN plain.person USING (id) ORDER BY 1",
    "SELECT until FROM past.person WHERE NOT EXISTS (SELECT FROM public.person WHERE public.person.id = past.person.id) ORDER BY 1",
    "SELECT person.until FROM past.person WHERE EXISTS (SELECT FROM person WHERE person.boss = past.person.id) ORDER BY 1",
    "SELECT name FROM public.person WHERE id IN (SELECT past.person.id FROM past.person WHERE public.person.boss = past.person.until / 10) ORDER BY 1",
    "WITH person AS (SELECT 2 AS id) SELECT public.person.name FROM public.person WHERE EXISTS (SELECT FROM person WHERE person.id = public.person.id)",
    "SELECT past.person.name, count(*) FROM past.person JOIN public.person ON public.person.boss = past.person.id GROUP BY past.person.id ORDER BY 1",
    "SELECT public.person.name, max(until) FROM public.person NATURAL JOIN notes JOIN past.person USING (id) GROUP BY public.person.id ORDER BY 1",
    "SELECT past.person.name FROM past.person JOIN public.person USING (id) ORDER BY public.person.boss, past.person.id DESC",
    "SELECT (SELECT public.person.name FROM public.person WHERE public.person.id = past.person.id) FROM past.person ORDER BY 1",
    "SELECT public.person.name FROM public.person FULL JOIN plain.person ON plain.person.id = public.person.id AND upper(public.person.name) <> nick ORDER BY 1",
    "SELECT row_to_json(public.person.*) FROM public.person JOIN plain.person USING (id) ORDER BY public.person.id",
    "SELECT sum(until) OVER (PARTITION BY public.person.boss) FROM public.person JOIN past.person USING (id) ORDER BY 1",
    "SELECT public.person.name FROM public.person, past.person WHERE public.person.id = 3 AND past.person.id = public.person.id",
    "SELECT x.a, x.b FROM (SELECT past.person.* FROM public.person JOIN past.person USING (id)) x (a, b) ORDER BY 1",
    "SELECT j.until FROM (public.person JOIN past.person USING (id)) AS j ORDER BY 1",
    "SELECT until FROM ((public.person JOIN past.person USING (id)) AS j JOIN person USING (id)) ORDER BY 1",
    "SELECT public.person.id FROM public.person JOIN past.person USING (id) WHERE public.person.name LIKE 'name%' AND past.person.id < 3 ORDER BY 1",
]
WRITES = [
    "UPDATE plain.person SET nick = public.person.name FROM public.person WHERE public.person.id = plain.person.id RETURNING *",
    "UPDATE public.person SET name = past.person.name FROM past.person WHERE past.person.id = public.person.id RETURNING public.person.id, public.person.name, until",
    "DELETE FROM notes USING public.person, past.person WHERE notes.id = public.person.id AND past.person.id = public.person.id AND until < 20 RETURNING notes.id",
    "INSERT INTO notes SELECT public.person.id, past.person.name FROM public.person JOIN past.person USING (id) RETURNING id, body",
]
ERRORS = [
    "MERGE INTO plain.person USING public.person ON public.person.id = plain.person.id WHEN MATCHED THEN UPDATE SET nick = public.person.name",
    "SELECT person.id FROM public.person, past.person",
    "SELECT public.person.secret FROM public.person JOIN past.person USING (id)",
    "SELECT public.person.missing FROM public.person JOIN past.person USING (id)",
    "SELECT secret FROM public.person JOIN past.person USING (id)",
    "SELECT id FROM public.person, past.person",
]


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    directory = tmp_path_factory.mktemp("namesakes")
    with governed(pg_server, directory, "namesakes", SCHEMA, RULES, ["namesake"]) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def copy(pg_server: PgServer) -> str:
    return pg_server.create_database("namesakes_copy", COPY)


def answer(dsn: str, text: str) -> object:
    """Rows, in their order where they have one, with names and types."""
    with psycopg.connect(dsn) as connection:
        cursor = connection.execute(text)
        connection.rollback()
        rows = cursor.fetchall() if cursor.description else []
        columns = [(column.name, column.type_code) for column in cursor.description or ()]
    return cursor.statusmessage, columns, rows if "ORDER BY" in text else sorted(rows)


def error_of(dsn: str, text: str) -> tuple[str | None, str, str | None]:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(text)
    message = str(caught.value.diag.message_primary).replace(" public.person.", " person.")
    return caught.value.sqlstate, message, caught.value.diag.statement_position


@pytest.mark.parametrize("text", [*READS, *WRITES])
def test_relations_of_one_name_are_told_apart_by_their_schemas(gateway: Governed, copy: str, text: str) -> None:
    assert answer(gateway.dsn("namesake"), text) == answer(copy, text)


@pytest.mark.parametrize("text", ERRORS)
def test_wrong_names_are_as_wrong_as_they_are(gateway: Governed, copy: str, text: str) -> None:
    """(The message has the schema where PostgreSQL's has none: `column public.person.secret does not exist`.)"""
    code, message, position = error_of(copy, text)
    assert error_of(gateway.dsn("namesake"), text) == (code, message, position)
