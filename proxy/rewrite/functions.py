"""Pass: a governed app calls what computes; what reads data by another way is refused (dangerous.txt)."""

from __future__ import annotations

import re

from proxy.errors import PgError, undefined_table
from proxy.rewrite.allowed import (
    GRAMMAR_FUNCTIONS,
    HARMLESS_EXTENSIONS,
    INDEX_CLASSES,
    REFUSED_FUNCTION_PREFIXES,
    REFUSED_FUNCTIONS,
    TYPE_READERS,
)
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.reach import Reach, foreign_type, type_names
from proxy.rewrite.scope import column_fields
from proxy.rewrite.settings import CHECKED, check_setting, split_identifiers

_BETWEEN = {
    "AEXPR_BETWEEN": ("<=", ">="),
    "AEXPR_BETWEEN_SYM": ("<=", ">="),
    "AEXPR_NOT_BETWEEN": ("<", ">"),
    "AEXPR_NOT_BETWEEN_SYM": ("<", ">"),
}


def check_functions(context: Context) -> None:
    """Raises the refusal of the first call, operator, type or `t.f` behind which a function may stand that the app must
    not run.
    """
    reach = Reach.of(
        context.analysis, context.snapshot, context.path, context.app, context.fences.values.parameter_types
    )
    context.foreign_values = reach.values
    for call in context.analysis.functions:
        names = [part["String"]["sval"] for part in call["funcname"]]
        start = call.get("location", 0)
        _check_function(context, reach, names, call)
        if context.snapshot.unsettling and reach.unsettles(names, call):
            context.unsettles = True
        if names[-1] == "set_config":
            _check_set_config(context, call, start)
        elif names[-1] in ("nextval", "setval"):
            _check_sequence(context, call, names[-1], start)
        elif names[-1] in TYPE_READERS:
            _check_type_reader(context, call, start)
    if context.snapshot.foreign_operators:
        _check_operators(context, reach)
    _check_types(context)
    _check_attributes(context)


def _check_function(context: Context, reach: Reach, names: list[str], call: Node) -> None:
    name, start = names[-1], call.get("location", 0)
    schema = names[-2] if len(names) > 1 else None
    shown = ".".join(names)
    for function in reach.functions(names, call):
        if (function.schema, name) in context.app.functions or function.makes_range:
            continue
        if function.schema == "information_schema" and name.startswith("_pg_") and name != "_pg_index_position":
            continue  # they compute: drivers use them on arrays of column numbers
        if function.schema == "pg_catalog" or function.extension in HARMLESS_EXTENSIONS:
            if name not in REFUSED_FUNCTIONS and not name.startswith(REFUSED_FUNCTION_PREFIXES):
                continue
            raise context.refuse(
                f"permission denied for function {name}",
                f"It reaches data past the rules. The rules can let app {context.app.name} call it: "
                f"functions: {{allow: [{function.schema}.{name}]}}.",
                start,
            )
        raise context.refuse(
            f"permission denied for function {shown}",
            f"What a user-defined function reads is not governed. The rules can let app {context.app.name} call it: "
            f"functions: {{allow: [{function.schema}.{name}]}}.",
            start,
        )
    if context.snapshot.functions_named(name, schema, context.path):
        return
    if not (schema in (None, "pg_catalog") and name in GRAMMAR_FUNCTIONS):
        raise PgError(f"function {shown} does not exist", "42883", position=context.position(start))


