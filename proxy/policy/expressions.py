"""SQL that a DBA writes into the rules: one expression, checked and made safe from the app's search_path.

PostgreSQL's own grammar (libpg_query) reads it. Functions, operators and types without a schema are taken from
pg_catalog and written so, because an app can put things of the same name, a temp table's row type for one, before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from postgast import PgQueryError, deparse, parse, scan
from postgast.pg_query_pb2 import A_Expr_Kind, SQLValueFunctionOp, Token

VALUE = "{value}"
_STANDS_FOR_VALUE = "consentry_value"
_PREFIX = "SELECT 1 WHERE "
WRITTEN = ("expires_at", "now", "actor")  # what a value that is written into a consent table may use: `:now`
_CATALOG = "pg_catalog"
_SWAPPED_OPERATORS = frozenset(A_Expr_Kind.Value(name) for name in ("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL"))
_PLACES = frozenset({"location", "stmt_location", "stmt_len", "list_start", "list_end"})
_PLACES_OF_LISTS = frozenset({"rexpr_list_start", "rexpr_list_end"})
_CLAUSES = frozenset({"target_list", "where_clause", "limit_option", "op"})
_IDENT = Token.Value("IDENT")

# Types of pg_catalog whose names are no keywords of the grammar.
CATALOG_TYPES = frozenset(
    """
    text bytea uuid json jsonb jsonpath date timestamptz timetz timestamp time interval int2 int4 int8 float4 float8
    numeric bool varchar bpchar char name money inet cidr macaddr macaddr8 xml oid regclass regtype tsvector tsquery bit
    varbit point line lseg box path polygon circle int4range int8range numrange tsrange tstzrange daterange
    int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
    """.split()
)


class ExpressionError(ValueError):
    """The expression cannot be taken; the text says why and what would be right."""


def row_predicate(where: str) -> str:
    """A row policy's `where`, made safe; `:app` and `:login` stay in it. Raises ExpressionError."""
    tree = _one_expression(substitute(where, _quote(_APP), _LOGIN))
    _qualify(tree, sub_queries=True)
    text = _render(tree)
    return text.replace(_quote(_APP), ":app")


def mask_expression(sql: str) -> str:
    """An expression mask's `sql`, made safe; `{value}` stays in it. Raises ExpressionError."""
    if _STANDS_FOR_VALUE in sql:
        raise ExpressionError(f"the name {_STANDS_FOR_VALUE} is taken")
    expected = sql.count(VALUE)
    if not expected:
        raise ExpressionError(f"{VALUE} is missing: it stands for the column")
    tree = _one_expression(sql.replace(VALUE, f" {_STANDS_FOR_VALUE} "))
    _qualify(tree, sub_queries=False)
    found = 0
    for node in _walk(tree):
        if node.DESCRIPTOR.name != "ColumnRef":
            continue
        fields = [field.string.sval for field in _fields(node, "fields")]
        if fields != [_STANDS_FOR_VALUE]:
            raise ExpressionError(f"a mask reads nothing but {VALUE}; {'.'.join(fields)} is another column")
        found += 1
    if found != expected:
        raise ExpressionError(f"{VALUE} stands inside of a string, a comment or a longer name")
    return re.sub(rf"\b{_STANDS_FOR_VALUE}\b", VALUE, _render(tree))


def store_expression(sql: str) -> str:
    """SQL over the columns of a mapped consent table, made safe. Raises ExpressionError.

    now() and CURRENT_TIMESTAMP mean the beginning of the transaction, which may be long ago: they become
    statement_timestamp(), so that an expiry takes effect in the next statement.
    """
    tree = _one_expression(sql)
    _qualify(tree, sub_queries=False)
    for node in list(_walk(tree)):
        kind = node.DESCRIPTOR.name
        if kind == "FuncCall" and [part.string.sval for part in node.funcname][-1] in ("now", "transaction_timestamp"):
            node.funcname[-1].string.sval = "statement_timestamp"
        elif kind == "Node" and node.HasField("sqlvalue_function"):
            _of_the_statement(node)
    return _render(tree)


