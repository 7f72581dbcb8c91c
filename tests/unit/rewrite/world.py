"""A catalog and rules written by hand, for the verifier alone: no database, and nothing of the rewriter's."""

from __future__ import annotations

from proxy.catalog.model import Column, ForeignOperator, FunctionName, Relation, Snapshot
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, Mask, PolicyRef, RowPolicy, Treatment
from proxy.rewrite.result import SystemCatalog
from proxy.rewrite.verify import Verifier

OIDS = {"int4": 23, "text": 25, "numeric": 1700, "timestamptz": 1184, "name": 19, "oid": 26}
LEAKPROOF = frozenset({"int4", "text", "timestamptz", "oid"})
_PAIRS = frozenset((one, other) for one in (20, 21, 23) for other in (20, 21, 23))  # of which comparisons are leakproof


def columns(text: str) -> tuple[Column, ...]:
    """Of `id:int4 name:text`."""
    found = []
    for number, part in enumerate(text.split(), 1):
        name, base = part.split(":")
        shown = {"int4": "integer", "timestamptz": "timestamp with time zone"}.get(base, base)
        found.append(Column(name, number, OIDS[base], shown, base, "S", leakproof=base in LEAKPROOF))
    return tuple(found)


# people is masked, visits has a row policy, things and other.people are open, hidden is not listed.
RELATIONS = (
    Relation(100, "public", "people", "r", columns("id:int4 name:text ssn:text secret:text"), primary_key=("id",)),
    Relation(101, "public", "visits", "r", columns("id:int4 person:int4 note:text cost:numeric"), primary_key=("id",)),
    Relation(102, "public", "things", "r", columns("id:int4 label:text"), primary_key=("id",)),
    Relation(103, "public", "hidden", "r", columns("id:int4")),
    Relation(104, "other", "people", "r", columns("id:int4 nick:text")),
    Relation(105, "public", "whole", "r", columns("id:int4 label:text")),
    Relation(110, "public", "v_things", "v", columns("id:int4"), reads=(102,), definition=" SELECT id FROM public.things;"),
    Relation(111, "public", "v_people", "v", columns("id:int4"), reads=(100,), definition=" SELECT id FROM public.people;"),
    Relation(112, "public", "v_calls", "v", columns("x:text"), reads=(102,), definition=" SELECT public.spy(id) AS x FROM public.things;"),
    Relation(113, "public", "v_stats", "v", columns("x:text"), reads=(900,), definition=" SELECT most_common_vals AS x FROM pg_stats;"),
    Relation(114, "public", "v_nested", "v", columns("x:text"), reads=(112, 102), definition=" SELECT x FROM public.v_calls;"),
    Relation(115, "public", "v_lost", "v", columns("id:int4"), reads=(102,)),
    Relation(116, "public", "v_types", "v", columns("x:name"), reads=(901,), definition=" SELECT typname AS x FROM pg_type;"),
    Relation(117, "public", "v_visits", "v", columns("id:int4 person:int4 low:text"), reads=(101,), definition=" SELECT v.id, v.person, lower(v.note) AS low FROM public.visits v;"),
    Relation(118, "public", "v_low", "v", columns("id:int4 low:text"), reads=(101,), definition=" SELECT v.id, lower(v.note) AS low FROM public.visits v WHERE (lower(v.note) > 'x'::text);"),
    Relation(119, "public", "v_ranked", "v", columns("id:int4 rank:text"), reads=(101,), definition=" SELECT v.id, max(v.note) OVER (ORDER BY lower(v.note)) AS rank FROM public.visits v;"),
    Relation(160, "public", "v_few", "v", columns("id:int4 person:int4"), reads=(101,), definition=" SELECT v.id, v.person FROM public.visits v LIMIT 5;"),
    Relation(161, "public", "v_groups", "v", columns("id:int4 person:int4"), reads=(101,), definition=" SELECT v.id, v.person FROM public.visits v GROUP BY v.id, v.person;"),
    Relation(162, "public", "v_once", "v", columns("id:int4 person:int4"), reads=(101,), definition=" SELECT DISTINCT ON (v.person) v.id, v.person FROM public.visits v;"),
    Relation(163, "public", "v_joined", "v", columns("id:int4 note:text"), reads=(101, 102), definition=" SELECT t.id, v.note FROM (public.things t LEFT JOIN public.visits v ON ((v.person = t.id)));"),
    Relation(164, "public", "v_deep", "v", columns("number:int4 who:int4"), reads=(117,), definition=" SELECT x.id AS number, x.person AS who FROM public.v_visits x WHERE (x.low > 'x'::text);"),
    Relation(120, "public", "parent", "r", columns("id:int4")),
    Relation(121, "public", "child", "r", columns("id:int4 secret:text"), parents=(120,)),
    Relation(122, "public", "ancestor", "r", columns("id:int4 secret:text")),
    Relation(123, "public", "heir", "r", columns("id:int4 secret:text"), parents=(122,)),
    Relation(130, "public", "things_id_seq", "S", ()),
    Relation(131, "public", "hidden_id_seq", "S", ()),
    Relation(140, "consentry", "state_web", "r", columns("app:text subject:int4")),
    Relation(150, "pg_toast", "pg_toast_100", "t", columns("chunk_id:oid")),
    Relation(900, "pg_catalog", "pg_stats", "v", columns("most_common_vals:text")),
    Relation(901, "pg_catalog", "pg_type", "r", columns("oid:oid typname:name")),
    Relation(902, "pg_catalog", "pg_class", "r", columns("oid:oid relname:name")),
)  # fmt: skip
FUNCTIONS = {
    **{name: (FunctionName("pg_catalog", None, takes_row=False),) for name in "lower now max min count right nextval set_config pg_read_file pg_get_viewdef generate_series array_agg json_to_record".split()},
    **{name: (FunctionName("pg_catalog", None, takes_row=True),) for name in ("row_to_json", "to_jsonb")},
    "spy": (FunctionName("public", None, takes_row=False),),
    "tax": (FunctionName("public", None, takes_row=False),),
    "peek": (FunctionName("public", None, takes_row=True),),
    "digest": (FunctionName("public", "pgcrypto", takes_row=False),),
    "dblink": (FunctionName("public", "dblink", takes_row=False),),
}  # fmt: skip
SNAPSHOT = Snapshot(
    database="shop",
    server_version=180000,
    relations={relation.key: relation for relation in RELATIONS},
    functions=FUNCTIONS,
    foreign_operators={name: (ForeignOperator("public", ("public", "spy"), 2, 0),) for name in ("===", "=")},
    leakproof=_PAIRS,
    by_oid={relation.oid: relation for relation in RELATIONS},
)
PLAIN_OPERATORS = Snapshot(
    database="shop",
    server_version=180000,
    relations=SNAPSHOT.relations,
    functions=FUNCTIONS,
    leakproof=_PAIRS,
    by_oid=SNAPSHOT.by_oid,
)

