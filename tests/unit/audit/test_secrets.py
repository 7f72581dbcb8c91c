"""With `audit.text: full` a secret is in no record, wherever in a text it stands; and other constants are."""

from __future__ import annotations

from itertools import repeat

import pytest

from proxy.audit.record import statement_fragments
from proxy.audit.secrets import as_sent
from proxy.rewrite.plan import describe

SECRET = "marker7391"
URI = f"postgres://crm:{SECRET}@db.example.org/shop"

HOLDING = (
    # Roles and settings.
    f"ALTER ROLE crm PASSWORD '{SECRET}'",
    f"CREATE USER crm PASSWORD '{SECRET}'",
    f"ALTER SYSTEM SET ssl_passphrase_command = 'echo {SECRET}'",
    f"SET my.password = '{SECRET}'",
    f"SET LOCAL my.api_key TO {SECRET}",
    f"SELECT set_config('my.secret', '{SECRET}', false)",
    f"ALTER DATABASE shop SET my.token = {SECRET}",
    # Connection strings.
    f"SELECT dblink_connect('host=db password={SECRET}')",
    f"SELECT dblink_connect('host=db pass' || 'word={SECRET}')",
    f"SELECT * FROM dblink('{URI}', 'SELECT 1') AS t (a int)",
    f"SELECT * FROM dblink('host=db pass' || 'word={SECRET}', 'SELECT 1') AS t (a int)",
    f"SELECT open_source(E'host=db pass\\x77ord={SECRET}')",
    f"SELECT open_source(U&'host=db pass!0077ord={SECRET}' UESCAPE '!')",
    f"SELECT open_source('host=db pass'\n'word={SECRET}')",
    f"SELECT open_source('password=' || '{SECRET}')",
    f"SELECT open_source('https://api:{SECRET}@example.org')",
    f"SELECT open_source('postgresql://db/shop?user=crm&p%61ssword={SECRET}')",
    f"SELECT http_header('Authorization', 'Bearer {SECRET}')",
    f"INSERT INTO sources (name, dsn) VALUES ('crm', '{URI}')",
    # Foreign data, subscriptions, programs.
    f"CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (anything '{SECRET}')",
    f"ALTER SERVER s OPTIONS (SET anything '{SECRET}')",
    f"CREATE FOREIGN DATA WRAPPER w OPTIONS (anything '{SECRET}')",
    f"ALTER FOREIGN DATA WRAPPER w OPTIONS (ADD anything '{SECRET}')",
    f"CREATE USER MAPPING FOR crm SERVER s OPTIONS (anything '{SECRET}')",
    f"ALTER USER MAPPING FOR crm SERVER s OPTIONS (SET anything '{SECRET}')",
    f"CREATE FOREIGN TABLE t (a int) SERVER s OPTIONS (anything '{SECRET}')",
    f"CREATE FOREIGN TABLE t (a int OPTIONS (anything '{SECRET}')) SERVER s",
    f"CREATE FOREIGN TABLE t PARTITION OF u DEFAULT SERVER s OPTIONS (anything '{SECRET}')",
    f"ALTER FOREIGN TABLE t OPTIONS (SET anything '{SECRET}')",
    f"ALTER TABLE t ALTER COLUMN a OPTIONS (SET anything '{SECRET}')",
    f"IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b OPTIONS (anything '{SECRET}')",
    f"CREATE SUBSCRIPTION s CONNECTION 'host=db passfile={SECRET}' PUBLICATION p",
    f"ALTER SUBSCRIPTION s CONNECTION 'host=db {SECRET}'",
    f"COPY t FROM PROGRAM 'curl -u crm:{SECRET} https://example.org'",
    # Keys, wherever the functions stand.
    f"SELECT pgp_sym_decrypt(card, '{SECRET}') FROM customers WHERE id = 7",
    f"SELECT public.pgp_sym_encrypt_bytea('x', '{SECRET}', 'cipher-algo=aes256')",
    f"SELECT pgp_pub_decrypt(card, dearmor('{SECRET}'), '{SECRET}') FROM customers",
    f"SELECT encrypt('x', '{SECRET}', 'aes'), decrypt_iv('x', '{SECRET}', 'y', 'aes')",
    f"UPDATE customers SET email = \"encrypt\"(email::bytea, '{SECRET}', 'aes')",
    f"SELECT 1 WHERE hmac('x', '{SECRET}', 'sha256') = crypt('{SECRET}', gen_salt('bf'))",
    f"CREATE VIEW v AS SELECT hmac(email, '{SECRET}', 'sha256') FROM customers",
    f"COPY (SELECT hmac(email, '{SECRET}', 'sha256') FROM customers) TO STDOUT",
    f"PREPARE p AS SELECT hmac(email, '{SECRET}', 'sha256') FROM customers",
    f"SELECT sign('{{}}', '{SECRET}'), digest('{SECRET}', 'sha256')",
    f"SELECT set_config('app.jwt', '{SECRET}', false)",
    f"SELECT http_header('Authorization: Basic {SECRET}')",
    # Columns.
    f"UPDATE users SET password = '{SECRET}' WHERE id = 1",
    f"SELECT 1 FROM users u WHERE u.\"userPassword\" = '{SECRET}'",
    f"INSERT INTO users (name, db_pass) VALUES ('ann', '{SECRET}')",
    f"SELECT 1 FROM django_session WHERE session_key = '{SECRET}'",
    # Bodies.
    f"DO $$ BEGIN PERFORM crypt ('{SECRET}', 'x'); END $$",
    f"DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''{SECRET}'''; END $$",
    f"DO $$ BEGIN SET my.password = '{SECRET}'; END $$",
    f"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT dblink_connect('{SECRET}') $$",
    f"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT encrypt(''x'', ''{SECRET}'', ''aes'')'",
    f"CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT crypt('{SECRET}', 'x'); END",
    f"CREATE FUNCTION f() RETURNS text SET my.password = {SECRET} LANGUAGE sql RETURN 1",
    # Comments, and what is no statement.
    f"-- dblink_connect('password={SECRET}')\nSELECT 1",
    f"SELECT 1 /* was: ALTER ROLE crm PASSWORD '{SECRET}' */",
    f"SELECT 1; -- password is {SECRET}",
    f"-- {SECRET}",
    f"/* dblink_connect('password={SECRET}') */ ;",
    f"ALTER ROLE crm PASSWORD '{SECRET}",
    f"SELECT dblink_connect('password={SECRET}') AND MORE",
)


