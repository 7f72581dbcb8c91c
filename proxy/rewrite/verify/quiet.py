"""Whether what a statement asks of the catalogs' rows can raise no error by a row's values. Pure.

PostgreSQL may ask a statement's own conditions before those of a catalog's form have taken the hidden rows away. Errors
that have a value in them, or are raised for some rows only, would tell of such rows then: a form needs a fence. What is
computed above the forms, in the outputs of the outermost query, comes too late to tell.

A constant raises no less: what is not computed when the plan is made (`'x'::text::regclass`, a pattern that ends in its
escape) is computed for the rows that the conditions before it leave. So nothing is taken on trust: comparisons,
patterns, casts and functions pass that have an answer for every value of the types that are known here, those of the
catalogs' columns. Others are behind a fence: that costs time, and no answer is another.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from proxy.rewrite.verify.tree import Node, every_part, strings

_NODES: Final = frozenset(
    """
    A_Const A_Expr A_Indices A_Indirection A_ArrayExpr Alias BoolExpr Boolean BooleanTest CaseExpr CaseWhen CoalesceExpr
    CollateClause ColumnRef CommonTableExpr Float FuncCall GroupingSet Integer JoinExpr List MinMaxExpr NullTest
    ParamRef RangeFunction RangeSubselect RangeVar ResTarget SQLValueFunction SelectStmt SortBy String SubLink TypeCast
    TypeName WindowDef
    """.split()
)
# What has a value of a plain type where all in it may stand.
_PLAIN_NODES: Final = frozenset(
    """
    A_Expr A_Indirection BoolExpr BooleanTest CaseExpr CoalesceExpr CollateClause ColumnRef FuncCall MinMaxExpr NullTest
    SQLValueFunction SubLink TypeCast
    """.split()
)
# Types of which any two values compare: not arrays of types without an order (aclitem), anyarray, rows, nor what a
# database made.
_PLAIN_TYPES: Final = frozenset(
    """
    bool char int2 int4 int8 oid regproc regtype xid cid name text varchar bpchar timestamptz inet pg_lsn
    int2vector oidvector _int2 _int4 _oid _text _name _char
    """.split()
)
_SMALL_NUMBERS: Final = frozenset({"int2", "int4", "oid", "regproc", "regtype"})
_OPERATORS: Final = frozenset("= <> != < <= > >= @> <@ &&".split())  # not ||, which joins arrays of one shape only
_LIKES: Final = frozenset("~~ !~~ ~~* !~~*".split())
_REGULAR: Final = frozenset("~ !~ ~* !~*".split())
# Expressions that are none but right ones: letters and digits, `.`, `.*` and branches, in parentheses or not.
_LETTER: Final = r"(?:[\w ]|\.\*?)"
_BRANCH: Final = rf"\^?(?:\({_LETTER}+(?:\|{_LETTER}+)*\)|{_LETTER})*\$?"
_RIGHT: Final = re.compile(rf"{_BRANCH}(?:\|{_BRANCH})*", re.ASCII)
_LONGEST: Final = 200
# Of PostgreSQL's own: they have an answer, or NULL, for all that catalogs hold, and one no longer than what they take.
_FUNCTIONS: Final = frozenset(
    """
    array_length array_lower array_ndims array_upper bool_and bool_or cardinality char_length col_description count
    current_database current_schema current_schemas generate_subscripts inet_server_addr inet_server_port max min now
    obj_description pg_backend_pid pg_collation_is_visible pg_conversion_is_visible pg_function_is_visible
    pg_get_userbyid pg_my_temp_schema pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
    pg_postmaster_start_time pg_statistics_obj_is_visible pg_table_is_visible pg_ts_config_is_visible
    pg_ts_dict_is_visible pg_type_is_visible row_number shobj_description starts_with strpos unnest version
    """.split()
)
_AGGREGATES: Final = frozenset({"bool_and", "bool_or", "count", "max", "min"})
_NAMED_BY_PARTS: Final = frozenset({"A_Indirection", "CaseExpr", "CollateClause", "SubLink", "TypeCast"})
_TRUTHS: Final = frozenset({"EXISTS_SUBLINK", "ANY_SUBLINK", "ALL_SUBLINK"})
_TEXTS: Final = frozenset({"text", "name", "varchar", "bpchar", "char"})
_OIDS: Final = frozenset(
    """
    oid regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole
    regtype
    """.split()
)
_OF_CONSTANTS: Final = _TEXTS | _OIDS | {"bool", "int2", "int4", "int8"}
_FREE: Final = frozenset({"A_Const", "ParamRef"})
_ABOVE: Final = ("targetList", "distinctClause", "sortClause", "windowClause")  # computed above a level's FROM
_LIMITS: Final = ("limitCount", "limitOffset")


def raises_nothing(
    statement: Node,
    kinds: Mapping[str, Collection[str]],
    is_own: Callable[[str], bool],
    is_own_relation: Callable[[Node], bool],
    given_type: Callable[[int], int],
) -> bool:
    """`statement`: one of the app's, or its query. `kinds`: the types that columns of each name have in the catalogs.
    `is_own`: whether a function's or an operator's name may mean one of the database's own; `is_own_relation`: a
    relation's. `given_type`: what type the driver gave to the parameter of a number; 0: none.
    """
    parts = every_part(statement)
    if any(is_own(name) for part in parts for name in _called(part)):
        return False
    if any(is_own_relation(part) for part in parts if "relname" in part):
        return False
    own = {id(item) for item in _outputs(statement)}
    return _Quiet([part for part in parts if id(part) not in own], kinds, given_type).asked(statement)


def _outputs(statement: Node) -> Iterator[Node]:
    """What the outermost query gives."""
    ((kind, body),) = statement.items()
    if kind == "SelectStmt":
        yield from body.get("targetList", ())
        for side in ("larg", "rarg"):
            yield from _outputs({kind: body[side]}) if side in body else ()


def _called(part: Node) -> Iterator[str]:
    """The name of a function or an operator."""
    for kind, name in (("FuncCall", "funcname"), ("A_Expr", "name")):
        if kind in part:
            yield _word(part[kind][name])


def _word(name: list[Node]) -> str:
    """A name without its schema."""
    return strings(name)[-1]


def _given(part: Node) -> Iterator[tuple[str, list[Node] | None]]:
    """The names that something else than a catalog's column may have by a part of a statement, and what has them."""
    target = part.get("ResTarget", {})
    if "name" in target:
        yield target["name"], [target.get("val", {})]
    elif target.get("val", {}).keys() & _NAMED_BY_PARTS:
        yield from ((name, [target["val"]]) for name in filter(None, map(_column, every_part(target["val"]))))
    if "RangeFunction" in part and "alias" in part["RangeFunction"]:
        body = part["RangeFunction"]
        calls = [call for one in body["functions"] for call in one["List"]["items"][:1]]
        for name in (body["alias"]["aliasname"], *strings(body["alias"].get("colnames", []))):
            yield name, calls
    for alias in (part.get("alias"), part.get("join_using_alias")):
        if alias is not None and "functions" not in part:
            yield from ((name, None) for name in (alias["aliasname"], *strings(alias.get("colnames", []))))
    if "relname" in part:
        yield part["relname"], None
    yield from ((name, None) for name in strings(part.get("aliascolnames", [])))


