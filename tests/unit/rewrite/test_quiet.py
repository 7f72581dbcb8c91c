"""What may be asked of the catalogs without a fence: their indexes stay in use. Whatever could raise an error may not."""

from __future__ import annotations

import pytest

from proxy.rewrite.verify.quiet import raises_nothing
from proxy.rewrite.verify.tree import Node, parse

KINDS = {
    "oid": {"oid"},
    "relname": {"name"},
    "relnamespace": {"oid"},
    "relacl": {"_aclitem"},
    "relkind": {"char"},
    "relhasindex": {"bool"},
    "attnum": {"int2"},
    "attrelid": {"oid"},
    "conkey": {"_int2"},
    "indkey": {"int2vector"},
    "description": {"text"},
    "seqmax": {"int8"},
    "attmissingval": {"anyarray"},
}
QUIET = [
    r"relname LIKE 'a%'",
    r"relname LIKE '%\\'",
    r"relname LIKE E'\\\\'",
    r"relname NOT LIKE 'pg\_%'",
    r"relname ILIKE ''",
    r"relname::text LIKE '%\' ESCAPE ''",
    r"relname LIKE '%\' ESCAPE '#'",
    r"relname LIKE '%##' ESCAPE '#'",
    r"relname OPERATOR(pg_catalog.~~*) 'a%'::text COLLATE pg_catalog.default",
    r"relname OPERATOR(pg_catalog.~) '^(customers)$' COLLATE pg_catalog.default",
    r"relname !~ '^pg_toast' AND relname ~ '^(a.*|b.c)$'",
    r"relname !~ '^information_schema|history|^pg_'",
    "relkind IN ('r', 'v') AND oid = $1::regclass AND relname = ANY ($2) AND relhasindex",
    "oid = '1'::regclass::oid AND oid::regclass::text = 'x' AND attnum > 0",
    "(relname, relnamespace) IN (($1, $2), ('a', 3))",
    "attnum = ANY (conkey) AND indkey[0] = attnum AND attrelid::int8 = seqmax",
    "EXISTS (SELECT 1 FROM pg_x x WHERE x.oid = attrelid LIMIT 1)",
    "oid IN (SELECT attrelid AS a FROM pg_x GROUP BY attrelid)",
    "CASE WHEN relacl IS NULL THEN relname ELSE 'x' END = coalesce(description, relname::text)",
    "attnum = (SELECT max(attnum) FROM pg_x)",
    "pg_table_is_visible(oid) AND relacl::text = 'x'",
    "EXISTS (SELECT 1 FROM (SELECT indkey, generate_subscripts(indkey, 1) AS i FROM pg_x) k WHERE indkey[k.i] = 1)",
    "EXISTS (SELECT 1 FROM unnest(conkey) WITH ORDINALITY AS k(a, b) WHERE a = 1 AND b = 2)",
    "($1 IS NULL OR relname = $1)",
    "EXISTS (SELECT 1 FROM (SELECT oid AS oid, relname AS n FROM pg_x) y WHERE y.oid = 1 AND n = 'a')",
    "EXISTS (WITH a AS (SELECT attnum AS m FROM pg_x), b AS (SELECT m AS k FROM a) SELECT 1 FROM b WHERE k = 1)",
]
LOUD = [
    r"relname LIKE '%\'",
    r"relname LIKE '%\\\'",
    r"relname LIKE '%##\' ",
    r"relname LIKE '%###' ESCAPE '#'",
    r"relname LIKE '%' ESCAPE 'ab'",
    r"relname LIKE '%' ESCAPE $1",
    r"relname LIKE $1 ESCAPE ''",
    r"relname LIKE $1",
    r"relname LIKE relname",
    r"relname LIKE '%' || 'x'",
    r"relname LIKE ANY (ARRAY['x'])",
    r"relname LIKE 'a' COLLATE de",
    r"relname SIMILAR TO 'a'",
    r"relname ~ $1",
    r"relname ~ '('",
    r"relname ~ '(a'",
    r"relname ~ '*'",
    r"relname ~ 'a\'",
    r"relname ~ '()'",
    f"relname ~ '{'a' * 201}'",
    f"relname ~ '{'a' * 60}('",  # an answer soon
    "relacl = relacl",
    "relacl < '{}'",
    "attmissingval = '{1}'",
    "$1 < $2",
    "$1 = 'a'",
    "coalesce($1, $2) = $3",
    "pg_class = pg_class",
    "(pg_class.*) = (pg_class.*)",
    "ROW(oid) = $1",
    "(oid, relname) = (SELECT 1, 'x')",
    "CASE WHEN relhasindex THEN ROW(1) ELSE ROW('x') END = ROW(1)",
    "oid = 'x'::text::regclass",
    "'1'::public.dom = 1",
    "'1'::dom = 1",
    "seqmax::int4 = 1",
    "attrelid::int2 = 1",
    "conkey[seqmax] = 1",
    "attnum + 1 = 2",
    "relname = (SELECT 'x' COLLATE \"POSIX\")",
    "relname = (SELECT relname FROM pg_x)",
    "attnum = (SELECT max(attnum) OVER () FROM pg_x)",
    "EXISTS (SELECT 1 FROM pg_x LIMIT -1)",
    "EXISTS (SELECT 1 FROM pg_x LIMIT $1)",
    "EXISTS (SELECT 1 FROM pg_x GROUP BY relacl)",
    "EXISTS (SELECT relacl FROM pg_x GROUP BY 1)",
    "EXISTS (SELECT relacl FROM pg_x UNION SELECT relacl FROM pg_x)",
    "EXISTS (SELECT 1 FROM (SELECT NULL AS relname UNION SELECT relacl FROM pg_x) y WHERE relname < relname)",
    "EXISTS (SELECT 1 FROM (SELECT relacl AS relname FROM pg_x) y WHERE y.relname < relname)",
    "EXISTS (SELECT 1 FROM pg_x AS y(relname) WHERE y.relname < y.relname)",
    "EXISTS (SELECT 1 FROM (VALUES ($1)) AS y(relname) WHERE y.relname < y.relname)",
    "EXISTS (SELECT 1 FROM pg_x NATURAL JOIN pg_y)",
    "EXISTS (SELECT 1 FROM pg_x JOIN pg_y USING (relacl))",
    "EXISTS (SELECT 1 FROM own)",
    "own(relname)",
    "current_setting('x') = 'y'",
    "to_regclass('x') = oid",
    "split_part(relname, 'x', 0) = 'x'",
    "format_type(oid, attnum) = 'x'",
    "concat(relname, relname) = 'x'",
    "upper(description) = 'x'",
    "max_of(relname) = 1",
    "EXISTS (SELECT 1 FROM (SELECT relacl AS relacl FROM pg_x) y WHERE relacl < relacl)",
    "EXISTS (SELECT 1 FROM (SELECT column1 AS column1 FROM (VALUES ($1)) v) y WHERE column1 < column1)",
    "relname = $1 AND $1::regclass = 1",
    "$1::oid = 1 AND $1::regclass = 1",
    "oid = ANY (ARRAY[$1]::regclass[])",
    "EXISTS (SELECT 1 FROM (SELECT attnum::text FROM pg_x) y WHERE attnum::regclass = 1)",
    "EXISTS (SELECT 1 FROM (SELECT CASE WHEN true THEN relacl ELSE relacl END FROM pg_x) y WHERE relacl < relacl)",
    "EXISTS (SELECT NULL AS relname UNION VALUES ($1))",
    "EXISTS (WITH RECURSIVE r AS (SELECT oid FROM pg_x UNION SELECT oid FROM r) SEARCH DEPTH FIRST BY oid SET relname SELECT relname < relname FROM r)",
]


