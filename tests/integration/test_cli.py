"""The command line as its users meet it: what it prints, where, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import typer
import yaml

from proxy.cli.main import main
from tests.gateways import COMMAND, environment, write_settings
from tests.servers import PgServer

SHOP = Path(__file__).parents[2] / "rules" / "shop"
RULES = (SHOP / "shop.yaml").read_text()
LOGINS = ("crm_app", "analytics_app", "mailco_app", "mailco_batch", "deploy")
DONE, WRONG, MISUSED, UNREACHABLE = 0, 1, 2, 3


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """The lines that `check` marks as errors."""
        return [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]


def run(*arguments: str) -> Ended:
    """`consentry ARGUMENTS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.object(sys, "argv", ["consentry", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code: Any = DONE
        except SystemExit as ended:
            code = ended.code or DONE
    return Ended(int(code), out.getvalue(), err.getvalue())


def run_process(folder: Path, *arguments: str) -> Ended:
    """`consentry ARGUMENTS` as a process of its own that works in `folder`."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def database(pg_server: PgServer) -> str:
    """The shop, with no ledger in it."""
    pg_server.create_database("cli_shop", (SHOP / "schema.sql").read_text())
    for login in LOGINS:
        pg_server.create_login(login, group="auth_trust")
    return "cli_shop"


@pytest.fixture
def folder(pg_server: PgServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where consentry.yaml and rules/rules.yaml are, and where the commands work."""
    write_settings(pg_server, tmp_path, RULES, {"shop": database})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change_rules(folder: Path, *changes: tuple[str, str]) -> dict[str, int]:
    """Replaces text in the rules, once each; gives the line of each new text."""
    text, lines = RULES, {}
    for old, new in changes:
        lines[new] = text[: text.index(old)].count("\n") + 1
        text = text.replace(old, new, 1)
    (folder / "rules" / "rules.yaml").write_text(text)
    return lines


def change_settings(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "consentry.yaml"
    settings = yaml.safe_load(file.read_text())
    change(settings)
    file.write_text(yaml.safe_dump(settings))


def point_to_nowhere(settings: dict[str, Any]) -> None:
    settings["control"]["dsn"] = "postgresql://postgres@127.0.0.1:1/shop"


# check


def test_check_of_what_is_right(folder: Path) -> None:
    ended = run("check")
    assert (ended.code, ended.out) == (DONE, "consentry.yaml: no errors, 1 warning(s)\n")
    assert ended.err == ("warning: database shop: no consent ledger is in it: run `consentry consent setup`\n")
    assert run("check", "--json").json == {"errors": [], "warnings": [ended.err[9:-1]]}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("action: drop", "acton: drop", 'unknown key "acton" (did you mean "action"?)'),
        ("[card_number]", "[card_numbr]", 'attribute "card_numbr" is not defined (did you mean "card_number"?)'),
        ("apps: [crm]", "apps: [crn]", 'app "crn" is not defined (did you mean "crm"?)'),
        ("mask: birth_year", "mask: birth_yr", 'mask "birth_yr" is not defined (did you mean "birth_year"?)'),
        ("kind: partial", "kind: partal", '"partal" is not one of .* \\(did you mean "partial"\\?\\)'),
        ("opt_in", "optin", '"optin" is not one of opt_in, opt_out (did you mean "opt_in"?)'),
        ("logins: [analytics_app]", "logins: [crm_app]", 'login "crm_app" belongs to app crm already'),
        ("unlisted_tables: deny", "unlisted_tables: dny", '"dny" is not one of deny, open (did you mean "deny"?)'),
    ],
)
def test_check_of_a_slip_in_the_rules(folder: Path, old: str, new: str, message: str) -> None:
    line = change_rules(folder, (old, new))[new]
    for offline in ((), ("--offline",)):
        ended = run("check", *offline)
        assert (ended.code, ended.out) == (WRONG, "")
        assert any(
            error.startswith(f"rules/rules.yaml:{line}: ") and (message in error or re.search(message, error))
            for error in ended.errors
        ), ended.err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  public.products: open",
            "  public.product: open",
            'relation "public.product" is not in database cli_shop (did you mean "public.products"?)',
        ),
        ("card_no: card_number", "card_nr: card_number", 'column "card_nr" is not in public.customers'),
        ("subject: id\n", "subject: idd\n", 'column "idd" is not in public.customers (did you mean "id"?)'),
        ("mask: tens", "mask: birth_year", "mask truncate cannot give a value of type numeric(10,2)"),
        ("mask: birth_year", "mask: tens", "mask range cannot give a value of type date"),
    ],
)
def test_check_of_what_the_database_does_not_have(folder: Path, old: str, new: str, message: str) -> None:
    same_in_profile = ("subject: public.customers.id\n", "subject: public.customers.idd\n")
    line = change_rules(folder, (old, new), *([same_in_profile] if "idd" in new else []))[new]
    ended = run("check")
    assert ended.code == WRONG
    (error,) = ended.errors
    assert error.startswith(f"rules/rules.yaml:{line}: ")
    assert message in error
    assert run("check", "--offline").code == DONE


def test_check_asks_the_database_what_sql_of_the_rules_gives(folder: Path) -> None:
    change_rules(
        folder,
        ("placed_at > now()", "placd_at > now()"),
        ("{kind: first, characters: 2}", '{kind: expression, sql: "length({value})"}'),
    )
    ended = run("check")
    assert ended.code == WRONG
    where, mask = sorted(ended.errors, key=lambda error: "mask" in error)
    assert re.fullmatch(
        r'rules/rules\.yaml:\d+: `where` of policy "service keeps to the legal period" for public\.orders: '
        r'column "placd_at" does not exist \(Perhaps you meant to reference the column "orders\.placed_at"\.\)',
        where,
    )
    assert re.fullmatch(
        r'rules/rules\.yaml:\d+: mask expression of policy "reports know the region" for public\.addresses\.postcode '
        r"gives int4, and the column's type is .*varchar.*",
        mask,
    )


def test_check_says_all_that_is_wrong_at_once(folder: Path) -> None:
    lines = change_rules(
        folder,
        ("email: email", "email: emial"),
        ("mask: tens", "mask: tenz"),
        ("kind: truncate", "kind: truncat"),
        ("consent: opt_out", "consnt: opt_out"),
    )
    ended = run("check", "--json")
    assert ended.code == WRONG
    assert {int(error.split(":")[1]) for error in ended.json["errors"]} >= set(lines.values())
    assert ended.err == ""


def test_check_warns_of_columns_that_are_not_listed(folder: Path, pg_server: PgServer, database: str) -> None:
    pg_server.run(database, "ALTER TABLE customers ADD COLUMN shoe_size int")
    try:
        ended = run("check")
    finally:
        pg_server.run(database, "ALTER TABLE customers DROP COLUMN shoe_size")
    assert ended.code == DONE
    line = RULES[: RULES.index("public.customers:")].count("\n") + 1
    expected = f"warning: rules/rules.yaml:{line}: public.customers has columns that are not listed (drop): shoe_size\n"
    assert expected in ended.err


def test_check_warns_of_what_is_not_listed_but_not_of_views_of_open_tables(
    folder: Path, pg_server: PgServer, database: str
) -> None:
    pg_server.run(
        database,
        "CREATE TABLE drafts (id int); CREATE VIEW cheap AS SELECT sku FROM products; CREATE VIEW cheaper AS TABLE cheap;"
        "CREATE VIEW kept AS SELECT sku FROM drafts, products",
    )
    try:
        ended = run("check")
    finally:
        pg_server.run(database, "DROP VIEW kept, cheaper, cheap; DROP TABLE drafts")
    assert ended.code == DONE
    assert ": not listed, so deny to every app: public.drafts, public.kept\n" in ended.err


def test_check_warns_of_functions_in_rows_that_a_temp_table_could_answer(
    folder: Path, pg_server: PgServer, database: str
) -> None:
    body = "$$SELECT EXISTS (SELECT FROM products WHERE $1 > 0)$$"
    pg_server.run(
        database,
        f"CREATE FUNCTION loose(int) RETURNS bool LANGUAGE sql STABLE AS {body};"
        "CREATE FUNCTION firm(int) RETURNS bool LANGUAGE sql STABLE BEGIN ATOMIC SELECT EXISTS (SELECT FROM products WHERE $1 > 0); END;"
        f"CREATE FUNCTION bound(int) RETURNS bool LANGUAGE sql STABLE SET search_path = public, pg_temp AS {body};"
        "CREATE FUNCTION counts(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT $1 > 0'",
    )
    where = "public.loose(id) and public.firm(id) and public.bound(id) and public.counts(id)"
    policy = f"policies:\n  - {{name: seen, tables: [public.customers], rows: {{where: {where}}}}}\n"
    lines = change_rules(folder, ("policies:\n", policy))
    try:
        ended = run("check")
    finally:
        pg_server.run(database, "DROP FUNCTION loose, firm, bound, counts")
    assert ended.code == DONE
    (warning,) = (line for line in ended.err.splitlines() if "where: function" in line)
    place = f"warning: rules/rules.yaml:{lines[policy] + 1}: where: function public.loose finds relations by"
    assert warning.startswith(place)
    assert "SET search_path = public, pg_temp" in warning


def test_check_warns_of_views_that_an_app_cannot_read(folder: Path, pg_server: PgServer, database: str) -> None:
    pg_server.run(
        database,
        "CREATE VIEW letters AS SELECT full_name FROM customers; GRANT SELECT ON letters TO mailco_batch, crm_app;"
        "GRANT SELECT (full_name) ON customers TO crm_app; CREATE VIEW card_holders AS SELECT id FROM customers WHERE card_no > ''",
    )
    try:
        ended = run("check")
    finally:
        pg_server.run(database, "DROP VIEW letters, card_holders; REVOKE ALL ON customers FROM crm_app")
    assert ended.code == DONE
    warned = [line for line in ended.err.splitlines() if "view" in line]
    assert len(warned) == 3, ended.err
    assert warned[0].startswith(
        "warning: login mailco_batch of app mailco may read view public.letters, but not public.customers, which it reads"
    )
    assert warned[1].startswith("warning: view public.card_holders is refused to analytics, mailco: it needs a column")
    assert warned[2].startswith("warning: view public.letters is refused to analytics: the app has no column of it")


def test_check_warns_of_generated_columns_that_tell_what_an_app_does_not_have(
    folder: Path, pg_server: PgServer, database: str
) -> None:
    """What is made from open columns only, is shown by the same consent, or is not shown, tells nothing."""
    virtual = "VIRTUAL" if pg_server.version >= 180000 else "STORED"
    pg_server.run(
        database,
        "ALTER TABLE customers ADD initials text GENERATED ALWAYS AS (left(full_name, 1) || right(email, 1)) STORED,"
        f"ADD card_bank text GENERATED ALWAYS AS (left(card_no, 6)) {virtual},"
        "ADD lower_email text GENERATED ALWAYS AS (lower(email)) STORED,"
        "ADD unlisted text GENERATED ALWAYS AS (upper(card_no)) STORED,"
        "ADD next_id int GENERATED ALWAYS AS (id + 1) STORED;"
        "CREATE TABLE customers_old () INHERITS (customers)",
    )
    new = "      card_no: card_number\n"
    more = "      initials: open\n      card_bank: open\n      lower_email: email\n      next_id: open\n"
    of_two = ("  lists:\n", "  columns: {email: public.customers.email}\n  lists:\n")
    change_rules(folder, (new, new + more), of_two)
    try:
        ended = run("check")
    finally:
        pg_server.run(
            database,
            "DROP TABLE customers_old; ALTER TABLE customers DROP initials, DROP card_bank, DROP lower_email,"
            "DROP unlisted, DROP next_id",
        )
    assert ended.code == DONE
    assert [line for line in ended.err.splitlines() if "generated" in line] == [
        "warning: column card_bank of public.customers is generated from card_no, and is shown to analytics, crm, mailco "
        "without it: is nothing personal left in it?",
        "warning: column initials of public.customers is generated from full_name, email, and is shown to analytics, "
        "mailco without it: is nothing personal left in it?",
    ]


def test_check_warns_of_logins_that_may_not_read_all_that_a_form_reads(
    folder: Path, pg_server: PgServer, database: str
) -> None:
    pg_server.run(
        database,
        "GRANT SELECT (id, full_name) ON customers TO crm_app; GRANT SELECT (id, created_at) ON customers TO mailco_app;"
        "GRANT SELECT ON customers TO mailco_batch; GRANT SELECT (sku) ON products TO mailco_app;"
        "GRANT SELECT (customer_id, street, city) ON addresses TO mailco_app",
    )
    try:
        ended = run("check")
        pg_server.run(database, "GRANT SELECT (email, phone, born, card_no, created_at) ON customers TO crm_app")
        again = run("check")
    finally:
        pg_server.run(
            database,
            "REVOKE ALL ON customers FROM crm_app, mailco_app, mailco_batch; REVOKE ALL ON products, addresses "
            "FROM mailco_app; REVOKE ALL (id, full_name, email, phone, born, card_no, created_at) ON customers FROM crm_app",
        )
    assert (ended.code, again.code) == (DONE, DONE)
    crm, *others = [line for line in ended.err.splitlines() if "login" in line]
    assert crm == (
        "warning: login crm_app of app crm may read some columns of public.customers, but not email, phone, born, card_no, "
        "created_at, which every read of the table reads: all are refused; grant it SELECT (email, phone, born, card_no, "
        "created_at), or let the rules drop these columns for the app"
    )
    assert [line.split(", which")[0] for line in others] == [
        "warning: login mailco_app of app mailco may read some columns of public.customers, but not full_name, email, phone",
        "warning: login mailco_app of app mailco may read some columns of public.addresses, but not id, country",
    ]
    assert [line for line in again.err.splitlines() if "login" in line] == others


def test_check_of_a_login_that_may_not_read_the_subjects_key(folder: Path, pg_server: PgServer, database: str) -> None:
    """The key is needed whatever the rules show, so only a GRANT helps."""
    pg_server.run(database, "GRANT SELECT (full_name, email, phone, created_at) ON customers TO mailco_app")
    line = "      id: open                    # a number; holds nothing personal by itself\n"
    change_rules(folder, (line, ""))
    try:
        ended = run("check")
    finally:
        pg_server.run(database, "REVOKE ALL (full_name, email, phone, created_at) ON customers FROM mailco_app")
    assert [line for line in ended.err.splitlines() if "login" in line] == [
        "warning: login mailco_app of app mailco may read some columns of public.customers, but not id, which every read "
        "of the table reads: all are refused; grant it SELECT (id)"
    ]


def test_check_of_a_slip_in_the_settings(folder: Path) -> None:
    change_settings(folder, lambda settings: settings.update(lissten="x", limits={"conections": 5}))
    ended = run("check")
    assert ended.code == WRONG
    assert [re.sub(r":\d+:", ":N:", error) for error in ended.errors] == [
        'consentry.yaml:N: unknown key "conections" (did you mean "connections"?)',
        'consentry.yaml:N: unknown key "lissten" (did you mean "listen"?)',
    ]


def test_check_finds_certificates_that_cannot_be_used(folder: Path) -> None:
    tls = {"mode": "require", "certificate": "no.crt", "key": "no.key"}
    change_settings(folder, lambda settings: settings.update(tls=tls))
    ended = run("check", "--offline")
    assert ended.code == WRONG
    assert "no.crt" in ended.errors[0]


def test_check_without_the_database(folder: Path) -> None:
    change_settings(folder, point_to_nowhere)
    ended = run("check")
    assert ended.code == UNREACHABLE
    (error,) = ended.errors
    assert error.startswith("database shop: database cli_shop at 127.0.0.1:1 as postgres cannot be reached: ")
    assert run("check", "--json").code == UNREACHABLE
    assert run("check", "--offline") == Ended(DONE, "consentry.yaml: no errors, 0 warning(s)\n", "")


def test_check_of_several_databases(folder: Path, pg_server: PgServer, database: str) -> None:
    write_settings(pg_server, folder, RULES, {"shop": database, "gone": "cli_no_such", "gone_too": "cli_no_such"})
    ended = run("check")
    assert ended.code == UNREACHABLE
    assert [error.partition(":")[0] for error in ended.errors] == ["database gone", "database gone_too"]
    change_rules(folder, ("mask: tens", "mask: tenz"))
    assert run("check").code == WRONG


def test_check_without_files(folder: Path) -> None:
    assert run("check", "--config", "none.yaml") == Ended(
        UNREACHABLE, "", "error: none.yaml: No such file or directory\n"
    )
    (folder / "rules" / "rules.yaml").unlink()
    ended = run("check")
    assert ended.code == UNREACHABLE
    assert "no *.yaml file of rules is in this folder" in ended.errors[0]


def test_check_as_a_process(folder: Path) -> None:
    assert run_process(folder, "check").code == DONE
    change_rules(folder, ("mask: tens", "mask: tenz"))
    ended = run_process(folder, "check")
    assert (ended.code, ended.out) == (WRONG, "")
    assert 'mask "tenz" is not defined (did you mean "tens"?)' in ended.err
    change_settings(folder, point_to_nowhere)
    (folder / "rules" / "rules.yaml").write_text(RULES)
    assert run_process(folder, "check").code == UNREACHABLE
    assert run_process(folder, "chekc").code == MISUSED


# explain


def policy_line(name: str) -> str:
    line = RULES[: RULES.index(f"- name: {name}")].count("\n") + 1
    return f'policy "{name}" (rules/rules.yaml:{line})'


def test_explain_says_what_an_app_gets_of_each_column_and_why(folder: Path) -> None:
    ended = run("explain", "--app", "mailco", "--json")
    assert (ended.code, ended.json["app"], ended.json["passes"]) == (DONE, "mailco", None)
    found = {(line["table"], line["column"]): line for line in ended.json["columns"]}
    agreed = policy_line("partners get contact data from those who agreed")
    assert found["public.customers", "email"] == {
        "table": "public.customers",
        "column": "email",
        "attribute": "email",
        "treatment": "show if consent, else null",
        "write": "no",
        "because": agreed,
        "path": "",
    }
    assert found["public.customers", "card_no"]["treatment"] == "drop"
    assert found["public.customers", "card_no"]["because"] == policy_line("cards are never read")
    assert found["public.customers", "born"]["because"] == "defaults"
    assert found["public.customers", "id"]["because"] == "open"
    assert found["public.customers", ""]["treatment"] == "rows only where consent to email"
    assert found["public.order_items", "sku"]["treatment"] == "show unless withdrawn, else null"


def test_explain_as_text_cuts_nothing_off(folder: Path) -> None:
    ended = run("explain", "--app", "mailco")
    assert ended.code == DONE
    assert "…" not in ended.out
    for words in (
        "public.order_items",
        "show unless withdrawn, else null",
        policy_line("MailCo sees customers who share their address"),
        policy_line("partners may look at purchases until the customer objects"),
    ):
        assert words in ended.out
    narrow = on_a_terminal("explain", "--app", "mailco")
    assert "…" not in narrow
    assert "public.order_items" in narrow
    assert "\x1b[" in narrow
    assert "\x1b[" not in ended.out


def on_a_terminal(*arguments: str, errors: bool = False) -> str:
    """What `consentry ARGUMENTS` shows on a terminal of 80 columns; standard error too where `errors`."""
    ours, its = pty.openpty()
    with os.fdopen(ours, "rb") as terminal:
        env = {**environment(), "COLUMNS": "80", "TERM": "xterm"}
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=its, stderr=its if errors else None, env=env
        )
        os.close(its)
        shown = b""
        with suppress(OSError):  # EIO: the other side is closed
            while more := terminal.read1(65536):
                shown += more
        assert process.wait(60) == 0
    return shown.decode()


def test_explain_says_what_an_app_has_of_views(folder: Path, pg_server: PgServer, database: str) -> None:
    pg_server.run(
        database,
        "CREATE VIEW payers AS SELECT id, email, card_no FROM customers;"
        "CREATE VIEW card_holders AS SELECT id FROM customers WHERE card_no > ''",
    )
    try:
        facts = run("explain", "--app", "mailco", "--json").json["views"]
        text = run("explain", "--app", "mailco").out
    finally:
        pg_server.run(database, "DROP VIEW payers, card_holders")
    holders, payers = sorted(facts, key=lambda view: view["view"])
    assert (payers["columns"], payers["without"], payers["refused"]) == (["id", "email"], ["card_no"], None)
    assert (holders["columns"], holders["refused"].split(".")[0]) == (
        [],
        "It needs a column that app mailco does not have",
    )
    assert "public.payers" in text


def test_explain_of_a_statement(folder: Path) -> None:
    sql = "select * from customers"
    ended = run("explain", "--app", "mailco", sql)
    assert ended.code == DONE
    assert ended.out.startswith("select * from (SELECT ")
    for words in ("public.customers", "show if consent, else partial"):
        assert words in ended.out
    facts = run("explain", "--app", "mailco", sql, "--json").json
    assert facts["refused"] is None
    assert facts["rewritten"] in ended.out
    assert [item["column"] for item in facts["disclosed"]] == ["id", "full_name", "email", "phone", "created_at"]
    assert facts["policies"] == [
        "MailCo sees customers who share their address",
        "partners get contact data from those who agreed",
        "partners get the phone number hidden unless agreed",
    ]


def test_explain_of_a_statement_that_passes(folder: Path) -> None:
    assert run("explain", "--app", "mailco", "select 1").out == "passes as it is\n"
    facts = run("explain", "--app", "mailco", "select 1", "--json").json
    assert (facts["rewritten"], facts["refused"], facts["disclosed"]) == (None, None, [])


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("grant all on customers to public", "42501", "app mailco may not use Grant"),
        ("select * from nowhere", "42P01", 'relation "nowhere" does not exist'),
        ("selec 1", "42601", 'syntax error at or near "selec"'),
        ("update customers set email = 'x'", "42501", None),
        ("copy customers to '/tmp/x'", "42501", None),
    ],
)
def test_explain_of_a_refused_statement(folder: Path, sql: str, sqlstate: str, message: str | None) -> None:
    ended = run("explain", "--app", "mailco", sql)
    assert ended.code == WRONG
    assert ended.out.startswith(f"refused: {message or ''}")
    assert f"({sqlstate})\n" in ended.out
    as_json = run("explain", "--app", "mailco", sql, "--json")
    assert as_json.code == WRONG
    assert as_json.json["refused"]["sqlstate"] == sqlstate
    assert as_json.json["rewritten"] is None


def test_explain_of_a_trusted_app(folder: Path) -> None:
    assert run("explain", "--app", "migrations").out == "migrations is trusted: its statements pass as they are.\n"
    assert run("explain", "--app", "migrations", "--json").json["passes"] == "trusted"
    sql = "drop table customers"
    text = run("explain", "--app", "migrations", sql)
    assert (text.code, text.out) == (DONE, "migrations is trusted: the statement passes as it is.\n")
    facts = run("explain", "--app", "migrations", sql, "--json").json
    assert (facts["passes"], facts["rewritten"], facts["refused"]) == ("trusted", None, None)


def test_explain_of_an_app_in_mode_monitor(folder: Path) -> None:
    change_rules(
        folder, ("logins: [mailco_app, mailco_batch]", "logins: [mailco_app, mailco_batch]\n    mode: monitor")
    )
    assert "mailco is in mode monitor: its statements pass as they are." in run("explain", "--app", "mailco").out
    ended = run("explain", "--app", "mailco", "copy customers to '/tmp/x'")
    assert ended.out.startswith("would be refused: ")


def test_explain_of_an_unknown_app(folder: Path) -> None:
    ended = run("explain", "--app", "mailko")
    assert (ended.code, ended.out) == (WRONG, "")
    assert ended.err == 'consentry: no app "mailko" in the rules (did you mean "mailco"?)\n'
    assert run("explain").code == MISUSED


def test_explain_as_a_process(folder: Path) -> None:
    assert run_process(folder, "explain", "--app", "crm", "select 1").out == "passes as it is\n"
    ended = run_process(folder, "explain", "--app", "crm", "drop table customers")
    assert (ended.code, ended.err) == (WRONG, "")
    change_settings(folder, point_to_nowhere)
    assert run_process(folder, "explain", "--app", "crm").code == UNREACHABLE


def test_where_the_settings_have_several_databases_one_is_chosen(
    folder: Path, pg_server: PgServer, database: str
) -> None:
    write_settings(pg_server, folder, RULES, {"shop": database, "store": database})
    ended = run("explain", "--app", "mailco")
    assert (ended.code, ended.out) == (WRONG, "")
    assert "choose with --database: shop, store" in ended.err
    assert run("explain", "--app", "mailco", "--database", "store").code == DONE
    ended = run("explain", "--app", "mailco", "--database", "stor")
    assert ended.code == WRONG
    assert ended.err == 'consentry: the settings have no database "stor" (did you mean "store"?)\n'


# schema


def fits(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether the value fits the JSON Schema, by the keywords that ours has; others fail loudly."""
    known = {"$defs", "$schema", "title", "description", "default", "discriminator"}
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    for word, given in schema.items():
        if word in known:
            continue
        if word == "$ref":
            ok = fits(root["$defs"][given.removeprefix("#/$defs/")], value, root)
        elif word == "type":
            right = value is None if given == "null" else isinstance(value, kinds[given])
            ok = right and (given == "boolean" or not isinstance(value, bool))
        elif word == "const":
            ok = value == given
        elif word == "enum":
            ok = value in given
        elif word in ("anyOf", "oneOf"):
            count = sum(fits(one, value, root) for one in given)
            ok = count == 1 if word == "oneOf" else count > 0
        elif word == "required":
            ok = not isinstance(value, dict) or set(given) <= set(value)
        elif word == "properties":
            ok = not isinstance(value, dict) or all(fits(s, value[k], root) for k, s in given.items() if k in value)
        elif word == "additionalProperties":
            more = set(value) - set(schema.get("properties", ())) if isinstance(value, dict) else set()
            ok = not more if given is False else given is True or all(fits(given, value[k], root) for k in more)
        elif word == "items":
            ok = not isinstance(value, list) or all(fits(given, item, root) for item in value)
        elif word in ("minItems", "minLength", "minProperties"):
            ok = not isinstance(value, list | str | dict) or len(value) >= given
        elif word == "maxLength":
            ok = not isinstance(value, str) or len(value) <= given
        elif word in ("minimum", "maximum", "exclusiveMinimum"):
            numeric = isinstance(value, int | float)
            ok = not numeric or {"minimum": value >= given, "maximum": value <= given}.get(word, value > given)
        else:
            raise AssertionError(f"this test does not know the keyword {word}")
        if not ok:
            return False
    return True


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """By the package jsonschema where it is installed, and by the reading above."""
    ours = fits(schema, value, schema)
    try:
        import jsonschema  # type: ignore[import-untyped]
    except ImportError:
        return ours
    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator(schema).is_valid(value) is ours
    return ours


def test_the_schema_takes_the_shops_rules_and_no_slips() -> None:
    ended = run("schema")
    assert (ended.code, ended.err) == (DONE, "")
    schema = ended.json
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert accepts(schema, yaml.safe_load(RULES))
    for old, new in (
        ("action: drop", "acton: drop"),
        ("action: drop", "action: dropp"),
        ("kind: partial", "kind: partal"),
        ("kind: internal", "kind: external"),
        ("consent: opt_in", "consent: optin"),
        ("products: open", "products: opn"),
        ("version: 1", "version: 2"),
        ("attributes:\n", "atributes:\n"),
        ("logins: [crm_app]", "logins: crm_app"),
        ("keep_last: 4", "keep_last: four"),
        ("subject: id", "subjct: id"),
    ):
        assert old in RULES
        assert not accepts(schema, yaml.safe_load(RULES.replace(old, new, 1))), new


def test_the_schema_of_the_settings(folder: Path) -> None:
    schema = run("schema", "--settings").json
    settings = yaml.safe_load((folder / "consentry.yaml").read_text())
    assert accepts(schema, settings)
    limits = {"statement_bytes": "16MB", "idle_timeout": "5m", "connections": 10}
    assert accepts(schema, {**settings, "listen": ["a:1", "/run"], "limits": limits})
    assert not accepts(schema, {**settings, "lissten": "x"})
    assert not accepts(schema, {**settings, "limits": {"conections": 5}})
    assert not accepts(schema, {"listen": "a:1"})


def test_the_schema_needs_no_settings(tmp_path: Path) -> None:
    assert run_process(tmp_path, "schema").code == DONE


# consent


@pytest.fixture
def ledger(pg_server: PgServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As `folder`, with a fresh database of its own."""
    pg_server.create_database("cli_ledger", (SHOP / "schema.sql").read_text())
    for login in LOGINS:
        pg_server.create_login(login, group="auth_trust")
    pg_server.run("cli_ledger", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO auth_trust")
    write_settings(pg_server, tmp_path, RULES, {"shop": "cli_ledger"})
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    pg_server.create_database("cli_ledger")


def test_setup_makes_the_ledger_and_prints_the_grants(ledger: Path) -> None:
    first = run("consent", "setup")
    assert first.code == DONE
    assert "made migration 001_ledger\n" in first.err
    assert "made state of app mailco\n" in first.err
    statements = first.out.splitlines()
    assert statements
    assert all(re.fullmatch(r"(GRANT|CREATE ROLE) .*;", statement) for statement in statements)
    assert 'GRANT SELECT ON consentry."state_mailco" TO "mailco_app";' in statements
    again = run("consent", "setup")
    assert (again.code, again.out) == (DONE, first.out)
    assert "the ledger is up to date\n" in again.err


def test_setup_applies_the_grants_where_it_is_told_to(ledger: Path, pg_server: PgServer) -> None:
    for _ in range(2):
        ended = run("consent", "setup", "--apply")
        assert (ended.code, ended.out) == (DONE, "")
        assert "the grants are in force\n" in ended.err
    with pg_server.connect("cli_ledger") as connection:
        allowed = "SELECT has_table_privilege(%s, 'consentry.state_mailco', 'SELECT')"
        assert connection.execute(allowed, ["mailco_app"]).fetchone() == (True,)
        assert connection.execute(allowed, ["crm_app"]).fetchone() == (False,)
    facts = run("consent", "setup", "--apply", "--json").json
    assert (facts["subject_type"], facts["migrations"], facts["applied"]) == ("bigint", [], True)
    assert set(facts["grants"]) >= {"consentry", "mailco_app", "mailco_batch", "analytics_app"}
    assert run("check") == Ended(DONE, "consentry.yaml: no errors, 0 warning(s)\n", "")


def test_setup_of_an_app_that_was_added_later(ledger: Path) -> None:
    assert run("consent", "setup").code == DONE
    new = "  mailco2: {logins: [mailco2_app], kind: partner, label: M, purpose: p}\n"
    change_rules(ledger, ("  migrations:\n", new + "  migrations:\n"))
    ended = run("consent", "grant", "1", "mailco2", "email")
    assert ended.code == WRONG
    assert 'run "consentry consent setup"' in ended.err
    ended = run("consent", "setup")
    assert ended.code == DONE
    assert ended.err.splitlines()[0] == "made state of app mailco2"
    assert run("consent", "grant", "1", "mailco2", "email").code == DONE


def test_grant_withdraw_and_show(ledger: Path) -> None:
    run("consent", "setup")
    assert run("consent", "show", "1").out == "1 has decided nothing yet\n"
    assert run("consent", "show", "1", "--json").json == []
    assert run("consent", "grant", "1", "mailco", "email") == Ended(DONE, "1 shares email with mailco (event 1)\n", "")
    event = run("consent", "grant", "1", "mailco", "phone", "--expires", "90d", "--json").json
    assert (event["subject"], event["app"], event["attribute"], event["decision"]) == (
        "1",
        "mailco",
        "phone",
        "granted",
    )
    assert event["expires_at"] > event["at"]
    assert run("consent", "withdraw", "1", "mailco", "email").out == "1 no longer shares email with mailco (event 3)\n"
    shown = {item["attribute"]: item for item in run("consent", "show", "1", "--json").json}
    assert (shown["email"]["granted"], shown["email"]["decision"]) == (False, "withdrawn")
    assert (shown["phone"]["granted"], shown["phone"]["expires_at"]) == (True, event["expires_at"])
    text = run("consent", "show", "1").out
    for word in ("Consent of 1", "mailco", "email", "withdrawn", "phone", "granted"):
        assert word in text
    assert run("consent", "show", "2", "--json").json == []


def test_grants_and_withdrawals_may_be_repeated(ledger: Path) -> None:
    run("consent", "setup")
    for decision, granted in (("withdraw", False), ("grant", True), ("grant", True), ("withdraw", False)):
        assert run("consent", decision, "1", "mailco", "email").code == DONE
        (shown,) = run("consent", "show", "1", "--json").json
        assert shown["granted"] is granted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grant", "1", "mailko", "email"), 'there is no app "mailko" in the rules; did you mean "mailco"?'),
        (("withdraw", "1", "mailko", "email"), 'there is no app "mailko" in the rules; did you mean "mailco"?'),
        (("grant", "1", "zzz", "email"), 'there is no app "zzz" in the rules; the rules have analytics, crm, mailco'),
        (("grant", "1", "migrations", "email"), 'there is no app "migrations" in the rules'),
        (("grant", "1", "mailco", "emial"), 'there is no attribute "emial" in the rules; did you mean "email"?'),
        (("grant", "one", "mailco", "email"), '"one" is not a subject key of type bigint'),
        (("show", "one"), '"one" is not a subject key of type bigint'),
        (("grant", "1", "mailco", "email", "--expires", "2020-01-01"), "a consent must expire after it begins"),
    ],
)
def test_slips_in_decisions_are_said_and_nothing_is_recorded(
    ledger: Path, arguments: tuple[str, ...], message: str
) -> None:
    run("consent", "setup")
    ended = run("consent", *arguments)
    assert (ended.code, ended.out) == (WRONG, "")
    assert ended.err.startswith(f"consentry: {message}")
    assert run("consent", "show", "1", "--json").json == []


@pytest.mark.parametrize(
    "arguments",
    [("grant", "1", "mailco"), ("grant", "1", "mailco", "email", "--expires", "soon"), ("grnt",), ("show", "1", "2")],
)
def test_commands_that_are_used_wrongly(ledger: Path, arguments: tuple[str, ...]) -> None:
    ended = run("consent", *arguments)
    assert (ended.code, ended.out) == (MISUSED, "")
    assert "Usage: consentry consent" in re.sub(r"\x1b\[[0-9;]*m", "", ended.err)


def test_decisions_without_a_ledger_or_a_database(ledger: Path) -> None:
    for arguments in (("show", "1"), ("grant", "1", "mailco", "email"), ("withdraw", "1", "mailco", "email")):
        ended = run("consent", *arguments)
        assert ended.code == WRONG
        assert ended.err == 'consentry: the database has no consent ledger; run "consentry consent setup"\n'
    change_settings(ledger, point_to_nowhere)
    for arguments in (("show", "1"), ("setup",)):
        assert run("consent", *arguments).code == UNREACHABLE


def test_setup_may_connect_as_somebody_else(ledger: Path, pg_server: PgServer) -> None:
    change_settings(ledger, point_to_nowhere)
    assert run("consent", "setup", "--dsn", pg_server.dsn("cli_ledger")).code == DONE


def test_consent_as_a_process(ledger: Path) -> None:
    assert run_process(ledger, "consent", "setup", "--apply").code == DONE
    assert run_process(ledger, "consent", "grant", "1", "mailco", "email").code == DONE
    ended = run_process(ledger, "consent", "grant", "1", "mailco", "emial")
    assert (ended.code, ended.out) == (WRONG, "")
    assert 'did you mean "email"?' in ended.err
    assert run_process(ledger, "consent", "show", "1", "--json").json[0]["granted"] is True


# help


COMMANDS = [
    ["demo"],
    ["serve"],
    ["check"],
    ["explain"],
    ["test"],
    ["schema"],
    ["web"],
    ["link"],
    *(["audit", name] for name in ("search", "tail", "report", "verify")),
    *(["audit", "keys", name] for name in ("show", "rotate")),
    *(["consent", name] for name in ("setup", "grant", "withdraw", "show", "history", "import", "export", "verify")),
    *(["profile", name] for name in ("sync", "status", "show", "match", "drop-slot")),
    *(["profile", "review", name] for name in ("show", "decide", "undo")),
    ["retention", "run"],
    *(["subject", name] for name in ("find", "export", "erase", "rectify", "restrict", "readmit", "verify-receipt")),
    *(["token", name] for name in ("add", "list", "revoke")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(command: list[str]) -> None:
    ended = run(*command, "--help")
    assert (ended.code, ended.err) == (DONE, "")
    assert f"Example: consentry {' '.join(command)}" in ended.out
    assert ended.out == run(*command, "-h").out


def test_every_command_is_in_the_list_above() -> None:
    from proxy.cli.main import app

    def every(group: typer.Typer, *names: str) -> Iterator[list[str]]:
        for command in group.registered_commands:
            assert command.callback is not None
            if not command.hidden:
                yield [*names, str(command.name or command.callback.__name__.replace("_", "-"))]
        for below in group.registered_groups:
            assert below.typer_instance is not None
            yield from every(below.typer_instance, *names, str(below.name))

    assert sorted(every(app)) == sorted(COMMANDS)


def test_version_and_no_command_at_all() -> None:
    assert re.fullmatch(r"consentry \d+\.\d+\.\d+\S*\n", run("--version").out)
    assert run().code == MISUSED
