"""What the functions of a database's own read, as far as their bodies tell. Pure.

A body of the SQL standard (BEGIN ATOMIC, RETURN) has its dependencies in pg_depend. Of a body that is text, every word
counts that is the name of a relation or of a function: too much rather than too little. What runs SQL that it puts
together, or is written in another language, may read anything. Code in C was installed by a superuser and computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_LANGUAGES = frozenset({"sql", "plpgsql"})
# PostgreSQL's own functions, and those of its extensions, that read what a text or an oid names.
_READERS = frozenset(
    """
    query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml table_to_xmlschema
    table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema database_to_xml
    database_to_xmlschema database_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite
    crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby xpath_table dblink dblink_exec dblink_open dblink_fetch
    dblink_send_query dblink_get_result pg_read_file pg_read_binary_file lo_get loread get_raw_page currtid2
    """.split()
)

# Words of bodies that may change what names of the session mean.
_UNSETTLING = frozenset("set_config search_path pg_temp temp temporary discard reset".split())

Reads = tuple[int, ...] | None  # oids of relations; None: it may read anything


@dataclass(frozen=True, slots=True)
class Body:
    """One function. `relations`, `functions`: what pg_depend says that it needs, by oid."""

    oid: int
    schema: str
    name: str
    language: str
    source: str
    standard: bool  # a body of the SQL standard: it is not in `source`
    relations: tuple[int, ...] = ()
    functions: tuple[int, ...] = ()


def reads_of(bodies: Iterable[Body], relations: Mapping[tuple[str, str], int]) -> dict[int, Reads]:
    """What each function reads, through the functions that it calls. `relations`: oids by (schema, name)."""
    known = {body.oid: body for body in bodies}
    by_name: dict[str, set[int]] = {}
    for body in known.values():
        by_name.setdefault(body.name, set()).add(body.oid)
    relation_names: dict[str, set[int]] = {}
    for (_, name), oid in relations.items():
        relation_names.setdefault(name, set()).add(oid)
    direct: dict[int, set[int] | None] = {}
    calls: dict[int, set[int]] = {}
    for body in known.values():
        words = _words(body)
        direct[body.oid] = None if _reads_anything(body, words) else set(body.relations)
        calls[body.oid] = set(body.functions)
        for word in words:
            calls[body.oid] |= by_name.get(word, set())
            found = direct[body.oid]
            if found is not None:
                found |= relation_names.get(word, set())
    return {oid: _through(oid, direct, calls) for oid in known}


def unsettling(bodies: Iterable[Body]) -> frozenset[int]:
    """The functions that may change the session's search path or temp tables, by themselves or by what they call."""
    every = list(bodies)
    words = {body.oid: _words(body) for body in every}
    oids: dict[str, set[int]] = {}
    for body in every:
        oids.setdefault(body.name, set()).add(body.oid)
    calls = {body.oid: set(body.functions).union(*(oids.get(word, ()) for word in words[body.oid])) for body in every}
    direct: dict[int, set[int] | None] = {
        body.oid: None if _reads_anything(body, words[body.oid]) or words[body.oid] & _UNSETTLING else set()
        for body in every
    }
    return frozenset(oid for oid in direct if _through(oid, direct, calls) is None)


def _words(body: Body) -> set[str]:
    if body.standard or body.language not in _LANGUAGES:
        return set()
    return {quoted.replace('""', '"') if quoted else plain.lower() for quoted, plain in _WORD.findall(body.source)} | {
        word.lower() for word in re.findall(r"\w+", body.source)
    }  # in strings, which may be run


def _reads_anything(body: Body, words: set[str]) -> bool:
    if body.language == "c":
        return False
    if body.language == "internal":
        return body.source in _READERS
    if body.language not in _LANGUAGES:
        return True
    return not _READERS.isdisjoint(words) or (body.language == "plpgsql" and "execute" in words)


def _through(start: int, direct: Mapping[int, set[int] | None], calls: Mapping[int, set[int]]) -> Reads:
    """What a function and all that it calls read."""
    seen: set[int] = set()
    waiting = [start]
    found: set[int] = set()
    while waiting:
        oid = waiting.pop()
        if oid in seen or oid not in direct:
            continue
        seen.add(oid)
        own = direct[oid]
        if own is None:
            return None
        found |= own
        waiting.extend(calls[oid])
    return tuple(sorted(found))