_RULE = PolicyRef("rule", "rules.yaml", 1)
_SHOW, _DROP, _DENY = Treatment("show"), Treatment("drop", policy=_RULE), Treatment("deny", policy=_RULE)
MASKED = Treatment("mask", Mask("null"), policy=_RULE)


def table(name: str, treatments: str, rows: tuple[RowPolicy, ...] = ()) -> GovernedTable:
    """Of `id:show secret:drop`."""
    kinds = {"show": _SHOW, "mask": MASKED, "drop": _DROP, "deny": _DENY}
    pairs = [part.split(":") for part in treatments.split()]
    found = tuple(GovernedColumn(column, None, kinds[kind]) for column, kind in pairs)
    return GovernedTable("public", name, None, found, rows)


_ROWS = (RowPolicy(_RULE, where="person > 0"),)
TABLES = (
    table("people", "id:show name:show ssn:mask secret:drop"),
    table("visits", "id:show person:show note:show cost:deny", _ROWS),
    table("whole", "id:show label:show"),
    table("parent", "id:show"),
    table("child", "id:show secret:drop"),
    table("ancestor", "id:show secret:show"),
    table("heir", "id:show secret:mask"),
)
APP = AppPolicy(
    name="web",
    label="Web",
    kind="partner",
    purpose="tests",
    logins=("web",),
    functions=frozenset({("public", "tax")}),
    tables={one.key: one for one in TABLES},
    open_tables=frozenset({("public", "things"), ("other", "people"), ("public", "things_id_seq")}),
)
SYSTEM = SystemCatalog(
    open=frozenset({("pg_catalog", "pg_type")}),
    forms={("pg_catalog", "pg_class"): "(SELECT t.oid, t.relname FROM pg_catalog.pg_class AS t WHERE t.oid <> 100)"},
    arguments={"pg_get_viewdef": "(SELECT ({argument})::pg_catalog.oid OFFSET 0)"},
)

# What the page says that stands for people and visits.
PEOPLE = '(SELECT _t."id", _t."name", (NULL)::text AS "ssn" FROM "public"."people" AS _t)'
VISITS = '(SELECT _t."id", _t."person", _t."note" FROM "public"."visits" AS _t WHERE (_t."person" > 0){})'


def fenced(more: str = "") -> str:
    """The form of visits with a fence, and `more` conjuncts: no statistics tell of a text then."""
    return VISITS.replace('_t."note"', 'COALESCE(_t."note", _t."note") AS "note"').format(f"{more} OFFSET 0")


def unfenced(text: str) -> str:
    """The same without it."""
    return text.replace(" OFFSET 0", "").replace('COALESCE(_t."note", _t."note") AS "note"', '_t."note"')


def verifier(app: AppPolicy = APP, snapshot: Snapshot = PLAIN_OPERATORS) -> Verifier:
    return Verifier(app, snapshot, SYSTEM)