def _check_sequence(context: Context, call: Node, function: str, start: int) -> None:
    """Sequences that the rules list, or that a listed table owns: others count what the app may not see. What an app
    sets must be the sequence of what it may write.
    """
    app, snapshot = context.app, context.snapshot
    if app.unlisted_tables == "open" and function == "nextval":
        return
    (argument, *_) = call.get("args") or [{}]
    text = _constant(argument) or _owner_of_sequence(argument)
    if text is None:
        if app.unlisted_tables == "open":
            return
        raise context.refuse(f"{function}() must be called with the sequence's name as a constant", start=start)
    *schemas, name = split_identifiers(text, ".") or [""]
    if snapshot.is_temporary(name, schemas[-1] if schemas else None, context.path):
        return
    found = snapshot.resolve(name, schemas[-1] if schemas else None, context.path)
    if found is None and app.unlisted_tables == "open":
        return
    if found is None or found.oid in context.system.hidden_indexes:
        raise undefined_table(text, context.position(start))
    owner = snapshot.by_oid.get(found.owner) if found.owner is not None else found
    table = app.tables.get(owner.key) if owner is not None else None
    if found is owner and table is not None:  # a table in pg_get_serial_sequence
        found = next((r for r in snapshot.relations.values() if r.owner == found.oid), found)
    writes = table is None or any(column.treatment.writable for column in table.columns)
    listed = app.unlisted_tables == "open" or found.key in app.open_tables
    if not listed or (function == "setval" and not writes):
        raise context.refuse(
            f"permission denied for sequence {name}",
            f"The rules list neither it nor a table that owns it: list {found.schema}.{found.name}: open."
            if not listed
            else f"App {app.name} may write no column of the table that owns it.",
            start,
        )


def _constant(argument: Node) -> str | None:
    while "TypeCast" in argument:
        argument = argument["TypeCast"]["arg"]
    text: str | None = argument.get("A_Const", {}).get("sval", {}).get("sval")
    return text


def _owner_of_sequence(argument: Node) -> str | None:
    """The table in pg_get_serial_sequence('table', 'column')."""
    call = argument.get("FuncCall", {})
    names = [part["String"]["sval"] for part in call.get("funcname", ())]
    if names not in (["pg_get_serial_sequence"], ["pg_catalog", "pg_get_serial_sequence"]):
        return None
    return _constant(call["args"][0]) if len(call.get("args", ())) == 2 else None


def _check_set_config(context: Context, call: Node, start: int) -> None:
    """The name must be a constant; the value too, where the name's values are checked."""
    constants = [argument.get("A_Const", {}) for argument in call.get("args", ())]
    arguments = [one["sval"].get("sval", "") if "sval" in one else None for one in constants]
    if len(arguments) != 3 or arguments[0] is None:
        raise context.refuse("set_config() must be called with the parameter's name as a constant", "Use SET.", start)
    name, value = arguments[0], arguments[1]
    path = name.lower() == "search_path" and _is_all_of(context.statement, call)
    if name.lower() in ("search_path", "client_encoding", "role", "session_authorization") and not path:
        raise context.refuse(f"set_config() cannot set {name}", "Use SET.", start)
    context.unsettles = context.unsettles or path
    if value is None and name.lower() in CHECKED:
        raise context.refuse(f"set_config() can set {name} to a constant only", "Use SET.", start)
    error = check_setting(name, value, written=False)
    if error is not None:
        error.position = context.position(start)
        raise error


def _is_all_of(statement: Node, call: Node) -> bool:
    """Whether a statement does nothing but call: `SELECT f(constants)`, as pg_dump sets search_path."""
    select = statement.get("SelectStmt", {})
    return (
        select.keys() <= {"targetList", "limitOption", "op"}
        and [item["ResTarget"].get("val", {}).get("FuncCall") for item in select.get("targetList", ())] == [call]
        and call.keys() <= {"funcname", "args", "funcformat", "location"}
        and all("A_Const" in argument for argument in call["args"])
    )


def _check_operators(context: Context, reach: Reach) -> None:
    for kind, node in context.analysis.nodes:
        if kind == "A_Expr":
            operands = [node[side] for side in ("lexpr", "rexpr") if side in node]
            for name in _BETWEEN.get(node["kind"], ()):
                _check_operator(context, reach, [name], operands, node)
            if node["kind"] not in _BETWEEN:
                _check_operator(context, reach, _words(node["name"]), operands, node)
        elif kind == "SubLink" and ("operName" in node or node["subLinkType"] == "ANY_SUBLINK"):
            names = _words(node["operName"]) if "operName" in node else ["="]
            _check_operator(context, reach, names, [node["testexpr"], _UNKNOWN], node)
        elif kind == "SortBy" and "useOp" in node:
            _check_operator(context, reach, _words(node["useOp"]), [node["node"], node["node"]], node)
        elif kind == "CaseExpr" and "arg" in node:
            _check_operator(context, reach, ["="], [node["arg"], _UNKNOWN], node)
        elif kind == "JoinExpr" and (node.get("isNatural") or "usingClause" in node):
            _check_operator(context, reach, ["="], [{}, {}], node)


