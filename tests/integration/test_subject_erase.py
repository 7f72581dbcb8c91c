"""`subject erase`: everything that the rules say goes, in one transaction, or nothing; what stays is told with its reason."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateways import COMMAND, audit_records, environment
from tests.integration.test_cli import Ended, run, run_process
from tests.servers import PgServer
from tests.websites import prepare

MARK = "zebra"  # stands in every value of customer 1's, and nowhere else
SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text NOT NULL, email varchar(80) NOT NULL UNIQUE, phone text, born date,
    country text NOT NULL DEFAULT 'DE');
CREATE TABLE orders (id bigint, customer_id int REFERENCES customers, placed timestamptz NOT NULL, note text, held boolean,
    PRIMARY KEY (id, placed)) PARTITION BY RANGE (placed);
CREATE TABLE orders_old PARTITION OF orders FOR VALUES FROM ('2000-01-01') TO ('2020-01-01');
CREATE TABLE orders_new PARTITION OF orders FOR VALUES FROM ('2020-01-01') TO ('2100-01-01');
CREATE UNIQUE INDEX ON orders_old (id);
CREATE TABLE notes (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers ON DELETE CASCADE, body text NOT NULL,
    parent int REFERENCES notes, doc jsonb);
CREATE TABLE attachments (note_id int NOT NULL REFERENCES notes, content text);
CREATE TABLE invoices (customer_id int NOT NULL REFERENCES customers, issued date NOT NULL, address text NOT NULL);
CREATE TABLE products (id int PRIMARY KEY, title text);
CREATE MATERIALIZED VIEW mailing AS SELECT id, email FROM customers;
INSERT INTO customers SELECT n, 'Name ' || n || CASE WHEN n = 1 THEN ' zebra' ELSE '' END, CASE WHEN n = 1 THEN 'zebra' ELSE 'x' || n END || '@example.org',
    CASE WHEN n = 1 THEN '+49 89 zebra' END, '1980-05-17' FROM generate_series(1, 20) n;
INSERT INTO orders SELECT n, 1 + n % 2, CASE WHEN n < 5 THEN timestamptz '2010-06-15' ELSE now() - interval '1 day' END,
    CASE WHEN n % 2 = 0 THEN 'zebra' END, n = 4 FROM generate_series(1, 10) n;
INSERT INTO notes VALUES (1, 1, 'zebra asked', NULL, '{"who": "zebra"}'), (2, 1, 'zebra again', 1, NULL), (3, 2, 'other', NULL, NULL);
INSERT INTO attachments VALUES (1, 'zebra scan'), (3, 'scan');
INSERT INTO invoices VALUES (1, current_date, 'Kept street'), (1, '2001-01-01', 'zebra street'), (2, '2001-01-01', 'street 2');
REFRESH MATERIALIZED VIEW mailing;
"""
RULES = """
version: 1
attributes: {full_name: {label: Name}, email: {label: Email}, phone: {}, born: {}, orders: {}, notes: {}, invoices: {}}
tables:
  public.customers:
    subject: id
    columns: {id: open, full_name: full_name, email: email, phone: phone, born: born, country: open}
    erase: {action: anonymise, masks: {born: {kind: truncate, to: year}}}
  public.orders:
    subject: customer_id
    columns: {id: open, customer_id: open, placed: orders, note: orders, held: open}
    erase:
      action: anonymise
      masks: {placed: keep}
      keep: [{reason: a dispute, where: held}]
  public.notes:
    subject: customer_id
    columns: {id: open, customer_id: open, body: notes, parent: open, doc: notes}
    erase: delete
  public.attachments:
    subject: {column: note_id, references: public.notes.id}
    columns: {note_id: open, content: notes}
    erase: delete
  public.invoices:
    subject: customer_id
    columns: {customer_id: open, issued: open, address: invoices}
    erase: {action: delete, keep: [{reason: "tax code, ten years", for: 10y, by: issued}]}
  public.mailing:
    subject: id
    columns: {id: open, email: email}
    erase: refresh
  public.products: open
apps:
  crm: {label: "Customer service", logins: [erase_crm]}
  mailco: {label: MailCo, logins: [erase_mailco], kind: partner}
policies:
  - {name: service, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: those who agreed, apps: [mailco], attributes: [email], action: show, consent: opt_in}
  - {name: until they object, apps: [mailco], attributes: [orders], action: show, consent: opt_out}
"""


