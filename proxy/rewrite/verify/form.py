"""The governed forms that the verifier demands, made by itself from docs/reference/governed-form.md.

Each text is parsed once and kept as a tree: a form in a statement is right when its tree is equal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy.catalog.model import Column, Relation, Snapshot
from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.policy.masks import mask_sql
from proxy.policy.others import nothing
from proxy.policy.table import AppPolicy, GovernedColumn, GovernedTable, Mask
from proxy.rewrite.verify.consent import GRANTED, Asking, literal, quoted
from proxy.rewrite.verify.documents import expected_document
from proxy.rewrite.verify.tree import Node, column_of, flattened, holds, parse, strings

SYSTEM_COLUMNS = ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid")
_NULL = Mask("null")
_HOLE = "consentry_argument_of_the_app"
_ROW = "(SELECT _r FROM (SELECT 1) AS _r)"
# What is skipped in a DBA's text when `:app` and `:login` are looked for: strings, quoted names, comments, casts.
_PLACEHOLDERS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]\w*)?\$.*?\$\1\$|--[^\n]*|/\*.*?\*/|::|:(app|login)\b""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ReadForm:
    """The parts of one read form: all but the alias, the copied comparisons and OFFSET 0, which the statement
    decides.
    """

    targets: list[Node]
    sources: list[Node]
    conjuncts: list[Node]


@dataclass(frozen=True, slots=True)
class WrittenForm:
    """A target under one alias: what its columns that are not plain become, and its rows' conjuncts."""

    expressions: dict[str, Node]
    conjuncts: list[Node]


