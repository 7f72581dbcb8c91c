"""Pass: `schema.table.column` over a form, which is a sub-query and has no schema.

It becomes `table.column`; where another relation has the table's name in that place, the form gets an alias of its own,
"schema.table", and its columns are named by that.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.rewrite.context import Context
from proxy.rewrite.lex import part_at
from proxy.rewrite.scope import STAR, SYSTEM_COLUMNS, ColumnUse, Reference, owners

_LONGEST = 63  # bytes of a name; what is longer PostgreSQL cuts


def name_apart(context: Context, reads: list[Reference]) -> None:
    """Gives an alias of their own to forms that are beside a relation of the same name, or are named where it is."""
    beside = _with_namesakes(context)
    apart = []
    for read in reads:
        if (read in beside or _is_captured(context, read)) and _can_be_apart(context, read):
            apart.append(read)
        elif read in beside:
            raise _cannot_be_apart(context, read)
    if not apart:
        return
    for use in context.analysis.uses:
        owners(use)  # by the names that the app gives
    for read in apart:
        read.apart = _whole_name(read)
    for level in context.analysis.levels:
        for source in level.sources:
            if source.reference in apart:
                source.name = source.reference.alias
    for read in apart:
        for use in _uses_by_name(context, read):
            if len(use.fields) > 1:
                _qualify(context, use, f"{quote_identifier(read.alias)}.")


def shorten_names(context: Context, reads: list[Reference]) -> None:
    """`schema.t.c` becomes `t.c`."""
    for use in _with_schema(context.analysis.uses):
        meant = [source.reference for source in owners(use).sources if source.reference in reads]
        if not meant or any(read is not None and read.apart for read in meant):
            continue
        if _means_another(use):
            raise context.unsupported(
                f'"{use.fields[-2]}" means another relation in this place without the schema',
                f"Give {'.'.join(use.fields[-3:-1])} an alias that nothing else has.",
                use.start,
            )
        _qualify(context, use, "", kept=len(use.fields) - 2)


def _qualify(context: Context, use: ColumnUse, text: str, kept: int | None = None) -> None:
    """Puts `text` in place of the name's parts before part `kept` (None: the last)."""
    number = len(use.fields) - 1 if kept is None else kept
    first = part_at(context.tokens, context.token_at(use.start), number)
    context.edit(use.start, context.tokens[first].start, text)


def _with_schema(uses: Iterable[ColumnUse]) -> Iterable[ColumnUse]:
    return (use for use in uses if len(use.fields) > 2 and use.start >= 0)


def _means_another(use: ColumnUse) -> bool:
    short = ColumnUse(use.fields[-2:], use.start, use.level, use.clause, use.node)
    return [*map(id, owners(short).sources)] != [*map(id, owners(use).sources)]


def _with_namesakes(context: Context) -> list[Reference]:
    """The relations of two schemas that have one name in one FROM, or in one join that has an alias."""
    found: list[Reference] = []
    for level in context.analysis.levels:
        joins = [source.members for source in level.sources if source.members]
        for sources in ([source for source in level.sources if not source.hidden], *joins):
            named: dict[str | None, list[Reference | None]] = {}
            for source in sources:
                named.setdefault(source.name, []).append(source.reference)
            for alike in named.values():
                relations = [one for one in alike if one is not None and one.relation and "alias" not in one.node]
                oids = {one.relation.oid for one in relations if one.relation}
                if 1 < len(alike) == len(oids):  # of one that is there twice the server says so
                    found += relations
    return found


def _is_captured(context: Context, read: Reference) -> bool:
    """Whether something else has its name where its columns are named."""
    return any(map(_means_another, _with_schema(_uses_by_name(context, read))))


def _cannot_be_apart(context: Context, read: Reference) -> PgError:
    for use in _uses_by_name(context, read):
        if len(use.fields) == 2 and len(owners(use).sources) > 1:
            return PgError(f'table reference "{read.name}" is ambiguous', "42P09", position=context.position(use.start))
    return context.unsupported(f'two relations in FROM have the name "{read.name}"', "Give them aliases.", read.start)


def _can_be_apart(context: Context, read: Reference) -> bool:
    name = _whole_name(read)
    if len(name.encode()) > _LONGEST or read.temporary:
        return False
    grouped = False
    for kind, node in context.analysis.nodes:
        words = (node.get("sval"), node.get("relname"), node.get("aliasname"), node.get("ctename"))
        if name in words or (kind == "LockingClause" and "lockedRels" in node):
            return False
        grouped = grouped or "groupClause" in node
    return all(
        len(owners(use).sources) == 1
        and use.start >= 0
        and use.fields[-1] not in SYSTEM_COLUMNS
        and (not owners(use).whole_row or (use.fields[-1] == STAR and len(use.fields) > 1 and not grouped))
        for use in _uses_by_name(context, read)
        if len(use.fields) > 1 or (owners(use).whole_row and use.fields != (STAR,))
    )


def _uses_by_name(context: Context, read: Reference) -> list[ColumnUse]:
    """Not those by the alias of a join that it is in."""
    return [use for use in context.analysis.uses if any(s.reference is read for s in owners(use).sources)]


def _whole_name(read: Reference) -> str:
    assert read.relation is not None
    return f"{read.relation.schema}.{read.relation.name}"