class _Quiet:
    """What may stand in a statement, by the names that its columns have."""

    def __init__(
        self, parts: list[Node], kinds: Mapping[str, Collection[str]], given_type: Callable[[int], int]
    ) -> None:
        """`parts`: of the statement, but for its own outputs, whose names mean nothing below."""
        given = [one for part in parts for one in _given(part)]
        names = {name for name, _ in given}
        others = {name for name, values in given if values is None or not all(map(_is_subscript, values))}
        self._subscripts = names - others - kinds.keys()
        renamed = {name for name, values in given if values is None or any(map(_differs(name), values))}
        casts = [part["TypeCast"] for part in parts if "ParamRef" in part.get("TypeCast", {}).get("arg", {})]
        cast = Counter((_number(one["arg"]), _word(one["typeName"]["names"])) for one in casts)
        used = Counter(_number(part) for part in parts if "ParamRef" in part)
        # These have the type of their cast: their texts are read before the statement runs.
        self._read = {both for both, times in cast.items() if not given_type(both[0]) and times == used[both[0]]}
        self._numbers = {name for name, types in kinds.items() if _SMALL_NUMBERS.issuperset(types)} - renamed
        of_catalogs = {name for name, types in kinds.items() if _PLAIN_TYPES.issuperset(types)}
        waiting = names & of_catalogs | names - kinds.keys()
        self._plain = of_catalogs - names
        while found := {name for name in waiting if self._becomes_plain(name, given, of_catalogs)}:
            self._plain |= found
            waiting -= found

    def _becomes_plain(self, name: str, given: list[tuple[str, list[Node] | None]], of_catalogs: set[str]) -> bool:
        """Whether all that has the name is plain, by the names known so far; a catalog's column may keep its."""
        before = self._plain
        self._plain = before | ({name} & of_catalogs)
        plain = all(self._are_plain(values) for one, values in given if one == name)
        self._plain = before
        return plain

    def _are_plain(self, values: list[Node] | None) -> bool:
        return values is not None and all("A_Const" in value or self._is_plain(value) for value in values)

    def asked(self, statement: Node) -> bool:
        """Of the parts that may be computed of a catalog's rows before its form's conditions."""
        ((kind, body),) = statement.items()
        if kind != "SelectStmt":
            return self._may_stand(statement)
        if "larg" in body and not all(self.asked({"SelectStmt": body[side]}) for side in ("larg", "rarg")):
            return False
        below = {name: part for name, part in body.items() if name not in (*_ABOVE, *_LIMITS, "larg", "rarg")}
        links = [part for name in _ABOVE for part in every_part(body.get(name)) if "SubLink" in part]
        return self._may_stand(below) and all(self.asked(link["SubLink"]["subselect"]) for link in links)

    # -- parts of a statement -----------------------------------------------------------------------------------------

    def _may_stand(self, tree: Any) -> bool:
        if type(tree) is list:
            return all(map(self._may_stand, tree))
        if type(tree) is not dict:
            return True
        return all(
            self._is_quiet(name, body) if name[0].isupper() else self._may_stand(body) for name, body in tree.items()
        )

    def _is_quiet(self, kind: str, body: Any) -> bool:
        if kind not in _NODES:
            return False
        match kind:
            case "SelectStmt":
                return self._is_quiet_select(body)
            case "ColumnRef":
                return _last_word(body) in self._plain
            case "NullTest" if "ColumnRef" in body["arg"]:
                return True
            case "TypeCast":
                return self._is_quiet_cast(body)
            case "FuncCall":
                return self._is_quiet_call(body)
            case "A_Expr":
                return self._is_quiet_operator(body)
            case "SubLink":
                return self._is_quiet_link(body)
            case "A_ArrayExpr":  # arrays in an array are of one shape
                return all(element.keys() & _FREE for element in body.get("elements", []))
            case "A_Indirection" if not self._is_quiet_element(body):
                return False
            case "CollateClause" if strings(body["collname"])[-1] not in ("default", "C"):
                return False  # beside another that is not the default one, the two have no order
            case "CaseExpr" if not self._is_quiet_case(body):
                return False
            case "CoalesceExpr" | "MinMaxExpr" if not self._compare(body["args"]):
                return False
            case "JoinExpr" if "isNatural" in body or not self._plain.issuperset(strings(body.get("usingClause", []))):
                return False
            case "CommonTableExpr" if body.keys() & {"search_clause", "cycle_clause"}:
                return False
            case "WindowDef" if body.keys() & {"startOffset", "endOffset"}:
                return False
        return self._may_stand(body)

    def _is_quiet_select(self, body: Node, *, plain: bool = False) -> bool:
        """`plain`: its outputs are compared."""
        plain = plain or bool(body.keys() & {"larg", "distinctClause", "groupClause", "sortClause"})
        if any(limit in body and body[limit].get("A_Const", {}).keys() != {"ival"} for limit in _LIMITS):
            return False
        if any(body[limit]["A_Const"]["ival"].get("ival", 0) < 0 for limit in _LIMITS if limit in body):
            return False
        if plain and "valuesLists" in body:
            return False
        for item in body.get("targetList", ()):
            value = item["ResTarget"]["val"]
            if plain and not self._are_plain([value]):
                return False
            if "ColumnRef" not in value and not self._may_stand(value):
                return False
        if not all(self._is_quiet_select(body[side], plain=True) for side in ("larg", "rarg") if side in body):
            return False
        return self._may_stand(
            {name: part for name, part in body.items() if name not in ("targetList", "larg", "rarg", *_LIMITS)}
        )

    def _is_plain(self, value: Node) -> bool:
        return bool(value.keys() & _PLAIN_NODES) and self._may_stand(value)

    def _compare(self, values: list[Node]) -> bool:
        """Whether values are of plain types. A parameter's is its driver's choice, but for the others' types."""
        kinds = [kind for value in values for kind in value]
        others = [value for value in values if not value.keys() & {*_FREE, "A_ArrayExpr"}]
        return (
            all(map(self._is_plain, others))
            and all(self._may_stand(value) for value in values if "A_ArrayExpr" in value)
            and (bool(others) or {"A_Const"}.issuperset(kinds))
        )

    def _is_quiet_operator(self, body: Node) -> bool:
        word, kind, right = _word(body["name"]), body["kind"], body["rexpr"]
        if "lexpr" not in body:
            return False
        left = body["lexpr"]
        if word in _LIKES or word in _REGULAR:
            if kind not in ("AEXPR_OP", "AEXPR_LIKE", "AEXPR_ILIKE") or not self._is_plain(left):
                return False
            return _is_right_like(right) if word in _LIKES else _is_right_expression(right)
        if word not in _OPERATORS and kind in ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL"):
            return False
        sides = right["List"]["items"] if "List" in right else [right]
        if "RowExpr" not in left:
            return self._compare([left, *sides])
        rows = [left, *sides]
        if not all("RowExpr" in row for row in rows):  # of other rows the columns' types are not known
            return False
        fields = [row["RowExpr"].get("args", []) for row in rows]
        if len({len(one) for one in fields}) != 1:
            return False
        return all(self._compare(list(one)) for one in zip(*fields, strict=True))

    def _is_quiet_link(self, body: Node) -> bool:
        select = body["subselect"]["SelectStmt"]
        kind = body["subLinkType"]
        if kind not in _TRUTHS and not _is_one_row(body):
            return False
        if not self._is_quiet_select(select, plain=kind != "EXISTS_SUBLINK"):
            return False
        if kind in ("ANY_SUBLINK", "ALL_SUBLINK"):
            test = body["testexpr"]
            tested = test["RowExpr"].get("args", []) if "RowExpr" in test else [test]
            named = "operName" not in body or _word(body["operName"]) in _OPERATORS
            return named and all(value.keys() & _FREE or self._is_plain(value) for value in tested)
        return True

    def _is_quiet_case(self, body: Node) -> bool:
        whens = [when["CaseWhen"] for when in body["args"]]
        results = [when["result"] for when in whens] + ([body["defresult"]] if "defresult" in body else [])
        if not self._compare(results):
            return False
        return "arg" not in body or self._compare([body["arg"], *(when["expr"] for when in whens)])

    def _is_quiet_element(self, body: Node) -> bool:
        """Of an array: PostgreSQL takes a subscript that is too large for an error."""
        subscripts = [one.get("A_Indices", {}) for one in body["indirection"]]
        return "ColumnRef" in body["arg"] and all(
            one.keys() == {"uidx"}
            and (
                "ival" in one["uidx"].get("A_Const", {})
                or _last_word(one["uidx"].get("ColumnRef", {})) in self._subscripts
            )
            for one in subscripts
        )

    def _is_quiet_call(self, body: Node) -> bool:
        word, values = _word(body["funcname"]), body.get("args", [])
        if word == "format_type":  # with a number that is not the type's own it may raise an error
            if len(values) != 2 or "isnull" not in values[1].get("A_Const", {}):
                return False
        elif word not in _FUNCTIONS:
            return False
        free = {"A_Const"} if word in ("max", "min", "unnest") else _FREE
        if not all(value.keys() & free or self._is_plain(value) for value in values):
            return False
        return "func_variadic" not in body and self._may_stand({n: v for n, v in body.items() if n != "args"})

    def _is_quiet_cast(self, body: Node) -> bool:
        names, value = strings(body["typeName"].get("names", [])), body["arg"]
        if len(names) > 1 and names[0] != "pg_catalog":
            return False
        word = names[-1]
        if "ParamRef" in value:
            return (word in _TEXTS and "arrayBounds" not in body["typeName"]) or (
                word in _OF_CONSTANTS and (_number(value), word) in self._read
            )
        if "A_ArrayExpr" in value and not all("A_Const" in one for one in value["A_ArrayExpr"].get("elements", [])):
            return False
        if "A_Const" in value or ("A_ArrayExpr" in value and "arrayBounds" in body["typeName"]):
            return word in _OF_CONSTANTS  # read before the statement runs
        if "arrayBounds" in body["typeName"]:
            return False
        if word in _TEXTS:
            return "ColumnRef" in value or self._is_plain(value)
        if "ColumnRef" in value:
            return word in _OIDS | {"int4", "int8"} and _last_word(value["ColumnRef"]) in self._numbers
        if "TypeCast" in value:  # between these types nothing is computed
            return {word, _word(value["TypeCast"]["typeName"]["names"])} <= _OIDS and self._may_stand(value)
        return False