def recorded(text: str) -> str:
    return "".join(statement_fragments(describe(text.encode()), repeat(False), "v", as_sent(text)))


@pytest.mark.parametrize("text", HOLDING)
def test_a_secret_is_in_no_record(text: str) -> None:
    assert SECRET not in recorded(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT email FROM customers WHERE email = 'ann@x.org' /* page 7 */",
        "SELECT name FROM customers WHERE key = 'a' AND customer_key = 7 AND passport = 'x'",
        "CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x')",
        "SELECT * FROM people WHERE title = 'Secretary' AND mail LIKE '%ann@x.org%'",
        "SELECT 'https://example.org/a@b', md5('x'), encode('x', 'hex')",
        "SET search_path = shop",
        "DO $$ BEGIN PERFORM 1; END $$",
        "ALTER FOREIGN TABLE t ADD COLUMN a int DEFAULT 7",
    ],
)
def test_what_holds_none_is_recorded_as_it_was_sent(text: str) -> None:
    assert as_sent(text) == [text]


def test_each_statement_of_a_text_is_judged_by_itself() -> None:
    text = "SELECT 'é' ; /* b */ SELECT 'b';ALTER ROLE crm PASSWORD 'x'; SELECT 'c' -- d\n;"
    assert as_sent(text) == ["SELECT 'é'", "SELECT 'b'", None, "SELECT 'c' -- d"]
    fragments = statement_fragments(describe(text.encode()), repeat(False), "v", as_sent(text))
    assert '"statement":"ALTER ROLE crm PASSWORD $1"' in fragments[2]


def test_the_fingerprint_is_the_same_whatever_is_recorded_as_sent() -> None:
    for text in HOLDING:
        infos = describe(text.encode())
        fragments = zip(
            statement_fragments(infos, repeat(False), "v", as_sent(text)),
            statement_fragments(infos, repeat(False), "v"),
            strict=True,
        )
        for info, (one, other) in zip(infos, fragments, strict=False):
            assert f'"fingerprint":"{info.fingerprint}"' in one
            assert f'"fingerprint":"{info.fingerprint}"' in other


def test_a_text_that_is_nested_too_deeply_is_recorded_without_constants() -> None:
    assert as_sent("SELECT 'x'" + " || 'x'" * 3000) == []