def written_expression(sql: str) -> str:
    """SQL of a value for a mapped consent table, made safe; `:now` and others stay in it. Raises ExpressionError."""
    tree = _one_expression(replaced(sql, {name: _quote(f"consentry: {name}") for name in WRITTEN}))
    _qualify(tree, sub_queries=False)
    named = _columns(tree)
    if named:
        raise ExpressionError(f"a value has no columns: {'.'.join(named[0])} (text goes in single quotes)")
    text = _render(tree)
    for name in WRITTEN:
        text = text.replace(_quote(f"consentry: {name}"), f":{name}")
    return text


def named_columns(sql: str) -> list[tuple[str, ...]]:
    """The columns that an expression made by this module names, as it spells them: `status`, `consents.status`."""
    return _columns(parse(_PREFIX + sql))


def _columns(tree: Any) -> list[tuple[str, ...]]:
    """The columns that a tree names; a whole row ends in `*`."""
    return [
        tuple(field.string.sval if field.HasField("string") else "*" for field in node.fields)
        for node in _walk(tree)
        if node.DESCRIPTOR.name == "ColumnRef"
    ]


def called_functions(sql: str) -> frozenset[tuple[str, str]]:
    """(schema, name) of each function that an expression made safe by this module calls."""
    called = set()
    values = dict.fromkeys(("app", "login", *WRITTEN), "''")
    for node in _walk(parse(_PREFIX + replaced(sql.replace(VALUE, _STANDS_FOR_VALUE), values))):
        if node.DESCRIPTOR.name == "FuncCall":
            names = [part.string.sval for part in _fields(node, "funcname")]
            if len(names) == 2:
                called.add((names[0], names[1]))
    return frozenset(called)


def named_relations(sql: str) -> frozenset[tuple[str, str]]:
    """(schema, name) of each relation that the sub-queries of a row predicate read."""
    tree = parse(_PREFIX + substitute(sql, "''", "''"))
    return frozenset(
        (str(node.schemaname), str(node.relname))
        for node in _walk(tree)
        if node.DESCRIPTOR.name == "RangeVar" and node.schemaname
    )


def substitute(where: str, app: str, login: str) -> str:
    """The text with `:app` and `:login` replaced, strings and quoted names left alone. Raises ExpressionError."""
    return replaced(where, {"app": app, "login": login})


def replaced(sql: str, values: Mapping[str, str]) -> str:
    """The text with each `:name` of `values` replaced, strings and quoted names left alone. Raises ExpressionError."""
    raw = sql.encode()
    out: list[bytes] = []
    at = previous_end = -1
    done = 0
    for token in _tokens(sql):
        word = raw[token.start : token.end]
        if token.start == previous_end and word.decode() in values:
            out += [raw[done:at], values[word.decode()].encode()]
            done = token.end
        at, previous_end = token.start, token.end if word == b":" else -1
    out.append(raw[done:])
    return b"".join(out).decode()


_APP = "consentry: the app's name"
_LOGIN = "((SESSION_USER)::pg_catalog.text)"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _tokens(text: str) -> Any:
    try:
        return scan(text).tokens
    except PgQueryError as error:
        raise ExpressionError(f"not SQL: {error}") from error


def _one_expression(text: str) -> Any:
    """The tree of `SELECT 1 WHERE (text)`, proved to hold one expression and nothing else."""
    for token in _tokens(text):
        if token.token == Token.Value("ASCII_59"):
            raise ExpressionError("one expression is expected, without `;`")
    try:
        tree = parse(f"{_PREFIX}({text}\n)")
    except PgQueryError as error:
        raise ExpressionError(f"not one SQL expression: {error}") from error
    select = tree.stmts[0].stmt.select_stmt
    clauses = {field.name for field, _ in select.ListFields()}
    if len(tree.stmts) != 1 or clauses != _CLAUSES or select.op != 1 or len(select.target_list) != 1:
        raise ExpressionError("not one SQL expression: the parentheses do not match")
    return tree


