"""Customers whom only other sources know have a row in the profile, for apps that may know of them, until somebody
erases or restricts them; nobody is there twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.gateways import GatewayProcess, eventually, set_up_consent, write_settings
from tests.integration.test_cli import run
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name varchar(40) NOT NULL, email text, street text, own boolean);
CREATE TABLE orders (customer_id int, placed date NOT NULL);
INSERT INTO customers VALUES (1, 'Ann', 'ann@example.org', 'Oak 1', true), (2, 'Bob', 'bob@example.org', 'Elm 2', false),
    (3, 'Cid', NULL, NULL, NULL);
INSERT INTO orders VALUES (1, '2026-01-01'), (500, '2026-02-02'), (501, '2026-03-03');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """version: 1
attributes: {key: {}, name: {}, email: {}, address: {}, visits: {}, flag: {}, city: {}, size: {}}
tables:
  public.customers:
    subject: id
    erase: delete
    columns: {id: key, name: name, email: email, street: address, own: flag}
  public.orders: {subject: customer_id, erase: delete, columns: {customer_id: key, placed: visits}}
apps:
  oall: {logins: [oall]}
  olaw: {logins: [olaw]}
  omail: {logins: [omail], kind: partner}
  oagree: {logins: [oagree]}
  orows: {logins: [orows]}
  ocode: {logins: [ocode]}
  oown: {logins: [oown]}
  odba: {logins: [odba], trusted: true}
  owatch: {logins: [owatch], mode: monitor}
policies:
  - {name: own data only, apps: [oown], attributes: [key, address, visits], action: show}
  - {name: by the law, apps: [olaw], attributes: all, action: show, basis: legal_obligation}
  - {name: initials, apps: [omail], attributes: [name], action: mask, mask: {kind: first, characters: 1}}
  - {name: cities by consent, apps: [omail], attributes: [city], action: show, consent: opt_in}
  - {name: addresses are not, apps: [omail], attributes: [address], action: drop}
  - {name: sizes are not touched, apps: [omail], attributes: [size], action: deny}
  - {name: a code, apps: [ocode], attributes: [key], action: mask, mask: {kind: pseudonym}}
  - {name: the rest, attributes: all, except_apps: [oown], action: show}
  - {name: who agreed, apps: [oagree], tables: [public.customers], rows: {consent: [email]}}
  - {name: some, apps: [orows], tables: [public.customers], rows: {where: "id < 1000"}}
rights: {restriction: enforced}
sources:
  members: {records: members, subject: customer, key: number, fields: {size: size}}
  crm: {records: crm, key: account, match: {email: mail, unmatched: new}, fields: {mail: email, name: name, town: city}}
profile:
  subject: public.customers.id
  columns:
    name: [public.customers.name, sources]
    email: [public.customers.email, sources]
    address: {from: public.customers, columns: [street]}
  lists:
    visits: {from: public.orders, columns: [placed], order_by: placed}