class Shop:
    """A database of its own with the settings in a folder."""

    def __init__(self, server: PgServer, folder: Path, name: str) -> None:
        self.server, self.folder, self.name = server, folder, name
        prepare(server, folder, name, SCHEMA, RULES, ["erase_crm", "erase_mailco"])
        self.rules = folder / "rules" / "rules.yaml"

    def rows(self, query: str, *values: Any) -> list[Any]:
        with self.server.connect(self.name) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def run(self, script: str) -> None:
        self.server.run(self.name, script)

    def change_rules(self, old: str, new: str) -> None:
        text = self.rules.read_text()
        assert old in text
        self.rules.write_text(text.replace(old, new))

    def ended(self, *arguments: str) -> Ended:
        """`consentry ARGUMENTS` in this process."""
        return run(*arguments, "--config", str(self.folder / "consentry.yaml"))

    def consentry(self, *arguments: str) -> str:
        """The same, which is to end well; what it prints."""
        ended = self.ended(*arguments)
        assert ended.code == 0, ended.err
        return ended.out

    def dump(self) -> str:
        """All that the database holds, as text."""
        assert self.server.binaries is not None
        program = self.server.binaries / "pg_dump"
        done = subprocess.run([str(program), self.server.dsn(self.name)], capture_output=True, text=True, check=True)
        return re.sub(r"\\(un)?restrict \w+", "", done.stdout)  # a random word

    def data(self) -> str:
        """The same, without the log's checkpoints and receipts, which only grow, and numbers that were given out."""
        return re.sub(
            r"COPY consentry\.(checkpoints|receipts) .*?^\\\.$|^SELECT pg_catalog\.setval.*?$",
            "",
            self.dump(),
            flags=re.DOTALL | re.MULTILINE,
        )


@pytest.fixture
def shop(pg_server: PgServer, tmp_path: Path) -> Shop:
    return Shop(pg_server, tmp_path, "erasing")


def test_everything_goes_but_what_is_listed(shop: Shop) -> None:
    shop.consentry("consent", "grant", "1", "mailco", "email")
    before = shop.data()
    dry = json.loads(shop.consentry("subject", "erase", "1", "--dry-run", "--json"))
    assert shop.data() == before
    assert not audit_records(shop.folder / "audit")
    receipt = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))
    assert {key: dry[key] for key in ("tables", "consents_withdrawn")} == {
        key: receipt[key] for key in ("tables", "consents_withdrawn")
    }
    assert receipt["tables"] == [
        {"relation": "public.customers", "action": "anonymise", "rows": 1},
        {"relation": "public.orders", "action": "anonymise", "rows": 4, "kept": [{"rows": 1, "reason": "a dispute"}], "columns_kept": ["placed"]},
        {"relation": "public.notes", "action": "delete", "rows": 2},
        {"relation": "public.invoices", "action": "delete", "rows": 1, "kept": [{"rows": 1, "reason": "tax code, ten years"}]},
        {"relation": "public.attachments", "action": "delete", "rows": 1},
    ]  # fmt: skip
    assert receipt["consents_withdrawn"] == 2
    assert shop.rows("SELECT id, note FROM orders WHERE note IS NOT NULL") == [(4, MARK)], "the kept one"
    shop.run("SET session_replication_role = replica; UPDATE orders SET note = NULL WHERE held")
    assert MARK not in shop.dump()
    assert MARK not in "".join(file.read_text(errors="replace") for file in shop.folder.rglob("*") if file.is_file())
    (customer,) = shop.rows("SELECT full_name, email, phone, born::text, country FROM customers WHERE id = 1")
    assert (customer[0], customer[2:]) == ("", (None, "1980-01-01", "DE"))
    assert customer[1].startswith("erased-")
    assert (
        shop.rows(
            "SELECT count(*), count(note), max(full_name) FROM customers LEFT JOIN orders ON customer_id = customers.id WHERE customers.id = 2"
        )[0][0]
        == 5
    )
    withdrawn = shop.rows("SELECT app, attribute FROM consentry.events WHERE decision = 'withdrawn' ORDER BY attribute")
    assert withdrawn == [("mailco", "email"), ("mailco", "orders")]