def _qualify(tree: Any, *, sub_queries: bool) -> None:
    """Refuses what an expression of the rules may not hold, and writes pg_catalog before names without a schema."""
    inner = tree.stmts[0].stmt.select_stmt.where_clause
    local = {str(node.ctename) for node in _walk(inner) if node.DESCRIPTOR.name == "CommonTableExpr"}
    for node in list(_walk(inner)):
        _qualify_node(node, local, sub_queries)


def _qualify_node(node: Any, local: set[str], sub_queries: bool) -> None:
    kind = node.DESCRIPTOR.name
    if kind == "ParamRef":
        raise ExpressionError(f"${node.number}: parameters have no value here")
    if kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "LockingClause", "IntoClause"):
        raise ExpressionError("a sub-query here only reads")
    if kind == "SelectStmt" and not sub_queries:
        raise ExpressionError("a sub-query cannot stand here")
    if kind == "RangeVar" and not node.schemaname and node.relname not in local:
        raise ExpressionError(
            f"{node.relname}: write schema.name; an app could put a temp table of the same name before it"
        )
    if kind == "FuncCall" and len(node.funcname) == 1:
        _prefix(node.funcname)
    elif kind == "TypeName" and len(node.names) == 1:
        name = node.names[0].string.sval
        if name not in CATALOG_TYPES:
            raise ExpressionError(f"type {name}: write schema.type; an app could put a type of the same name before it")
        _prefix(node.names)
    elif kind == "A_Expr" and node.kind in _SWAPPED_OPERATORS and len(node.name) == 1:
        _prefix(node.name)
    elif kind == "SubLink" and len(node.oper_name) == 1:
        _prefix(node.oper_name)


def _of_the_statement(node: Any) -> None:
    """Puts the statement's own time in the place of CURRENT_TIMESTAMP and kin, which are the transaction's."""
    types = {
        "SVFOP_CURRENT_TIMESTAMP": "",
        "SVFOP_CURRENT_DATE": "::pg_catalog.date",
        "SVFOP_CURRENT_TIME": "::pg_catalog.timetz",
        "SVFOP_LOCALTIMESTAMP": "::pg_catalog.timestamp",
        "SVFOP_LOCALTIME": "::pg_catalog.time",
    }
    kind = SQLValueFunctionOp.Name(node.sqlvalue_function.op)
    if kind in types:
        made = parse(f"{_PREFIX}(pg_catalog.statement_timestamp()){types[kind]}")
        node.CopyFrom(made.stmts[0].stmt.select_stmt.where_clause)


def _prefix(names: Any) -> None:
    word = names[0].string.sval
    del names[:]
    for part in (_CATALOG, word):
        names.add().string.sval = part


def _render(tree: Any) -> str:
    """The expression's text; proved to read back as the same tree."""
    text: str = deparse(tree)
    if not text.startswith(_PREFIX) or _bare(parse(text)) != _bare(tree):
        raise ExpressionError("this expression cannot be written back without a change: write it more simply")
    return text.removeprefix(_PREFIX)


def _bare(tree: Any) -> Any:
    """A copy without the places in the text."""
    copy = type(tree)()
    copy.CopyFrom(tree)
    for node in _walk(copy):
        for field, _ in node.ListFields():
            if field.name in _PLACES or field.name in _PLACES_OF_LISTS:
                node.ClearField(field.name)
    copy.ClearField("version")
    return copy


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for field, value in node.ListFields():
        if field.message_type is None:
            continue
        if hasattr(value, "ListFields"):
            yield from _walk(value)
        else:
            for item in value:
                yield from _walk(item)


def _fields(node: Any, name: str) -> Any:
    return getattr(node, name)
