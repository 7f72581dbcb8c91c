"""Names that come to mean something else: by the login's settings, by temp tables, and by what others do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.catalog.connect import connected
from proxy.catalog.introspect import fingerprint
from tests.integration import test_enforcement
from tests.integration.test_enforcement import Enforcing
from tests.servers import PgServer

CARDS = {"4111", "4222"}


class Watching(Enforcing):
    """It looks at the catalog as in production, but only when it is asked to."""

    def __init__(self, server: PgServer, directory: Path) -> None:
        super().__init__(server, directory)
        self.server = server

    async def _fingerprint(self) -> str:
        async with connected(self.database) as connection:
            return await fingerprint(connection)

    def look(self) -> None:
        """Waits until the catalog was looked at."""
        self.call(self.databases[0].reload)

    def as_dba(self, script: str) -> None:
        self.server.run("enforced", script)

    def set_for(self, app: str, setting: str) -> None:
        """ALTER ROLE ... SET, for its next connections."""
        self.as_dba(f'ALTER ROLE "{app}" IN DATABASE "enforced" SET {setting}')


@pytest.fixture
def gateway(pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    monkeypatch.setattr(test_enforcement, "Enforcing", Watching)
    yield from test_enforcement.gateway.__wrapped__(pg_server, tmp_path)  # type: ignore[attr-defined]
    pg_server.run("enforced", "".join(f'ALTER ROLE "{app}" IN DATABASE "enforced" RESET ALL;' for app in ("partner",)))


def told(connection: psycopg.Connection[Any], *texts: str) -> str:
    """All that comes back for the texts, errors included."""
    found = []
    for text in texts:
        try:
            cursor = connection.execute(text)  # type: ignore[call-overload]
            found.append(str(cursor.fetchall() if cursor.description else cursor.statusmessage))
            while cursor.nextset():
                found.append(str(cursor.fetchall() if cursor.description else cursor.statusmessage))
        except psycopg.Error as error:
            found.append(f"{error.sqlstate} {error}")
    return "\n".join(found)


def leaks(text: str) -> bool:
    return any(card in text for card in CARDS)


NPGSQL_RESET = (
    "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;"
    "SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP"
)


@pytest.mark.parametrize("reset", [NPGSQL_RESET, "RESET ALL; UNLISTEN *", "DISCARD TEMP; RESET search_path; SELECT 1"])
def test_a_session_that_one_text_resets_is_governed_as_at_its_begin(gateway: Watching, reset: str) -> None:
    with gateway.connect("partner") as connection:
        before = told(connection, "SELECT * FROM customers ORDER BY id", READ)
        told(connection, "SET search_path = pg_temp, other", SHADOW, "INSERT INTO customers VALUES ('mine')")
        assert "mine" in told(connection, READ)
        assert "42501" not in told(connection, reset, "RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION")
        connection.execute("DISCARD TEMP")
        assert told(connection, "SELECT * FROM customers ORDER BY id", READ) == before


SHADOW = "CREATE TEMP TABLE customers (card_no text)"
READ = "SELECT card_no FROM customers"


@pytest.mark.parametrize("path", ["public, pg_temp", "pg_catalog, public, pg_temp", "other, public, pg_temp"])
@pytest.mark.parametrize(
    "texts",
    [
        (SHADOW, READ),
        (f"{SHADOW}; {READ}",),
        ("BEGIN", SHADOW, READ, "COMMIT", READ),
        (f"{SHADOW}; INSERT INTO customers SELECT 'x'; {READ}",),
        ("SELECT 'x' AS card_no INTO TEMP customers", READ),
        (SHADOW, f"PREPARE p AS {READ}", "EXECUTE p"),
        (SHADOW, f"DO $$BEGIN PERFORM 1; END$$; {READ}", f"EXPLAIN VERBOSE {READ}", "SELECT * FROM customers c"),
        (SHADOW, "COPY customers (card_no) TO STDOUT", "SELECT customers FROM customers"),
        (SHADOW, "UPDATE customers SET card_no = card_no RETURNING card_no", "DELETE FROM customers RETURNING card_no"),
    ],
)
def test_a_temp_table_behind_the_schema_of_the_table_shadows_nothing(
    gateway: Watching, path: str, texts: tuple[str, ...]
) -> None:
    gateway.set_for("partner", f"search_path = {path}")
    with gateway.connect("partner") as connection:
        assert not leaks(told(connection, *texts))


def test_a_temp_table_behind_the_schema_of_the_table_does_not_give_the_table_away(gateway: Watching) -> None:
    gateway.set_for("partner", "search_path = public, pg_temp")
    with gateway.connect("partner") as connection:
        assert told(connection, SHADOW, "SELECT NULL::customers::text").count("42501") == 1
        for text in (
            "TRUNCATE customers",
            "DROP TABLE customers",
            "DROP TABLE IF EXISTS customers",
            "CREATE INDEX ON customers (id)",
        ):
            assert told(connection, text).startswith("42501"), text
        assert told(connection, "TRUNCATE pg_temp.customers; DROP TABLE pg_temp.customers").startswith("TRUNCATE")


def test_a_temp_table_behind_the_schemas_is_there_by_its_own_name(gateway: Watching) -> None:
    gateway.set_for("partner", "search_path = public, pg_temp")
    with gateway.connect("partner") as connection:
        connection.execute("CREATE TEMP TABLE mine AS SELECT 1 AS a")
        assert connection.execute("SELECT a FROM mine").fetchall() == [(1,)]
        connection.execute(SHADOW)
        assert connection.execute("SELECT card_no FROM pg_temp.customers").fetchall() == []
        assert [c.name for c in connection.execute("SELECT * FROM customers").description or ()] == [
            "id", "name", "email", "phone", "seen",
        ]  # fmt: skip


def test_schemas_that_others_make_or_open_are_searched_at_once(gateway: Watching) -> None:
    """`products` is open in public; a schema before it in the path has another, which is not listed."""
    gateway.set_for("partner", "search_path = hidden, public")
    with gateway.connect("partner") as connection:
        assert told(connection, "SELECT sku FROM products") == "[]"
        gateway.as_dba("CREATE SCHEMA hidden; CREATE TABLE hidden.products AS SELECT card_no AS sku FROM customers")
        gateway.as_dba("GRANT ALL ON hidden.products TO PUBLIC")
        gateway.look()
        assert told(connection, "SELECT sku FROM products") == "[]"  # the login may not use the schema
        gateway.as_dba("GRANT USAGE ON SCHEMA hidden TO PUBLIC")
        gateway.look()
        assert told(connection, "SELECT sku FROM products").startswith("42501")
        gateway.as_dba("ALTER SCHEMA hidden RENAME TO elsewhere")
        gateway.look()
        assert told(connection, "SELECT sku FROM products") == "[]"
        gateway.as_dba(
            "ALTER SCHEMA elsewhere RENAME TO hidden; CREATE ROLE hiders; REVOKE USAGE ON SCHEMA hidden FROM PUBLIC"
        )
        gateway.look()
        assert told(connection, "SELECT sku FROM products") == "[]"
        gateway.as_dba("GRANT USAGE ON SCHEMA hidden TO hiders; GRANT hiders TO partner")
        gateway.look()
        assert told(connection, "SELECT sku FROM products").startswith("42501")
        gateway.as_dba("DROP SCHEMA hidden CASCADE; DROP ROLE hiders")


@pytest.mark.parametrize(
    "setting",
    [
        "standard_conforming_strings = off",
        "backslash_quote = on",
        "transform_null_equals = on",
        "escape_string_warning = off",
        "client_encoding = 'LATIN1'",
        "quote_all_identifiers = on",
        "role = 'partner'",
        "search_path = public, pg_catalog",
        "row_security = off",
        "xmloption = document",
    ],
)
def test_settings_of_the_login_change_nothing(gateway: Watching, setting: str) -> None:
    gateway.set_for("partner", setting)
    with gateway.connect("partner") as connection:
        for again in ("SELECT 1", "RESET ALL", "DISCARD ALL"):
            told(connection, again)
            for text in (
                r"SELECT '\', card_no FROM customers --'",
                r"SELECT 'a\'', card_no, 'b' FROM customers --'",
                r"SELECT E'\'', (SELECT max(card_no) FROM customers) --'",
                "SELECT card_no FROM customers",
                "SELECT 1 FROM customers WHERE card_no = NULL",
            ):
                assert not leaks(told(connection, text)), text
            assert "4111" not in told(connection, "SELECT 1 WHERE NULL = NULL")
            assert told(connection, "SELECT 1 WHERE NULL::int = NULL") == "[]"
            assert told(connection, r"SELECT 'a\b'") == str([("a\\b",)])


UNSETTLING = """
CREATE FUNCTION moves() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN set_config(''search_path'', ''hidden'', false); END';
CREATE FUNCTION makes() RETURNS int LANGUAGE sql AS 'CREATE TEMP TABLE IF NOT EXISTS made (id int); SELECT 1';
CREATE FUNCTION calls_moves() RETURNS text LANGUAGE sql AS 'SELECT public.moves()';
CREATE SCHEMA hidden;
CREATE TABLE hidden.products AS SELECT card_no AS sku FROM customers;
GRANT ALL ON SCHEMA hidden TO PUBLIC; GRANT ALL ON hidden.products TO PUBLIC;
"""


@pytest.mark.parametrize("call", ["moves", "calls_moves"])
def test_a_listed_function_that_changes_the_path_is_noticed(gateway: Watching, call: str) -> None:
    gateway.as_dba(UNSETTLING)
    gateway.text = gateway.text.replace("[public.tax]", "[public.tax, public.moves, public.calls_moves]")
    gateway.look()
    with gateway.connect("partner") as connection:
        assert told(connection, "SELECT sku FROM products") == "[]"
        assert told(connection, f"SELECT public.{call}(); SELECT sku FROM products").startswith("0A000")
        assert told(connection, f"SELECT public.{call}()") == str([("hidden",)])
        assert told(connection, "SELECT sku FROM products").startswith("42501")
    with gateway.connect("partner") as connection, connection.pipeline():
        connection.execute(f"SELECT public.{call}()")
        cursor = connection.execute("SELECT sku FROM products")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cursor.fetchall()


def test_set_config_of_the_path_is_noticed(gateway: Watching) -> None:
    """pg_dump and others send it; by a cursor of the protocol and in a transaction it counts as SET does."""
    gateway.as_dba(UNSETTLING)
    gateway.look()
    with gateway.connect("partner") as connection:
        assert told(connection, "SELECT sku FROM products") == "[]"
        assert told(connection, "SELECT set_config('search_path', 'hidden', false)") == str([("hidden",)])
        assert told(connection, "SELECT sku FROM products").startswith("42501")
        assert told(connection, "SELECT pg_catalog.set_config('search_path', '', false)") == str([("",)])
        assert told(connection, "SELECT sku FROM products").startswith("42P01")
        assert told(connection, "SELECT set_config('search_path', 'public', false)") == str([("public",)])
        assert told(connection, "SELECT sku FROM products") == "[]"
        with connection.transaction(force_rollback=True):
            assert told(connection, "SELECT set_config('search_path', 'hidden, public', true)") != ""
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT sku FROM products")
        assert told(connection, "SELECT sku FROM products") == "[]"
    with gateway.connect("partner") as connection, connection.pipeline():
        connection.execute("SELECT set_config('search_path', 'hidden', false)")
        cursor = connection.execute("SELECT sku FROM products")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cursor.fetchall()


def test_a_schema_that_the_login_may_not_use_does_not_count(gateway: Watching) -> None:
    """`other.customers` is open, and public.customers is not: which of them is meant depends on a right."""
    gateway.as_dba("REVOKE ALL ON SCHEMA other FROM PUBLIC")
    gateway.look()
    with gateway.connect("partner") as connection:
        assert not leaks(told(connection, f"SET search_path = other, public; {READ}"))
        assert not leaks(
            told(connection, "SET search_path = other, public; TABLE customers; SELECT customers FROM customers")
        )
        assert not leaks(told(connection, f"SET search_path = other, public; PREPARE p AS {READ}; EXECUTE p"))
        assert not leaks(told(connection, READ, "EXECUTE p"))


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_names_of_prepared_statements_are_known_in_every_encoding(gateway: Watching, encoding: str) -> None:
    """The server tells them by what they mean. Of `other`, which is open, nothing is hidden."""
    gateway.as_dba("ALTER TABLE other.customers ADD card_no text; INSERT INTO other.customers VALUES (1, 'a', 'b')")
    gateway.look()
    with gateway.connect("partner", client_encoding=encoding) as connection:
        connection.execute("SET search_path = other")
        pgconn, codec = connection.pgconn, connection.info.encoding
        names = ["é", "Ã©"]
        for name in names:
            text = f"SELECT '{name}', card_no FROM customers WHERE card_no <> ''"
            pgconn.prepare(name.encode(codec), text.encode(codec), None)
            assert connection.execute(f'EXECUTE "{name}"').fetchall() == [(name, "b")]
        connection.execute(f'PREPARE "ö" AS {READ}')
        connection.execute("SET search_path = public")
        for changed in (encoding, "LATIN1", "UTF8"):
            connection.execute(f"SET client_encoding = '{changed}'")
            codec = connection.info.encoding
            for name in (*names, "ö"):
                assert not leaks(told(connection, f'EXECUTE "{name}"'))
                assert pgconn.exec_prepared(name.encode(codec), None).error_field(psycopg.pq.DiagnosticField.SQLSTATE)
        connection.execute("SET search_path = other")
        for name in names:
            result = pgconn.exec_prepared(name.encode(codec), None)
            assert (result.get_value(0, 0) or b"").decode(codec) == name
        assert told(connection, 'DEALLOCATE "é"', 'EXECUTE "ö"', 'EXECUTE "é"').split("\n")[1:] == [
            str([("b",)]),
            '26000 prepared statement "é" does not exist',
        ]