def test_the_receipt_is_signed_and_names_nobody(shop: Shop) -> None:
    printed = shop.consentry("subject", "erase", "1", "--yes", "--json")
    receipt = json.loads(printed)
    assert set(receipt) >= {"receipt", "act", "at", "database", "rules", "tables", "key", "signature"}
    (record,) = [one for one in audit_records(shop.folder / "audit") if one["event"] == "subject"]
    assert (record["act"], record["receipt"], record["tables"]) == ("erase", receipt["receipt"], receipt["tables"])
    assert record["actor"].startswith("command, ")
    file = shop.folder / "receipt.json"
    file.write_text(printed)
    assert "as it was signed" in shop.consentry("subject", "verify-receipt", str(file))
    file.write_text(printed.replace('"rows": 2', '"rows": 3'))
    assert shop.ended("subject", "verify-receipt", str(file)).code == 1
    assert "whole: " in shop.consentry("audit", "verify")
    ((kept,),) = shop.rows("SELECT receipt->>'signature' FROM consentry.receipts")
    assert kept == receipt["signature"]


def test_again_it_finds_nothing_to_do(shop: Shop) -> None:
    shop.consentry("subject", "erase", "1", "--yes", "--json")
    before = shop.dump()
    again = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))
    assert "receipt" not in again
    assert all(table["rows"] == 0 for table in again["tables"])
    assert shop.dump() == before
    shop.run("INSERT INTO notes VALUES (9, 1, 'late', NULL, NULL)")
    assert json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))["receipt"]
    assert not shop.rows("SELECT FROM notes WHERE customer_id = 1")
    nobody = shop.ended("subject", "erase", "777", "--yes")
    assert (nobody.code, "nothing is left to erase" in nobody.err) == (0, True)
    assert not shop.rows("SELECT FROM consentry.events WHERE subject = 777")


@pytest.mark.parametrize(
    ("change", "script", "message"),
    [
        (("    erase: delete\n  public.attachments", "  public.attachments"), "", "public.notes: its rules have no `erase`"),
        (("{action: anonymise, masks: {born: {kind: truncate, to: year}}}", "delete"), "",
         "public.customers: 5 row(s) of public.orders refer to rows that go, and stay (constraint orders_customer_id_fkey)"),
        ((), "CREATE TABLE wishes (customer_id int REFERENCES customers, what text); INSERT INTO wishes VALUES (1, 'zebra')",
         "public.customers: 1 row(s) of public.wishes refer to its rows, and the rules do not list it"),
        ((), "ALTER TABLE customers ADD COLUMN nickname text",
         "public.customers: public.customers has columns that are not listed, and would stay: nickname"),
        ((), "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
         "CREATE TRIGGER soft BEFORE DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION again()", "public.invoices: rows are there again"),
        ((), "CREATE TABLE pins (note_id int REFERENCES notes ON DELETE CASCADE); INSERT INTO pins VALUES (1)", "1 row(s) of public.pins refer"),
        ((), "ALTER TABLE customers ADD CHECK (email LIKE '%@%')", "the database refuses it: new row for relation \"customers\" violates check constraint"),
    ],
)  # fmt: skip
def test_what_cannot_be_erased_whole_is_an_error_and_nothing_is_touched(
    shop: Shop, change: tuple[str, str], script: str, message: str
) -> None:
    if change:
        shop.change_rules(*change)
    if script:
        shop.run(script)
    before = shop.data()
    ended = shop.ended("subject", "erase", "1", "--yes")
    assert ended.code == 1
    assert message in ended.err
    assert shop.data() == before
    assert not [
        one for one in audit_records(shop.folder / "audit") if one["event"] == "subject" and not one.get("undone")
    ]


def test_check_tells_what_erase_would_refuse(shop: Shop) -> None:
    assert "cannot be erased" not in shop.ended("check").err
    shop.change_rules("    erase: delete\n  public.attachments", "  public.attachments")
    shop.run("ALTER TABLE customers ADD COLUMN nickname text")
    said = shop.ended("check").err
    assert "warning: customers cannot be erased: public.notes: its rules have no `erase`" in said
    assert (
        "warning: customers cannot be erased: public.customers: public.customers has columns that are not listed"
        in said
    )


