"""Whether what a statement asks of the catalogs' rows can raise no error by a row's values. Pure.

PostgreSQL may ask a statement's own conditions before those of a catalog's form have taken the hidden rows away. Errors
that have a value in them, or are raised for some values only, would tell of such rows then: a form needs a fence. What
is computed above the forms, in the outputs of the outermost query, comes too late to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from proxy.rewrite.verify.tree import Node, every_part

_NODES: Final = frozenset(
    """
    A_Const A_Expr A_Indices A_Indirection A_ArrayExpr A_Star Alias BoolExpr Boolean BooleanTest CaseExpr
    CaseWhen CoalesceExpr CollateClause ColumnRef CommonTableExpr Float FuncCall GroupingSet Integer JoinExpr
    List MinMaxExpr NullTest ParamRef RangeFunction RangeSubselect RangeVar ResTarget RowExpr SQLValueFunction
    SelectStmt SortBy String SubLink TypeCast TypeName WindowDef
    """.split()
)
_OPERATORS: Final = frozenset("= <> != < <= > >= @> <@ && &".split())  # not ||, which joins arrays of one shape only
_PATTERNS: Final = frozenset("~~ !~~ ~~* !~~* ~ !~ ~* !~*".split())  # a pattern may be a wrong one
# Of PostgreSQL's own: they have an answer, or NULL, for all that catalogs hold.
_FUNCTIONS: Final = frozenset(
    """
    array_length array_lower array_ndims array_to_string array_upper bool_and bool_or cardinality char_length
    col_description concat count current_database current_schema current_schemas format_type generate_subscripts
    lower max min obj_description pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible
    pg_get_userbyid pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
    pg_statistics_obj_is_visible pg_table_is_visible pg_ts_config_is_visible pg_ts_dict_is_visible
    pg_type_is_visible quote_ident row_number shobj_description starts_with string_agg strpos unnest upper
    """.split()
)
# With constants they raise an error always or never. (Others have effects: nextval tells that a row was asked.)
_OF_CONSTANTS: Final = frozenset(
    """
    btrim current_setting inet_server_addr inet_server_port like_escape ltrim now pg_backend_pid
    pg_postmaster_start_time quote_literal replace rtrim similar_to_escape split_part string_to_array substr substring
    to_regclass to_regnamespace to_regproc to_regrole to_regtype version
    """.split()
)
_AGGREGATES: Final = frozenset({"bool_and", "bool_or", "count", "max", "min", "string_agg"})
_TRUTHS: Final = frozenset({"EXISTS_SUBLINK", "ANY_SUBLINK", "ALL_SUBLINK"})
_TEXTS: Final = frozenset({"text", "name", "varchar", "bpchar", "char"})
_NUMBERS: Final = frozenset(
    """
    int2 int4 int8 oid regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc
    regprocedure regrole regtype
    """.split()
)
_VALUES: Final = frozenset({"ColumnRef", "SubLink", "RangeVar"})  # what a row's values come by
_ABOVE: Final = ("targetList", "distinctClause", "sortClause", "windowClause")  # computed above a level's FROM


def raises_nothing(statement: Node, numbers: frozenset[str], is_own: Callable[[str], bool]) -> bool:
    """`statement`: one of the app's, or its query. `numbers`: the columns' names that stand for numbers in every
    catalog. `is_own`: whether a function's or an operator's name may mean one of the database's own.
    """
    parts = every_part(statement)
    if any(is_own(name) for part in parts for name in _called(part)):
        return False
    kept = numbers - {name for part in parts for name in _named(part)}
    return all(_is_quiet(part, kept) for part in _asked(statement))


def _called(part: Node) -> Iterator[str]:
    """The name of a function or an operator."""
    for kind, name in (("FuncCall", "funcname"), ("A_Expr", "name")):
        if kind in part:
            yield _word(part[kind][name])


def _asked(statement: Node) -> Iterator[Any]:
    """The parts that may be computed of a catalog's rows before its form's conditions."""
    ((kind, body),) = statement.items()
    if kind != "SelectStmt":
        yield statement
        return
    for side in ("larg", "rarg"):
        if side in body:
            yield from _asked({"SelectStmt": body[side]})
    yield {name: part for name, part in body.items() if name not in (*_ABOVE, "larg", "rarg")}
    for part in every_part([body.get(name) for name in _ABOVE]):
        if "SubLink" in part:
            yield from _asked(part["SubLink"]["subselect"])


def _named(part: Node) -> Iterator[str]:
    """The names that something else than a column of the name may have by a part of a statement."""
    target = part.get("ResTarget", {})
    if "name" in target and _last_word(target["val"]) != target["name"]:
        yield target["name"]
    if "aliasname" in part:
        yield part["aliasname"]
    for names in (part.get("colnames", ()), part.get("aliascolnames", ())):
        yield from (name["String"]["sval"] for name in names)


def _last_word(value: Node) -> str | None:
    fields = value.get("ColumnRef", {}).get("fields", [{}])
    word: str | None = fields[-1].get("String", {}).get("sval")
    return word


def _is_quiet(tree: Any, numbers: frozenset[str]) -> bool:
    return all(_may_stand(part, numbers) for part in every_part(tree))


def _may_stand(part: Node, numbers: frozenset[str]) -> bool:
    for kind, body in part.items():
        if not kind[0].isupper():
            continue
        if kind not in _NODES:
            return False
        match kind:
            case "FuncCall" if not _is_quiet_call(body):
                return False
            case "A_ArrayExpr" if _has_values(body):  # arrays in an array are of one shape
                return False
            case "A_Expr" if not _is_quiet_operator(body):
                return False
            case "SubLink" if body["subLinkType"] not in _TRUTHS and not _is_one_row(body):
                return False
            case "TypeCast" if not _is_quiet_cast(body, numbers):
                return False
    return True


def _has_values(tree: Any) -> bool:
    return any(part.keys() & _VALUES for part in every_part(tree))


def _is_quiet_call(body: Node) -> bool:
    word = _word(body["funcname"])
    return word in _FUNCTIONS or (word in _OF_CONSTANTS and not _has_values(body.get("args", [])))


def _is_quiet_operator(body: Node) -> bool:
    if body["kind"] in ("AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT", "AEXPR_NULLIF") or "BETWEEN" in body["kind"]:
        return True
    word = _word(body["name"])
    return word in _OPERATORS or (word in _PATTERNS and not _has_values(body["rexpr"]))


def _word(name: list[Node]) -> str:
    """A name without its schema."""
    word: str = name[-1]["String"]["sval"]
    return word


def _is_one_row(link: Node) -> bool:
    """A value from more rows than one is an error: an aggregate has one."""
    body = link["subselect"].get("SelectStmt", {})
    values = [item["ResTarget"]["val"] for item in body.get("targetList", ())]
    aggregated = any("FuncCall" in value and _word(value["FuncCall"]["funcname"]) in _AGGREGATES for value in values)
    return aggregated and link["subLinkType"] == "EXPR_SUBLINK" and not body.keys() & {"groupClause", "larg"}


def _is_quiet_cast(body: Node, numbers: frozenset[str]) -> bool:
    if not _has_values(body["arg"]):
        return True
    if "arrayBounds" in body["typeName"]:
        return False
    name = _word(body["typeName"]["names"])
    return name in _TEXTS or (name in _NUMBERS and _last_word(body["arg"]) in numbers)