def _differs(name: str) -> Callable[[Node], bool]:
    return lambda value: _last_word(value.get("ColumnRef", {})) != name


def _column(part: Node) -> str | None:
    return _last_word(part.get("ColumnRef", {}))


def _number(parameter: Node) -> int:
    number: int = parameter["ParamRef"].get("number", 0)
    return number


def _is_subscript(value: Node) -> bool:
    return "FuncCall" in value and _word(value["FuncCall"]["funcname"]) == "generate_subscripts"


def _last_word(column: Node) -> str | None:
    word: str | None = column.get("fields", [{}])[-1].get("String", {}).get("sval")
    return word


def _is_one_row(link: Node) -> bool:
    """A value from more rows than one is an error: an aggregate, not one over windows, has one."""
    body = link["subselect"].get("SelectStmt", {})
    calls = [item["ResTarget"]["val"].get("FuncCall", {}) for item in body.get("targetList", ())]
    aggregated = any("over" not in call and _word(call["funcname"]) in _AGGREGATES for call in calls if call)
    return aggregated and link["subLinkType"] == "EXPR_SUBLINK" and not body.keys() & {"groupClause", "larg"}


def _constant(value: Node) -> str | None:
    """A constant text, with a collation or not."""
    if "CollateClause" in value:
        clause = value["CollateClause"]
        return _constant(clause["arg"]) if strings(clause["collname"])[-1] in ("default", "C") else None
    if "TypeCast" in value:
        names = value["TypeCast"]["typeName"]["names"]
        return _constant(value["TypeCast"]["arg"]) if strings(names)[-1] == "text" else None
    found = value.get("A_Const", {}).get("sval")
    return None if found is None else found.get("sval", "")


def _is_right_like(pattern: Node) -> bool:
    """Whether a pattern is a constant that does not end in its escape: an error, where PostgreSQL comes to it."""
    escape: str | None = "\\"
    if "FuncCall" in pattern:
        call = pattern["FuncCall"]
        if _word(call["funcname"]) != "like_escape" or len(call["args"]) != 2:
            return False
        escape, pattern = _constant(call["args"][1]), call["args"][0]
    text = _constant(pattern)
    if text is None or escape is None or len(escape) > 1:
        return False
    return not escape or (len(text) - len(text.rstrip(escape))) % 2 == 0


def _is_right_expression(pattern: Node) -> bool:
    text = _constant(pattern)
    return text is not None and len(text) <= _LONGEST and _RIGHT.fullmatch(text) is not None
