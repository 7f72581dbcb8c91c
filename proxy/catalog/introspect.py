"""Reads a snapshot of the catalog from a database: the only I/O of this room. PostgreSQL 13 to 18.

Source: PostgreSQL documentation, "System Catalogs".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from proxy.catalog import foreign, queries
from proxy.catalog.extensions import HARMLESS_EXTENSIONS
from proxy.catalog.foreign import ForeignTypes
from proxy.catalog.model import Column, Part, Relation, Snapshot, UnnamedCall
from proxy.catalog.raised import raised_texts
from proxy.catalog.types import COMPARED_AS
from proxy.errors import ConsentryError

_RELATION_IN_TREE = re.compile(r":relid (\d+)")


async def take_snapshot(connection: asyncpg.Connection) -> Snapshot:
    """The catalog as it is now, temp schemas left out, seen at one moment.

    `version` is what `fingerprint` gives as long as nothing changes. System columns are not among the columns, and
    views of pg_catalog and information_schema have no `definition`.
    Raises ConsentryError where the database's encoding is not UTF8.
    """
    async with _one_moment(connection):
        (facts,) = await connection.fetch(queries.SERVER)
        if facts["encoding"] != "UTF8":
            raise ConsentryError(
                f'database "{facts["database"]}" has encoding {facts["encoding"]}; Consentry needs UTF8 '
                "(create it with ENCODING 'UTF8' TEMPLATE template0)"
            )
        version: int = facts["version"]
        classes = await connection.fetch(queries.RELATIONS)
        type_rows = await connection.fetch(queries.TYPES)
        foreign_types = ForeignTypes(type_rows, await connection.fetch(queries.IMPLICIT_CASTS))
        pairs = await connection.fetch(queries.LEAKPROOF)
        leakproof = frozenset((r["left"], r["right"]) for r in pairs if r["leakproof"])
        columns = _columns(
            await connection.fetch(queries.columns(version)), _types(type_rows, leakproof, foreign_types)
        )
        primary, unique = _keys(await connection.fetch(queries.KEYS), columns)
        ancestors = _closure((r["child"], r["parent"]) for r in await connection.fetch(queries.INHERITS))
        kinds = {r["oid"]: r["kind"] for r in classes}
        reads = _reads(await connection.fetch(queries.VIEW_TREES), kinds)
        definitions = {r["oid"]: r["definition"] for r in await connection.fetch(queries.VIEW_DEFINITIONS)}
        parts = _parts(await connection.fetch(queries.PARTS), await connection.fetch(queries.PART_USES))
        functions = await connection.fetch(queries.FUNCTIONS)
        operators = await connection.fetch(queries.FOREIGN_OPERATORS, sorted(HARMLESS_EXTENSIONS))
        own_functions = foreign.own_functions(
            await connection.fetch(queries.bodies(version), sorted(HARMLESS_EXTENSIONS)),
            {(r["schema"], r["name"]): r["oid"] for r in classes if r["kind"] in "rpvmfS"},
        )
        type_parts = foreign_types.parts(await connection.fetch(queries.type_parts(version)))
        type_dependents = await connection.fetch(queries.TYPE_DEPENDENTS)
        behind_types = foreign.behind_types(
            await connection.fetch(queries.BEHIND_TYPES, list(own_functions.by_oid)),
            foreign_types,
            type_parts,
            own_functions.by_oid,
        )
        schemas = await connection.fetch(queries.SCHEMAS)
        raising = await connection.fetch(queries.RAISING)
        print_ = await _fingerprint(connection)
    composites = {r["oid"] for r in type_rows if r["kind"] == "c"}
    made_of = _closure((part, oid) for oid, parts_ in type_parts.items() if oid not in composites for part in parts_)
    of_types: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for r in type_dependents:
        of_types[r["type"]].append((r["catalog"], r["oid"]))
    row_types = {r["oid"]: (r["row_type"], *made_of.get(r["row_type"], ())) for r in classes if r["row_type"]}
    formats, constants = raised_texts(r["source"] for r in raising)
    relations = [
        Relation(
            oid=r["oid"],
            schema=r["schema"],
            name=r["name"],
            kind=r["kind"],
            columns=tuple(columns.get(r["oid"], {}).values()),
            primary_key=primary.get(r["oid"], ()),
            unique_keys=tuple(unique.get(r["oid"], ())),
            parents=ancestors.get(r["oid"], ()),
            reads=reads.get(r["oid"], ()),
            definition=definitions.get(r["oid"]),
            barrier=r["barrier"],
            row_security=r["row_security"],
            rules=r["rules"],
            owner=r["owner"],
            owner_column=r["owner_column"] or 0,
            row_types=row_types.get(r["oid"], ()),
            dependents=tuple(one for oid in row_types.get(r["oid"], ()) for one in of_types.get(oid, ())),
            parts=tuple(parts.get(r["oid"], ())),
        )
        for r in classes
    ]
    return Snapshot(
        database=facts["database"],
        server_version=version,
        relations={relation.key: relation for relation in relations},
        functions=foreign.functions(functions, foreign_types),
        foreign_operators=foreign.operators(operators, foreign_types),
        foreign_types=behind_types,
        function_reads=own_functions.reads,
        unsettling=own_functions.unsettling,
        inlined=own_functions.inlined,
        by_path=own_functions.by_path,
        leakproof=leakproof,
        schemas=frozenset(r["name"] for r in schemas),
        raised=formats,
        raised_constants=constants,
        version=print_,
        by_oid={relation.oid: relation for relation in relations},
    )


async def fingerprint(connection: asyncpg.Connection) -> str:
    """A value that changes with any DDL that changes a snapshot; cheap to poll (one query, about 1 µs a column).

    INSERT, ANALYZE, TRUNCATE, VACUUM (FULL too), REINDEX, temp tables and GRANT on relations leave it alone; GRANT on
    schemas and of roles does not: what names mean depends on which schemas a login may use.
    """
    async with _one_moment(connection):
        return await _fingerprint(connection)


async def unnamed_calls(connection: asyncpg.Connection) -> list[UnnamedCall]:
    """The triggers, defaults, operators, casts, domains and the like that run foreign functions."""
    async with _one_moment(connection):
        (facts,) = await connection.fetch(queries.SERVER)
        bodies = await connection.fetch(queries.bodies(facts["version"]), sorted(HARMLESS_EXTENSIONS))
        rows = await connection.fetch(queries.UNNAMED_CALLS)
    functions = {row["oid"]: (row["schema"], row["name"]) for row in bodies}
    found = [
        UnnamedCall(row["kind"], row["what"], row["relation"], functions[row["function"]])
        for row in rows
        if row["function"] in functions
    ]
    return list(dict.fromkeys(found))


async def _fingerprint(connection: asyncpg.Connection) -> str:
    value = await connection.fetchval(queries.FINGERPRINT)
    return str(value)


@asynccontextmanager
async def _one_moment(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction with one view of the data and an empty search path; what it sets is gone afterwards."""
    if connection.is_in_transaction():
        transaction = connection.transaction()  # a savepoint, at the isolation that the caller chose
    else:
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    try:
        # An empty path makes format_type and pg_get_viewdef qualify; JIT would cost more than these queries.
        await connection.execute("SELECT set_config('search_path', '', true), set_config('jit', 'off', true)")
        yield
    finally:
        await transaction.rollback()


