"""Who was erased does not come back with other sources' records, and nobody else loses theirs: a family's telephone, a key
that a source gives anew, a customer who registers again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import audit_records, write_settings
from tests.integration.test_cli import run
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, full_name text, email text, phone text);
INSERT INTO customers VALUES (60, 'Hus Band', 'hus@home.example', '+49407770001'),
    (61, 'Wi Fe', 'wife@home.example', '+49407770001'), (70, 'Other', 'other@example.org', NULL);
"""
RULES = """version: 1
attributes: {full_name: {}, email: {}, phone: {}, size: {}}
tables:
  public.customers:
    subject: id
    columns: {id: open, full_name: full_name, email: email, phone: phone}
    erase: delete
apps: {crm: {logins: [erased_crm]}}
policies: [{name: all of it, attributes: all, action: show, basis: contract}]
sources:
  crm: {key: account, match: {email: mail, phone: tel}, fields: {mail: email, tel: phone, name: full_name}}
  members: {key: number, subject: customer, fields: {size: size}}
"""
Row = tuple[Any, ...]


class Home:
    """The database of a family of customers, and two sources."""

    def __init__(self, server: PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        server.create_database("home", SCHEMA)
        kinds = {"crm": "jsonl", "members": "jsonl"}
        upstream = f"postgresql://{server.host}:{server.port}/home"
        sources = {name: {"kind": kind, "path": f"{name}.jsonl"} for name, kind in kinds.items()}
        settings = {
            "databases": {"home": {"upstream": upstream, "rules": "rules/", "sources": sources}},
            "control": {"dsn": server.dsn("home")},
        }
        write_settings(server, folder, RULES, {}, settings)
        self.command("consent", "setup")

    def command(self, *arguments: str, code: int = 0) -> str:
        """`consentry ARGUMENTS`, in this process: standard output, and the error output behind it."""
        ended = run(*arguments, "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == code, ended.err
        return ended.out + ended.err

    def sync(self, crm: list[Row], members: list[Row] = [], *options: str) -> dict[str, dict[str, int]]:  # noqa: B006
        """With these records: (account, mail, tel, name) and (number, customer, size); what it counted."""
        people = [dict(zip(("account", "mail", "tel", "name"), one, strict=True)) for one in crm]
        sizes = [dict(zip(("number", "customer", "size"), one, strict=True)) for one in members]
        for name, found in (("crm", people), ("members", sizes)):
            (self.folder / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in found))
        done = json.loads(run("profile", "sync", "--accept-deletes", "--json", *options,
                              "--config", str(self.folder / "consentry.yaml")).out)  # fmt: skip
        assert not [one["error"] for one in done if one["error"]]
        return {one["source"]: one["counts"] for one in done}

    def rows(self, query: str) -> list[Any]:
        with self.server.connect("home") as connection:
            return connection.execute(query.encode()).fetchall()

    def records(self) -> dict[str, tuple[int | None, list[int], bool]]:
        """By key: whose it is, whose it may be, whether it waits for the sake of an erased customer."""
        found = self.rows("SELECT key, subject, candidates, erased FROM consentry.profile_records")
        return {key: tuple(more) for key, *more in found}

    def erase(self, subject: int) -> None:
        self.command("subject", "erase", str(subject), "--yes")


HUSBAND, WIFE = ("H-1", "hus@home.example", None, "Hus Band"), ("W-1", "wife@home.example", None, "Wi Fe")


@pytest.fixture
def home(pg_server: PgServer, tmp_path: Path) -> Home:
    home = Home(pg_server, tmp_path)
    home.sync([HUSBAND, WIFE], [(1, 60, "XL"), (2, 61, "S")])
    assert {key: whose for key, (whose, _, _) in home.records().items()} == {"H-1": 60, "W-1": 61, "1": 60, "2": 61}
    return home


SHARED = [
    WIFE,
    ("W-2", None, "+49407770001", "Wi Fe"),
    ("W-3", "wife@work.example", "+49 40 7770001", "Wi Fe"),
    HUSBAND,
    ("H-2", "hus@home.example", "+49407770001", "Hus Band"),
]


NEW = RULES.replace("phone: tel}", "phone: tel, unmatched: new}")


def test_an_erased_customers_address_however_it_is_written(home: Home) -> None:
    """Where whom nobody knows becomes a customer: what can be read is left out, and what cannot waits."""
    (home.folder / "rules" / "rules.yaml").write_text(NEW)
    home.erase(60)
    spellings = [
        "mailto:hus@home.example",
        "Hus Band <HUS@home.example>",
        "hus@home.example.",
        "\uff48\uff55\uff53@home.example",
    ]
    written = [(f"N-{number}", one, None, "Hus Band") for number, one in enumerate(spellings)]
    several = ("S-1", "who@home.example; other@home.example", "+49407779999", "Hus Band")
    none = ("S-2", "n/a", "+49407778888", "Somebody")
    counted = home.sync([WIFE, *written, several, none])
    assert counted["crm"]["erased"] == len(spellings)
    records = home.records()
    assert set(records) == {"W-1", "S-1", "S-2"}
    assert records["S-1"] == (None, [], False)
    assert (records["S-2"][0] or 0) < 0


SEVERAL = [
    ("M-1", "hus@home.example, other@x.example", None, "Hus Band"),
    ("M-2", "Ann <hus@HOME.example>, zz@zz.example", None, "Ann"),
    ("M-3", '"hus@home.example" <zz@zz.example>', None, "Ann"),
    ("M-4", "zz@zz.example / hus@home.example", None, "Ann"),
    ("M-5", "mailto:zz@zz.example,hus%40home.example", None, "Ann"),
    ("M-6", ", ".join([*(f"person{number}@long.example" for number in range(40)), "hus@home.example"]), None, "All"),
    ("M-7", "zz@zz.example", "+49307654321 / +49407770001", "Ann"),
]
OTHERS = [
    ("O-1", "wife@home.example, hus@home.example.net", None, "Wi Fe"),
    ("O-2", "other@x.example; zz@zz.example", None, "Others"),
]


def test_an_address_among_several_of_a_field(home: Home) -> None:
    """It is nobody's by that; and yet an erased customer's is neither kept nor taken in."""
    home.rows("UPDATE customers SET phone = NULL WHERE id = 61 RETURNING 1")
    several = [WIFE, *SEVERAL, *OTHERS]
    home.sync([HUSBAND, *several])
    waiting = {key: (None, [], False) for key, *_ in (*SEVERAL, *OTHERS)}
    assert home.records() == {"W-1": (61, [], False), "H-1": (60, [], False), **waiting}
    home.erase(60)
    for options in (("--full",), ("--full",)):
        assert set(home.records()) == {"W-1", "O-1", "O-2"}
        left = str(home.rows("SELECT k::text FROM consentry.profile_keys k")).replace("hus@home.example.net", "")
        assert "hus@" not in left.lower()
        assert "7770001" not in left
        counted = home.sync([HUSBAND, *several], [], *options)
        assert counted["crm"]["erased"] == len(SEVERAL) + 1


def test_an_address_among_several_that_somebody_has_waits(home: Home) -> None:
    home.erase(60)
    shared = ("S-1", None, "+49307654321, +49407770001", "Wi Fe")
    for options in ((), ("--full",), ()):
        home.sync([WIFE, shared], [], *options)
        assert home.records() == {"W-1": (61, [], False), "S-1": (None, [], True)}
    home.rows("UPDATE customers SET phone = NULL WHERE id = 61 RETURNING 1")
    home.sync([WIFE, shared])
    assert set(home.records()) == {"W-1"}


def test_each_address_that_the_erased_customer_had_in_one_field(home: Home) -> None:
    home.rows("UPDATE customers SET email = 'hus@home.example, band@home.example' WHERE id = 60 RETURNING 1")
    home.sync([("B-1", "band@home.example", None, "Hus Band")])
    home.erase(60)
    assert not home.records()
    assert home.sync([("B-2", "band@home.example", None, "Hus Band")])["crm"]["erased"] == 1
    home.rows("INSERT INTO customers VALUES (60, 'Hus Band', 'hus@home.example, band@home.example') RETURNING 1")
    home.command("subject", "readmit", "60")
    assert home.sync([("B-2", "band@home.example", None, "Hus Band")], [], "--full")["crm"]["erased"] == 0


def test_what_a_family_shares_waits(home: Home) -> None:
    home.erase(60)
    counted = home.sync(SHARED, [(2, 61, "S")])
    assert counted["crm"]["erased"] == 2
    for _ in range(2):
        assert home.records() == {
            "W-1": (61, [], False), "2": (61, [], False), "W-2": (None, [61], True), "W-3": (None, [61], True),
        }  # fmt: skip
        home.sync(SHARED, [(2, 61, "S")], "--full")
    assert "hus@" not in str(home.rows("SELECT r::text FROM consentry.profile_records r"))
    assert "hus@" not in str(home.rows("SELECT k::text FROM consentry.profile_keys k"))
    assert "an erased customer had" in home.command("profile", "review", "show", "crm", "W-2")
    assert "an erased customer had it, and it is left out" in home.command(
        "profile", "review", "show", "crm", "H-1", code=1
    )
    assert "subject readmit 61" in home.command("profile", "show", "61")
    home.command("profile", "review", "decide", "crm", "W-2", "same", "--subject", "61")
    home.rows("UPDATE customers SET phone = '+49407770002' WHERE id = 61 RETURNING 1")
    home.sync(SHARED, [(2, 61, "S")])
    assert home.records() == {"W-1": (61, [], False), "2": (61, [], False), "W-2": (61, [], True)}


def test_what_waits_already_is_asked_the_same(home: Home) -> None:
    """Records that wait when somebody is erased go, but for those of which others have all; and those that change."""
    both = ("B-1", "hus@home.example", "+49407770001", "Both")
    family = ("F-1", None, "+49407770001", "Family")
    stranger = ("S-1", "who@example.net", None, "Stranger")
    home.sync([WIFE, HUSBAND, ("B-1", "other@example.org", "+49407770001", "Both"), family, stranger])
    assert set(home.records()) == {"W-1", "H-1", "B-1", "F-1", "S-1"}
    home.sync([WIFE, HUSBAND, both, family, stranger])
    home.erase(60)
    assert home.records()["F-1"] == (None, [61], True)
    assert set(home.records()) == {"W-1", "F-1", "S-1"}
    counted = home.sync([WIFE, family, ("S-1", "hus@home.example", None, "Hus Band")])
    assert (counted["crm"]["erased"], counted["crm"]["deleted"]) == (1, 1)
    assert set(home.records()) == {"W-1", "F-1"}


def test_a_key_that_a_source_gives_anew(home: Home) -> None:
    home.erase(60)
    counted = home.sync([("H-1", "other@example.org", None, "Other"), WIFE], [(1, 70, "L"), (2, 61, "S")])
    assert (counted["crm"]["erased"], counted["members"]["erased"]) == (0, 0)
    assert home.records()["1"] == (70, [], False)  # its source says whose it is
    assert home.records()["H-1"] == (None, [70], True)
    counted = home.sync([WIFE], [(1, 99, "L"), (2, 60, "S"), (3, 60, "M")])  # nobody's, and the erased one's
    assert counted["members"]["erased"] == 3
    assert set(home.records()) == {"W-1"}


def test_who_registers_again(home: Home) -> None:
    home.erase(60)
    assert "there is nobody to be readmitted" in home.command("subject", "readmit", "60", code=1)
    home.rows("INSERT INTO customers VALUES (62, 'Hus Band', 'hus@home.example', NULL) RETURNING 1")
    again = [WIFE, HUSBAND, ("H-9", "HUS@home.example", None, "Hus Band")]
    home.sync(again)
    assert home.records() == {"W-1": (61, [], False), "H-1": (None, [62], True), "H-9": (None, [62], True)}
    assert "1 tombstone(s) would be lifted" in home.command("subject", "readmit", "62", "--dry-run")
    home.sync(again, [], "--full")
    assert home.records()["H-9"] == (None, [62], True)
    done = json.loads(run("subject", "readmit", "62", "--json", "--config", str(home.folder / "consentry.yaml")).out)
    assert (done["act"], done["tombstones"], done["records"]) == ("readmit", 1, 1)
    assert "no tombstone is in the way" in home.command("subject", "readmit", "62")
    (record,) = [one for one in audit_records(home.folder / "audit") if one.get("act") == "readmit"]
    assert record["receipt"] == done["receipt"]
    home.sync(again, [], "--full")
    assert home.records() == {"W-1": (61, [], False), "H-9": (62, [], False), "H-1": (None, [62], True)}
    home.command("profile", "review", "decide", "crm", "H-1", "same")
    assert home.records()["H-1"][0] == 62
    home.command("profile", "review", "undo", "crm", "H-1")
    acts = [one for one in audit_records(home.folder / "audit") if one.get("act") == "review"]
    assert [(one["source"], one["choice"]) for one in acts] == [("crm", "same"), ("crm", "undo")]
    assert acts[0]["decision"] == acts[1]["decision"]


def test_what_only_sources_know_that_two_share(home: Home) -> None:
    """The living one's record is left out by the other's address, until an agent says that it is theirs too."""
    theirs = [("O-1", "office@work.example", "+49407770001", None), ("O-2", "office@work.example", None, None)]
    home.rows("UPDATE customers SET phone = NULL WHERE id = 60 RETURNING 1")
    home.sync(theirs)
    home.command("profile", "review", "decide", "crm", "O-2", "same", "--subject", "60")
    home.erase(60)
    home.sync([])
    assert home.sync(theirs)["crm"]["erased"] == 2
    assert home.records() == {}
    said = "1 records are left out for nothing but an address or number that an erased customer had"
    for _ in range(2):
        told = home.command("profile", "status", "--json")
        assert said in told
        assert "consentry subject readmit CUSTOMER --also ADDRESS" in told
        assert "office@" not in told
        assert said in home.command("profile", "sync")  # crm.jsonl is unchanged
    assert "no tombstone is in the way" in home.command("subject", "readmit", "61")
    assert "the 2. of these is no address" in home.command(
        "subject", "readmit", "61", "--also", "office@work.example", "--also", "office", code=1
    )
    assert "1 tombstone(s) lifted" in home.command("subject", "readmit", "61", "--also", "OFFICE@work.example")
    home.sync(theirs, [], "--full")
    assert home.records() == {"O-1": (61, [], False)}
    assert said not in home.command("profile", "status", "--json")


def test_who_registers_again_with_the_same_key(home: Home) -> None:
    home.erase(60)
    home.rows("INSERT INTO customers VALUES (60, 'Hus Band', 'new@home.example', NULL) RETURNING 1")
    home.sync([WIFE, ("H-9", "new@home.example", None, "Hus Band")], [(5, 60, "XL")])
    assert set(home.records()) == {"W-1", "H-9"}
    stranger = ("profile", "review", "decide", "crm", "S-1", "same", "--subject")
    home.sync([WIFE, ("S-1", "who@example.net", None, "Who")])
    assert 'customer "60" was erased' in home.command(*stranger, "60", code=1)
    home.command("subject", "readmit", "60")
    home.sync([WIFE, ("S-1", "who@example.net", None, "Who")], [(5, 60, "XL")], "--full")
    assert home.records()["5"] == (60, [], False)
    home.command(*stranger, "60")


def test_whose_it_was_is_forgotten_with_them(home: Home) -> None:
    """A record that was 70's is not offered for them once they are erased, and not decided for them."""
    members: list[Row] = [(1, 60, "XL"), (2, 61, "S")]
    home.sync([HUSBAND, WIFE, ("R", "other@example.org", None, "X")], members)
    home.sync([HUSBAND, WIFE, ("R", None, "+49407770001", "X")], members)
    home.command("profile", "review", "decide", "crm", "R", "other", "--subject", "70")
    home.erase(70)
    home.sync([HUSBAND, WIFE, ("R", None, "+49407770001", "X")], members)
    assert 70 not in home.records()["R"][1]
    said = home.command("profile", "review", "decide", "crm", "R", "same", "--subject", "70", code=1)
    assert "was erased" in said or "no customer" in said
    assert home.rows("SELECT FROM consentry.profile_data WHERE subject = 70") == []


def test_what_was_theirs_goes_to_nobody_by_itself(home: Home) -> None:
    """Their address is another customer's by now, and a record of theirs has it: only somebody who looks can tell."""
    home.rows("UPDATE customers SET email = 'moved@home.example' WHERE id = 60 RETURNING 1")
    home.rows("INSERT INTO customers VALUES (62, 'New', 'hus@home.example', NULL) RETURNING 1")
    members: list[Row] = [(2, 61, "S")]
    home.sync([HUSBAND, WIFE], members)
    assert home.records()["H-1"] == (None, [60, 62], False)
    home.erase(60)
    for changed, option in (("Hus Band", []), ("Hus Band", ["--full"]), ("Changed", []), ("Changed", ["--full"])):
        home.sync([("H-1", "hus@home.example", None, changed), WIFE], members, *option)
        assert home.records()["H-1"] == (None, [62], True)
    home.command("profile", "review", "decide", "crm", "H-1", "same", "--subject", "62")
    assert home.records()["H-1"][0] == 62
    other = ("O-1", "hus@home.example", None, "Other")
    home.sync([("O-1", "wife@home.example", None, "Other"), WIFE], members)
    home.sync([other, WIFE], members)
    home.rows("UPDATE customers SET email = NULL WHERE id = 62 RETURNING 1")
    home.erase(61)
    home.sync([other, WIFE])  # which knows that nobody has that address
    assert home.records() == {}


def test_what_was_decided_and_is_taken_back_waits_again(home: Home) -> None:
    home.erase(60)
    members: list[Row] = [(2, 61, "S")]
    home.sync([WIFE, ("W-2", None, "+49407770001", "Wi Fe")], members)
    assert home.records()["W-2"] == (None, [61], True)
    home.command("profile", "review", "decide", "crm", "W-2", "same", "--subject", "61")
    home.sync([WIFE, ("W-2", None, "+49407770001", "Changed")], members)
    home.command("profile", "review", "undo", "crm", "W-2")
    assert home.records()["W-2"] == (None, [61], True)


def test_a_ledger_of_an_older_version_is_said(home: Home, pg_server: PgServer) -> None:
    home.sync([("b", None, "+49407770001", None)])
    pg_server.run("home", "ALTER TABLE consentry.profile_records DROP COLUMN erased")
    pg_server.run("home", "ALTER TABLE consentry.profile_sources DROP COLUMN last_record, DROP COLUMN usual_fields")
    pg_server.run("home", "ALTER TABLE consentry.profile_keys DROP COLUMN several")
    pg_server.run("home", "DELETE FROM consentry.migrations WHERE version >= 17")
    for command in (["subject", "erase", "60", "--yes"], ["profile", "review", "show", "crm", "b"]):
        said = home.command(*command, code=1)
        assert ("Traceback" in said, "run " in said, "consentry consent setup" in said) == (False, True, True), said
    home.command("consent", "setup")
    home.command("subject", "erase", "60", "--yes")
