"""The types of a sub-query's columns, where they can be told from its text: for comparisons with a relation's columns.

0 where a type is not known: then a comparison is not known to be leakproof either.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.rewrite.comparable import one_of_each
from proxy.rewrite.lex import Node
from proxy.rewrite.scope import STAR, ColumnUse, Source, column_fields, owners
from proxy.rewrite.stars import StarItem, star_of

UNKNOWN = 0
_TEXT = 25
_BY_NAME = {
    "bool": 16, "int8": 20, "int2": 21, "int4": 23, "text": _TEXT, "bpchar": 1042, "varchar": 1043, "date": 1082,
    "timestamp": 1114, "timestamptz": 1184, "uuid": 2950,
}  # fmt: skip
_INTEGERS = (20, 21, 23)


class Types:
    """Answers for one statement."""

    def __init__(
        self, uses: Mapping[int, ColumnUse], parameter_types: tuple[int, ...], parameters_used: Mapping[int, int]
    ) -> None:
        self._uses = uses
        self._parameter_types = parameter_types
        self._parameters_used = parameters_used

    def column(self, source: Source, name: str) -> int:
        """The type's oid of a source's column."""
        if source.reference is not None:
            relation = source.reference.relation
            column = relation.column(source.base_column(name)) if relation is not None else None
            return column.type_oid if column is not None else UNKNOWN
        if source.query is None or source.columns is None or source.columns.count(name) != 1:
            return UNKNOWN
        types = self._outputs(source.query)
        index = source.columns.index(name)
        return types[index] if types is not None and index < len(types) else UNKNOWN

    def _outputs(self, query: Node) -> list[int] | None:
        """The types of a query's output columns."""
        select = query.get("SelectStmt")
        if select is None or "larg" in select:
            return None
        if "valuesLists" in select:
            rows = [row["List"]["items"] for row in select["valuesLists"]]
            if len({len(row) for row in rows}) > 1:
                return None  # the server refuses it
            return [self._common([row[i] for row in rows]) for i in range(len(rows[0]))]
        types: list[int] = []
        for item in select.get("targetList", ()):
            value = item["ResTarget"].get("val", {})
            if "ColumnRef" in value and column_fields(value["ColumnRef"])[-1] == STAR:
                more = self._star(self._uses[id(value["ColumnRef"])])
                if more is None:
                    return None
                types += more
            elif "A_Star" in value.get("A_Indirection", {}).get("indirection", [{}])[-1]:
                return None
            else:
                types.append(self._expression(value))
        return types

    def _star(self, use: ColumnUse) -> list[int] | None:
        sources = owners(use).sources
        if any(source not in use.level.sources for source in sources):
            return None  # `outer.*` in a LATERAL sub-query
        items = star_of(use.level) if len(use.fields) == 1 else [StarItem(source) for source in sources]
        types: list[int] = []
        for item in items or ():
            columns = item.columns()
            if columns is None:
                return None
            types += [self.column(item.source, name) if item.source else UNKNOWN for name in columns]
        return None if items is None else types

    def _common(self, values: list[Node]) -> int:
        """The type of a column of VALUES: that of all of its rows, none of which is a column around it."""
        if any("ColumnRef" in value for value in values):
            return UNKNOWN
        found = {self._expression(value) for value in one_of_each(values) if not value.get("A_Const", {}).get("isnull")}
        return found.pop() if len(found) == 1 else UNKNOWN

    def _expression(self, value: Node) -> int:
        if "A_Const" in value:
            return constant_type(value["A_Const"])
        if "ParamRef" in value:
            return self._parameter(value["ParamRef"])
        if "TypeCast" in value:
            return self.cast(value["TypeCast"])
        if "ColumnRef" in value:
            found = owners(self._uses[id(value["ColumnRef"])])
            if found.certain and not found.whole_row and len(found.sources) == 1:
                return self.column(found.sources[0], found.column)
        return UNKNOWN

    def cast(self, cast: Node) -> int:
        """The type of a constant or parameter that is cast; UNKNOWN where a function of the type's would have to run
        when the statement does.
        """
        name, value = cast["typeName"], cast["arg"]
        if "arrayBounds" in name or name.get("setof") or not _builtin(name["names"]):
            return UNKNOWN
        wanted = _BY_NAME.get(name["names"][-1]["String"]["sval"], UNKNOWN)
        if "ParamRef" in value:
            given, number = self._parameter(value["ParamRef"]), value["ParamRef"].get("number", 0)
            fits = given == wanted or (given == UNKNOWN and self._parameters_used[number] == 1)
        else:
            constant = value.get("A_Const", {})
            fits = "sval" in constant or ("ival" in constant and wanted in _INTEGERS)
        return wanted if fits else UNKNOWN

    def _parameter(self, parameter: Node) -> int:
        number = parameter.get("number", 0)
        return self._parameter_types[number - 1] if 0 < number <= len(self._parameter_types) else UNKNOWN


def constant_type(constant: Node) -> int:
    """The type of a constant as an output column has it."""
    if "ival" in constant:
        return _BY_NAME["int4"]
    if "boolval" in constant:
        return _BY_NAME["bool"]
    if "sval" in constant:
        return _TEXT
    number = constant.get("fval", {}).get("fval", "")
    return _BY_NAME["int8"] if number.isdecimal() and int(number) < 2**63 else UNKNOWN


def _builtin(names: list[Node]) -> bool:
    """Whether a type's name can mean PostgreSQL's own only: nothing else may have these names before it in the path."""
    return len(names) == 1 or names[0]["String"]["sval"] == "pg_catalog"
