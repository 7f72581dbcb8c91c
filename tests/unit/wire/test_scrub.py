"""What is taken out of errors and notices, and what stays."""

from __future__ import annotations

import pytest

from proxy.catalog.raised import raised_texts
from proxy.wire.scrub import NOT_SHOWN, Fields, Scrubber, of_known_names, without_values


def scrubbed(scrubber: Scrubber, own: bool = False, **values: str) -> dict[str, str]:
    fields: Fields = [(code, value.encode()) for code, value in values.items()]
    return {code: value.decode() for code, value in scrubber.scrubbed(fields, own)}


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ('invalid input syntax for type integer: "ann@x.org"', 'invalid input syntax for type integer: "?"'),
        ('invalid input syntax for type integer: "a"b"c"', 'invalid input syntax for type integer: "?"'),
        ('invalid input syntax for type integer: "a\nb"', 'invalid input syntax for type integer: "?"'),
        ('value "99" is out of range for type smallint', 'value "?" is out of range for type smallint'),
        ("ungültige Syntax für Typ integer: »ann«", 'ungültige Syntax für Typ integer: "?"'),
        ("整数型の入力構文が不正です: 「ann」", '整数型の入力構文が不正です: "?"'),
        (
            'character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"',
            'character with byte sequence 0x? in encoding "?"',
        ),
        ("division by zero", "division by zero"),
    ],
)
def test_values_of_data_exceptions_go(message: str, left: str) -> None:
    assert without_values(message) == left
    assert scrubbed(Scrubber(), C="22P02", M=message)["M"] == left


def test_quotes_are_read_in_the_clients_encoding() -> None:
    fields: Fields = [("C", b"22P02"), ("M", "ungültig: »ann«".encode("latin-1"))]
    assert Scrubber(encoding="latin-1").scrubbed(fields)[1][1].decode("latin-1") == 'ungültig: "?"'


def test_what_may_quote_rows_goes_and_what_says_which_rule_stays() -> None:
    kept = scrubbed(
        Scrubber(), S="ERROR", V="ERROR", C="23505", M='duplicate key value violates unique constraint "k"', H="hint",
        D="Key (email)=(ann@x.org) exists", P="12", p="3", q="inner", W="context", s="public", t="customers", n="k",
        F="file", L="1", R="routine",
    )  # fmt: skip
    assert set(kept) == set("SVCMHPstnFLR")
    assert kept["M"] == 'duplicate key value violates unique constraint "k"'


SOURCE = """
BEGIN
  IF old.secret > new.n THEN RAISE EXCEPTION 'no more than % of 100%%', old.secret USING HINT = 'Ask.'; END IF;
  raise notice 'it''s done';
  RAISE USING MESSAGE = 'closed', CONSTRAINT = 'open_only', COLUMN = old.secret;
END
"""


@pytest.mark.parametrize("sqlstate", ["P0001", "23514", "22023", "42P01", "ZZ123"])
def test_a_raised_message_is_known_by_its_format_and_shown_without_its_values(sqlstate: str) -> None:
    formats, constants = raised_texts([SOURCE])
    assert set(constants) == {"Ask.", "open_only"}
    scrubber = Scrubber(formats, constants)
    raised = {"C": sqlstate, "R": "exec_stmt_raise"}
    assert scrubbed(scrubber, **raised, M="no more than 4111 of 100%", H="Ask.") == {
        **raised, "M": "no more than ? of 100%", "H": "Ask.",
    }  # fmt: skip
    assert scrubbed(scrubber, **raised, M="it's done")["M"] == "it's done"
    assert scrubbed(scrubber, **raised, M="closed", n="open_only", c="4111") == {
        **raised,
        "M": "closed",
        "n": "open_only",
    }
    assert scrubbed(scrubber, **raised, M="4111", H="4111", W="4111") == {**raised, "M": NOT_SHOWN}


def test_the_format_with_most_words_of_its_own_is_shown() -> None:
    raised = {"C": "P0001", "R": "exec_stmt_raise"}
    assert scrubbed(Scrubber(["%", "card %", "% 41"]), **raised, M="card 41")["M"] == "card ?"


@pytest.mark.parametrize("routine", ["PLy_elog_impl", "plperl_util_elog", "pltcl_elog", "dblink_res_error"])
def test_what_other_languages_say_is_not_shown(routine: str) -> None:
    assert scrubbed(Scrubber(), C="XX000", R=routine, M="card 4111")["M"] == NOT_SHOWN


def test_names_in_errors_inside_of_functions_may_be_values() -> None:
    inside = {"C": "42703", "M": 'column "4111" does not exist'}
    assert (
        scrubbed(Scrubber(), **inside, W="PL/pgSQL function f() line 1 at EXECUTE")["M"] == 'column "?" does not exist'
    )
    assert scrubbed(Scrubber(), **inside, q='SELECT "4111"')["M"] == 'column "?" does not exist'
    assert scrubbed(Scrubber(), **inside, P="8")["M"] == 'column "4111" does not exist'