@dataclass(frozen=True, slots=True)
class _Type:
    base_name: str
    category: str
    compared: int
    leakproof: bool
    foreign: bool


def _types(
    rows: list[asyncpg.Record], leakproof: frozenset[tuple[int, int]], foreign_types: ForeignTypes
) -> dict[int, _Type]:
    by_oid = {r["oid"]: r for r in rows}
    system = {r["name"]: r["oid"] for r in rows if r["system"]}
    types: dict[int, _Type] = {}
    for row in rows:
        base = row
        while base["kind"] == "d" and base["base"] in by_oid:
            base = by_oid[base["base"]]
        compared = base["oid"]
        if base["kind"] == "e":
            compared = system["anyenum"]
        compared = COMPARED_AS.get(compared, compared)
        known = (compared, compared) in leakproof
        types[row["oid"]] = _Type(base["name"], base["category"], compared, known, foreign_types.holds(row["oid"]))
    return types


def _columns(rows: list[asyncpg.Record], types: dict[int, _Type]) -> dict[int, dict[int, Column]]:
    columns: dict[int, dict[int, Column]] = defaultdict(dict)
    for relation, number, name, type_oid, type_name, collation, not_null, has_default, generated, virtual in rows:
        its_type = types[type_oid]
        columns[relation][number] = Column(
            name=name,
            number=number,
            type_oid=type_oid,
            type_name=type_name,
            base_type=its_type.base_name,
            type_category=its_type.category,
            collation=collation,
            not_null=not_null,
            has_default=has_default,
            generated=generated,
            virtual=virtual,
            compared=its_type.compared,
            leakproof=its_type.leakproof,
            foreign=its_type.foreign,
        )
    return columns


