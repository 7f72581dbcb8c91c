"""Which types, functions and operators of a catalog are foreign: made neither by PostgreSQL nor by an extension that
only computes. Pure: `introspect` gives the rows.

A call may reach a foreign overload only where its arguments fit. All that a statement shows of them without types is
how many there are, so each overload says how many it takes, and whether one of them takes nothing but a value of a
foreign type: no such value is in a statement that names no foreign type and reads no column of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.catalog.bodies import Body, Reads, reads_of, unsettling
from proxy.catalog.extensions import HARMLESS_EXTENSIONS
from proxy.catalog.model import ForeignOperator, FunctionName

Row = Any  # an asyncpg.Record, or what looks like one
Key = tuple[str, str]

_SYSTEM = ("pg_catalog", "information_schema")


class ForeignTypes:
    """The types of one catalog by oid."""

    def __init__(self, rows: Iterable[Row], implicit_casts: Iterable[Row]) -> None:
        self._rows = {row["oid"]: row for row in rows}
        self._known: dict[int, bool] = {}
        self._given = {
            cast["target"] for cast in implicit_casts if not self.holds(cast["source"]) and self.holds(cast["target"])
        }

    def holds(self, oid: int) -> bool:
        """Whether values of the type are foreign: the type itself, what a domain is of, an array's elements."""
        known = self._known.get(oid)
        if known is None:
            known = self._known[oid] = self._is_foreign(oid)
        return known

    def _is_foreign(self, oid: int) -> bool:
        row = self._rows.get(oid)
        if row is None:
            return oid != 0
        if row["kind"] == "d":
            return self.holds(row["base"])
        if row["category"] == "A" and row["length"] == -1 and row["element"]:
            return self.holds(row["element"])
        return row["schema"] not in _SYSTEM and row["extension"] not in HARMLESS_EXTENSIONS

    def takes_only_foreign(self, oid: int) -> bool:
        """Whether a parameter of this type takes nothing but a foreign value. Rows make themselves of any record, and a
        constant without type is a string first, where the type is one.
        """
        if not self.holds(oid):
            return False
        row = self._rows.get(oid)
        while row is not None and row["kind"] == "d":
            row = self._rows.get(row["base"])
        if row is not None and row["category"] == "A" and row["element"]:
            return self.takes_only_foreign(row["element"])
        return row is not None and row["kind"] != "c" and row["category"] != "S" and row["oid"] not in self._given

    def keys(self) -> dict[int, Key]:
        """The foreign types, domains among them, by oid; those of temp relations left out."""
        return {
            oid: (row["schema"], row["name"])
            for oid, row in self._rows.items()
            if row["schema"] not in _SYSTEM
            and row["extension"] not in HARMLESS_EXTENSIONS
            and not row["schema"].startswith(("pg_temp", "pg_toast"))
        }

    def parts(self, more: Iterable[Row]) -> dict[int, set[int]]:
        """What each type is made of. `more`: subtypes of ranges and columns of composites."""
        parts: dict[int, set[int]] = defaultdict(set)
        for oid, row in self._rows.items():
            parts[oid] |= {part for part in (row["base"], row["element"]) if part}
        for row in more:
            parts[row["type"]].add(row["part"])
        return parts


def functions(rows: Iterable[Row], types: ForeignTypes) -> dict[str, tuple[FunctionName, ...]]:
    """Overloads by name; those that differ in nothing that matters are one."""
    found: dict[str, dict[FunctionName, None]] = defaultdict(dict)
    for name, schema, extension, takes_row, least, most, takes_string, makes_range, arguments in rows:
        foreign = schema != "pg_catalog" and any(types.takes_only_foreign(oid) for oid in arguments or ())
        overload = FunctionName(schema, extension, takes_row, least, most, foreign, takes_string, makes_range)
        found[name][overload] = None
    return {
        name: tuple(sorted(every, key=lambda f: (f.schema, f.extension or "", f.least, f.most)))
        for name, every in sorted(found.items())
    }


def operators(rows: Iterable[Row], types: ForeignTypes) -> dict[str, tuple[ForeignOperator, ...]]:
    """Foreign operators by name."""
    found: dict[str, list[ForeignOperator]] = defaultdict(list)
    for row in rows:
        operands = [oid for oid in (row["lefthand"], row["righthand"]) if oid]
        found[row["name"]].append(
            ForeignOperator(
                row["schema"],
                (row["function_schema"] or "", row["function"] or ""),
                len(operands),
                sum(map(types.takes_only_foreign, operands)),
            )
        )
    return {name: tuple(every) for name, every in found.items()}


@dataclass(frozen=True, slots=True)
class OwnFunctions:
    """The foreign functions of a catalog by oid; by name, over all overloads, what they read, which may change what
    names mean in the session that calls them, of which the planner may put the body in the place of a call, and of
    which the names mean what the session's search path makes of them.
    """

    by_oid: Mapping[int, Key]
    reads: Mapping[Key, Reads]
    unsettling: frozenset[Key]
    inlined: frozenset[Key]
    by_path: frozenset[Key]


def own_functions(rows: Sequence[Row], relations: Mapping[Key, int]) -> OwnFunctions:
    """From rows of `queries.bodies`; `relations`: oids by (schema, name)."""
    bodies = [
        Body(
            row["oid"],
            row["schema"],
            row["name"],
            "c" if row["aggregate"] else row["language"],  # an aggregate is what its functions are
            row["source"] or "",
            row["standard"],
            tuple(row["relations"]),
            tuple(row["functions"]),
        )
        for row in rows
    ]
    known = {body.oid: (body.schema, body.name) for body in bodies}
    ours = {key: oid for key, oid in relations.items() if key[0] not in (*_SYSTEM, "pg_toast")}
    found = reads_of(bodies, ours)
    merged: dict[Key, Reads] = {}
    for oid, key in known.items():
        before, own = merged.get(key, ()), found[oid]
        merged[key] = None if before is None or own is None else tuple(sorted({*before, *own}))
    inlined = frozenset((row["schema"], row["name"]) for row in rows if row["inlined"])
    by_path = frozenset((row["schema"], row["name"]) for row in rows if row["by_path"])
    return OwnFunctions(known, merged, frozenset(known[oid] for oid in unsettling(bodies)), inlined, by_path)


def behind_types(
    rows: Iterable[Row], types: ForeignTypes, parts: Mapping[int, set[int]], functions_by_oid: Mapping[int, Key]
) -> dict[Key, tuple[Key, ...]]:
    """For each foreign type the foreign functions that run with it unseen, those of what it is made of included."""
    direct: dict[int, set[Key]] = defaultdict(set)
    for row in rows:
        direct[row["type"]].add(functions_by_oid[row["function"]])
    behind: dict[Key, tuple[Key, ...]] = {}
    foreign = types.keys()
    for oid, key in foreign.items():
        seen: set[int] = set()
        waiting = [oid]
        found: set[Key] = set()
        while waiting:
            part = waiting.pop()
            if part in foreign and part not in seen:  # of a built-in type, the cast to a foreign one is that one's
                seen.add(part)
                found |= direct.get(part, set())
                waiting.extend(parts.get(part, ()))
        behind[key] = tuple(sorted(found))
    return behind
