"""Every mask on every type that it takes, in a real PostgreSQL, over values made to break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy import consent
from proxy.catalog.model import Column
from proxy.policy.masks import ACCEPTS, NEEDS_SETUP, check_mask, is_domain, mask_sql
from proxy.policy.table import Mask
from tests.servers import PgServer

# What `consentry consent setup` makes for masks: the migration itself, not a copy of it.
MIGRATION = Path(consent.__file__).parent / "migrations" / "002_masks.sql"
SETUP = f"""
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE SCHEMA consentry;
{MIGRATION.read_text()}
SELECT consentry.make_key('default'), consentry.make_key('other');
"""

TEXTS = [
    "", " ", "a", "ab", "abc", "x" * 300, "ann@example.org", "a@b.co", "@", "a@", "@b", "a@b", "a@b.", "a@.b", "a@b@c.de",
    "ann@example.org\n", "a b@c.de", "é@ü.de", "😀😀😀😀😀", "e\u0301" * 5, "'", "\\", "a\\'b", "42", "-7", "3.9", "1e5", "NaN",
    " 42", "42 ", "+1", "0x10", "1_000", "9" * 40, "00019", "192.168.1.77", "10.0.0.1/8", "256.1.1.1", "1.2.3", "01.2.3.4",
    "::1", "fe80::1%eth0", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8::/32", "1::2::3", ":::", "12345::", "::ffff:1.2.3.4",
    "a\nb", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1::8/129", "1.2.3.4/33", "::", "1:2:3:4:5:6:7:8:9",
]  # fmt: skip

VALUES: dict[str, list[str]] = {
    "text": TEXTS,
    "varchar": TEXTS,
    "bpchar": TEXTS,
    "citext": TEXTS,
    "int2": ["0", "1", "-1", "32767", "-32768", "49", "50"],
    "int4": ["0", "7", "-7", "2147483647", "-2147483648", "150", "149"],
    "int8": ["0", "9223372036854775807", "-9223372036854775808", "9223372036854775805"],
    "numeric": ["0", "12.345", "-12.345", "NaN", "Infinity", "-Infinity", "9" * 200, "1e-200", "1e2000", "999.99"],
    "float4": ["0", "-0", "1.5", "NaN", "Infinity", "-Infinity", "3.4028235e38", "1e-45", "-3.4e38"],
    "float8": ["0", "1.5", "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "-1e308", "1e15"],
    "bool": ["true", "false"],
    "money": ["0", "12.34"],
    "date": ["2024-02-29", "infinity", "-infinity", "5874897-12-31", "4713-01-01 BC", "4714-11-24 BC", "0001-01-01"],
    "timestamp": ["2024-02-29 13:14:15.5", "infinity", "-infinity", "294276-12-31 23:59:59", "4714-11-24 00:00:00 BC"],
    "timestamptz": ["2024-02-29 13:14:15.5+02", "infinity", "-infinity", "294276-12-31+00", "4714-11-24 00:00:00+00 BC"],
    "time": ["13:14:15", "24:00:00"],
    "timetz": ["13:14:15+02"],
    "interval": ["1 day", "-178000000 years"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": [
        "{}", "[]", "null", "1", '"x"', '{"a": {"b": [1, {"c": "d"}]}}', '{"a": "\\u0000"}', '{"\\ud800": 1}',
        '{"a": 1e999999}', '{"a": ' + "9" * 300 + "}", '{"a\\\\u0041": "\\\\"}', '["\\ud83d\\ude00"]', '{"a":1,"a":2}', '"\\\\\\u0000"',
    ],
    "jsonb": ["{}", "[]", "null", '{"a": {"b": [1, {"c": "d"}]}}', '[[["x"]]]'],
    "bytea": ["\\x00ff", ""],
    "inet": ["192.168.1.77", "10.1.2.3/8", "::1", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "0.0.0.0/0", "::/0"],
    "cidr": ["192.168.1.0/24", "10.0.0.0/8", "2001:db8::/32", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "tsvector": ["a b"],
}  # fmt: skip

OPTIONS: dict[str, list[dict[str, str | int]]] = {
    "redact": [{}],
    "partial": [{}, {"keep_first": 1, "keep_last": 4}, {"keep_last": 400, "with": "\\"}, {"with": "é"}],
    "email": [{}],
    "hash": [{}, {"length": 12, "key": "other"}],
    "pseudonym": [{}, {"prefix": "it's\\"}],
    "truncate": [{"to": "year"}, {"to": "month"}, {"to": "day"}, {"to": "hour"}],
    "round": [{"to": 1}, {"to": 100}, {"to": 1_000_000_000}],
    "range": [{"step": 1}, {"step": 10}, {"step": 999_999_937}],
    "first": [{"characters": 0}, {"characters": 2}],
    "ip": [{}, {"v4": 0, "v6": 0}, {"v4": 32, "v6": 128}],
    "keys": [{}],
}
SPELLED = {"varchar": "character varying", "bpchar": "character"}
CATEGORY = {"text": "S", "varchar": "S", "bpchar": "S", "citext": "S"}


def mask(kind: str, **options: str | int) -> Mask:
    return Mask(kind, tuple(sorted((k.rstrip("_"), v) for k, v in options.items())))


def column(base: str, type_name: str | None = None, collation: str | None = None) -> Column:
    spelled = "public.citext" if base == "citext" else "text" if base == "bpchar" else base
    category = "A" if base.startswith("_") else CATEGORY.get(base, "X")
    return Column("c", 1, 0, type_name or spelled, base, category, collation)


@pytest.fixture(scope="module")
def connection(pg_server: PgServer) -> Iterator[psycopg.Connection[Any]]:
    pg_server.create_database("unit_masks", SETUP)
    with pg_server.connect("unit_masks") as made:
        made.prepare_threshold = None  # the table that the same INSERT means has another type each time
        made.execute("SET extra_float_digits = 1")
        yield made


def apply(connection: psycopg.Connection[Any], rule: Mask, col: Column, values: list[str]) -> list[str | None]:
    """The masked values as text, as the governed form would read them from a table."""
    type_name = col.type_name
    connection.execute("DROP TABLE IF EXISTS pg_temp.t")
    collate = f" COLLATE {col.collation}" if col.collation else ""
    connection.execute(f"CREATE TEMP TABLE t (n int, c {type_name}{collate})".encode())
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s)", list(enumerate([*values, None])))
    expression = f"({mask_sql(rule, 't.c', col)})::{type_name}"
    rows = connection.execute(f"SELECT ({expression})::text FROM t ORDER BY n".encode()).fetchall()
    masked = [row[0] for row in rows]
    assert masked.pop() is None, "NULL stays NULL"
    return masked


CASES = [
    (kind, base, options)
    for kind, bases in ACCEPTS.items()
    for base in sorted(bases)
    for options in OPTIONS[kind]
    if not (base == "date" and options.get("to") == "hour")
]


@pytest.mark.parametrize(("kind", "base", "options"), CASES, ids=lambda v: str(v) if v else "-")
def test_every_mask_on_every_type_never_fails_and_keeps_null(
    connection: psycopg.Connection[Any], kind: str, base: str, options: dict[str, str | int]
) -> None:
    masked = apply(connection, mask(kind, **options), column(base), VALUES[base])
    assert len(masked) == len(VALUES[base])
    if kind != "keys":
        assert None not in masked


def test_a_collation_without_pattern_matching_does_no_harm(pg15_server: PgServer) -> None:
    """And another version of PostgreSQL does it all alike (the embedded one has no ICU)."""
    collation = "CREATE COLLATION public.odd (provider = icu, locale = 'und', deterministic = false);"
    pg15_server.create_database("unit_masks", SETUP + collation)
    with pg15_server.connect("unit_masks") as connection:
        connection.prepare_threshold = None
        for kind, bases in ACCEPTS.items():
            for base in sorted(bases):
                apply(connection, mask(kind, **OPTIONS[kind][0]), column(base), VALUES[base])
            if "text" in bases:
                apply(connection, mask(kind, **OPTIONS[kind][-1]), column("text", collation="public.odd"), TEXTS)


@pytest.mark.parametrize("kind", sorted(k for k, bases in ACCEPTS.items() if "text" in bases))
def test_the_result_sorts_as_the_column_does(connection: psycopg.Connection[Any], kind: str) -> None:
    sql = f"SELECT pg_collation_for({mask_sql(mask(kind, **OPTIONS[kind][-1]), 'v', column('text'))}) FROM (VALUES (NULL::text)) x (v)"
    assert connection.execute(sql.encode()).fetchone() == ('"default"',)


def one(
    connection: psycopg.Connection[Any], rule: Mask, value: str, base: str = "text", type_name: str | None = None
) -> str | None:
    return apply(connection, rule, column(base, type_name), [value])[0]


@pytest.mark.parametrize(
    ("rule", "base", "value", "expected"),
    [
        (mask("redact"), "text", "secret", ""),
        (mask("redact", with_="***"), "text", "secret", "***"),
        (mask("redact"), "int4", "7", "0"),
        (mask("redact", with_=-1), "int4", "7", "-1"),
        (mask("redact"), "date", "2020-02-02", "1970-01-01"),
        (mask("redact"), "uuid", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"),
        (mask("redact"), "_text", '{"a"}', "{}"),
        (mask("partial", keep_last=4), "text", "4111111111111111", "************1111"),
        (mask("partial", keep_first=1, keep_last=1), "text", "abcde", "a***e"),
        (mask("partial", keep_first=1, keep_last=1, with_="x"), "text", "ab", "xx"),
        (mask("partial", keep_last=4), "text", "1234", "****"),
        (mask("email"), "text", "joanna@example.com", "j***@e***.com"),
        (mask("email"), "text", "joanna@mail.example.co.uk", "j***@m***.uk"),
        (mask("email"), "text", "no email", ""),
        (mask("truncate", to="year"), "date", "1985-03-14", "1985-01-01"),
        (mask("truncate", to="month"), "timestamp", "1985-03-14 15:16:17", "1985-03-01 00:00:00"),
        (mask("truncate", to="hour"), "timestamp", "1985-03-14 15:16:17", "1985-03-14 15:00:00"),
        (mask("round", to=100), "int4", "149", "100"),
        (mask("round", to=100), "int4", "150", "200"),
        (mask("round", to=100), "int4", "-150", "-200"),
        (mask("round", to=3), "int8", "9223372036854775806", "9223372036854775806"),
        (mask("round", to=100), "numeric", "149.99", "100"),
        (mask("round", to=10), "float8", "15.5", "20"),
        (mask("range", step=10), "int4", "29", "20"),
        (mask("range", step=10), "int4", "-1", "-10"),
        (mask("range", step=10), "int8", "9223372036854775807", "9223372036854775800"),
        (mask("range", step=10), "int2", "-32768", "-32768"),
        (mask("range", step=10), "numeric", "29.99", "20"),
        (mask("range", step=10), "text", "27", "20-29"),
        (mask("range", step=10), "text", "27.5", "20-29"),
        (mask("range", step=10), "text", "-27", ""),
        (mask("range", step=10), "text", "about 27", ""),
        (mask("first", characters=2), "text", "80331", "80"),
        (mask("ip"), "inet", "192.168.1.77", "192.168.1.0/24"),
        (mask("ip"), "inet", "10.0.0.0/8", "10.0.0.0/8"),
        (mask("ip"), "text", "192.168.1.77", "192.168.1.0/24"),
        (mask("ip"), "text", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "2001:db8:85a3::/48"),
        (mask("ip"), "text", "nowhere", ""),
        (mask("keys"), "jsonb", '{"a": {"b": [1, {"c": "d"}]}}', '{"a": {"b": [null, {"c": null}]}}'),
        (mask("keys"), "json", '{"a": "\\u0000\\\\", "b": []}', '{"a": null, "b": []}'),
        (mask("expression", sql="pg_catalog.upper(pg_catalog.left({value}, 1))"), "text", "abc", "A"),
    ],
)  # fmt: skip
def test_what_a_mask_gives(
    connection: psycopg.Connection[Any], rule: Mask, base: str, value: str, expected: str
) -> None:
    assert one(connection, rule, value, base) == expected


def test_null_gives_null(connection: psycopg.Connection[Any]) -> None:
    sql = f"SELECT ({mask_sql(mask('null'), 'v', column('int4'))})::int4 FROM (VALUES (1)) x (v)"
    assert connection.execute(sql.encode()).fetchone() == (None,)


def test_hash_keeps_equal_values_equal_and_keys_apart(connection: psycopg.Connection[Any]) -> None:
    a, b, again = apply(connection, mask("hash"), column("text"), ["a", "b", "a"])
    assert a == again != b
    assert re.fullmatch("[0-9a-f]{64}", str(a))
    assert one(connection, mask("hash", key="other"), "a") != a
    assert one(connection, mask("hash", length=16), "a") == str(a)[:16]
    assert one(connection, mask("hash"), "a", "varchar", "character varying(9)") == str(a)[:9]
    upper, lower = apply(connection, mask("hash"), column("citext"), ["ANN", "ann"])
    assert upper == lower


def test_pseudonyms_have_the_shape_of_the_type(connection: psycopg.Connection[Any]) -> None:
    assert re.fullmatch("p-[0-9a-f]{12}", str(one(connection, mask("pseudonym", prefix="p-"), "ann")))
    value = str(one(connection, mask("pseudonym"), "ffffffff-ffff-ffff-ffff-ffffffffffff", "uuid"))
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", value)
    for base, bits in (("int2", 15), ("int4", 31), ("int8", 52)):
        masked = [int(str(v)) for v in apply(connection, mask("pseudonym"), column(base), [str(n) for n in range(200)])]
        assert all(0 <= v < 2**bits for v in masked)
        assert max(masked) >= 2 ** (bits - 1), "the whole width is used"
    wide = apply(connection, mask("pseudonym"), column("int8"), [str(n) for n in range(500)])
    assert len(set(wide)) == 500


@pytest.mark.parametrize("value", ["999.99", "-999.99", "995", "0.01", "NaN"])
@pytest.mark.parametrize("rule", [mask("round", to=100), mask("range", step=100)], ids=["round", "range"])
def test_a_number_stays_inside_its_precision(connection: psycopg.Connection[Any], rule: Mask, value: str) -> None:
    assert one(connection, rule, value, "numeric", "numeric(5,2)") is not None


def test_a_time_zone_of_the_app_tells_nothing(connection: psycopg.Connection[Any]) -> None:
    seen = set()
    for zone in ("UTC", "Asia/Tokyo", "<x>+03:12", "America/Lima"):
        connection.execute("SELECT set_config('timezone', %s, false)", [zone])
        sql = f"SELECT ({mask_sql(mask('truncate', to='day'), 'v', column('timestamptz'))}) AT TIME ZONE 'UTC' FROM (VALUES ('2024-01-01 03:11:44+00'::timestamptz)) x (v)"
        seen.add(connection.execute(sql.encode()).fetchone())
    connection.execute("SET timezone = 'UTC'")
    assert len(seen) == 1


def test_an_app_cannot_put_its_own_functions_operators_and_types_before(pg_server: PgServer) -> None:
    """Everything that a mask calls is qualified: a path that begins with traps changes nothing."""
    traps = """
    CREATE SCHEMA trap;
    CREATE FUNCTION trap.left(text, int) RETURNS text LANGUAGE sql AS $$ SELECT 'trap' $$;
    CREATE FUNCTION trap.left(varchar, int) RETURNS text LANGUAGE sql AS $$ SELECT 'trap' $$;
    CREATE FUNCTION trap.encode(bytea, text) RETURNS text LANGUAGE sql AS $$ SELECT 'trap' $$;
    CREATE FUNCTION trap.cat(text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'trap' $$;
    CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.cat);
    CREATE FUNCTION trap.no(text, text) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR trap.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.no);
    CREATE TYPE trap.text AS (a int);
    CREATE TYPE trap.numeric AS (a int);
    """
    pg_server.create_database("unit_masks_trap", SETUP)
    with pg_server.connect("unit_masks_trap") as connection:
        rules = [(mask(k, **OPTIONS[k][-1]), b) for k, bases in ACCEPTS.items() for b in ("text", "int4") if b in bases]
        queries = []
        for rule, base in rules:
            value = "'20'::pg_catalog.int4" if base == "int4" else "'ann@example.org'::pg_catalog.text"
            queries.append(
                f"SELECT ({mask_sql(rule, 'v', column(base))})::pg_catalog.{base} FROM (SELECT {value} AS v) x"
            )
        honest = [connection.execute(q.encode()).fetchone() for q in queries]
        pg_server.run("unit_masks_trap", traps)
        connection.execute("SET search_path = trap, public, pg_catalog")
        assert [connection.execute(q.encode()).fetchone() for q in queries] == honest


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), min_size=1, max_size=20
    )
)
def test_any_text(connection: psycopg.Connection[Any], values: list[str]) -> None:
    for kind, bases in ACCEPTS.items():
        if "text" in bases:
            masked = apply(connection, mask(kind, **OPTIONS[kind][0]), column("text"), values)
            if kind == "partial":
                assert [len(str(m)) for m in masked] == [len(v) for v in values]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), st.integers(1, 10**9))
def test_any_number(connection: psycopg.Connection[Any], values: list[int], step: int) -> None:
    lower = apply(connection, mask("range", step=step), column("int8"), [str(v) for v in values])
    for value, masked in zip(values, lower, strict=True):
        assert int(str(masked)) == max(value - value % step, -(2**63))
    rounded = apply(connection, mask("round", to=step), column("int8"), [str(v) for v in values])
    for value, masked in zip(values, rounded, strict=True):
        assert abs(int(str(masked)) - value) * 2 <= step


# -- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "col", "says"),
    [
        (mask("email"), column("int4"), "cannot give a value of type int4"),
        (mask("hash"), column("uuid"), "pseudonym"),
        (mask("truncate", to="hour"), column("date"), "a date has no hours"),
        (mask("redact", with_="x"), column("int4"), '"x" is no value'),
        (mask("redact", with_=40000), column("int2"), '"40000" is no value'),
        (mask("redact", with_="1000"), column("numeric", "numeric(5,2)"), '"1000" is no value'),
        (mask("redact", with_="soon"), column("date"), '"soon" is no value'),
        (mask("redact", with_="x"), column("bytea"), "cannot be given"),
        (mask("redact"), column("mood"), "for this type: null, expression"),
        (mask("hash"), column("varchar", "character varying(7)"), "too short"),
        (mask("pseudonym", prefix="p-"), column("varchar", "character varying(13)"), "do not fit"),
        (mask("round", to=10), column("numeric", "public.price"), "domain"),
        (mask("nonsense"), column("text"), "no mask of kind"),
    ],
)
def test_a_mask_that_does_not_fit_the_column(rule: Mask, col: Column, says: str) -> None:
    assert says in str(check_mask(rule, col))
    with pytest.raises(ValueError, match=re.escape(says)):
        mask_sql(rule, "v", col)


def test_domains_are_known_by_their_name() -> None:
    for plain in (
        column("numeric", "numeric(5,2)"), column("varchar", "character varying(5)"), column("citext", "public.citext"),
        column("timestamptz", "timestamp(3) with time zone"), column("int4", "integer"), column("_text", "text[]"),
    ):  # fmt: skip
        assert not is_domain(plain)
    assert is_domain(column("text", "public.email_address"))


def test_every_kind_has_cases() -> None:
    assert set(OPTIONS) == set(ACCEPTS)
    assert set(VALUES) == set().union(*ACCEPTS.values())
    assert set(ACCEPTS) >= NEEDS_SETUP