def _keys(
    rows: list[asyncpg.Record], columns: dict[int, dict[int, Column]]
) -> tuple[dict[int, tuple[str, ...]], dict[int, list[tuple[str, ...]]]]:
    primary: dict[int, tuple[str, ...]] = {}
    unique: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for row in rows:
        numbers = [int(number) for number in row["numbers"].split()[: row["width"]]]
        names = tuple(columns[row["relation"]][number].name for number in numbers)
        unique[row["relation"]].append(names)
        if row["is_primary"]:
            primary[row["relation"]] = names
    return primary, unique


def _parts(rows: list[asyncpg.Record], use_rows: list[asyncpg.Record]) -> dict[int, list[Part]]:
    uses: dict[tuple[str, int], set[tuple[int, int]]] = defaultdict(set)
    for catalog, oid, relation, number in use_rows:
        uses[catalog, oid].add((relation, number))
    parts: dict[int, list[Part]] = defaultdict(list)
    for row in rows:
        relation, catalog, oid = row["relation"], row["catalog"], row["oid"]
        stands_in = "pg_class" if catalog in ("pg_index", "pg_partitioned_table") else catalog
        used = uses.get((stands_in, oid), set()) - {(relation, 0)}
        parts[relation].append(Part(catalog, oid, row["name"], row["kind"], frozenset(used), row["literal"]))
    return parts


def _reads(rows: list[asyncpg.Record], kinds: dict[int, str]) -> dict[int, tuple[int, ...]]:
    """What each view reads, through views: by the relations that its stored tree names.

    pg_depend is no substitute: it has no rows for what initdb made, so a view over pg_stats would seem to read nothing.
    """
    edges: set[tuple[int, int]] = set()
    for row in rows:
        for found in set(_RELATION_IN_TREE.findall(row["tree"])):
            read = int(found)
            if read != row["oid"] and read in kinds:
                edges.add((row["oid"], read))
    return _closure(edges)


def _closure(edges: Iterable[tuple[int, int]]) -> dict[int, tuple[int, ...]]:
    """Everything that each start reaches, by ascending oid."""
    direct: dict[int, set[int]] = defaultdict(set)
    for start, end in edges:
        direct[start].add(end)
    closed: dict[int, tuple[int, ...]] = {}
    for start in list(direct):
        reached: set[int] = set()
        waiting = list(direct[start])
        while waiting:
            oid = waiting.pop()
            if oid not in reached:
                reached.add(oid)
                waiting.extend(direct.get(oid, ()))
        closed[start] = tuple(sorted(reached))
    return closed
