"""Two trees of one statement side by side, node by node: what is no edit that the page names must be equal.

What a node's names may mean is asked here too: functions, operators, and columns of a target that stays in place.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from proxy.errors import feature_not_supported, insufficient_privilege
from proxy.rewrite.verify.columns import ColumnWalk, differs
from proxy.rewrite.verify.form import Forms, is_hole
from proxy.rewrite.verify.names import Names
from proxy.rewrite.verify.rights import Rights
from proxy.rewrite.verify.scope import Level, figured_name
from proxy.rewrite.verify.settings import check_set_config, is_call_alone
from proxy.rewrite.verify.tree import (
    KNOWN_NODES,
    NODE,
    NODES,
    SCALAR,
    Node,
    is_constant,
    shortened,
    strings,
    whole_names,
)
from proxy.rewrite.verify.types import Parameters
from proxy.rewrite.verify.values import Values

QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})

Ctes = Mapping[str, Node]


class NodeWalk(ColumnWalk):
    """One statement. `governed` is set where it reads or writes a relation of which something is hidden, `row_policies`
    where rows are, `documents` where one has documents that are made anew; `views` where it reads views by their
    definitions, `catalogs` where it reads a catalog from which something is kept.
    """

    def __init__(
        self,
        rights: Rights,
        forms: Forms,
        names: Names,
        statement: Node,
        parts: Sequence[Node],
        types: Sequence[int],
        *,
        locking: bool,
    ) -> None:
        """`parts`: of the statement, by `every_part`; `types`: of its parameters, as the driver gave them; `locking`: a
        query around has a locking clause.
        """
        self.governed = False
        self.row_policies = False
        self.documents = False
        self.catalogs = False
        super().__init__(names, forms)
        self.views = False
        self._rights = rights
        self._whole_names = whole_names(parts)
        self._whole = statement
        self._parts = parts
        self._statement = self._short(statement)
        self._parameters = Parameters(types, parts)
        self._done: set[str] = set()  # DELETE and INSERT of rows that others follow
        self._locking = locking or any("lockingClause" in part for part in parts)
        self._proof: bool | None = None
        self.told = True  # how many rows a plan's parts have may be told (EXPLAIN), or the plan is another statement's
        self.by_itself = False  # no statement is around it
        self._values = [Values(names, self._parameters)]  # of a definition: those of the statement around, too
        self._defined: Node | None = None  # of a definition: its SELECT ...
        self._carried: list[Node] = []  # ... and what the statement around asks of its rows
        self._stars: dict[int, list[str]] = {}  # the columns of queries, by id, where `*` could be told

    @cached_property
    def _words(self) -> frozenset[str]:
        """Every word of the statement that names something."""
        return frozenset(value for part in self._parts for value in part.values() if isinstance(value, str))

    def _short(self, tree: Node | None) -> Any:
        """A part of the app's own statement, in which columns have no schema: for what looks columns up by name."""
        return shortened(tree, self._whole_names)

    @abstractmethod
    def query(self, before: Node, after: Node, parent: Level | None, ctes: Ctes) -> None:
        """A SELECT, INSERT, UPDATE, DELETE or MERGE."""

    @abstractmethod
    def _of_group(self, before: Node, after: Node, level: Level) -> Node:
        """The name that stands for a column's, by itself or within an aggregate of its group."""

    @abstractmethod
    def _of_groups(self, star: Node, outputs: list[Node], level: Level) -> list[Node] | None:
        """The outputs, at the beginning of a list, that are `*` with aggregates of its group; None where `*` stands."""

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
            if "A_Const" not in b or b != a or not is_constant(b):  # lists of constants are long
                self._node(b, a, level)

    def _node(self, before: Node | None, after: Node | None, level: Level) -> None:
        if not before and not after:
            return
        if not before or not after:
            raise differs("a part came or went")
        ((kind, b),) = before.items()
        if kind == "ColumnRef":
            self._column(before, self._of_group(before, after, level), level)
            return
        if kind == "FuncCall" and "SubLink" in after:
            self._guarded_call(b, after, level)
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
                if self._is_part_of_row(b, level) or self._is_row_of_source(b["arg"], a["arg"], level):
                    self._fields(kind, {**b, "arg": None}, {**a, "arg": None}, level)
                    if self._row_in_parentheses(b["arg"], level) != a["arg"]:
                        raise differs("a row changed")
                    return
            case "RowExpr":
                self._listed(b.get("args", []), a.get("args", []), level)
                self._fields(kind, b, a, level, skip=("args",))
                return
            case "RangeVar":
                raise differs("a relation stands where none is known to stand")
            case "CurrentOfExpr":
                if level.guarded:
                    raise feature_not_supported("WHERE CURRENT OF where it is not known to stand")
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
                    self._arbiter(b["name"], level)
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

    def _listed(self, before: list[Node], after: list[Node], level: Level, *, outputs: bool = False) -> None:
        """A list of expressions, or of outputs with names, in which `*` is a part of the list."""
        at = 0
        for item in before:
            if "A_Const" in item and after[at : at + 1] == [item] and is_constant(item):
                at += 1
                continue
            body = item.get("ResTarget", {}) if outputs else {"val": item}
            value = body.get("val", {})
            star = self._spelled_star(value, level, named=outputs)
            if star is None and outputs and at < len(after):
                star = self._of_groups(value, after[at:], level)
            if star is not None:
                if after[at : at + len(star)] != star:
                    raise differs("* is not the list of the app's columns")
                at += len(star)
                continue
            if at >= len(after):
                raise differs("a list is shorter")
            given = after[at]
            at += 1
            if outputs:
                given = self._named_alike(body, given["ResTarget"])
            self._node(value, given, level)
        if at < len(after):
            raise differs("a list is longer")

    @staticmethod
    def _named_alike(before: Node, after: Node) -> Node:
        """The expression of an output that has the name which the app's has."""
        value: Node = after["val"]
        wanted, named = before.get("name"), after.get("name")
        if wanted is None and value != before["val"] and "ColumnRef" not in value:
            # what stands in a column's place has another name, or none
            wanted = figured_name(before["val"])
            named = figured_name(value) if named is None else named
        if named != wanted or (before.keys() | after.keys()) - {"val", "name"}:
            raise differs("an output has another name")
        return value

    def _call(self, b: Node, a: Node, level: Level) -> None:
        name = self._names.call(b)
        if strings(b["funcname"])[-1] == "set_config":
            setting = check_set_config(b.get("args", []), alone=self.by_itself and is_call_alone(self._whole))
            self._names.unsettled = self._names.unsettled or setting == "search_path"
        elif strings(b["funcname"])[-1] in ("nextval", "setval"):
            self._names.sequence(b.get("args", [])[:1], sets=strings(b["funcname"])[-1] == "setval")
        if name in self._rights.system.guarded:
            raise differs(f"the call of {name} is not guarded")
        template = self._rights.system.arguments.get(name) if name is not None else None
        if template is None or "args" not in b:
            self._fields("FuncCall", b, a, level)
            return
        guard = self._forms.template(template)
        inner = in_holes(guard, a["args"][0])
        if len(inner) != 1:
            raise differs(f"the argument of {name} is not guarded")
        self._fields("FuncCall", b, {**a, "args": [*inner, *a["args"][1:]]}, level)

    def _guarded_call(self, b: Node, after: Node, level: Level) -> None:
        """A call in whose place a query stands that holds the arguments and calls the function where the app may
        know.
        """
        name = self._names.call(b)
        texts = self._rights.system.calls.get((name or "", len(b.get("args", ()))))
        if texts is None:
            raise differs("FuncCall became SubLink")
        inner = in_holes(self._forms.template("{argument}".join(texts)), after)
        if len(inner) != len(texts) - 1 or b.keys() - {"funcname", "args", "funcformat"}:
            raise differs(f"the call of {name} is not guarded")
        self._nodes(b["args"], inner, level)


def in_holes(template: Node, tree: Node) -> list[Node]:
    """What stands in `tree` where the template has its holes; nothing where they differ elsewhere."""
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

    return found if fits(template, tree) else []
