"""Pass: row policies into the conditions of statements that write: which rows they may find, change and delete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.errors import PgError
from proxy.policy.names import quote_identifier
from proxy.policy.table import GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.copies import Copies
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import Reference


def restrict_rows(context: Context, reference: Reference, table: GovernedTable, clause: Node, after: str = "") -> None:
    """Row policies into WHERE; the app's own condition behind CASE where it could tell of a hidden row.

    `clause` has the WHERE: an UPDATE, a DELETE, or ON CONFLICT's DO UPDATE (`after` is then the keyword DO).
    """
    if not table.rows:
        return
    where = clause.get("whereClause")
    if where is not None and "CurrentOfExpr" in where:
        raise context.unsupported(
            f'WHERE CURRENT OF on relation "{table.name}", of which the rules hide rows from app {context.app.name}',
            "Name the rows by their key.",
            reference.start,
        )
    rows = _Rows.of(context, reference, table)
    first, last = _condition(context, reference, after)
    if first is None:
        rows.add(context.tokens[last].end, f" WHERE {rows.text}")
        return
    if after:
        # DO UPDATE has found its row by the key that conflicts: no comparison would help.
        proposed = any(source.proposed for _, source, _ in context.uses_of(reference))
        rows.guard(first, last, where, leakproof=not proposed)
        return
    calm = context.fences.leakproof_sources(clause)
    rows.guard(first, last, where, rows.copied(reference, where, joined=calm), leakproof=calm)


def restrict_merge(context: Context, reference: Reference, table: GovernedTable, node: Node) -> None:
    """Row policies into MERGE's ON: a hidden row matches nothing. WHEN NOT MATCHED BY SOURCE finds it all the same,
    and gets them too; what WHEN MATCHED sees has passed ON, again where the row had changed meanwhile.
    """
    if not table.rows:
        return
    rows = _Rows.of(context, reference, table)
    parts = _merge_parts(context, reference)
    on = node["joinCondition"]
    calm = context.fences.leakproof_sources(node)
    copied = rows.copied(reference, on, joined=calm)
    whole = rows.guard(parts.on, parts.whens[0].when - 1, on, copied, leakproof=calm)
    if not whole and _joins_fully(node) and not any(_JOINS.search(comparison) for comparison in copied):
        raise context.unsupported(
            f'MERGE with WHEN NOT MATCHED and WHEN NOT MATCHED BY SOURCE on relation "{table.name}", of which the '
            f"rules hide rows from app {context.app.name}, is not supported where ON has no equality of two columns",
            "Put the source into a temp table first, with what ON compares as a column.",
            reference.start,
        )
    last = False  # whether a clause takes all rows that match no source: the policies would hide that from the server
    for clause, part in zip(node["mergeWhenClauses"], parts.whens, strict=True):
        when = clause["MergeWhenClause"]
        if when["matchKind"] != "MERGE_WHEN_NOT_MATCHED_BY_SOURCE":
            continue
        if last:
            raise PgError("unreachable WHEN clause specified after unconditional WHEN clause", "42601")
        last = part.condition is None
        if not calm:
            raise context.unsupported(
                f'WHEN NOT MATCHED BY SOURCE on relation "{table.name}", of which the rules hide rows from app '
                f"{context.app.name}, is not supported where the source computes",
                "Put the source into a temp table first.",
                reference.start,
            )
        if part.condition is None:
            rows.add(context.tokens[part.then - 1].end, f" AND {rows.text}")
        else:
            rows.guard(part.condition, part.then - 1, when["condition"])


# Of what is copied: an equality of a column with another source's, by which PostgreSQL can join fully.
_JOINS = re.compile(r"= ?\)? \"(?:[^\"]|\"\")*\"\.")


def _joins_fully(node: Node) -> bool:
    """Whether MERGE does something with rows of both sides that have no match."""
    clauses = [clause["MergeWhenClause"] for clause in node["mergeWhenClauses"]]
    done = {clause["matchKind"] for clause in clauses if clause["commandType"] != "CMD_NOTHING"}
    return done >= {"MERGE_WHEN_NOT_MATCHED_BY_SOURCE", "MERGE_WHEN_NOT_MATCHED_BY_TARGET"}


def merge_actions(context: Context, reference: Reference) -> list[int]:
    """The index of each THEN of a MERGE."""
    return [when.then for when in _merge_parts(context, reference).whens]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The row policies of one target."""

    context: Context
    alias: str
    text: str

    @classmethod
    def of(cls, context: Context, reference: Reference, table: GovernedTable) -> _Rows:
        for row in table.rows:
            context.decided_by(row.policy)
        alias = quote_identifier(reference.alias)
        return cls(context, alias, " AND ".join(context.form_of(table).rows(alias)))

    def add(self, at: int, text: str) -> None:
        self.context.edit(at, at, text)

    def copied(self, reference: Reference, condition: Node | None, *, joined: bool) -> list[str]:
        """The app's own comparisons that may stand beside the policies. `joined`: leakproof ones with other sources,
        too.
        """
        copies = Copies(self.context.fences, reference, self.alias)
        found = copies.of_condition(condition, joined=joined)
        return found + copies.equalities(condition, self.text, found)

    def guard(
        self, keyword: int, last: int, condition: Node | None, copied: Sequence[str] = (), leakproof: bool = True
    ) -> bool:
        """Puts the policies before the app's condition, which stands from behind token `keyword` to token `last`.

        Gives whether it stands beside them, and not within CASE.
        """
        begin, end = self.context.tokens[keyword].end, self.context.tokens[last].end
        if leakproof and self.context.calm is not False and self.context.fences.leakproof_condition(condition):
            self.add(begin, f" {self.text} AND (")
            self.add(end, ")")
            return True
        before = "".join(f"{comparison} AND " for comparison in copied)
        self.add(begin, f" {before}{self.text} AND CASE WHEN {self.text} THEN (")
        self.add(end, ") ELSE FALSE END")
        return False