class Forms:
    """The expected forms of one app."""

    def __init__(self, app: AppPolicy, snapshot: Snapshot) -> None:
        self._app = app
        self._snapshot = snapshot
        self._reads: dict[tuple[tuple[str, str], bool, bool, bool, tuple[str, ...]], ReadForm] = {}
        self._written: dict[tuple[tuple[str, str], str, bool], WrittenForm] = {}
        self._subqueries: dict[str, Node] = {}
        self._templates: dict[str, Node] = {}
        self._granted: Node | None = None  # of a mapped store, made once

    def read(
        self, table: GovernedTable, relation: Relation, only: bool, exists: bool, fenced: bool, system: tuple[str, ...]
    ) -> ReadForm:
        """The form in FROM. `exists`: the shape; `system`: the system columns that it shows, in this order."""
        key = (table.key, only, exists, fenced, system)
        form = self._reads.get(key)
        if form is None:
            form = self._reads[key] = self._make_read(table, relation, only, exists, fenced, system)
        return form

    def written(self, table: GovernedTable, relation: Relation, alias: str, version: bool = False) -> WrittenForm:
        """What stands for the columns and rows of a target of this alias. `version`: it is RETURNING's old or new row,
        which may not be there.
        """
        key = (table.key, alias, version)
        form = self._written.get(key)
        if form is None:
            if len(self._written) > 1000:  # aliases are the app's to choose: not without bound
                self._written.clear()
            form = self._written[key] = self._make_written(table, relation, alias, version)
        return form

    def subquery(self, text: str) -> Node:
        """The tree of a sub-query that is written in parentheses."""
        tree = self._subqueries.get(text)
        if tree is None:
            item = _select(f"SELECT FROM {text} AS consentry_alias")["fromClause"][0]
            tree = self._subqueries[text] = item["RangeSubselect"]["subquery"]
        return tree

    def template(self, text: str) -> Node:
        """The tree of an expression in which `{argument}` stands for a hole: see `is_hole`."""
        tree = self._templates.get(text)
        if tree is None:
            tree = self._templates[text] = _expression(text.replace("{argument}", _HOLE))
        return tree

    # -- making ---------------------------------------------------------------------------------------------------

    def _make_read(
        self, table: GovernedTable, relation: Relation, only: bool, exists: bool, fenced: bool, system: tuple[str, ...]
    ) -> ReadForm:
        subject = Asking(self._app, table, "_t")
        exists = exists or self._app.store is not None
        asked = any(c.asks_consent for c in table.columns) or any(row.consent for row in table.rows)
        joined = asked and not exists
        columns = [
            self._output(subject, governed, self._column(relation, governed.name), exists, fenced)
            for governed in table.columns
            if governed.treatment.visible
        ]
        columns += [f"_t.{name}" for name in system]
        joins = subject.joins() if joined else ""
        text = f"SELECT {', '.join(columns)} FROM {'ONLY ' if only else ''}{_base(table, relation)} AS _t{joins}"
        select = self._filled(_select(text))
        conjuncts = self._rows(subject, table, relation, exists)
        self._refuse_capture([*select.get("targetList", []), *conjuncts], "_t", table)
        return ReadForm(select.get("targetList", []), select["fromClause"], conjuncts)

    def _make_written(self, table: GovernedTable, relation: Relation, alias: str, version: bool) -> WrittenForm:
        subject = Asking(self._app, table, quoted(alias))
        expressions = {
            governed.name: self._filled(
                _expression(self._value(subject, governed, self._column(relation, governed.name), exists=True))
            )
            for governed in table.columns
            if governed.treatment.visible and not governed.treatment.plain
        }
        if version:
            for name, value in expressions.items():
                absent = f"(NULL)::{self._column(relation, name).type_name}"
                case = _expression(f"CASE WHEN ({subject.alias}.*) IS DISTINCT FROM NULL THEN 1 ELSE {absent} END")
                case["CaseExpr"]["args"][0]["CaseWhen"]["result"] = value
                expressions[name] = case
        conjuncts = self._rows(subject, table, relation, exists=True, in_place=True)
        self._refuse_capture([*expressions.values(), *conjuncts], alias, table)
        return WrittenForm(expressions, conjuncts)

    def _column(self, relation: Relation, name: str) -> Column:
        column = relation.column(name)
        if column is None:
            raise feature_not_supported(
                f'column "{name}" of relation "{relation.name}" has changed since the rules were compiled'
            )
        return column

    def _output(self, subject: Asking, governed: GovernedColumn, column: Column, exists: bool, fenced: bool) -> str:
        value = self._value(subject, governed, column, exists)
        if governed.treatment.plain and not (fenced and column.tells_by_estimates):
            return value
        if governed.treatment.plain:
            value = f"COALESCE({value}, {value})"
        return f"{value} AS {quoted(governed.name)}"

    def _value(self, subject: Asking, governed: GovernedColumn, column: Column, exists: bool) -> str:
        value = f"{subject.alias}.{quoted(governed.name)}"
        treatment = governed.treatment
        if treatment.plain:
            return value
        if governed.document is not None:
            return expected_document(
                governed.document,
                value,
                column.base_type,
                self._snapshot.server_version,
                lambda attribute, mode: subject.consent(attribute, mode, exists, output=True),
            )
        try:
            masked = f"({mask_sql(treatment.mask or _NULL, value, column)})::{column.type_name}"
        except ValueError as error:
            raise feature_not_supported(f"the mask of {subject.table.name}.{governed.name}: {error}") from error
        if treatment.consent is not None:
            if governed.attribute is None or treatment.action != "show":
                raise feature_not_supported(f"consent for {subject.table.name}.{governed.name} asks no attribute")
            condition = subject.consent(governed.attribute, treatment.consent, exists, output=True)
            masked = f"(CASE WHEN {condition} THEN {value} ELSE {masked} END)"
        return f"{masked} COLLATE {column.collation}" if column.collation else masked

    def _rows(
        self, subject: Asking, table: GovernedTable, relation: Relation, exists: bool, in_place: bool = False
    ) -> list[Node]:
        """The row policies' conjuncts. `in_place`: those that hold a query are tests of their truth, no joins."""
        found: list[Node] = []
        for row in table.rows:
            conditions = [
                self._filled(_expression(subject.consent(attribute, "opt_in", exists, output=False)))
                for attribute in row.consent
            ]
            if row.where is not None:
                own = _Owner(self._snapshot, relation, strings_of(subject.alias))
                conditions.append(own.qualified(self.condition(row.where), ()))
            for condition in conditions:
                if in_place and holds(condition, "SubLink"):
                    found.append({"BooleanTest": {"arg": condition, "booltesttype": "IS_TRUE"}})
                else:
                    found += flattened(condition)
        return found

    def _filled(self, tree: Node) -> Node:
        """The tree with what a mapped store calls granted in its places, read from the consents' own row."""
        if self._granted is None and self._app.store is not None:
            store = self._app.store
            consents = self._snapshot.relations.get((store.schema, store.table))
            if consents is None:
                raise feature_not_supported(f'the consent table "{store.table}" is gone')
            own = _Owner(self._snapshot, consents, strings_of("_c"))
            self._granted = own.qualified(_expression(store.granted), ())
        return tree if self._granted is None else _replaced(tree, GRANTED, self._granted)

    def condition(self, where: str) -> Node:
        """The tree of a row policy's condition, as the DBA wrote it."""
        return _expression(self._substituted(where))

    def _substituted(self, where: str) -> str:
        def replace(match: re.Match[str]) -> str:
            word = match.group(2)
            if word is None:
                return match.group(0)
            return literal(self._app.name) if word == "app" else "(SESSION_USER)::pg_catalog.text"

        return _PLACEHOLDERS.sub(replace, where)

    def _refuse_capture(self, expressions: list[Node], alias: str, table: GovernedTable) -> None:
        """A sub-query of the form must not have a source of the alias through which the form reads its row."""
        if alias in _aliases(expressions):
            raise feature_not_supported(
                f'the alias "{alias}" of "{table.name}" is used inside of its rules', hint="Use another alias."
            )