def test_what_the_app_wrote_itself_stays() -> None:
    json = {"C": "22P02", "M": 'invalid input syntax for type json: "x"', "D": 'Token "x"', "W": "JSON data, line 1: x"}
    assert scrubbed(Scrubber(), own=True, **json, P="8") == {**json, "P": "8"}
    assert "D" not in scrubbed(Scrubber(), own=False, **json, P="8")
    assert "D" not in scrubbed(Scrubber(), own=True, **json)
    assert "W" not in scrubbed(Scrubber(), own=True, **json, P="8", q="SELECT x")


def test_copys_line_is_the_apps_own() -> None:
    message = {"C": "22P02", "M": 'invalid input syntax for type integer: "x"'}
    own = {**message, "W": 'COPY c, line 2, column id: "x"'}
    assert scrubbed(Scrubber(), **own) == own
    german = {**message, "M": "ungültige Syntax: »x«", "W": "COPY c, Zeile 2, Spalte id: »x«"}
    assert scrubbed(Scrubber(), **german) == german
    line = scrubbed(Scrubber(), **message, W='COPY c, line 2: "1\tx"')  # a default's value, which happens to be there
    assert line["M"] == 'invalid input syntax for type integer: "?"'
    assert line["W"] == 'COPY c, line 2: "1\tx"'
    assert "W" not in scrubbed(Scrubber(), **message, W='PL/pgSQL function f() line 1\nCOPY c, line 2, column id: "x"')


def test_columns_that_do_not_exist_are_not_named() -> None:
    scrubber = Scrubber(hidden=[("public", "customers", "card_no")])
    null = {"C": "23502", "M": 'null value in column "card_no" of relation "customers" violates not-null constraint'}
    assert scrubbed(scrubber, **null, s="public", t="customers", c="card_no") == {
        "C": "23502", "M": 'null value in column "?" of relation "customers" violates not-null constraint',
        "s": "public", "t": "customers",
    }  # fmt: skip
    other = {**null, "s": "public", "t": "cards", "c": "card_no"}
    assert scrubbed(scrubber, **other) == other
    hint = "Leave card_no out."
    raised = {"C": "P0001", "M": "x", "R": "exec_stmt_raise"}
    known = Scrubber(
        constants=[hint, hint.replace("card_no", "card_noise")], hidden=[("public", "customers", "card_no")]
    )
    assert "H" not in scrubbed(known, **raised, H=hint)
    assert "H" in scrubbed(known, **raised, H=hint.replace("card_no", "card_noise"))
    inside = {"C": "42703", "M": "x", "q": "SELECT 1", "H": 'Perhaps you meant to reference the column "t.card_no".'}
    assert "H" not in scrubbed(known, **inside)


def test_what_the_app_itself_calls_so_is_told() -> None:
    """Else errors would tell whether a name that it guesses is hidden: there is a relation without the column."""
    scrubber = Scrubber(hidden=[("public", "customers", "card_no")])
    missing = {
        "C": "42703", "M": "x", "P": "8", "D": 'There is a column named "card_no" in table "mine" ...',
        "H": 'Perhaps you meant to reference the column "mine.card_no".',
    }  # fmt: skip
    assert scrubbed(scrubber, own=True, **missing) == missing
    copied = {
        "C": "22P02",
        "M": 'invalid input syntax for type integer: "card_no"',
        "W": 'COPY c, line 1, column id: "card_no"',
    }
    assert scrubbed(scrubber, **copied) == copied


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ('relation "ann" does not exist', 'relation "?" does not exist'),
        ('relation "Orders" does not exist', 'relation "Orders" does not exist'),
        ('relation "shop.orders" does not exist', 'relation "shop.orders" does not exist'),
        ('relation "ann.orders" does not exist', 'relation "?" does not exist'),
        ('column "order" of relation "orders" does not exist', 'column "?" of relation "orders" does not exist'),
        ("date out of range: 4111-01-01", "date out of range: ?"),
        ("index 411111199 out of valid range, 0..7", "index ? out of valid range, ?"),
        (
            "setseed parameter 4.11111e+08 is out of allowed range [-1,1]",
            "setseed parameter ? is out of allowed range [?,?]",
        ),
        ("there is no parameter $17", "there is no parameter $17"),
        ("value too long for type character varying(80)", "value too long for type character varying(80)"),
    ],
)
def test_what_a_message_quotes_is_kept_where_the_statement_has_it(message: str, left: str) -> None:
    assert of_known_names(message, "SELECT nextval($1), id FROM shop.ORDERS") == left
