"""A snapshot of the database's catalog, and name resolution as the server does it. Pure: `introspect` fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# Relation kinds are pg_class.relkind: r table, p partitioned table, v view, m materialised view, f foreign table,
# S sequence, t toast, c composite type, i/I index.


MOST_ARGUMENTS = 100  # FUNC_MAX_ARGS
Unsure = Literal["", "names", "text"]
# Types, functions and operators are *foreign* where neither PostgreSQL nor a harmless extension made them.


# Types all whose operators that have an estimator raise no error, whatever the values are.
_COMPARED_WITHOUT_ERRORS = frozenset(
    """
    bool int2 int4 int8 oid float4 float8 numeric money date time timetz timestamp timestamptz interval uuid
    """.split()
)


@dataclass(frozen=True, slots=True)
class Column:
    """One live (not dropped) user column of a relation, or a system column with number < 0."""

    name: str
    number: int
    type_oid: int
    type_name: str  # format_type(atttypid, atttypmod), schema-qualified where not in pg_catalog: fit for a cast
    base_type: str  # pg_type.typname of the domain's base type, such as int4, text, timestamptz; arrays as _text
    type_category: str  # pg_type.typcategory of the base type
    collation: str | None = None  # qualified and quoted, where it is not the type's default
    not_null: bool = False
    has_default: bool = False
    generated: bool = False  # GENERATED ALWAYS AS (...): cannot be written
    virtual: bool = False  # generated when it is read: plans have its expression
    compared: int = 0  # oid of the type by whose operators it is compared: text for varchar, the base type of a domain
    leakproof: bool = False  # all btree comparison operators (= < > <= >= <>) of the type with itself are leakproof
    foreign: bool = False  # its type, through domains and arrays, is not PostgreSQL's nor a harmless extension's

    @property
    def tells_by_estimates(self) -> bool:
        """Whether an operator of the app's could raise an error for one of its values and not for another: LIKE does,
        where the pattern ends in an escape. To estimate how many rows it finds, PostgreSQL runs it on the values in
        the statistics: on those of hidden rows, too, through a sub-query that no condition goes into.
        """
        return self.type_category != "E" and self.base_type not in _COMPARED_WITHOUT_ERRORS


@dataclass(frozen=True, slots=True)
class Part:
    """What stands in a catalog of its own and belongs to a relation: an index, a constraint, a default ...

    `uses`: (relation, column number) of what it is made of; the number 0 is a whole other relation.
    """

    catalog: str  # pg_index, pg_constraint, pg_trigger, pg_statistic_ext, pg_attrdef, pg_policy ...
    oid: int
    name: str
    kind: str = ""  # constraints: contype
    uses: frozenset[tuple[int, int]] = frozenset()
    literal: bool = False  # it holds text that names no column and may mean one: a trigger's arguments


@dataclass(frozen=True, slots=True)
class Relation:
    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()  # columns of each unique, non-partial, plain-column index
    parents: tuple[int, ...] = ()  # all ancestors by inheritance or partition, oids
    reads: tuple[int, ...] = ()  # views: oids of all relations read, transitively through views
    definition: str | None = None  # views, materialised views: pg_get_viewdef under an empty search_path
    barrier: bool = False  # views: security_barrier
    row_security: bool = False  # the database has row security for it
    rules: bool = False  # writes to it fire rewrite rules (CREATE RULE), which may read anything
    owner: int | None = None  # sequences: oid of the table whose column owns it (serial, identity)
    owner_column: int = 0  # ... and the column's number
    row_types: tuple[int, ...] = ()  # oids of its row type, and of the arrays, domains and ranges that are made of it
    dependents: tuple[tuple[int, int], ...] = ()  # (catalog, oid) of functions, casts, operators ... on these types
    parts: tuple[Part, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return (self.schema, self.name)

    def column(self, name: str) -> Column | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class FunctionName:
    """All overloads of one name in one schema that one extension (or none) owns, and that the same calls may reach."""

    schema: str
    extension: str | None
    takes_row: bool  # an overload has exactly one argument of a composite or pseudo type: `t.f` may call it
    least: int = 0  # how many arguments a call of it has
    most: int = MOST_ARGUMENTS
    foreign: bool = False  # an argument takes nothing but a value of a foreign type (or a constant without type)
    takes_string: bool = False  # the first argument's type is of the category of strings
    makes_range: bool = False  # the constructor of a range type, which PostgreSQL made with the type


@dataclass(frozen=True, slots=True)
class ForeignOperator:
    """An operator that is not PostgreSQL's own nor a harmless extension's."""

    schema: str
    function: tuple[str, str]  # (schema, name) of what it runs
    operands: int
    foreign: int  # how many of its operands take nothing but a value of a foreign type (or a constant without type)


@dataclass(frozen=True, slots=True)
class UnnamedCall:
    """A foreign function that runs without a statement's naming it: `kind` `what` (a trigger, a cast) runs it."""

    kind: str
    what: str
    relation: int  # the oid of the relation that it stands on, or 0
    function: tuple[str, str]  # (schema, name)


