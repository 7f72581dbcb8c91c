"""Violations name constraints, indexes and domains that an app has, and no others: those have the name `"?"`."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

# Of each table one column is hidden, which a default fills.
TABLES = {
    "checked": "gone text DEFAULT 'bad' CONSTRAINT told CHECK (gone <> 'bad')",
    "mixed": "gone int DEFAULT 5, CONSTRAINT told CHECK (id <> gone + 4)",
    "single": "gone int DEFAULT 5 CONSTRAINT told_single UNIQUE",
    "indexed": "gone int DEFAULT 5",
    "apart": "gone text DEFAULT 'x', CONSTRAINT told_apart EXCLUDE (gone WITH =)",
    "long": "gone text",
    "valued": "gone told_domain DEFAULT 'bad'",
    "valueless": "gone told_there",
}
SCHEMA = f"""
CREATE DOMAIN told_domain AS text CONSTRAINT told CHECK (VALUE <> 'bad');
CREATE DOMAIN told_there AS text NOT NULL;
CREATE DOMAIN mail AS text CONSTRAINT mail_at CHECK (VALUE ~ '@');
{"".join(f"CREATE TABLE {name} (id int, name text, {columns});" for name, columns in TABLES.items())}
INSERT INTO single VALUES (1);
INSERT INTO apart VALUES (1);
INSERT INTO indexed VALUES (1, 'one');
CREATE UNIQUE INDEX told ON indexed ((gone + 1));
CREATE INDEX told_long ON long (gone);
CREATE FUNCTION random_text() RETURNS text LANGUAGE sql AS
    $$SELECT string_agg(md5(i::text), '') FROM generate_series(1, 180) i$$;
ALTER TABLE long ALTER gone SET DEFAULT random_text();
CREATE TABLE parted (id int, name text, gone text DEFAULT 'bad' CONSTRAINT told CHECK (gone <> 'bad')) PARTITION BY LIST (id);
CREATE TABLE parted1 PARTITION OF parted DEFAULT;
CREATE TABLE shown (id int CONSTRAINT shown_once UNIQUE, name text CONSTRAINT shown_long CHECK (name <> 'x'), mail mail, gone int);
INSERT INTO shown VALUES (1, 'a', 'a@b');
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = f"""version: 1
attributes: {{gone: {{}}}}
tables:
{"".join(f"  public.{name}: {{columns: {{id: open, name: open, gone: gone}}}}" + chr(10) for name in (*TABLES, "parted"))}
  public.shown: {{columns: {{id: open, name: open, mail: open, gone: gone}}}}
apps: {{shop: {{logins: [violator], functions: {{allow: [public.random_text]}}}}}}
policies: [{{name: none, attributes: [gone], action: drop}}]
"""
STATES = {"single": "23505", "indexed": "23505", "apart": "23P01", "long": "54000", "valueless": "23502"}


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    folder = tmp_path_factory.mktemp("violator")
    with governed(pg_server, folder, "violator", SCHEMA, RULES, ["violator"]) as running:
        yield running


def violation(dsn: str, text: str, rows: str = "") -> psycopg.errors.Diagnostic:
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(psycopg.Error) as caught:
        write(connection, text, rows)
    return caught.value.diag


def write(connection: psycopg.Connection, text: str, rows: str) -> None:
    if not rows:
        connection.execute(text.encode())
        return
    with connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
        copy.write(rows)


def fields(found: psycopg.errors.Diagnostic) -> str:
    """All that an error says."""
    names = [name for name in dir(found) if not name.startswith("_")]
    return str({name: getattr(found, name) for name in names if not callable(getattr(found, name))})


@pytest.mark.parametrize("table", [*TABLES, "parted"])
@pytest.mark.parametrize("how", ["INSERT INTO {} (id, name) VALUES (9, 'y')", "COPY {} (id, name) FROM STDIN"])
def test_what_is_hidden_has_no_name(gateway: Governed, table: str, how: str) -> None:
    if (how[:4], table) == ("COPY", "valueless"):
        return  # COPY does not ask domains of columns that it does not give
    rows = "9\ty\n" if how.startswith("COPY") else ""
    direct = violation(gateway.database, how.format(table), rows)
    assert direct.sqlstate == STATES.get(table, "23514")
    assert "told" in fields(direct)
    said = violation(gateway.dsn("violator"), how.format(table), rows)
    assert said.sqlstate == direct.sqlstate
    assert "told" not in fields(said)
    assert '"?"' in (said.message_primary or "")
    assert said.constraint_name is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("INSERT INTO shown (id) VALUES (1)", "shown_once"),
        ("INSERT INTO shown (id, name) VALUES (2, 'x')", "shown_long"),
        ("INSERT INTO shown (id, mail) VALUES (2, 'x')", "mail_at"),
    ],
)
def test_what_the_app_has_keeps_its_name(gateway: Governed, text: str, name: str) -> None:
    direct, said = violation(gateway.database, text), violation(gateway.dsn("violator"), text)
    assert said.constraint_name == direct.constraint_name == name
    assert said.message_primary == direct.message_primary
