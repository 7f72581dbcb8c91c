"""`retention run`: what is past goes, by batches, with a record of each; what is held or referred to stays, and is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import audit_records
from tests.integration.test_cli import Ended, run
from tests.servers import PgServer
from tests.websites import prepare

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text NOT NULL, seen timestamptz);
CREATE TABLE orders (id int, customer_id int REFERENCES customers, placed timestamptz, note text, token uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    disputed boolean, PRIMARY KEY (id)) ;
CREATE TABLE items (order_id int NOT NULL REFERENCES orders, what text);
CREATE TABLE stock (order_id int REFERENCES orders);
CREATE TABLE calls (customer_id int, at date, words text, place text) PARTITION BY RANGE (at);
CREATE TABLE calls_a PARTITION OF calls FOR VALUES FROM ('2000-01-01') TO ('2010-01-01');
CREATE TABLE calls_b PARTITION OF calls FOR VALUES FROM ('2010-01-01') TO ('2100-01-01');
INSERT INTO customers SELECT n, 'Name ' || n, now() - CASE n WHEN 9 THEN interval '6 years' WHEN 8 THEN interval '7 years' ELSE interval '1 day' END
    FROM generate_series(1, 9) n;
INSERT INTO orders SELECT n, 1 + n % 3, CASE WHEN n = 50 THEN NULL ELSE now() - n * interval '1 month' END, 'note ' || n, gen_random_uuid(), n = 40
    FROM generate_series(1, 50) n;
INSERT INTO orders VALUES (60, 8, now(), 'of a customer who is past', gen_random_uuid(), NULL);
INSERT INTO items SELECT id, 'thing ' || id FROM orders;
INSERT INTO stock VALUES (45);
INSERT INTO calls SELECT 1 + n % 3, date '2005-01-01' + n, 'words ' || n, 'place ' || n FROM generate_series(1, 20) n;
INSERT INTO calls VALUES (1, current_date, 'new words', 'new place');
"""
RULES = """
version: 1
attributes: {full_name: {}, orders: {}, words: {}, place: {}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name, seen: open}, erase: delete}
  public.orders:
    subject: customer_id
    columns: {id: open, customer_id: open, placed: open, note: orders, token: orders, disputed: open}
    erase: {action: delete, keep: [{reason: a dispute, where: disputed}]}
  public.items:
    subject: {column: order_id, references: public.orders.id}
    columns: {order_id: open, what: orders}
    erase: delete
  public.calls:
    subject: customer_id
    columns: {customer_id: open, at: open, words: words, place: place}
    erase: delete
  public.stock: open
apps: {crm: {logins: [keep_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
retention:
  public.orders: {for: 3y, by: placed}
  words: {for: 24mo, by: at}
  public.customers: {for: 5y, by: seen}
"""


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keeping")
    prepare(pg_server, folder, "keeping", SCHEMA, RULES, ["keep_crm"], {})
    return folder


def ended(folder: Path, *arguments: str) -> Ended:
    return run("retention", "run", *arguments, "--json", "--config", str(folder / "consentry.yaml"))


def rows(pg_server: PgServer, query: str) -> list[Any]:
    with pg_server.connect("keeping") as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("retention:", "retention:\n  nothing: {for: 1y, by: at}", 'attribute "nothing" is not defined'),
        ("public.orders: {for", "public.order: {for", 'table with columns "public.order" is not defined (did you mean "public.orders"?)'),
        ("for: 3y, by: placed", "for: 3 fortnights, by: placed", 'a period such as 30d, 4w, 18mo or 10y is expected, not "3 fortnights"'),
        ("for: 3y, by: placed", "for: 3y, by: plced", 'by: column "plced" is not in public.orders (did you mean "placed"?)'),
        ("for: 3y, by: placed", "for: 3y, by: note", "by: note is of type text, not a date or a time"),
        ("for: 3y, by: placed", "for: 3y", "`by` is missing"),
        ("erase: {action: delete, keep: [{reason: a dispute, where: disputed}]}", "erase: {keep: [{reason: all}]}",
         "public.orders: its `erase` says neither delete nor anonymise"),
        ("erase: {action: delete, keep: [{reason: a dispute, where: disputed}]}", "erase: {action: delete, keep: [{reason: x, for: 1y}]}",
         "`for` and `by` belong together"),
        ("where: disputed}]}", "where: disputed}], masks: {note: redact}}", "masks: they belong to `action: anonymise`"),
        ("erase: delete\n  public.calls", "erase: {action: anonymise, masks: {what: {kind: hash}}}\n  public.calls",
         "masks: a hash still names the customer to whoever has the key"),
        ("erase: delete\n  public.calls", "erase: delte\n  public.calls", '"delte" is not one of delete, anonymise, refresh (did you mean "delete"?)'),
    ],
)  # fmt: skip
def test_rules_that_are_wrong(folder: Path, old: str, new: str, message: str) -> None:
    rules = folder / "rules" / "rules.yaml"
    assert old in RULES
    rules.write_text(RULES.replace(old, new, 1))
    done = ended(folder)
    rules.write_text(RULES)
    assert (done.code, message in done.err) == (1, True), done.err