@dataclass(frozen=True, slots=True)
class SearchPath:
    """What unqualified names mean in one session.

    `schemas`: effective schemas in order as current_schemas(true) gives them, without the temp schema;
    `temporary`: names of the relations in this session's temp schema; `covered`: those of them that mean another
    relation, and are found by `pg_temp.name` only;
    `foreign`: those of them that may have a column of a foreign type;
    `temporary_first`: whether the temp schema is searched before all others, as it is unless the path names it later.
    `unsure`: of a session that is not followed, because its statements pass as they are: what is not known any more,
    what unqualified names mean, or how a text is parsed.
    """

    schemas: tuple[str, ...] = ("pg_catalog", "public")
    temporary: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    temporary_first: bool = True
    covered: frozenset[str] = frozenset()
    unsure: Unsure = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalog at one moment."""

    database: str
    server_version: int  # server_version_num
    relations: Mapping[tuple[str, str], Relation]
    functions: Mapping[str, tuple[FunctionName, ...]]
    foreign_operators: Mapping[str, tuple[ForeignOperator, ...]] = field(default_factory=dict)
    # (schema, name) of each foreign type -> (schema, name) of the foreign functions that run with it unseen: in its
    # casts, its domain's checks, its input and output, its comparisons.
    foreign_types: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = field(default_factory=dict)
    # (schema, name) of each foreign function -> the relations that its body reads (see `bodies`); None: anything.
    function_reads: Mapping[tuple[str, str], tuple[int, ...] | None] = field(default_factory=dict)
    unsettling: frozenset[tuple[str, str]] = frozenset()  # foreign functions that may change what names mean
    inlined: frozenset[tuple[str, str]] = frozenset()  # foreign functions of which a plan may have the body
    by_path: frozenset[tuple[str, str]] = frozenset()  # foreign functions whose names are found by the caller's path
    # (left type, right type) of which all btree comparison operators (= < > <= >= <>) are leakproof
    leakproof: frozenset[tuple[int, int]] = frozenset()
    schemas: frozenset[str] = frozenset()
    raised: tuple[str, ...] = ()  # formats of the messages that functions of the database raise (RAISE, `%` a value)
    raised_constants: tuple[str, ...] = ()  # constants of the other options of RAISE: hints, names of constraints
    version: str = ""  # changes whenever anything above does
    by_oid: Mapping[int, Relation] = field(default_factory=dict)

    def resolve(self, name: str, schema: str | None, path: SearchPath) -> Relation | None:
        """The relation that the server would take for `schema.name` or `name`; None where there is none.

        A temp relation is not in the snapshot: see `is_temporary`, which comes first.
        """
        if schema is not None:
            return self.relations.get((schema, name))
        for candidate in path.schemas:
            found = self.relations.get((candidate, name))
            if found is not None:
                return found
        return None

    def is_temporary(self, name: str, schema: str | None, path: SearchPath) -> bool:
        """Whether the name means a relation of the session's temp schema (which is searched first)."""
        return schema == "pg_temp" or (schema is None and name in path.temporary and name not in path.covered)

    def functions_named(self, name: str, schema: str | None, path: SearchPath) -> Sequence[FunctionName]:
        """The functions that a call of this name may reach (overload resolution may take any of them)."""
        every = self.functions.get(name, ())
        if schema is not None:
            return [f for f in every if f.schema == schema]
        return [f for f in every if f.schema in path.schemas]
