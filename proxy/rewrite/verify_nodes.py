"""Two trees of one statement side by side, node by node: what is no edit that the page names must be equal.

What a node's names may mean is asked here too: functions, operators, and columns of a target that stays in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from proxy.errors import PgError, feature_not_supported, insufficient_privilege
from proxy.rewrite.verify_form import SYSTEM_COLUMNS, Forms, is_hole
from proxy.rewrite.verify_leak import Parameters
from proxy.rewrite.verify_names import Names, Rights
from proxy.rewrite.verify_scope import TARGET, UNSURE, Level, Source, Target
from proxy.rewrite.verify_settings import check_set_config
from proxy.rewrite.verify_tree import KNOWN_NODES, NODE, NODES, SCALAR, Node, strings

QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})

Ctes = Mapping[str, Node]


def differs(what: str) -> PgError:
    return feature_not_supported(f"the rewritten statement could not be proved: {what}", "Please report the statement.")


class NodeWalk(ABC):
    """One statement. `row_policies` is set where it reads or writes a relation that has some; `views` where it reads
    views by their definitions.
    """

    def __init__(
        self, rights: Rights, forms: Forms, names: Names, statement: Node, parameters: Parameters, locking: bool
    ) -> None:
        self.row_policies = False
        self.views = False
        self._rights = rights
        self._forms = forms
        self._names = names
        self._statement = statement
        self._parameters = parameters
        self._locking = locking
        self._proof: bool | None = None

    @abstractmethod
    def query(self, before: Node, after: Node, parent: Level | None, ctes: Ctes) -> None:
        """A SELECT, INSERT, UPDATE, DELETE or MERGE."""

    def _optional(self, field: str, b: Node, a: Node, level: Level) -> None:
        if (field in b) != (field in a):
            raise differs(f"{field} came or went")
        self._node(b.get(field), a.get(field), level)

    def _body_field(self, kind: str, field: str, b: Node, a: Node, level: Level) -> None:
        if (field in b) != (field in a):
            raise differs(f"{field} came or went")
        if field in b:
            self._body(kind, b[field], a[field], level)

    def _nodes(self, before: list[Node], after: list[Node], level: Level) -> None:
        if len(before) != len(after):
            raise differs("a list is longer or shorter")
        for b, a in zip(before, after, strict=True):
            self._node(b, a, level)

    def _node(self, before: Node | None, after: Node | None, level: Level) -> None:
        if not before and not after:
            return
        if not before or not after:
            raise differs("a part came or went")
        ((kind, b),) = before.items()
        if kind == "ColumnRef":
            self._column(before, after, level)
            return
        if list(after) != [kind]:
            raise differs(f"{kind} became {', '.join(after)}")
        if kind in QUERIES:
            self.query(before, after, level, level.ctes)
        else:
            self._body(kind, b, after[kind], level)

    def _body(self, kind: str, b: Node, a: Node, level: Level) -> None:
        """A node whose kind is known from outside of it."""
        match kind:
            case "FuncCall":
                self._call(b, a, level)
                return
            case "A_Expr":
                self._names.operator(b["name"], [b[side] for side in ("lexpr", "rexpr") if side in b])
            case "SubLink":
                if "operName" in b:
                    self._names.operator(b["operName"], [b["testexpr"], None])
                elif b["subLinkType"] == "ANY_SUBLINK":
                    self._names.operator_named("=", [b["testexpr"], None])
                if b.get("operName") != a.get("operName"):
                    raise differs("an operator changed")
                self.query(b["subselect"], a["subselect"], level, level.ctes)
                self._fields(kind, b, a, level, skip=("subselect", "operName"))
                return
            case "SortBy":
                if "useOp" in b:
                    self._names.operator(b["useOp"], [b["node"], b["node"]])
            case "A_Indirection":
                for part in b["indirection"]:
                    if "String" in part:
                        self._names.notation(part["String"]["sval"])
            case "RangeVar":
                raise differs("a relation stands where none is known to stand")
            case "CurrentOfExpr":
                if level.guarded:
                    raise feature_not_supported("WHERE CURRENT OF on a relation of which a part is hidden")
            case "TableLikeClause":
                if self._names.target(b["relation"]).meaning not in ("same", "temporary"):
                    raise insufficient_privilege("LIKE would copy definitions of what the app does not have")
                if b["relation"] != a["relation"]:
                    raise differs("LIKE of something else")
                self._fields(kind, b, a, level, skip=("relation",))
                return
            case "TypeName":
                if a != b:
                    raise differs("a type changed")
                self._names.type_named(strings(b.get("names", [])))
                return
            case "CaseExpr":
                if "arg" in b:
                    self._names.operator_named("=", [b["arg"], None])
            case "IndexElem":
                if "opclass" in b:
                    self._names.operator_class(b["opclass"])
                if "name" in b and level.guarded:
                    column: Node = {"ColumnRef": {"fields": [{"String": {"sval": b["name"]}}]}}
                    self._column(column, column, level)
            case _ if kind.startswith("Json"):
                self._names.json_call(kind)
        self._fields(kind, b, a, level)

    def _fields(self, kind: str, b: Node, a: Node, level: Level, skip: tuple[str, ...] = ()) -> None:
        known = KNOWN_NODES.get(kind)
        if known is None:
            raise feature_not_supported(f"the verifier does not know {kind}")
        for field in {**b, **a}:
            if field in skip:
                continue
            how = known.get(field)
            if how is None:
                raise feature_not_supported(f"the verifier does not know {field} of {kind}")
            if how == SCALAR:
                if b.get(field) != a.get(field):
                    raise differs(f"{field} of {kind} changed")
            elif how == NODES:
                self._nodes(b.get(field, []), a.get(field, []), level)
            elif how == NODE:
                self._node(b.get(field), a.get(field), level)
            else:
                self._body_field(how, field, b, a, level)

    def _call(self, b: Node, a: Node, level: Level) -> None:
        name = self._names.call(b)
        if strings(b["funcname"])[-1] == "set_config":
            check_set_config(b.get("args", []))
        elif strings(b["funcname"])[-1] == "nextval":
            self._names.sequence(b.get("args", []))
        template = self._rights.system.arguments.get(name) if name is not None else None
        if template is None or "args" not in b:
            self._fields("FuncCall", b, a, level)
            return
        guard = self._forms.template(template)
        inner = _in_hole(guard, a["args"][0])
        if inner is None:
            raise differs(f"the argument of {name} is not guarded")
        self._fields("FuncCall", b, {**a, "args": [inner, *a["args"][1:]]}, level)

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
        self._check_system_columns(words, star, found, level)
        if level.guarded and not isinstance(found, Source):
            expected = self._of_target(words, star, found, level)
            if expected is not None:
                if after != expected:
                    raise differs(f'"{words[-1]}" is not governed')
                return
        # A form has no schema: with one, the name would mean another relation further out.
        short = isinstance(found, Source) and found.form and len(fields) > 2
        if after != ({"ColumnRef": {"fields": fields[-2:]}} if short else before):
            raise differs(f"the name {'.'.join(words)} changed")

    @staticmethod
    def _check_system_columns(words: list[str], star: bool, found: Source | Target | None, level: Level) -> None:
        """A form shows a system column where a name asks for it; `*` and the row must not have it."""
        shown: list[Source] = []
        if star and not words:
            shown = level.sources
        elif star:
            shown = [found] if isinstance(found, Source) else []
        elif len(words) == 1 and not any(source.columns and words[0] in source.columns for source in level.sources):
            row = level.named(words[0])
            shown = [row] if isinstance(row, Source) else []
        if any(source.system_columns for source in shown):
            raise differs("the row of a form has a system column")
        if not star and words[-1] in SYSTEM_COLUMNS:
            asked = [found] if isinstance(found, Source) else []
            if len(words) == 1:
                asked = next((one.sources for one in level.outward() if any(s.relation for s in one.sources)), [])
            # (a view has none: PostgreSQL says so itself)
            tables = [source for source in asked if source.relation is None or source.relation.kind != "v"]
            if any(source.form and words[-1] not in source.system_columns for source in tables):
                raise differs(f"a form does not show {words[-1]}")

    def _of_target(self, words: list[str], star: bool, found: Source | Target | None, level: Level) -> Node | None:
        """What must stand for a name that means a column of a guarded target; None where the name may stay."""
        if star:
            if found is not None or not words:
                if not words and all(one.target is None for one in [level]):
                    return None
                raise feature_not_supported(
                    "the whole row of a relation that is written, and of which a part is hidden"
                )
            return None
        column = words[-1]
        if len(words) == 1:
            meaning, target = level.meaning_of(column)
            if target is None:
                whole = level.named(column)
                if isinstance(whole, Target):
                    raise feature_not_supported("the whole row of a relation of which a part is hidden")
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
            if governed.treatment.action == "deny":
                raise insufficient_privilege(f'permission denied for column "{column}"')
            raise PgError(f'column "{column}" does not exist', "42703")
        if meaning == UNSURE:
            raise feature_not_supported(f'it cannot be told which "{column}" is meant', "Qualify it.")
        alias = words[-2] if len(words) > 1 and words[-2] in target.row_names else target.name
        if self._is_shadowed(alias, target, level):
            raise feature_not_supported(f'"{alias}" means another relation here', "Use another alias.")
        return self._forms.written(target.table, target.relation, alias).expressions[column]

    @staticmethod
    def _is_shadowed(alias: str, target: Target, level: Level) -> bool:
        for one in level.outward():
            if one.target is not None and one.target.relation is target.relation:
                return any(source.name == alias for source in one.sources)
            if any(source.name == alias for source in one.sources):
                return True
        return False


def _in_hole(template: Node, tree: Node) -> Node | None:
    """What stands in `tree` where the template has its hole; None where they differ elsewhere."""
    found: list[Node] = []

    def fits(expected: object, given: object) -> bool:
        if isinstance(expected, dict) and isinstance(given, dict):
            if is_hole(expected):
                found.append(given)
                return True
            return expected.keys() == given.keys() and all(fits(expected[key], given[key]) for key in expected)
        if isinstance(expected, list) and isinstance(given, list):
            return len(expected) == len(given) and all(map(fits, expected, given))
        return expected == given

    return found[0] if fits(template, tree) and len(found) == 1 else None