def test_what_other_sources_say_goes_too_and_does_not_come_back(shop: Shop) -> None:
    shop.run(
        """INSERT INTO consentry.profile_records (source, key, subject, how, "values", digest, read_at) VALUES
           ('crm', 'k-1', 1, 'key', '{"email": "zebra@work.example"}', '', now()), ('crm', 'k-2', 2, 'key', '{}', '', now());
           INSERT INTO consentry.profile_keys VALUES ('crm', 'k-1', 'email', 'zebra@work.example', 'zebra@work.example')"""
    )
    # Customer 1, as somebody may write it.
    receipt = json.loads(shop.consentry("subject", "erase", "01", "--yes", "--json"))
    assert receipt["profile_rows"] == 1
    assert shop.rows("SELECT key FROM consentry.profile_records") == [("k-2",)]
    assert MARK not in "".join(line for line in shop.dump().splitlines() if "work.example" in line)
    known = "SELECT count(*) FROM consentry.profile_tombstones WHERE hash = consentry.profile_tombstone(%s, %s, %s)"
    for one in (("subject", "", "1"), ("record", "crm", "k-1"), ("email", "", "zebra@work.example")):
        assert shop.rows(known, *one) == [(1,)]


def test_an_erased_customer_is_not_corrected_and_stays_restricted(shop: Shop) -> None:
    """Rows are anonymised or kept under the key: apps must not see them again, nor a name come back into them."""
    shop.change_rules("apps:\n", "rights: {restriction: enforced}\napps:\n")
    shop.consentry("subject", "restrict", "1")
    dry = shop.ended("subject", "erase", "1", "--dry-run")
    assert "restriction stays: apps would see rows" in dry.err
    receipt = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))
    assert [one["what"] for one in receipt["also_kept"]] == ["restriction"]
    assert shop.rows("SELECT subject FROM consentry.restrictions") == [(1,)]
    for arguments in (("--dry-run",), ()):
        refused = shop.ended("subject", "rectify", "01", "full_name", "Back again", *arguments)
        assert (refused.code, "customer 1 was erased" in refused.err) == (1, True), refused.err
    assert shop.rows("SELECT full_name FROM customers WHERE id = 1") == [("",)]
    shop.consentry("subject", "restrict", "1", "--lift")
    assert not shop.rows("SELECT FROM consentry.restrictions")


def test_it_asks(shop: Shop) -> None:
    before = shop.dump()
    ended = run_process(shop.folder, "subject", "erase", "1")  # no answer is on standard input
    assert ended.code == 1
    assert "public.notes: 2 row(s) would be deleted" in ended.err
    assert "public.invoices: 1 row(s) stay: tax code, ten years" in ended.err
    assert shop.dump() == before


def test_with_consentrys_own_login_and_the_printed_grants(shop: Shop, pg_server: PgServer) -> None:
    pg_server.create_login("consentry", group="auth_trust")
    own = pg_server.dsn(shop.name, "consentry")
    shop.consentry("consent", "setup", "--apply")
    ended = shop.ended("subject", "erase", "1", "--yes", "--dsn", own)
    assert (ended.code, "consent setup --erasure" in ended.err) == (1, True)
    shop.consentry("consent", "setup", "--apply", "--erasure")
    if pg_server.version < 170000:
        shop.change_rules("erase: refresh", "erase: {keep: [{reason: made anew each night}]}")
    receipt = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json", "--dsn", own))
    assert receipt["tables"][0]["rows"] == 1
    assert not shop.rows("SELECT has_table_privilege('consentry', 'customers', 'DELETE')")[0][0]


def test_writers_meanwhile(shop: Shop) -> None:
    """Who holds a row is waited for; who writes new rows waits, and their rows do not slip through."""
    other = psycopg.connect(shop.server.dsn(shop.name))
    other.execute("UPDATE notes SET body = 'zebra changed' WHERE id = 2")
    ended: list[Any] = []
    worker = threading.Thread(
        target=lambda: ended.append(run_process(shop.folder, "subject", "erase", "1", "--yes", "--json"))
    )
    worker.start()
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'erasing'"
    deadline = time.monotonic() + 30
    while not shop.rows(waiting):
        assert time.monotonic() < deadline, "it waits for the row that is locked"
        time.sleep(0.01)
    with psycopg.connect(shop.server.dsn(shop.name), autocommit=True) as late:
        late.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            late.execute("INSERT INTO notes VALUES (50, 1, 'zebra late', NULL, NULL)")
    other.commit()
    other.close()
    worker.join()
    assert ended[0].code == 0, ended[0].err
    assert not shop.rows("SELECT FROM notes WHERE customer_id = 1")