def strings_of(alias: str) -> list[Node]:
    """The alias, as it is quoted in a text, as the first part of a column's name."""
    name = alias[1:-1].replace('""', '"') if alias.startswith('"') else alias
    return [{"String": {"sval": name}}]


def outputs_of(table: GovernedTable, alias: str, expressions: Mapping[str, Node]) -> list[Node]:
    """What stands for `alias.*` of a target: an output for each of the app's columns."""
    found: list[Node] = []
    for column in table.columns:
        if column.treatment.action == "deny":
            raise insufficient_privilege(f'permission denied for column "{column.name}"')
        if column.treatment.plain:
            found.append({"val": column_of(alias, column.name)})
        elif column.treatment.visible:
            found.append({"name": column.name, "val": expressions[column.name]})
    return [{"ResTarget": output} for output in found]


def row_of(outputs: list[Node], version: str | None = None) -> Node:
    """The one expression that is the row of these outputs, by their names.

    `version`: the name of RETURNING's old or new row, where it is that: NULL where it is not there.
    """
    sublink: Node = _expression(_ROW)["SubLink"]
    select = sublink["subselect"]["SelectStmt"]
    (item,) = select["fromClause"]
    inner = item["RangeSubselect"]
    listed = {**inner["subquery"]["SelectStmt"], "targetList": outputs}
    if version is not None:
        listed["whereClause"] = _expression(f"({quoted(version)}.*) IS DISTINCT FROM NULL")
    row = {**inner, "subquery": {"SelectStmt": listed}}
    return {"SubLink": {**sublink, "subselect": {"SelectStmt": {**select, "fromClause": [{"RangeSubselect": row}]}}}}


def is_hole(node: Node) -> bool:
    return node == {"ColumnRef": {"fields": [{"String": {"sval": _HOLE}}]}}


