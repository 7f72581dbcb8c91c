"""Pass: a governed app calls what computes; what reads data by another way is refused (dangerous.txt)."""

from __future__ import annotations

from proxy.errors import PgError, undefined_table
from proxy.rewrite.allowed import GRAMMAR_FUNCTIONS, HARMLESS_EXTENSIONS, REFUSED_FUNCTION_PREFIXES, REFUSED_FUNCTIONS
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import column_fields
from proxy.rewrite.settings import CHECKED, check_setting, split_identifiers

_OPERATOR_FIELDS = {"A_Expr": "name", "SubLink": "operName", "SortBy": "useOp"}


def check_functions(context: Context) -> None:
    """Raises the refusal of the first call, operator or `t.f` that may reach a function which the app must not run."""
    for call in context.analysis.functions:
        names = [part["String"]["sval"] for part in call["funcname"]]
        start = call.get("location", 0)
        check_function(context, names, start)
        if names[-1] == "set_config":
            _check_set_config(context, call, start)
        elif names[-1] == "nextval":
            _check_sequence(context, call, start)
    if context.snapshot.foreign_operators:
        _check_operators(context)
    _check_attributes(context)


def check_function(context: Context, names: list[str], start: int) -> None:
    """One function name, qualified or not."""
    name = names[-1]
    schema = names[-2] if len(names) > 1 else None
    shown = ".".join(names)
    candidates = context.snapshot.functions_named(name, schema, context.path)
    for function in candidates:
        if (function.schema, name) in context.app.functions:
            continue
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
    if not candidates and not (schema in (None, "pg_catalog") and name in GRAMMAR_FUNCTIONS):
        raise PgError(f"function {shown} does not exist", "42883", position=context.position(start))


def _check_sequence(context: Context, call: Node, start: int) -> None:
    """nextval of sequences that the rules list, or that a listed table owns: others count what the app may not see."""
    app, snapshot = context.app, context.snapshot
    if app.unlisted_tables == "open":
        return
    (argument, *_) = call.get("args") or [{}]
    while "TypeCast" in argument:
        argument = argument["TypeCast"]["arg"]
    text = argument.get("A_Const", {}).get("sval", {}).get("sval")
    if text is None:
        raise context.refuse("nextval() must be called with the sequence's name as a constant", start=start)
    *schemas, name = split_identifiers(text, ".") or [""]
    if snapshot.is_temporary(name, schemas[-1] if schemas else None, context.path):
        return
    found = snapshot.resolve(name, schemas[-1] if schemas else None, context.path)
    if found is None:
        raise undefined_table(text, context.position(start))
    if found.key not in app.open_tables:
        raise context.refuse(
            f"permission denied for sequence {name}",
            f"The rules list neither it nor a table that owns it: list {found.schema}.{found.name}: open.",
            start,
        )


def _check_set_config(context: Context, call: Node, start: int) -> None:
    """The name must be a constant; the value too, where the name's values are checked."""
    arguments = [a.get("A_Const", {}).get("sval", {}).get("sval") for a in call.get("args", ())]
    if len(arguments) != 3 or arguments[0] is None:
        raise context.refuse("set_config() must be called with the parameter's name as a constant", "Use SET.", start)
    name, value = arguments[0], arguments[1]
    if name.lower() in ("search_path", "client_encoding", "role", "session_authorization"):
        raise context.refuse(f"set_config() cannot set {name}", "Use SET.", start)
    if value is None and name.lower() in CHECKED:
        raise context.refuse(f"set_config() can set {name} to a constant only", "Use SET.", start)
    error = check_setting(name, value)
    if error is not None:
        error.position = context.position(start)
        raise error


def _check_operators(context: Context) -> None:
    for kind, node in context.analysis.nodes:
        field = _OPERATOR_FIELDS.get(kind)
        names = node.get(field, []) if field else []
        for part in names[-1:]:
            name = part.get("String", {}).get("sval", "")
            schema = names[0]["String"]["sval"] if len(names) > 1 else None
            if name in context.snapshot.foreign_operators and schema != "pg_catalog":
                raise context.refuse(
                    f"permission denied for operator {name}",
                    "A user-defined operator of this name exists. Write OPERATOR(pg_catalog."
                    + name
                    + ") for the built-in one.",
                    node.get("location", -1),
                )


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