_UNKNOWN: Node = {"ParamRef": {}}  # an operand of which nothing is known


def _words(nodes: list[Node]) -> list[str]:
    return [part["String"]["sval"] for part in nodes]


def _check_operator(context: Context, reach: Reach, names: list[str], operands: list[Node], node: Node) -> None:
    *schemas, name = names
    if schemas == ["pg_catalog"]:
        return
    for operator in reach.operators(name, operands):
        if (not schemas or operator.schema == schemas[-1]) and operator.function not in context.app.functions:
            raise context.refuse(
                f"permission denied for operator {name}",
                f"A user-defined operator of this name may be meant. Write OPERATOR(pg_catalog.{name}) for the "
                f"built-in one. The rules can let app {context.app.name} use it: "
                f"functions: {{allow: [{'.'.join(operator.function)}]}}.",
                node.get("location", -1),
            )


def _check_types(context: Context) -> None:
    """A type runs functions when its values are made, cast or compared: those that read data need to be allowed."""
    for names in type_names(context.analysis):
        _check_type(context, names)
    for kind, node in context.analysis.nodes:
        if kind == "IndexElem" and "opclass" in node:
            *schemas, name = _words(node["opclass"])
            if schemas != ["pg_catalog"] and (schemas or name not in INDEX_CLASSES):
                raise context.unsupported(f"operator class {name} is not supported", "Leave it out.")


def _check_type(context: Context, names: list[str], start: int = -1) -> None:
    key = foreign_type(names, context.snapshot, context.path)
    for function in context.snapshot.foreign_types[key] if key is not None else ():
        reads = context.snapshot.function_reads.get(function, ())
        if function in context.app.functions or (reads is not None and all(map(context.app_has_whole, reads))):
            continue
        raise context.refuse(
            f"permission denied for type {names[-1]}",
            f"Its casts or checks run function {'.'.join(function)}, which may read what the rules hide. The rules can "
            f"let app {context.app.name} call it: functions: {{allow: [{'.'.join(function)}]}}.",
            start,
        )


def _check_type_reader(context: Context, call: Node, start: int) -> None:
    """pg_input_is_valid() makes a value of the type that a text names."""
    dangerous = [key for key, functions in context.snapshot.foreign_types.items() if functions]
    if not dangerous:
        return
    texts = [a.get("A_Const", {}).get("sval", {}).get("sval") for a in call.get("args", ())]
    if len(texts) != 2 or texts[1] is None:
        raise context.refuse("the type must be given to pg_input_is_valid() as a constant", start=start)
    words = set(re.findall(r"\w+", texts[1].lower())) | set(re.findall(r"\w+", texts[1]))
    for schema, name in dangerous:
        if words & {name, name.removeprefix("_")} or not words:
            _check_type(context, [schema, name], start)


def _check_attributes(context: Context) -> None:
    """`t.f` and `(t).f` call a function f(t) where t has no column f."""
    for kind, node in context.analysis.nodes:
        if kind == "ColumnRef":
            names = column_fields(node)[1:]
            start = node.get("location", 0)
        elif kind == "A_Indirection":
            names = tuple(i["String"]["sval"] for i in node["indirection"] if "String" in i)
            start = -1
        else:
            continue
        for name in names:
            for function in context.snapshot.functions.get(name, ()):
                if (
                    not function.takes_row
                    or function.schema == "pg_catalog"
                    or function.extension in HARMLESS_EXTENSIONS
                ):
                    continue
                if (function.schema, name) not in context.app.functions:
                    raise context.refuse(
                        f"permission denied for function {function.schema}.{name}",
                        f'"{name}" written like a column may call it.',
                        start,
                    )
