"""Pass: whole rows (`*`, `t.*`, `t`) of relations whose row is not the app's: spelled out, column by column.

These are the target of a write, which stays in place with all of its columns, and a form that shows a system column
beside its own, because the statement names one.
"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.names import quote_identifier
from proxy.policy.table import GovernedTable
from proxy.rewrite.context import Context
from proxy.rewrite.lex import Node, part_at
from proxy.rewrite.merged import using_alias
from proxy.rewrite.outputs import Outputs
from proxy.rewrite.scope import STAR, ColumnUse, Reference, Source, flatten, owners
from proxy.rewrite.select import system_columns
from proxy.rewrite.stars import StarItem, star_of

_ROW = "_r"


def rewrite_rows(context: Context) -> None:
    """Replaces every whole row of such a relation."""
    wanted = {id(reference) for reference in context.analysis.references if _must_be_spelled(context, reference)}
    if not wanted:
        return
    places = Places(context.analysis.nodes)
    for use in context.analysis.uses:
        found = owners(use)
        if found.whole_row and any(id(source.reference) in wanted for source in flatten(found.sources)):
            _Row(context, use, wanted, places).rewrite()


def shows_all_columns(reference: Reference, table: GovernedTable) -> bool:
    """Whether the app has every column of the relation as it is: its rows may be hidden, a shown row is whole."""
    relation = reference.relation
    return (
        relation is not None
        and all(column.treatment.plain for column in table.columns)
        and all(column.number < 0 or table.column(column.name) is not None for column in relation.columns)
    )


def is_spelled(context: Context, source: Source) -> bool:
    """Whether the row of a source is spelled out."""
    return source.reference is not None and _must_be_spelled(context, source.reference)


def _must_be_spelled(context: Context, reference: Reference) -> bool:
    table = reference.table
    if reference.role == "target":
        return table is not None and not table.plain and not shows_all_columns(reference, table)
    return reference.role == "read" and bool(system_columns(context, reference)) and _becomes_form(context, reference)


def _becomes_form(context: Context, reference: Reference) -> bool:
    relation = reference.relation
    return reference.rewrites or (relation is not None and context.system.form(relation.key) is not None)


class Places:
    """What stands around the ColumnRefs of a statement, by id of their nodes."""

    def __init__(self, nodes: list[tuple[str, Node]]) -> None:
        self.outputs = Outputs(nodes)
        self.lists: set[int] = set()  # in ROW(...) or a row of VALUES: a `*` there is a list of columns
        self.parts: dict[int, Node] = {}  # `(t).c`: its A_Indirection
        for kind, node in nodes:
            if kind == "RowExpr":
                self._note(node.get("args", ()))
            elif "valuesLists" in node:
                for row in node["valuesLists"]:
                    self._note(row["List"].get("items", ()))
            elif kind == "MergeWhenClause":
                self._note(node.get("values", ()))
            elif kind == "A_Indirection" and "ColumnRef" in node["arg"]:
                self.parts[id(node["arg"]["ColumnRef"])] = node

    def _note(self, values: Iterable[Node]) -> None:
        self.lists |= {id(value["ColumnRef"]) for value in values if "ColumnRef" in value}


class _Row:
    """One whole row."""

    def __init__(self, context: Context, use: ColumnUse, wanted: set[int], places: Places) -> None:
        self.context = context
        self.use = use
        self.wanted = wanted
        self.places = places

    def rewrite(self) -> None:
        use, place = self.use, id(self.use.node)
        sources = owners(use).sources
        reference = next(r for s in flatten(sources) if (r := s.reference) is not None and id(r) in self.wanted)
        joined = any(id(inner.reference) in self.wanted for s in sources if s.members for inner in flatten((s,)))
        if use.start < 0 or use.clause == "conflict" or joined or any(s.proposed for s in sources):
            raise self._unsupported(f'the whole row of "{reference.name}" cannot be used here')
        listed = self.places.outputs.is_output(use.node)
        if use.fields[-1] == STAR and (listed or place in self.places.lists):
            items = star_of(use.level) if len(use.fields) == 1 else [StarItem(sources[0])]
            if items is None:
                raise self._unsupported("the columns of * are not known here")
            self._replace(", ".join(text for item in items for text in self._spelled(item, items, named=listed)))
            return
        if len(sources) != 1 or not owners(use).certain:
            raise self._unsupported(f'it cannot be told whether "{use.fields[-1]}" is a row')
        (source,) = sources
        if place in self.places.parts:
            self._part(source, self.places.parts[place])
            return
        self._replace(self._row(source) + self.places.outputs.name(self.context, use.node))

    def _part(self, source: Source, indirection: Node) -> None:
        """`(t).c` is c of t."""
        word = indirection["indirection"][0].get("String", {}).get("sval")
        reference = source.reference
        assert reference is not None
        if word is None:
            raise self._unsupported(f'the row of "{reference.name}" cannot be taken apart here')
        if reference.role == "read":
            return
        column = reference.table.column(word) if reference.table is not None else None
        if column is None or column.treatment.action == "drop":
            message = f"column {source.name}.{word} does not exist"
            raise self.context.missing_column(message, column, self.use.start)
        if not column.treatment.plain:
            raise self._unsupported(f'"{word}" of the row of "{reference.name}" cannot be taken out here')

    def _row(self, source: Source) -> str:
        """One expression with all of the app's columns, under their names."""
        columns = source.columns
        if columns is None or _ROW in columns:
            raise self._unsupported("the row's columns cannot be listed")
        items = ", ".join(self._spelled(StarItem(source), [], named=True))
        alias = quote_identifier(source.name or "")
        there = f" WHERE ({alias}.*) IS DISTINCT FROM NULL" if source.named_only else ""
        return f"(SELECT {_ROW} FROM (SELECT {items}{there}) AS {_ROW})"

    def _spelled(self, item: StarItem, items: list[StarItem], *, named: bool) -> list[str]:
        """The outputs that one part of `*` is. `named`: those that are expressions need their names."""
        source = item.source
        if source is None:
            if any(other is not item and item.column in (other.columns() or (item.column,)) for other in items):
                raise self._unsupported(f'the column "{item.column}" of * cannot be named')
            name = quote_identifier(item.column)
            hidden = any(_hides(one.reference, item.column) for one in self.use.level.sources)
            if not hidden or item.join is None or "usingClause" not in item.join:
                return [name]
            return [f"{using_alias(self.context, item.join)}.{name}"]
        if source.name is None:
            raise self._unsupported("a sub-query without an alias stands beside it")
        alias = quote_identifier(source.name)
        if id(source.reference) not in self.wanted:
            return [f"{alias}.{'*' if item.column == STAR else quote_identifier(item.column)}"]
        reference = source.reference
        assert reference is not None
        columns = item.columns()
        assert columns is not None
        if reference.role == "read":
            return [f"{alias}.{quote_identifier(name)}" for name in columns]
        table = reference.table
        assert table is not None
        form = self.context.form_of(table)
        outputs = []
        for column in table.columns:
            if not column.treatment.visible or column.name not in columns:
                continue
            if column.treatment.plain:
                outputs.append(f"{alias}.{quote_identifier(column.name)}")
            else:
                text = form.column(column.name, alias, version=source.named_only)
                outputs.append(f"{text} AS {quote_identifier(column.name)}" if named else text)
        if not outputs:
            raise self.context.refuse(
                f'app {self.context.app.name} has no column of relation "{table.name}"', start=self.use.start
            )
        return outputs

    def _replace(self, text: str) -> None:
        context, use = self.context, self.use
        first = context.token_at(use.start)
        end = context.tokens[context.name_end(first) - 1].end
        reference = owners(use).sources[0].reference
        if len(use.fields) > 2 and reference is not None and reference.role == "read":
            first = part_at(context.tokens, first, len(use.fields) - 2)  # what stands before is cut by `shorten_names`
        context.edit(context.tokens[first].start, end, text)

    def _unsupported(self, message: str) -> Exception:
        return self.context.unsupported(message, "Name the columns.", self.use.start)


def _hides(reference: Reference | None, column: str) -> bool:
    """Whether it is what is written, and has a column of the name that the app does not have."""
    if reference is None or reference.role != "target" or reference.relation is None or reference.table is None:
        return False
    return reference.relation.column(column) is not None and column not in {
        one.name for one in reference.table.columns if one.treatment.action != "drop"
    }
