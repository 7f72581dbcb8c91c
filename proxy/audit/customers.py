"""Of how many customers a statement can have read something, from its text and its rows. Pure.

The log names no customers. Where each row of a result comes from one row of each table that it reads, there are at most
as many customers as rows. An aggregate, a sub-query, a set operation or a function that the list below does not have
can put any number of them into one row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from postgast import PgQueryError, parse

_CLAUSES: Final = frozenset(
    "target_list from_clause where_clause sort_clause limit_count limit_offset limit_option locking_clause op".split()
)
_FROM: Final = frozenset(("range_var", "join_expr"))
_NEVER: Final = frozenset(("SubLink", "RangeSubselect", "RangeFunction", "WithClause", "WindowDef"))
_HARMLESS: Final = frozenset(
    """
    lower upper initcap length char_length btrim ltrim rtrim substring substr left right replace to_char date_trunc
    date_part extract round floor ceil abs concat concat_ws md5 now format timezone age
    """.split()
)


def counts_rows(statement: str, relations: Collection[str]) -> bool:
    """Whether a statement of the log has at most as many customers as rows. `relations`: those it disclosed."""
    try:
        parsed = parse(statement).stmts
    except PgQueryError:
        return False  # text that stands for a statement whose text is not in the log
    if len(parsed) != 1:
        return False
    node = parsed[0].stmt
    kind = node.WhichOneof("node")
    if kind == "copy_stmt":
        inner = node.copy_stmt
        if inner.HasField("query"):
            node, kind = inner.query, inner.query.WhichOneof("node")
        else:
            return _names(inner) <= _bare(relations)
    if kind != "select_stmt":
        return False
    select = node.select_stmt
    if not {field.name for field, _ in select.ListFields()} <= _CLAUSES or not select.from_clause:
        return False
    if not all(item.WhichOneof("node") in _FROM for item in select.from_clause):
        return False
    return _names(select) <= _bare(relations) and all(map(_harmless, _walk(select)))


def _harmless(message: Any) -> bool:
    name = type(message).__name__
    return name not in _NEVER and (name != "FuncCall" or message.funcname[-1].string.sval in _HARMLESS)


def _names(message: Any) -> set[str]:
    return {part.relname for part in _walk(message) if type(part).__name__ == "RangeVar"}


def _bare(relations: Collection[str]) -> set[str]:
    """Views that an app names are not in the records, the tables below are: then the names differ."""
    return {name.rpartition(".")[2] for name in relations}


def _walk(message: Any) -> Iterator[Any]:
    """A message of protobuf and all that are in it."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        yield one
        for field, value in one.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting += list(value) if hasattr(value, "__len__") else [value]