def test_killed_in_the_middle_all_or_nothing(shop: Shop) -> None:
    """kill -9 while its statements are under way: the database is as before, and a second try does all of it."""
    shop.run("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN OLD; END';"
             "CREATE TRIGGER slow BEFORE DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION slow()")  # fmt: skip
    before = shop.data()
    process = subprocess.Popen(
        [*COMMAND, "subject", "erase", "1", "--yes"],
        cwd=shop.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'erasing'"
    deadline = time.monotonic() + 30
    while not shop.rows(asleep):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    shop.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = 'erasing'"
    )
    while shop.rows(asleep):
        time.sleep(0.01)
    shop.run("ALTER TABLE invoices DISABLE TRIGGER slow")
    assert shop.data().replace("DISABLE TRIGGER slow", "").count("zebra") == before.count("zebra")
    assert json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))["receipt"]


def test_find(shop: Shop) -> None:
    shop.run(
        "UPDATE customers SET phone = '089 5550101' WHERE id = 3; UPDATE customers SET full_name = 'Ångström, Åsa' WHERE id = 4"
    )

    def found(text: str) -> list[tuple[str, str, str]]:
        printed = json.loads(shop.consentry("subject", "find", text, "--json"))
        return [(one["subject"], f"{one['relation']}.{one['column']}", one["how"]) for one in printed]

    assert found("zebra@example.org") == [
        ("1", "public.customers.email", "exact"),
        ("1", "public.mailing.email", "exact"),
    ]
    assert found(" ZEBRA@Example.org ")[0] == ("1", "public.customers.email", "same")
    assert found("zebra@")[0] == ("1", "public.customers.email", "begins")
    assert found("+49 (89) 555-0101") == [("3", "public.customers.phone", "same")]
    assert found("ångström") == [("4", "public.customers.full_name", "begins")]
    assert ("1", "public.attachments.content", "begins") in found("zebra s")
    assert found("17")[0] == ("17", "public.customers.id", "exact")
    assert shop.ended("subject", "find", "nobody at all").code == 1
    assert shop.ended("subject", "find", "x'; DROP TABLE customers --").code == 1
    records = [one for one in audit_records(shop.folder / "audit") if one.get("act") == "find"]
    assert [one["customers"] for one in records] == [1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert all(one["actor"].startswith("command, ") and one["database"] for one in records)
    assert "zebra" not in str(records)


EXAMPLES = {  # what a customer of each example loses, and what stays
    "shop": ("1", {"public.customers": 1, "public.addresses": 1, "public.support_notes": 1},
             {"public.orders": 2, "public.order_items": 3}),
    "clinic": ("11111111-1111-4111-8111-111111111111", {}, {}),
    "bank": ("K-10003", {"web.sessions": 1}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_erase(pg_server: PgServer, tmp_path: Path, name: str) -> None:
    folder = Path(__file__).parents[2] / "rules" / name
    prepare(
        pg_server,
        tmp_path,
        f"erasing_{name}",
        (folder / "schema.sql").read_text(),
        (folder / f"{name}.yaml").read_text(),
        [],
    )
    subject, goes, stays = EXAMPLES[name]
    ended = run("subject", "erase", subject, "--yes", "--json", "--config", str(tmp_path / "consentry.yaml"))
    assert ended.code == 0, ended.err
    tables = {one["relation"]: one for one in ended.json["tables"]}
    assert {relation: tables[relation]["rows"] for relation in goes} == goes
    assert {relation: sum(one["rows"] for one in tables[relation]["kept"]) for relation in stays} == stays
    assert "core.suspicions" not in ended.out, "the law forbids to tell of it"


def test_consent_in_a_table_of_the_databases_own(shop: Shop) -> None:
    """It is written as the rules say; a table that they do not say how to erase is told of."""
    shop.run(
        "CREATE TABLE choices (who int, app text, what text, yes bool); INSERT INTO choices VALUES (1, 'mailco', 'email', true)"
    )
    store = (
        "consent: {store: {table: public.choices, subject: who, app: app, attribute: what, granted: 'yes', "
        "write: {granted: {'yes': 'true'}, withdrawn: {'yes': 'false'}}}}\napps:\n"
    )
    shop.change_rules("apps:\n", store)
    receipt = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))
    assert [one["what"] for one in receipt["also_kept"]] == ["public.choices"]
    assert shop.rows("SELECT what, yes FROM choices ORDER BY what") == [("email", False), ("orders", False)]
    listed = (
        "  public.choices: {subject: who, columns: {who: open, app: open, what: open, 'yes': open}, erase: delete}\n"
    )
    shop.change_rules("  public.products: open", listed + "  public.products: open")
    again = json.loads(shop.consentry("subject", "erase", "1", "--yes", "--json"))
    assert again["also_kept"] == []
    assert shop.rows("SELECT FROM choices") == []