def _condition(context: Context, reference: Reference, after: str) -> tuple[int | None, int]:
    """(index of the token WHERE or None, index of the last token before RETURNING or the statement's end).

    `after`: the keyword behind which it stands, if any (DO of ON CONFLICT).
    """
    where = None
    last = context.token_at(reference.start)
    begun = not after
    for index, word in _outside(context, last):
        if word == "returning":
            return where, index - 1
        begun = begun or word == after
        if word == "where" and begun and where is None:
            where = index
    return where, _end(context, last)


@dataclass(frozen=True, slots=True)
class _When:
    """Indices of tokens: WHEN; the AND before the condition, if there is one; THEN."""

    when: int
    condition: int | None
    then: int


@dataclass(frozen=True, slots=True)
class _Merge:
    on: int
    whens: list[_When]


def _merge_parts(context: Context, reference: Reference) -> _Merge:
    """Where the parts of a MERGE stand. Raises PgError where they are not found (never seen)."""
    on, when, condition = None, None, None
    whens: list[_When] = []
    for index, word in _outside(context, context.token_at(reference.start)):
        if word == "returning":
            break
        if word == "on" and when is None and not whens:
            on = index  # the last one: a join of the source has its own before
        elif word == "when":
            when, condition = index, None
        elif word == "and" and when is not None and condition is None:
            condition = index
        elif word == "then" and when is not None:
            whens.append(_When(when, condition, index))
            when = None
    if on is None or not whens:
        raise context.unsupported("the parts of MERGE are not found", start=reference.start)
    return _Merge(on, whens)


_NESTING = frozenset((b"(", b")", b"[", b"]", b"case", b"end"))


def _outside(context: Context, start: int) -> Iterator[tuple[int, str]]:
    """(index, keyword) of the statement's tokens from `start` on that stand outside of parentheses and CASE."""
    tokens = context.tokens
    depth = 0
    for index in range(start, _end(context, start) + 1):
        if depth and tokens.text(index).lower() not in _NESTING:
            continue
        token = tokens[index]
        before = tokens[index - 1] if index else None
        # any word may be a name behind a dot or AS
        word = "" if before is not None and (before.text == b"." or before.word == "as") else token.word
        depth += (token.text in (b"(", b"[") or word == "case") - (token.text in (b")", b"]") or word == "end")
        if depth == 0 and word not in ("", "end"):
            yield index, word


def _end(context: Context, start: int) -> int:
    """The index of the last token of the statement, or of the parentheses, in which token `start` stands."""
    depth = 0
    for index in range(start, len(context.tokens)):
        text = context.tokens.text(index)
        depth += (text == b"(") - (text == b")")
        if depth < 0 or text == b";":
            return index - 1
    return len(context.tokens) - 1