class _Owner:
    """Qualifies the columns of a row policy's relation in the DBA's condition, as SQL's scopes have them."""

    def __init__(self, snapshot: Snapshot, relation: Relation, alias: list[Node]) -> None:
        self._snapshot = snapshot
        self._relation = relation
        self._alias = alias
        self._own = {column.name for column in relation.columns} | set(SYSTEM_COLUMNS)

    def qualified(self, node: Node, inner: tuple[Node, ...]) -> Node:
        """A copy of the tree. `inner`: FROM items of the sub-queries around, whose columns come first."""
        result: Node = {}
        for key, value in node.items():
            if key == "ColumnRef":
                result[key] = {**value, "fields": self._fields(value["fields"], inner)}
            elif key == "SelectStmt":
                result[key] = self.qualified(value, (*inner, *value.get("fromClause", ())))
            elif isinstance(value, dict):
                result[key] = self.qualified(value, inner)
            elif isinstance(value, list):
                result[key] = [self.qualified(item, inner) for item in value]
            else:
                result[key] = value
        return result

    def _fields(self, fields: list[Node], inner: tuple[Node, ...]) -> list[Node]:
        if "A_Star" in fields[-1]:
            return fields
        names = strings(fields)
        qualifier = names[:-1]
        if qualifier in ([self._relation.name], list(self._relation.key)):
            shadowed = any(self._relation.name in _names_of(item) for item in inner)
            return fields if shadowed else [*self._alias, fields[-1]]
        if qualifier or names[0] not in self._own:
            return fields
        for item in inner:
            columns = self._columns(item)
            if columns is None or names[0] in columns:
                return fields
        return [*self._alias, *fields]

    def _columns(self, item: Node) -> set[str] | None:
        """The columns of a FROM item; None where that cannot be told."""
        if "JoinExpr" in item:
            left, right = self._columns(item["JoinExpr"]["larg"]), self._columns(item["JoinExpr"]["rarg"])
            return None if left is None or right is None else left | right
        source = item.get("RangeVar")
        if source is None or "colnames" in source.get("alias", {}):
            return None
        relation = self._snapshot.relations.get((source.get("schemaname", ""), source["relname"]))
        return None if relation is None else {column.name for column in relation.columns}


def _replaced(node: Node, name: str, by: Node) -> Node:
    """A copy of the tree in which `by` stands for the column of this bare name."""
    place = {"ColumnRef": {"fields": [{"String": {"sval": name}}]}}

    def value_of(value: object) -> object:
        if isinstance(value, dict):
            return by if value == place else _replaced(value, name, by)
        return [value_of(item) for item in value] if isinstance(value, list) else value

    return {key: value_of(value) for key, value in node.items()}


def _names_of(item: Node) -> set[str]:
    """The names that a FROM item brings."""
    if "JoinExpr" in item:
        return _names_of(item["JoinExpr"]["larg"]) | _names_of(item["JoinExpr"]["rarg"])
    body: Node = next(iter(item.values()))
    return {body["alias"]["aliasname"] if "alias" in body else body.get("relname", "")}


def _aliases(node: object) -> set[str]:
    """The names of all sources inside of the expressions' sub-queries."""
    found: set[str] = set()
    if isinstance(node, dict):
        if "fromClause" in node:
            for item in node["fromClause"]:
                found |= _names_of(item)
        for value in node.values():
            found |= _aliases(value)
    elif isinstance(node, list):
        for value in node:
            found |= _aliases(value)
    return found


def _base(table: GovernedTable, relation: Relation) -> str:
    """What the form reads of: a relation, or one with the keys of customers whom it does not have."""
    others = table.others
    if others is None:
        return f"{quoted(table.schema)}.{quoted(table.name)}"
    theirs, keys = [], []
    for governed in table.columns:
        column = relation.column(governed.name)
        if not governed.treatment.visible or column is None or governed.name == others.mark:
            continue
        theirs.append(quoted(governed.name))
        is_key = table.subject is not None and not table.subject.steps and table.subject.column == governed.name
        keys.append('"subject"' if is_key else nothing(column) or "")
    known = f"SELECT {', '.join(theirs)}, true AS {quoted(others.mark)} FROM {'.'.join(map(quoted, others.table))}"
    other = f"SELECT {', '.join(keys)}, false FROM {'.'.join(map(quoted, others.keys))}"
    return f"({known} UNION ALL {other})"


def _select(text: str) -> Node:
    try:
        statements = parse(text)
    except PgError as error:
        raise insufficient_privilege(f"the rules give no form that can be proved: {error.message}") from error
    if len(statements) != 1 or "SelectStmt" not in statements[0]:
        raise insufficient_privilege("the rules give no form that can be proved")
    select: Node = statements[0]["SelectStmt"]
    return select


def _expression(text: str) -> Node:
    """The tree of one expression."""
    select = _select(f"SELECT ({text}\n)")
    target: Node = select["targetList"][0]["ResTarget"]
    if (
        len(select["targetList"]) != 1
        or target.keys() != {"val"}
        or select.keys() != {"targetList", "limitOption", "op"}
    ):
        raise insufficient_privilege("the rules give no form that can be proved")
    value: Node = target["val"]
    return value
