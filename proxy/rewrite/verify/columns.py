"""Columns' names and whole rows side by side: those of a target that stays in place are governed, one by one."""

from __future__ import annotations

from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.rewrite.verify.form import SYSTEM_COLUMNS, Forms, outputs_of, row_of
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.scope import TARGET, UNSURE, Level, Merge, Source, Target
from proxy.rewrite.verify.star import Part, parts_of
from proxy.rewrite.verify.tree import Node, column_of, parse, strings

_ALIAS = "Give the relation an alias that nothing else has."
_SELECT: Node = parse("SELECT")[0]["SelectStmt"]


def differs(what: str) -> PgError:
    return feature_not_supported(f"the rewritten statement could not be proved: {what}", "Please report the statement.")


class TakenForGranted(PgError):
    """It could not be proved that a form needs no fence, or that a comparison is the app's own: the rewriter may know
    more of the statement than the proof does, and can do without.
    """


def granted(what: str) -> TakenForGranted:
    error = differs(what)
    return TakenForGranted(error.message, error.sqlstate, hint=error.hint)


class ColumnWalk:
    """What the names of columns in one statement may be."""

    def __init__(self, names: Names, forms: Forms) -> None:
        self._names = names
        self._forms = forms
        self._merges: list[Merge] = []

    def _column(self, before: Node, after: Node, level: Level) -> None:
        """A column's name: as it is, without its schema where a form has none, or the governed expression of a
        target's.
        """
        fields = before["ColumnRef"]["fields"]
        star = "A_Star" in fields[-1]
        words = strings(fields[:-1] if star else fields)
        for word in words[1:]:
            self._names.notation(word)
        found: Source | Target | None = None
        if len(words) > (1 if not star else 0):
            qualifier = words if star else words[:-1]
            found = level.named(qualifier[0]) if len(qualifier) == 1 else level.relation_named(*qualifier[-2:])
        expected = self._row(words, star, found, level)
        if expected is None:
            self._check_system_columns(words, star, found, level)
            if len(words) == 1 and not star and after != before:
                expected = self._qualified(words[0], level)
            if expected is None and level.guarded and not star and not isinstance(found, Source):
                expected = self._of_target(words, found, level)
        if expected is not None:
            if after != expected:
                raise differs(f'"{".".join(words)}" is not governed')
            return
        # A form has no schema: with one, the name would mean another relation further out.
        shown = before
        if isinstance(found, Source) and found.form and (len(fields) > 2 or found.apart):
            if not level.surely_named(found.alias, found):
                raise feature_not_supported(f'"{found.alias}" may mean another relation without the schema', _ALIAS)
            if len(qualifier) == 1 and not level.means_one(found):
                raise PgError(f'table reference "{found.name}" is ambiguous', "42P09")
            shown = {"ColumnRef": {"fields": [{"String": {"sval": found.alias}}, fields[-1]]}}
        if after != shown:
            raise differs(f"the name {'.'.join(words)} changed")

    def _qualified(self, word: str, level: Level) -> Node | None:
        """What may stand for a name without qualifier that PostgreSQL might find elsewhere: its source's column, or the
        row that it is.
        """
        source = level.owner_of(word)
        hidden = level.may_be_hidden(word)
        if source is not None:
            if not hidden and not (source.named_alike and level.may_be_masked(word)):
                return None
            self._names.notation(word)
            return column_of(source.alias, word)
        only = level.only_unknown(word)
        if only is not None:
            self._names.notation(word)
            return column_of(only.name, word)
        merged = self._merged_column(word, level) if hidden else None
        if merged is not None:
            self._names.notation(word)
            return merged
        row = self._row_of_source(word, level) if hidden else None
        return None if row is None else {"CoalesceExpr": {"args": [row]}}

    def _merged_column(self, word: str, level: Level) -> Node | None:
        """`alias.word` of the USING that makes one column of all that the name means; None where none does."""
        for around in level.outward():
            having = [s for s in around.sources if s.has(word) or (s.named_alike and s.name == word)]
            if around.loose or (around.target is not None and around.target.has(word)):
                return None
            if having:
                found = [merge for merge in self._merges if word in merge.columns and merge.joins(having)]
                fits = [merge for merge in found if level.named(merge.alias) is merge.source]
                return column_of(fits[0].alias, word) if fits else None
            if any(source.columns is None for source in around.sources):
                return None
        return None

    @staticmethod
    def _row_of_source(word: str, level: Level) -> Node | None:
        """`word.*`, which is the whole row that a name means; None where that is not certain."""
        row, certain = level.row_named(word)
        if not certain or not isinstance(row, Source) or row.columns is None:
            return None
        return _star_of(word)

    # -- whole rows -------------------------------------------------------------------------------------------------

    def _row(self, words: list[str], star: bool, found: Source | Target | None, level: Level) -> Node | None:
        """What must stand for a name that is a whole row, within an expression; None where it may stay."""
        certain = True
        if star and not words:
            if any(_must_be_spelled(part) for part in (level.target, *level.sources)):
                raise differs("* stands where it is no list")
            return None
        if star:
            row = found
        elif len(words) == 1:
            row, certain = level.row_named(words[0])
        else:
            return None
        if row is None or not _must_be_spelled(row):
            return None
        if not certain:
            raise feature_not_supported(f'it cannot be told whether "{words[-1]}" is a row', "Name the columns.")
        version = isinstance(row, Target) and words[-1] in row.row_names
        return row_of(self._outputs(row, words[-1]), words[-1] if version else None)

    def _outputs(self, row: Source | Target, alias: str, only: str | None = None) -> list[Node]:
        """The outputs that `alias.*` must be, or the one for the column `only`."""
        if isinstance(row, Target):
            form = self._forms.written(row.table, row.relation, alias, alias in row.row_names)
            return outputs_of(row.table, alias, form.expressions)
        if row.columns is None:
            raise differs("the row of a form has a system column")
        return [{"ResTarget": {"val": column_of(alias, name)}} for name in row.columns if only in (None, name)]

    def _spelled_star(self, value: Node, level: Level, *, named: bool) -> list[Node] | None:
        """The list that must stand for a `*` or `t.*` that is a part of a list; None where nothing must."""
        fields = value.get("ColumnRef", {}).get("fields", [])
        if not fields or "A_Star" not in fields[-1]:
            return None
        words = strings(fields[:-1])
        if words:
            row = level.named(words[0]) if len(words) == 1 else level.relation_named(*words[-2:])
            parts: list[Part] | None = [Part(row)]
        else:
            parts = parts_of(level)
        if not any(_must_be_spelled(part.source) for part in parts or map(Part, (level.target, *level.sources))):
            return None
        if parts is None:
            raise differs("the columns of * are not known")
        found = [item for part in parts for item in self._spelled(part, words, level)]
        return found if named else [item["ResTarget"]["val"] for item in found]

    def _spelled(self, part: Part, words: list[str], level: Level) -> list[Node]:
        source = part.source
        if source is None and part.column is not None and level.may_be_hidden(part.column):
            merged = self._merged_column(part.column, level)
            if merged is None:
                raise differs("a column that is merged cannot be named")
            return [{"ResTarget": {"val": merged}}]
        if source is None:
            return [{"ResTarget": {"val": {"ColumnRef": {"fields": [{"String": {"sval": part.column}}]}}}}]
        alias = words[-1] if words else source.alias
        if _must_be_spelled(source):
            return self._outputs(source, alias, part.column)
        if part.column is not None:
            return [{"ResTarget": {"val": column_of(alias, part.column)}}]
        fields: list[Node] = [{"String": {"sval": alias}}, {"A_Star": {}}]
        return [{"ResTarget": {"val": {"ColumnRef": {"fields": fields}}}}]

    def _is_part_of_row(self, indirection: Node, level: Level) -> bool:
        """Whether an expression is `(t).c` of a row that must not stand whole, and c a column that the app has of it.

        It is `t.c` then, and `t` may stay.
        """
        fields = indirection["arg"].get("ColumnRef", {}).get("fields", [])
        if len(fields) != 1 or "String" not in fields[0]:
            return False
        name = fields[0]["String"]["sval"]
        row, certain = level.row_named(name)
        word = indirection["indirection"][0].get("String", {}).get("sval")
        if row is None or not _must_be_spelled(row) or not certain or word is None:
            return False
        if isinstance(row, Source):
            return word in (row.columns or ()) or word in row.system_columns
        column = row.table.column(word)
        return column is not None and column.treatment.plain

    def _is_row_of_source(self, before: Node, after: Node, level: Level) -> bool:
        """Whether `t.*` stands for `t` in `(t).c`."""
        fields = before.get("ColumnRef", {}).get("fields", [])
        if len(fields) != 1 or "String" not in fields[0] or level.owner_of(fields[0]["String"]["sval"]) is not None:
            return False
        word = fields[0]["String"]["sval"]
        return level.may_be_hidden(word) and after == self._row_of_source(word, level)

    @staticmethod
    def _row_in_parentheses(before: Node, level: Level) -> Node:
        """What must stand for the row `t` in `(t).c`: `t.*` where PostgreSQL finds a column of the name first."""
        (word,) = strings(before["ColumnRef"]["fields"])
        return _star_of(word) if level.may_be_hidden(word) else before

    # -- columns ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _check_system_columns(words: list[str], star: bool, found: Source | Target | None, level: Level) -> None:
        """A form shows a system column where a name asks for it."""
        if not star and words[-1] in SYSTEM_COLUMNS:
            asked = [found] if isinstance(found, Source) else []
            if len(words) == 1:
                asked = next((one.sources for one in level.outward() if any(s.relation for s in one.sources)), [])
            # (a view has none: PostgreSQL says so itself)
            tables = [source for source in asked if source.relation is None or source.relation.kind != "v"]
            if any(source.form and words[-1] not in source.system_columns for source in tables):
                raise differs(f"a form does not show {words[-1]}")

    def _of_target(self, words: list[str], found: Source | Target | None, level: Level) -> Node | None:
        """What must stand for a name that means a column of a guarded target; None where the name may stay."""
        column = words[-1]
        if len(words) == 1:
            if level.may_be_hidden(column):
                raise _hidden(column, "drop")
            meaning, target = level.meaning_of(column)
            if target is None:
                return None
        elif isinstance(found, Target):
            meaning, target = TARGET, found
        else:
            return None
        governed = target.table.column(column)
        if governed is None:
            if column in SYSTEM_COLUMNS:
                return None
            # `t.f` is f(t): the function would get the whole row.
            raise PgError(f'column "{column}" does not exist', "42703")
        if governed.treatment.plain:
            return None
        if not governed.treatment.visible:
            raise _hidden(column, governed.treatment.action)
        if meaning == UNSURE:
            raise feature_not_supported(f'it cannot be told which "{column}" is meant', "Qualify it.")
        alias = words[-2] if len(words) > 1 and words[-2] in target.row_names else target.name
        if self._is_shadowed(alias, target, level):
            raise feature_not_supported(f'"{alias}" means another relation here', "Use another alias.")
        version = alias in target.row_names
        expression = self._forms.written(target.table, target.relation, alias, version).expressions[column]
        return _queried(expression) if level.in_json_table else expression

    @staticmethod
    def _arbiter(column: str, level: Level) -> None:
        """A name in ON CONFLICT (...): of a column that the app has. It names an index, and reads nothing."""
        target = level.target
        if target is None:
            raise differs("an arbiter without a target")
        governed = target.table.column(column)
        if governed is None or not governed.treatment.visible:
            raise _hidden(column, governed.treatment.action if governed is not None else "drop")

    @staticmethod
    def _is_shadowed(alias: str, target: Target, level: Level) -> bool:
        for one in level.outward():
            if one.target is not None and one.target.relation is target.relation:
                return any(source.name == alias for source in one.sources)
            if any(source.name == alias for source in one.sources):
                return True
        return False


def _star_of(word: str) -> Node:
    """`word.*`."""
    return {"ColumnRef": {"fields": [{"String": {"sval": word}}, {"A_Star": {}}]}}


def _queried(expression: Node) -> Node:
    """`(SELECT expression)`."""
    select = {**_SELECT, "targetList": [{"ResTarget": {"val": expression}}]}
    return {"SubLink": {"subLinkType": "EXPR_SUBLINK", "subselect": {"SelectStmt": select}}}


def _must_be_spelled(row: Source | Target | None) -> bool:
    """Whether the row as PostgreSQL has it is more than the app's."""
    if isinstance(row, Target):
        return not row.has_all_columns
    return row is not None and bool(row.system_columns)


def _hidden(column: str, action: str) -> PgError:
    if action == "deny":
        return insufficient_privilege(f'permission denied for column "{column}"')
    return PgError(f'column "{column}" does not exist', "42703")