STATE = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM items), (SELECT count(words) FROM calls), (SELECT count(*) FROM customers)"


def test_what_is_past_goes_and_the_rest_stays(folder: Path, pg_server: PgServer) -> None:
    before = rows(pg_server, STATE)
    dried = ended(folder, "--dry-run")
    dry = dried.json
    assert dried.code == 1
    ((foreseen, count),) = dry[0]["left"].items()  # order 45 cannot go
    assert (dry[1]["left"], dry[2]["left"], count) == ({}, {}, 1)
    went = {"public.orders": 13, "public.items": 13}
    gone = {"public.customers": 2, "public.orders": 1, "public.items": 1, "public.calls": 0}
    assert [one["rows"] for one in dry] == [went, gone, {"public.calls": 20}]
    assert (rows(pg_server, STATE), audit_records(folder / "audit")) == (before, [])
    done = ended(folder, "--batch", "5")
    assert done.code == 1, "order 45 cannot go"
    orders, customers, words = done.json
    assert orders["rows"] == {"public.orders": 12, "public.items": 12}
    ((reason, count),) = orders["left"].items()
    assert (count, "1 row(s) of public.stock refer to rows that go, and stay" in reason) == (1, True)
    assert foreseen == reason
    assert (words["rows"], words["left"]) == ({"public.calls": 20}, {})
    assert customers["rows"] == {"public.customers": 2, "public.orders": 1, "public.items": 1, "public.calls": 0}
    assert rows(pg_server, "SELECT id FROM orders WHERE id > 35 ORDER BY 1") == [(35 + 1,)] * 0 + [(40,), (45,), (50,)]
    assert rows(pg_server, "SELECT words, place IS NOT NULL FROM calls WHERE words IS NOT NULL") == [
        ("new words", True)
    ]
    assert rows(pg_server, "SELECT count(*) FROM calls WHERE place IS NULL") == [(0,)]
    assert rows(pg_server, "SELECT max(id) FROM customers") == [(7,)]
    records = [one for one in audit_records(folder / "audit") if one["event"] == "subject"]
    acts = [one["act"] for one in records]
    assert acts == [
        *["retention"] * (acts.index("erase")),
        "erase",
        "erase",
        *["retention"] * (acts[::-1].index("erase")),
    ]
    went = sum(table["rows"] for one in records for table in one["tables"] if table["relation"] == "public.calls")
    assert went == 20
    assert "Name" not in json.dumps(records)
    assert "whole: " in run("audit", "verify", "--config", str(folder / "consentry.yaml")).out
    again = ended(folder).json
    assert [sum(one["rows"].values()) for one in again] == [0, 0, 0]


PETS = """
CREATE TABLE owners (id int PRIMARY KEY, full_name text);
CREATE TABLE pets (id int PRIMARY KEY, owner_id int, name text, kind text, born date, seen date);
CREATE TABLE visits (pet_id int, at date, what text);
INSERT INTO owners VALUES (1, 'Ann');
INSERT INTO pets SELECT n, 1, 'pet ' || n, 'kind ' || n, now() - n * interval '1 year', now() - n * interval '1 year' FROM generate_series(0, 9) n;
INSERT INTO visits SELECT n, now() - n * interval '1 year', 'what' FROM generate_series(0, 9) n;
"""
PETS_RULES = """
version: 1
attributes: {full_name: {}, pets: {}, kinds: {}, visits: {}}
tables:
  public.owners: {subject: id, columns: {id: open, full_name: full_name}, erase: delete}
  public.pets:
    subject: owner_id
    columns: {id: open, owner_id: open, name: pets, kind: kinds, born: pets, seen: kinds}
    erase: delete
  public.visits:
    subject: {column: pet_id, references: public.pets.id}
    columns: {pet_id: open, at: open, what: visits}
    erase: delete
apps: {vet: {logins: [pets_vet]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
retention:
"""