"""
MEMBERS = [(1, 1, "S"), (2, 500, "M"), (3, 501, "L"), (4, 99_999_999_999, "XL")]
CRM = [("a", "ann@example.org", "Anna", "Jena"), ("n", "nora@example.org", "Nora", "Ulm"), ("o", "olga@example.org", "Olga", "Bonn")]  # fmt: skip
APPS = ("oall", "olaw", "omail", "oagree", "orows", "ocode", "oown", "odba", "owatch")


class Shop:
    """A gateway with its web side, the files of two sources, and who the sources' customers are: `keys`, by name."""

    def __init__(self, server: PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        server.create_database("others", SCHEMA)
        for login in ("consentry", *APPS):
            server.create_login(login, group="auth_trust")
        self.write(CRM)
        sources = {"members": {"kind": "jsonl", "path": "members.jsonl"}, "crm": {"kind": "jsonl", "path": "crm.jsonl"}}
        upstream = f"postgresql://{server.host}:{server.port}/others"
        settings: dict[str, Any] = {
            "databases": {"others": {"upstream": upstream, "rules": "rules/", "sources": sources}}
        }
        write_settings(server, folder, RULES, {}, settings)
        set_up_consent(folder, "others")
        for login in APPS:
            server.run("others", f'GRANT "{login}" TO consentry')
        server.run(
            "others", "GRANT USAGE ON SCHEMA consentry TO odba; GRANT SELECT ON ALL TABLES IN SCHEMA consentry TO odba"
        )
        settings |= {"web": {"listen": "127.0.0.1:0"}, "control": {"dsn": server.dsn("others", "consentry")}}
        write_settings(server, folder, RULES, {}, settings)
        self.sync()
        names = "SELECT values ->> 'name', subject FROM consentry.profile_records WHERE how = 'new'"
        with server.connect("others") as connection:
            self.keys: dict[str, int] = dict(connection.execute(names).fetchall())
        self.tokens = {
            login: json.loads(self.command("token", "add", login, "--login", login, "--json"))["secret"]
            for login in ("oall", "olaw", "omail", "orows")
        }
        self.gateway = GatewayProcess(folder)
        self.base = f"http://127.0.0.1:{self.gateway.web_port()}"

    def write(self, crm: list[tuple[str, str, str, str]]) -> None:
        members = [dict(zip(("number", "customer", "size"), one, strict=True)) for one in MEMBERS]
        people = [dict(zip(("account", "mail", "name", "town"), one, strict=True)) for one in crm]
        (self.folder / "members.jsonl").write_text("".join(json.dumps(one) + "\n" for one in members))
        (self.folder / "crm.jsonl").write_text("".join(json.dumps(one) + "\n" for one in people))

    def command(self, *arguments: str) -> str:
        """`consentry ARGUMENTS`, in this process: standard output."""
        ended = run(*arguments[:2], "--config", str(self.folder / "consentry.yaml"), *arguments[2:])
        assert ended.code == 0, ended.err
        return ended.out

    def sync(self) -> None:
        self.command("profile", "sync")

    def sql(self, login: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.gateway.dsn(login, "others"), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def run(self, query: str) -> None:
        self.server.run("others", query)

    def get(self, login: str, path: str = "", **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[login]}"}
        return httpx.get(f"{self.base}/api/profiles{path}", params=query, headers=headers, timeout=30)

    def seen(self, login: str) -> set[int]:
        """The keys that the app has; each once."""
        keys = [key for (key,) in self.sql(login, "SELECT subject FROM consentry.profile")]
        assert len(keys) == len(set(keys))
        return set(keys)


@pytest.fixture(scope="module")
def shop(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    found = Shop(pg_server, tmp_path_factory.mktemp("others"))
    try:
        yield found
    finally:
        found.gateway.stop()


OWN = {1, 2, 3}


def test_who_is_there_for_whom(shop: Shop) -> None:
    nora, olga = shop.keys["Nora"], shop.keys["Olga"]
    assert nora < 0
    everybody = OWN | {500, 501, nora, olga}
    for login in ("oall", "olaw", "omail", "odba", "owatch"):
        assert shop.seen(login) == everybody, login
    for login in ("orows", "oown"):  # a row policy that asks more than the key; nothing of what sources say
        assert shop.seen(login) == OWN, login
    assert len(shop.sql("ocode", "SELECT name FROM consentry.profile")) == len(OWN)  # keys that it does not have
    with shop.server.connect("others") as connection:
        assert connection.execute("SELECT count(*) FROM consentry.profile").fetchone() == (len(everybody),)


def test_what_is_known_of_them(shop: Shop) -> None:
    nora = shop.keys["Nora"]
    columns = "name, email, address, visits::text, flag, city, size"
    for login in ("oall", "odba", "owatch"):
        rows = {row[0]: row[1:] for row in shop.sql(login, f"SELECT subject, {columns} FROM consentry.profile")}
        assert rows[nora] == ("Nora", "nora@example.org", None, "[]", None, "Ulm", None)
        assert rows[500] == (None, None, None, '[{"placed": "2026-02-02"}]', None, None, "M")
        assert rows[1] == (
            "Ann",
            "ann@example.org",
            {"street": "Oak 1"},
            '[{"placed": "2026-01-01"}]',
            True,
            "Jena",
            "S",
        )
        assert rows[3] == ("Cid", None, {"street": None}, "[]", None, None, None)
    (row,) = shop.sql("omail", f"SELECT name, city FROM consentry.profile WHERE subject = {nora}")
    assert row == ("N", None)
    shop.command("consent", "grant", "--", str(nora), "omail", "city")
    try:
        assert shop.sql("omail", "SELECT name, city FROM consentry.profile WHERE city = 'Ulm'") == [("N", "Ulm")]
    finally:
        shop.command("consent", "withdraw", "--", str(nora), "omail", "city")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        shop.sql("omail", "SELECT address FROM consentry.profile")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        shop.sql("omail", "SELECT size FROM consentry.profile")
    for text in ("profile_others", "profile_customers"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            shop.sql("oall", f"SELECT * FROM consentry.{text}")


def test_the_catalogs_say_what_they_said(shop: Shop) -> None:
    query = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
               WHERE attrelid = 'consentry.profile'::regclass AND attnum > 0 ORDER BY attnum"""
    every = dict(shop.sql("oall", query))
    assert every["subject"] == "integer"
    assert list(every) == ["subject", "name", "email", "address", "visits", "flag", "city", "size"]
    assert "address" not in dict(shop.sql("omail", query))


def test_check_has_nothing_to_say(shop: Shop) -> None:
    ended = run("check", "--config", str(shop.folder / "consentry.yaml"))
    assert ended.code == 0, ended.err
    assert "profile" not in ended.out + ended.err
    assert "customers are known from sources, 4 of them from nowhere else" in shop.command("profile", "status")


def test_consent_in_rows_counts_for_them_too(shop: Shop) -> None:
    olga = shop.keys["Olga"]
    assert shop.seen("oagree") == set()
    for subject in (1, olga):
        shop.command("consent", "grant", "--", str(subject), "oagree", "email")
    try:
        assert shop.seen("oagree") == {1, olga}
        assert shop.sql("oagree", "SELECT name FROM consentry.profile WHERE name ILIKE '%a' ORDER BY 1") == [("Olga",)]
    finally:
        for subject in (1, olga):
            shop.command("consent", "withdraw", "--", str(subject), "oagree", "email")


def test_who_came_into_the_table_is_not_there_twice(shop: Shop) -> None:
    """Before a sync, and after one; and who has gone from it is known from sources only."""
    before = {login: shop.seen(login) for login in APPS if login != "ocode"}
    shop.run("INSERT INTO customers VALUES (500, 'Eva', 'eva@example.org')")
    try:
        for _ in range(2):
            for login, keys in before.items():
                hidden = {500} if login == "oagree" else set()
                assert shop.seen(login) == keys | {500} - hidden, login
            assert shop.sql("oall", "SELECT name, size FROM consentry.profile WHERE subject = 500") == [("Eva", "M")]
            shop.sync()
    finally:
        shop.run("DELETE FROM customers WHERE id = 500")
    assert 500 not in shop.seen("oall")
    shop.sync()
    assert shop.seen("oall") == before["oall"]


def test_restricted_customers_are_hidden_whoever_knows_them(shop: Shop) -> None:
    nora = shop.keys["Nora"]
    asked = [
        "SELECT count(*), max(name), max(city) FROM consentry.profile",
        f"SELECT * FROM consentry.profile WHERE subject = {nora}",
        "SELECT subject FROM consentry.profile WHERE name ILIKE 'n%'",
        f"SELECT subject FROM consentry.profile WHERE 1 / (subject - ({nora})) > -9",
        f"SELECT count(*) FROM consentry.profile WHERE subject <= {nora}",
    ]
    everybody = shop.seen("oall")
    shop.command("subject", "restrict", "--", str(nora))
    try:
        for login in ("oall", "omail"):
            assert shop.seen(login) == everybody - {nora}
        assert shop.seen("olaw") == everybody
        answers = {login: [shop.sql(login, text) for text in asked] for login in ("oall",)}
        shop.write([(*one[:2], "Zoe", "Zug") if one[0] == "n" else one for one in CRM])
        shop.sync()
        assert {login: [shop.sql(login, text) for text in asked] for login in answers} == answers  # the twin's
        assert shop.get("oall", f"/{nora}").status_code == 404
        assert shop.get("olaw", f"/{nora}").json()["name"] == "Zoe"
    finally:
        shop.command("subject", "restrict", "--lift", "--", str(nora))
        shop.write(CRM)
        shop.sync()
    assert shop.seen("oall") == everybody


def test_pages_over_http(shop: Shop) -> None:
    everybody = sorted(shop.seen("oall"))
    found: list[int] = []
    after: dict[str, str] = {}
    while True:
        page = shop.get("oall", limit=2, fields="subject,name", **after).json()
        found += [one["subject"] for one in page["profiles"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == everybody
    nora = shop.keys["Nora"]
    assert shop.get("oall", f"/{nora}").json()["city"] == "Ulm"
    assert [
        one["subject"] for one in shop.get("omail", **{"filter[email]": "nora@example.org"}).json()["profiles"]
    ] == [nora]
    assert shop.get("orows", f"/{nora}").status_code == 404


def test_a_cursor(shop: Shop) -> None:
    with psycopg.connect(shop.gateway.dsn("oall", "others")) as connection, connection.cursor("pages") as cursor:
        cursor.itersize = 2
        cursor.execute("SELECT subject FROM consentry.profile ORDER BY subject")
        assert [key for (key,) in cursor] == sorted(shop.seen("oall"))


def test_row_security_of_the_database_leaves_them_out(shop: Shop) -> None:
    everybody = shop.seen("oall")
    shop.run("ALTER TABLE customers ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON customers USING (id < 3)")
    try:
        shop.gateway.reload()
        assert shop.seen("oall") == {1, 2}
    finally:
        shop.run("DROP POLICY few ON customers; ALTER TABLE customers DISABLE ROW LEVEL SECURITY")
        shop.gateway.reload()
    assert shop.seen("oall") == everybody


def test_records_say_which_table_it_is(shop: Shop) -> None:
    nora = shop.keys["Nora"]
    shop.sql("oall", f"SELECT address AS found FROM consentry.profile WHERE subject = {nora}")

    def found() -> list[Any]:
        return [one for one in shop.gateway.records("statement") if "AS found" in one["statement"]]

    eventually(found)
    disclosed = {(one["relation"], one["column"]) for one in found()[0]["disclosed"]}
    assert disclosed == {("public.customers", "id"), ("public.customers", "street")}


def test_who_is_erased_is_gone(shop: Shop) -> None:
    olga = shop.keys["Olga"]
    found = json.loads(shop.command("subject", "find", "OLGA@example.org", "--json"))
    assert {one["subject"] for one in found} == {str(olga)}
    exported = shop.command("subject", "export", "--", str(olga))
    assert "olga@example.org" in exported
    shop.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO consentry")
    shop.command("subject", "erase", "--yes", "--", str(olga))
    shop.sync()
    for login in ("oall", "olaw", "odba"):
        assert olga not in shop.seen(login)
    with shop.server.connect("others") as connection:
        for table in ("profile_others", "profile_data", "profile_records", "profile_keys"):
            rows = connection.execute(f"SELECT * FROM consentry.{table}").fetchall()  # type: ignore[call-overload]
            assert "olga" not in str(rows).lower()
            assert str(olga) not in str(rows)
