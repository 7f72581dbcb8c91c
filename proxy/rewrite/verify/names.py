"""What the names of a statement mean, and whether this app may use what they mean.

Closed: what cannot be told is refused. The catalog's facts that cost time are worked out once for an app and a
snapshot; what depends on the session (its search path, its temp relations) is asked for each statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from proxy.catalog.model import Column, Relation, SearchPath
from proxy.errors import PgError, feature_not_supported, insufficient_privilege, undefined_table
from proxy.policy.table import GovernedTable
from proxy.rewrite.allowed import (
    DEFINITION_FUNCTIONS,
    GRAMMAR_FUNCTIONS,
    INDEX_CLASSES,
    TYPE_READERS,
)
from proxy.rewrite.verify.foreign import (
    arguments_of,
    bodies,
    compares_by_itself,
    operator_functions,
    overloads,
    own_call,
    own_oid,
    type_in_text,
    type_name,
    types_in_text,
    types_meant,
    untyped,
)
from proxy.rewrite.verify.rights import KINDS, OWN_SCHEMA, SYSTEM_SCHEMAS, Rights
from proxy.rewrite.verify.tree import Node, strings

_OTHER_TEMPORARY = re.compile(r"pg_(temp|toast_temp)_\d+\Z|pg_toast\Z")
_SPECIAL = {"BETWEEN": ("<=", ">="), "NOT BETWEEN": ("<", ">"), "BETWEEN SYMMETRIC": ("<=", ">=")}
_SPECIAL["NOT BETWEEN SYMMETRIC"] = _SPECIAL["NOT BETWEEN"]
# Calls that the grammar of PostgreSQL 16 and 17 took away from functions of these names.
_JSON_CALLS = (
    "json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize "
    "json_table"
    " json_value merge_action"
).split()

# A qualified name in a text, as regclass reads it, where that is plain.
_REGCLASS = re.compile(r"""(?:([A-Za-z_][A-Za-z0-9_$]*|"[^"]+")\.)?([A-Za-z_][A-Za-z0-9_$]*|"[^"]+")""")

# Where values of a foreign type come from.
_SOURCES = frozenset({"RangeVar", "relation", "rel", "FuncCall", "TypeName", "typeName"})

Meaning = Literal["cte", "temporary", "same", "form", "view", "system"]


@dataclass(frozen=True, slots=True)
class Named:
    """What a name in FROM means. `same`: it stays; `form`, `view`, `system`: a sub-query stands in its place."""

    meaning: Meaning
    relation: Relation | None = None
    table: GovernedTable | None = None  # governed: with its treatments, plain or not
    text: str = ""  # system: the sub-query
    why: PgError | None = None  # view: why it may not be read as it is


class Names:
    """Name resolution for one text in one session."""

    _reads_inner = False  # it is the definition of a view of Consentry's own

    def __init__(self, rights: Rights, path: SearchPath) -> None:
        if "pg_catalog" not in path.schemas:
            path = replace(path, schemas=("pg_catalog", *path.schemas))
        self.rights = rights
        self.path = path
        self._begun = path
        self._snapshot = rights.snapshot
        self.path_changed = False  # an earlier statement of the text changes the search path to what is not known
        self._assumed = False  # ... to a path of which some schemas may not count: the login may not use them
        self._temporary = set(path.temporary)  # temp relations, as the earlier statements of the text leave them
        self._touched = False  # ... have made, dropped or renamed some
        self._unsure: set[str] = set()  # names that may mean a temp relation or another
        self._foreign = set(path.foreign)  # temp relations that may have a column of a foreign type
        self.unsettled = False  # a function that may change what names mean is called
        self.foreign_values = True  # a value of a foreign type may stand in the statement: see `begin`
        self._calls: dict[tuple[object, ...], str | None] = {}

    # -- what earlier statements of the text have changed -------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether names mean something else than at the begin of the text."""
        return self.path_changed or self._assumed or self._touched

    @property
    def may_be_temporary(self) -> set[str]:
        """The names that may mean a temp relation anywhere in the text."""
        return self._temporary | self._unsure | self._begun.temporary

    def made_temporary(self, name: str) -> None:
        self._temporary.add(name)
        self._touched = True
        if self.path.temporary_first:
            self._unsure.discard(name)
        else:  # a schema before the temp one may have the name
            self._unsure.add(name)
        self.altered_temporary(name)

    def altered_temporary(self, name: str) -> None:
        if self.foreign_values:
            self._foreign.add(name)

    def renamed_temporary(self, name: str, new: str) -> None:
        self.dropped_temporary(name)
        self._temporary.add(new)
        self._unsure.discard(new)
        if name in self._foreign:
            self._foreign.add(new)

    def dropped_temporary(self, name: str) -> None:
        self._temporary.discard(name)
        self._unsure.discard(name)
        self._touched = True

    def assume(self, schemas: list[str]) -> None:
        """SET search_path: schemas that exist are searched in this order, but for those that the login may not use."""
        known = [schema for schema in schemas if schema in self._snapshot.schemas and schema != "pg_catalog"]
        self.path = SearchPath(("pg_catalog", *dict.fromkeys(known)), self.path.temporary, self.path.foreign)
        self._assumed = True
        self._calls.clear()

    def take_back(self, *, everything: bool) -> None:
        """A transaction ends, or a part of it: what was changed may be as before. `everything`: DISCARD."""
        if everything or self._touched:
            self._unsure |= self.may_be_temporary
            self._touched = True
        self.path_changed |= everything or self._assumed

    # -- what the catalog says of types, functions and operators ------------------------------------------------------

    @property
    def finds_built_in_first(self) -> bool:
        """Whether a type's name without a schema is looked for in pg_catalog before anywhere else."""
        return self.path.schemas[:1] == ("pg_catalog",)

    def is_built_in(self, function: str) -> bool:
        """Whether every function of the name is PostgreSQL's own."""
        return all(one.schema == "pg_catalog" for one in self._snapshot.functions.get(function, ()))

    def is_own(self, name: str) -> bool:
        """Whether a function, or an operator between PostgreSQL's own types, may be one of the database's."""
        return self.is_foreign_operator(name) or not self.is_built_in(name)

    def is_foreign_operator(self, operator: str) -> bool:
        """Whether it may be another than PostgreSQL's own where both sides are of its own types."""
        return any(one.foreign < 2 for one in self._snapshot.foreign_operators.get(operator, ()))

    def compares_by_itself(self, operators: Sequence[str], column: Column) -> bool:
        """Whether these operators on the column are PostgreSQL's own, whatever foreign ones there are."""
        return compares_by_itself(self._snapshot, operators, column)

    def is_leakproof(self, left: int, right: int) -> bool:
        """Whether all comparisons of two types (OIDs) are leakproof."""
        return (left, right) in self._snapshot.leakproof

    # -- relations ------------------------------------------------------------------------------------------------

    def source(self, name: Node) -> Named:
        """What a RangeVar in FROM means, where no CTE has the name. Raises PgError where the app may not read it."""
        relation_name, schema = self._parts(name)
        if self.is_temporary(relation_name, schema):
            return Named("temporary")
        key = self._system_key(relation_name, schema)
        if key is not None:
            return self._system(key)
        relation = self._relation(relation_name, schema)
        rights = self.rights
        table = rights.app.tables.get(relation.key)
        if table is not None and not rights.is_plain(table, relation):
            return Named("form", relation, table)
        if name.get("inh") and rights.shows_hidden_rows(relation):
            raise insufficient_privilege(f"permission denied for table {relation.name}: the rules govern a child of it")
        if table is None:
            why = rights.readable(relation)
            if why is not None:
                if relation.kind == "v" and relation.definition is not None:
                    return Named("view", relation, why=why)
                raise why
        return Named("same", relation, table)

    def target(self, name: Node) -> Named:
        """What the target of a write means: no CTE, no system relation, no view of governed relations."""
        named = self.target_or_view(name)
        if named.why is not None:
            raise named.why
        return named

    def target_or_view(self, name: Node) -> Named:
        """The same; also a view that the rules do not list, with `why` it must not be written as it is."""
        relation_name, schema = self._parts(name)
        if not self.is_temporary(relation_name, schema) and self._system_key(relation_name, schema) is not None:
            raise insufficient_privilege(f"permission denied for table {relation_name}")
        named = self.source(name)
        relation = named.relation
        if relation is not None and relation.rules:
            raise insufficient_privilege(f"permission denied for table {relation_name}: it has rewrite rules")
        if relation is None or named.table is not None or named.why is not None:
            return named
        denied = insufficient_privilege(f"permission denied for {KINDS.get(relation.kind)} {relation.name}")
        if relation.kind in ("S", "m"):
            raise denied
        if relation.kind == "v" and self.rights.reads_governed(relation):
            return Named("view", relation, why=denied)
        return named

    def is_temporary(self, name: str, schema: str | None) -> bool:
        """Whether a name means a temp relation, as it will be when the statement runs."""
        if schema not in (None, "pg_temp"):
            return False
        if name in self._unsure:
            raise _send_separately(name)
        known = name in self._temporary and (schema is not None or name not in self.path.covered)
        if schema is not None and not known:
            raise undefined_table(f"pg_temp.{name}")
        return known

    def nowhere(self, name: str, schema: str | None) -> bool:
        """Whether neither the catalog nor the session, as far as can be told before it runs, has the relation."""
        if name in self._temporary | self._unsure or (schema is None and self.path_changed):
            return False
        return schema == "pg_temp" or self._snapshot.resolve(name, schema, self.path) is None

    def missing(self, name: Node) -> bool:
        """Whether nothing in the catalog has this name."""
        relation_name, schema = self._parts(name)
        if schema == "pg_temp" or self._system_key(relation_name, schema) is not None:
            return False
        return self._snapshot.resolve(relation_name, schema, self.path) is None

    def is_own_relation(self, name: Node) -> bool:
        """Whether a RangeVar may mean a relation of the database's own, or the session's."""
        relation_name, schema = name["relname"], name.get("schemaname")
        if self.path_changed or relation_name in self._temporary | self._unsure:
            return True
        known = self._snapshot.resolve(relation_name, schema, self.path) is not None
        return known and self._system_key(relation_name, schema) is None

    def _parts(self, name: Node) -> tuple[str, str | None]:
        relation_name: str = name["relname"]
        schema: str | None = name.get("schemaname")
        database = name.get("catalogname")
        if database is not None and database != self._snapshot.database:
            full = f"{database}.{schema}.{relation_name}"
            raise feature_not_supported(f"cross-database references are not implemented: {full}")
        if schema is None:
            if self.path_changed:
                raise _send_separately(relation_name)
        elif _OTHER_TEMPORARY.match(schema) or self._is_our_own((schema, relation_name)):
            raise insufficient_privilege(f"permission denied for schema {schema}")
        return relation_name, schema

    def _is_our_own(self, key: tuple[str, str]) -> bool:
        """Whether it is in Consentry's schema, and none of the relations there that are governed as the app's."""
        app = self.rights.app
        if key in app.inner:
            return not self._reads_inner
        return key[0] == OWN_SCHEMA and key not in app.tables and key not in app.views

    def _system_key(self, name: str, schema: str | None) -> tuple[str, str] | None:
        """The key of the system relation that a name means; None where it means another."""
        if schema is not None:
            return (schema, name) if schema in SYSTEM_SCHEMAS else None
        system = self.rights.system
        for candidate in self.path.schemas:
            key = (candidate, name)
            if candidate in SYSTEM_SCHEMAS:
                if key in system.forms or key in system.open or key in self._snapshot.relations:
                    return key
            elif key in self._snapshot.relations:
                return None
        return None

    def _system(self, key: tuple[str, str]) -> Named:
        system = self.rights.system
        if key in system.forms:
            return Named("system", self._snapshot.relations.get(key), text=system.forms[key])
        if key in system.open:
            return Named("same", self._snapshot.relations.get(key))
        raise insufficient_privilege(f"permission denied for relation {key[1]}")

    def _certain(self, name: str) -> None:
        """Refuses a name that means one relation or another by which schemas of an assumed path count."""
        having = [schema for schema in self.path.schemas if (schema, name) in self._snapshot.relations]
        if self._assumed and len(having) > 1 and having[0] != "pg_catalog":
            raise _send_separately(name)

    def _relation(self, name: str, schema: str | None) -> Relation:
        if schema is None:
            self._certain(name)
        relation = self._snapshot.resolve(name, schema, self.path)
        if relation is None:
            raise undefined_table(name if schema is None else f"{schema}.{name}")
        if _OTHER_TEMPORARY.match(relation.schema) or self._is_our_own(relation.key):
            raise insufficient_privilege(f"permission denied for schema {relation.schema}")
        return relation

    # -- functions, operators, types --------------------------------------------------------------------------------

    def begin(self, parts: Sequence[Node], types: Sequence[int]) -> None:
        """The next statement, all parts of it: whether a value of a foreign type may stand in it."""
        self._calls.clear()
        for oid in types:
            relation = self.rights.relation_of_row_type(oid)
            if relation is not None:
                self._check_row(relation)
        self.foreign_values = own_oid(types) or any(
            self._brings_foreign_values(kind, body) for kind, body in bodies(parts, _SOURCES)
        )

    def _brings_foreign_values(self, kind: str, body: Node) -> bool:
        if kind == "FuncCall":
            *schema, name = strings(body["funcname"])
            every = self._snapshot.functions_named(name, schema[-1] if schema else None, self.path)
            return own_call(overloads(every, arguments_of(body), True))
        if "relname" in body:
            schema_name: str | None = body.get("schemaname")
            name = body["relname"]
            if self.path_changed or name in self._unsure:
                return True
            if schema_name in (None, "pg_temp") and name in self._temporary:
                return name in self._foreign
            if schema_name == "pg_temp":
                return True
            relation = self._snapshot.resolve(name, schema_name, self.path)
            return relation is not None and any(column.foreign for column in relation.columns)
        return bool(types_meant(self._snapshot, type_name(body), self.path.schemas)) if "names" in body else False

    def call(self, body: Node, foreign_values: bool = False) -> str | None:
        """Refuses a call that the app may not make. Its name where all that it can reach is PostgreSQL's own.

        `foreign_values`: where it stands, a value of a foreign type may be, beside those of the statement.
        """
        foreign_values = foreign_values or self.foreign_values
        parts = tuple(strings(body["funcname"]))
        arguments = arguments_of(body)
        key = (parts, len(arguments), any(map(untyped, arguments)), foreign_values)
        if key not in self._calls:
            self._calls[key] = self._call(parts, arguments, foreign_values)
        if self._snapshot.unsettling and not self.unsettled:
            places = self.path.schemas if len(parts) == 1 else parts[-2:-1]
            self.unsettled = any((place, parts[-1]) in self._snapshot.unsettling for place in places)
        if parts[-1] in TYPE_READERS:
            given = arguments[1] if len(arguments) == 2 else {}
            for found in types_in_text(self._snapshot, given):
                self._check_behind(found)
            named = type_in_text(given)
            if named is None:
                raise insufficient_privilege(f"{parts[-1]}() must be called with a type's name as a constant")
            self._row_type(named)
        return self._calls[key]

    def _call(self, parts: tuple[str, ...], arguments: list[Node], foreign_values: bool) -> str | None:
        name = parts[-1]
        schema = parts[-2] if len(parts) > 1 else None
        shown = ".".join(parts)
        if len(parts) > 3 or (len(parts) == 3 and parts[0] != self._snapshot.database):
            raise feature_not_supported(f"cross-database references are not implemented: {shown}")
        if schema is None and self.path_changed and not (name in self._snapshot.functions and self.is_built_in(name)):
            raise _send_separately(name)
        every = self._snapshot.functions_named(name, schema, self.path)
        if not every:
            if name not in GRAMMAR_FUNCTIONS or schema not in (None, "pg_catalog"):
                raise PgError(f"function {shown} does not exist", "42883")
            if name == "system_user" and self._snapshot.server_version < 160000:
                raise feature_not_supported("system_user is a name of PostgreSQL 16 and later")
            return name
        candidates = overloads(every, arguments, foreign_values)
        for function in candidates:
            if not self.rights.may_call(name, function):
                raise insufficient_privilege(
                    f"permission denied for function {name}", hint="The rules do not allow this app to call it."
                )
        if all(function.schema == "pg_catalog" for function in candidates):
            system = self.rights.system
            guarded = name in system.arguments or name in system.guarded
            if name in DEFINITION_FUNCTIONS and system.arguments and not guarded:
                raise insufficient_privilege(f"permission denied for function {name}")
            return name
        return None

    def sequence(self, arguments: list[Node], *, sets: bool) -> None:
        """Refuses nextval and setval of a sequence that the app does not have (it counts what others do), and setval of
        one whose table it may not write.
        """
        value = arguments[0] if len(arguments) == 1 else {}
        call = value.get("FuncCall", {})
        if strings(call.get("funcname", []))[-1:] == ["pg_get_serial_sequence"] and self.call(call) is not None:
            value = call.get("args", [{}])[0]  # the table, which owns the sequence
        while "TypeCast" in value:
            value = value["TypeCast"]["arg"]
        text = value.get("A_Const", {}).get("sval", {}).get("sval", "")
        parts = _REGCLASS.fullmatch(text)
        open_to_all = self.rights.app.unlisted_tables == "open"
        if parts is None:  # an oid, or no constant
            if open_to_all:
                return
            raise insufficient_privilege("nextval must be called with a sequence's name as a constant")
        words = [word[1:-1] if word.startswith('"') else word.lower() for word in parts.group(1, 2) if word]
        name, schema = words[-1], words[0] if len(words) == 2 else None
        if self.path_changed and schema is None:
            raise _send_separately(name)
        if self.is_temporary(name, schema) or (open_to_all and not sets):
            return
        if open_to_all and self._snapshot.resolve(name, schema, self.path) is None:
            return
        found = self._relation(name, schema)
        table = self.rights.owner_of(found)
        if found.kind != "S":  # pg_get_serial_sequence gives one that it owns
            owned = [one for one in self._snapshot.relations.values() if one.owner == found.oid]
        else:
            owned = [found]
        if not open_to_all and not all(one.key in self.rights.app.open_tables for one in owned):
            raise insufficient_privilege(f"permission denied for sequence {name}")
        if sets and table is not None and not any(column.treatment.writable for column in table.columns):
            raise insufficient_privilege(f"permission denied for sequence {name}")

    def type_named(self, name: list[str]) -> None:
        """Refuses a type of which the app must not make values."""
        if self.path_changed and len(name) == 1 and name[0] not in self.rights.builtin_types:
            raise _send_separately(name[0])
        for key in types_meant(self._snapshot, name, self.path.schemas):
            self._check_behind(key)
        self._row_type(name)

    def _check_behind(self, key: tuple[str, str]) -> None:
        """A type's casts, checks and comparisons run functions: they must read nothing that the app does not have."""
        for function in self._snapshot.foreign_types[key]:
            reads = self._snapshot.function_reads.get(function)
            if function not in self.rights.app.functions and (
                reads is None or not all(self.rights.has_whole(oid) for oid in reads)
            ):
                raise insufficient_privilege(f"permission denied for type {key[1]}")

    def operator_class(self, name: list[Node]) -> None:
        """Refuses an operator class behind which functions of the user's may stand."""
        parts = strings(name)
        if parts[:-1] != ["pg_catalog"] and (len(parts) > 1 or parts[-1] not in INDEX_CLASSES):
            raise feature_not_supported(f"operator class {parts[-1]}")

    def _row_type(self, name: list[str]) -> None:
        """Refuses a type that is the row of a relation which the app does not have whole: its columns would show."""
        if not name or len(name) > 2 or name[0] == "pg_catalog" or name[0] in self.rights.builtin_types:
            return
        schema = name[0] if len(name) == 2 else None
        for word in {name[-1], name[-1].removeprefix("_")}:  # `_t` is the type of arrays of `t`
            if schema is None:
                if word in (self._temporary - self.path.covered) | self._unsure:
                    continue
                self._certain(word)
            relation = self._snapshot.resolve(word, schema, self.path)
            if relation is None or relation.schema in SYSTEM_SCHEMAS or relation.kind not in "rvmpf":
                continue
            self._check_row(relation)

    def _check_row(self, relation: Relation) -> None:
        """Refuses the row of a relation that the app does not have whole."""
        table = self.rights.app.tables.get(relation.key)
        if not self.rights.is_plain(table, relation) if table else self.rights.readable(relation):
            raise insufficient_privilege(f"permission denied for type {relation.name}")

    def notation(self, word: str) -> None:
        """Refuses `t.f` where `f` may be a function of the row that the app may not call."""
        if word in self.rights.risky_notation:
            for function in self._snapshot.functions_named(word, None, self.path):
                if function.takes_row and not self.rights.may_call(word, function):
                    raise insufficient_privilege(f"permission denied for function {word}")

    def operator(self, name: list[Node], operands: Sequence[Any]) -> None:
        """Refuses an operator that may run a foreign function which the app may not call."""
        parts = strings(name)
        if parts[:-1] == ["pg_catalog"]:
            return
        schema = parts[-2] if len(parts) > 1 else None
        for operator in _SPECIAL.get(parts[-1], parts[-1:]):
            self.operator_named(operator, operands, schema)

    def operator_named(self, operator: str, operands: Sequence[Any], schema: str | None = None) -> None:
        """`operator`, of which `None` is an operand of which nothing is known."""
        for function in operator_functions(self._snapshot, operator, schema, operands, self.foreign_values):
            if function not in self.rights.app.functions:
                raise insufficient_privilege(
                    f"permission denied for operator {operator}", hint="A user-defined operator has this name."
                )

    def json_call(self, kind: str) -> None:
        """Refuses what this grammar takes for a call of SQL/JSON, and an older server for one of the user's
        functions.
        """
        if self._snapshot.server_version < 170000:
            for name in _JSON_CALLS:
                for function in self._snapshot.functions.get(name, ()):
                    if not self.rights.may_call(name, function):
                        raise feature_not_supported(f"{kind} may be a call of function {function.schema}.{name}")


class DefinitionNames(Names):
    """What names in a view's definition mean, which stands inside of a statement of the session.

    pg_get_viewdef made its text under an empty path: a relation or type without a schema is PostgreSQL's own, and
    nothing of the session's may take its place. Functions are looked up by the session's path.
    """

    def __init__(self, session: Names, ctes: Iterable[str], view: Relation) -> None:
        super().__init__(session.rights, SearchPath(("pg_catalog",)))
        self._reads_inner = view.key in session.rights.app.views
        self._session = session
        self._taken = {*ctes, *session.may_be_temporary}
        if isinstance(session, DefinitionNames):
            self._taken |= session._taken

    def source(self, name: Node) -> Named:
        self._refuse_taken(name["relname"] if "schemaname" not in name else None)
        return super().source(name)

    def call(self, body: Node, foreign_values: bool = False) -> str | None:
        return self._session.call(body, foreign_values or self.foreign_values)

    def type_named(self, name: list[str]) -> None:
        self._refuse_taken(name[0] if len(name) == 1 else None)
        super().type_named(name)

    def _refuse_taken(self, word: str | None) -> None:
        if word in self._taken:
            raise feature_not_supported(
                f'"{word}" means another thing in the definition of a view', hint="Choose another name."
            )


def _send_separately(name: str) -> PgError:
    return feature_not_supported(
        f'what "{name}" means depends on an earlier statement of the same text', hint="Send the statements separately."
    )