def asked(statement: str, given: int = 0) -> bool:
    ((tree),) = parse(statement)

    def is_own_relation(name: Node) -> bool:
        return bool(name["relname"] == "own")

    return raises_nothing(tree, KINDS, {"own", "max_of"}.__contains__, is_own_relation, lambda _: given)


@pytest.mark.parametrize("condition", QUIET)
def test_quiet(condition: str) -> None:
    assert asked(f"SELECT relacl AS relname, 1 / attnum AS attnum FROM pg_class WHERE {condition} LIMIT $9")


@pytest.mark.parametrize("condition", LOUD)
def test_loud(condition: str) -> None:
    assert not asked(f"SELECT 1 FROM pg_class WHERE {condition}")
    assert not asked(f"SELECT count(*) FROM pg_class WHERE NOT (relhasindex OR ({condition}))")
    assert not asked(f"SELECT (SELECT count(*) FROM pg_class WHERE CASE WHEN relhasindex THEN {condition} END)")


def test_a_parameter_whose_type_the_driver_gave_is_cast_row_by_row() -> None:
    text = "SELECT 1 FROM pg_class WHERE oid = $1::regclass"
    assert asked(text)
    assert not asked(text, given=25)
    assert asked("SELECT 1 FROM pg_class WHERE relname = $1::text", given=25)