@pytest.fixture(scope="module")
def pets(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pets")
    prepare(pg_server, folder, "pets", PETS, PETS_RULES + "  pets: {for: 9y, by: seen}\n", ["pets_vet"], {})
    return folder


def kept_by(folder: Path, *entries: str) -> None:
    (folder / "rules" / "rules.yaml").write_text(PETS_RULES + "".join(f"  {entry}\n" for entry in entries))


LATER = "which counts by that, is past (5 years), and then never is: give born an attribute of its own"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["pets: {for: 1y, by: born}", "public.pets: {for: 5y, by: born}"],
         f"it would empty public.pets.born before public.pets, {LATER}"),
        (["pets: {for: 1y, by: seen}", "public.visits: {for: 5y, by: public.pets.born}"], f"before public.visits, {LATER}"),
        (["pets: {for: 1y, by: born}", "kinds: {for: 5y, by: born}"], f"before kinds, {LATER}"),
        (["pets: {for: 1700d, by: born}", "public.pets: {for: 5y, by: born}"], f"before public.pets, {LATER}"),
        (["pets: {for: 1y, by: seen}", "kinds: {for: 12mo, by: born}"],
         "pets, kinds empty the columns that they count by of each other"),
    ],
)  # fmt: skip
def test_no_rule_takes_the_date_of_another_one_away(pets: Path, entries: list[str], message: str) -> None:
    kept_by(pets, *entries)
    for done in (ended(pets), run("check", "--config", str(pets / "consentry.yaml"))):
        assert (done.code, message in done.err, "rules.yaml:" in done.err) == (1, True, True), done.err


@pytest.mark.parametrize(
    ("erase", "wrong"),
    [
        ("action: anonymise", True),
        ("action: anonymise, keep: [{reason: young, for: 9y, by: born}]", True),
        ("action: anonymise, keep: [{reason: dear, where: kind = 'cat'}]", True),
        ("action: anonymise, keep: [{reason: young, for: 10y, by: born}]", False),
        ("action: anonymise, masks: {born: keep}", False),
        ("action: delete", False),
    ],
)
def test_erasing_takes_no_date_by_which_other_rows_are_kept(pets: Path, erase: str, wrong: bool) -> None:
    before = PETS_RULES.partition("retention:")[0]
    assert before.count("    erase: delete\n") == 2
    pets_go, visits_go = (
        f"    erase: {{{erase}}}\n",
        "    erase: {action: delete, keep: [{reason: tax, for: 10y, by: public.pets.born}]}\n",
    )
    rules = before.replace("    erase: delete\n", pets_go, 1).replace("    erase: delete\n", visits_go, 1)
    (pets / "rules" / "rules.yaml").write_text(rules)
    done = run("check", "--config", str(pets / "consentry.yaml"))
    said = 'it would empty public.pets.born, by which public.visits keeps rows ("tax")'
    assert (said in done.out + done.err) == wrong, done.out + done.err


@pytest.mark.parametrize(
    ("entries", "went"),
    [
        # Rows first, whatever comes first in the rules; the date of a row that is to go goes with the row.
        (["pets: {for: 6y, by: born}", "public.pets: {for: 5y, by: born}"],
         [("public.pets", {"public.pets": 5, "public.visits": 5}), ("public.pets: pets", {"public.pets": 0})]),
        # Who empties the date comes last; what is the same for both is told once.
        (["pets: {for: 4y, by: born}", "kinds: {for: 3y, by: born}"],
         [("public.pets: kinds", {"public.pets": 2}), ("public.pets: pets", {"public.pets": 1})]),
        (["visits: {for: 2y, by: at}", "public.owners: {for: 1y, by: since}"],
         [("public.owners", {"public.owners": 1, "public.pets": 5, "public.visits": 5}), ("public.visits: visits", {"public.visits": 0})]),
    ],
)  # fmt: skip
def test_the_dry_run_tells_what_the_run_does(
    pets: Path, pg_server: PgServer, entries: list[str], went: list[tuple[str, dict[str, int]]]
) -> None:
    if "since" in entries[1]:
        pg_server.run("pets", "ALTER TABLE owners ADD since date DEFAULT '2001-01-01'")
    kept_by(pets, *entries)
    found = [
        [(one["entry"], one["rows"]) for one in ended(pets, *how).json] for how in (["--dry-run"], [], ["--dry-run"])
    ]
    assert found[0] == found[1] == went
    assert not any(count for _, rows in found[2] for count in rows.values())
