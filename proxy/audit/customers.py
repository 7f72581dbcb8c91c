"""Of how many customers a statement can have read something, from its text and its rows. Pure.

The log names no customers. Where each row of a result comes from one row of each table that it reads, there are at most
as many customers as rows. An aggregate, a sub-query, a set operation or a function that the list below does not have
can put any number of them into one row. Where the only table has one row a customer, there are as many as rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from postgast import PgQueryError, parse

from proxy.policy.model import Table
from proxy.policy.names import join_dotted, split_column
from proxy.policy.rules import Rules

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


def customer_tables(rules: Rules) -> set[str]:
    """The tables that have one row a customer, as far as the rules tell: the profile's, and those that others refer to
    by the key that names the customer.
    """
    named = {rules.profile.subject} if rules.profile is not None else set()
    for table in rules.tables.values():
        if isinstance(table, Table) and table.subject is not None and not isinstance(table.subject, str):
            named.add(table.subject.references)
    found = set()
    for schema, name, column in map(split_column, named):
        target = rules.tables.get(join_dotted(schema, name))
        if isinstance(target, Table) and target.subject == column:
            found.add(join_dotted(schema, name))
    return found


def rows_are_customers(statement: str, relations: Collection[str], own: Collection[str]) -> bool:
    """Whether each row is another customer's, of a statement of which `counts_rows` holds. `own`: tables that have one
    row a customer.
    """
    if len(relations) != 1 or not set(relations) <= set(own):
        return False
    node = parse(statement).stmts[0].stmt
    if node.WhichOneof("node") == "copy_stmt":
        if not node.copy_stmt.HasField("query"):
            return True
        node = node.copy_stmt.query
    items = node.select_stmt.from_clause
    return len(items) == 1 and items[0].WhichOneof("node") == "range_var"


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
