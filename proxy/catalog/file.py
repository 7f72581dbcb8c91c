"""A snapshot of a catalog as a file of JSON: names, types and definitions, no data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from pydantic import TypeAdapter, ValidationError

from proxy.catalog.model import ForeignOperator, FunctionName, Relation, Snapshot
from proxy.errors import ConsentryError

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A snapshot without what follows from the rest, and with lists in the place of keys that JSON does not have."""

    database: str
    server_version: int
    relations: tuple[Relation, ...]
    functions: Mapping[str, tuple[FunctionName, ...]]
    foreign_operators: Mapping[str, tuple[ForeignOperator, ...]]
    foreign_types: tuple[tuple[Name, tuple[Name, ...]], ...]
    function_reads: tuple[tuple[Name, tuple[int, ...] | None], ...]
    unsettling: frozenset[Name]
    inlined: frozenset[Name]
    by_path: frozenset[Name]
    leakproof: frozenset[tuple[int, int]]
    schemas: frozenset[str]
    raised: tuple[str, ...]
    raised_constants: tuple[str, ...]
    version: str


_FILE = TypeAdapter(_Kept)
_PAIRS = ("foreign_types", "function_reads")


def write(snapshot: Snapshot) -> bytes:
    """The file."""
    values = {field.name: getattr(snapshot, field.name) for field in fields(_Kept)}
    values["relations"] = tuple(snapshot.relations.values())
    values |= {name: tuple(values[name].items()) for name in _PAIRS}
    return _FILE.dump_json(_Kept(**values))


def read(content: bytes) -> Snapshot:
    """The snapshot. Raises ConsentryError where the file is none, or another version's."""
    try:
        kept = _FILE.validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConsentryError(
            f"this is no catalog of this version: {where}: {first['msg']}; make it anew with --save-catalog"
        ) from None
    values = {field.name: getattr(kept, field.name) for field in fields(_Kept)}
    values["relations"] = {relation.key: relation for relation in kept.relations}
    values |= {name: dict(values[name]) for name in _PAIRS}
    return Snapshot(**values, by_oid={relation.oid: relation for relation in kept.relations})
