"""Finds customers by what is known of them: in every column that the rules give an attribute, inside of documents too,
and in what other sources say; exactly or nearly.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import asyncpg

from proxy.errors import ConsentryError
from proxy.policy.names import join_dotted, quote_relation
from proxy.policy.paths import Steps, keys_of, split_path
from proxy.policy.table import CompiledRules, HeldDocument, SubjectTable
from proxy.rewrite.lex import quote_literal
from proxy.rights import conditions

How = Literal["exact", "same", "begins"]

_ZERO: Final = "\\u0000"
_PHONE_DIGITS: Final = 7  # so many digits, counted from the end, tell one telephone number from another
_RANKS: Final[tuple[How, ...]] = ("exact", "same", "begins")
# Of a list's entry each field. `value` is what `_rank` compares.
_SAID: Final = """
    SELECT subject, source, key, attribute, rank FROM (
        SELECT r.subject::text AS subject, r.source, r.key, a.attribute, {rank} AS rank
        FROM consentry.profile_records r CROSS JOIN LATERAL jsonb_each(r."values") AS a (attribute, known)
        CROSS JOIN LATERAL (
            SELECT a.known #>> '{{}}' WHERE jsonb_typeof(a.known) <> 'object' UNION ALL
            SELECT e.value FROM jsonb_each_text(CASE jsonb_typeof(a.known) WHEN 'object' THEN a.known END) AS e
        ) AS written (said)
        CROSS JOIN LATERAL (SELECT btrim(said)) AS held (value)) AS found
    WHERE rank IS NOT NULL ORDER BY rank, subject, source, key LIMIT {limit}"""


@dataclass(frozen=True, slots=True)
class Found:
    """One column of a customer's that holds the text. `how`: as it is; the same but for case, blanks and the way that
    telephone numbers are written; or it begins with the text.

    Of what another source says `relation` is the source, and `column` the key of its record. `path`: the rules' path to
    where it stands in the column's document, if one leads there.
    """

    subject: str | None  # None: a row that is no customer's, or a record of which nobody knows whose it is
    relation: str
    column: str
    attributes: tuple[str, ...]
    how: How
    path: str | None = None


async def find(connection: asyncpg.Connection, rules: CompiledRules, text: str, limit: int) -> AsyncIterator[Found]:
    """At most `limit` of each table; every table is read through. In a transaction of the caller's.

    Raises ConsentryError: no text, or a table that Consentry's own login may not read.
    """
    wanted = text.strip()
    if not wanted:
        raise ConsentryError("write what is to be found: an email address, a name, a telephone number")
    for table in rules.subject_tables:
        query = _query(table, wanted, limit)
        if query is None:
            continue
        attributes = _attributes(table)
        try:
            rows = await connection.fetch(query, wanted)
        except asyncpg.InsufficientPrivilegeError as error:
            hint = 'the grants that it needs are printed by "consentry consent setup --exports"'
            raise ConsentryError(f"{join_dotted(table.schema, table.name)} is not searched: {error}; {hint}") from error
        except asyncpg.CharacterNotInRepertoireError as error:
            raise ConsentryError("the text holds a zero byte") from error
        name = join_dotted(table.schema, table.name)
        for row in rows:
            place = (row["name"], row["path"])
            yield Found(row["subject"], name, place[0], attributes.get(place, ()), _RANKS[row["rank"]], place[1])
    if await connection.fetchval("SELECT pg_catalog.to_regclass('consentry.profile_records')") is not None:
        for row in await connection.fetch(_SAID.format(rank=_rank(wanted), limit=limit), wanted):
            yield Found(row["subject"], row["source"], row["key"], (row["attribute"],), _RANKS[row["rank"]])


def _query(table: SubjectTable, wanted: str, limit: int) -> str | None:
    """(subject, column, path, rank) of the rows that hold $1."""
    key = (table.schema, table.name)
    inside = {document.column for document in table.documents}
    named = [name for name, attributes in table.columns if attributes and name not in inside]
    if not table.subject.steps:
        named = list(dict.fromkeys([table.subject.column, *named]))
    places = [f"SELECT {quote_literal(name)}, NULL, {conditions.column(key, name)}::pg_catalog.text" for name in named]
    places += [
        text for document in table.documents for text in _inside(conditions.column(key, document.column), document)
    ]
    if not places:
        return None
    subject, rank = conditions.subject_of(key, table.subject), _rank(wanted)
    return (
        f"SELECT {subject} AS subject, held.name, held.path, held.rank FROM {quote_relation(key)}, LATERAL ("
        f"SELECT DISTINCT name, path, {rank} AS rank FROM (SELECT name, path, pg_catalog.btrim(said) AS value "
        f"FROM ({' UNION ALL '.join(places)}) AS places (name, path, said)) AS columns) AS held "
        f"WHERE held.rank IS NOT NULL ORDER BY held.rank, 1, 2, 3 LIMIT {limit}"
    )


def _attributes(table: SubjectTable) -> dict[tuple[str, str | None], tuple[str, ...]]:
    """By column and path."""
    found: dict[tuple[str, str | None], tuple[str, ...]] = {(name, None): given for name, given in table.columns}
    for document in table.documents:
        found[document.column, None] = (document.attribute,) if document.attribute else ()
        found |= {(document.column, path): (attribute,) for path, attribute in document.paths if attribute}
    return found


def _inside(column: str, document: HeldDocument) -> Iterator[str]:
    """SELECTs of (column, path, text): one for each path that has an attribute, and one for the rest, if that has one.
    What a longer path leads to is not the shorter one's.

    A document that jsonb cannot hold, for a character 0 in it, has no inside.
    """
    name, text = quote_literal(document.column), f"{column}::pg_catalog.text"
    whole = f"(CASE WHEN pg_catalog.strpos({text}, {quote_literal(_ZERO)}) OPERATOR(pg_catalog.=) 0 THEN {text} END)"
    steps: dict[str, Steps] = {path: split_path(path) for path, _ in document.paths}
    for path, attribute in ((None, document.attribute), *document.paths):
        if attribute is None:
            continue
        here = () if path is None else steps[path]
        deeper = [other for other in steps.values() if other != here and _begins(keys_of(other), keys_of(here))]
        leaves = " EXCEPT ".join(_leaves(whole, one) for one in (here, *deeper))
        label = "NULL" if path is None else quote_literal(path)
        yield f"SELECT {name}, {label}, leaf FROM ({leaves}) AS leaves (leaf)"


def _begins(steps: Steps, start: Steps) -> bool:
    return steps[: len(start)] == start


def _leaves(document: str, steps: Steps) -> str:
    """A SELECT of the texts of the scalars in the document below the path."""
    query = "pg_catalog.jsonb_path_query"
    found = f"{query}({document}::pg_catalog.jsonb, {quote_literal(_jsonpath(steps))}::pg_catalog.jsonpath)"
    return (
        f"SELECT leaf OPERATOR(pg_catalog.#>>) '{{}}'::pg_catalog.text[] FROM {found} AS part, "
        f"LATERAL {query}(part, 'strict $.**') AS leaf WHERE pg_catalog.jsonb_typeof(leaf) NOT IN ('object', 'array')"
    )


def _jsonpath(steps: Steps) -> str:
    """The rules' path as PostgreSQL takes it, in lax mode."""
    return "$" + "".join("[*]" if step is None else f".{json.dumps(step, ensure_ascii=False)}" for step in steps)


def _rank(wanted: str) -> str:
    """How well `value` fits: 0, 1, 2, or NULL."""
    folded, text = "pg_catalog.lower(value)", "pg_catalog.lower($1::pg_catalog.text)"
    same = f"{folded} OPERATOR(pg_catalog.=) {text}"
    digits = re.sub(r"\D", "", wanted).lstrip("0")
    if len(digits) >= _PHONE_DIGITS and re.fullmatch(r"[+\d\s()/.-]+", wanted):
        # With or without the country's number and the 0 before the area's: one ends as the other does.
        held = "pg_catalog.ltrim(pg_catalog.regexp_replace(value, '[^0-9]', '', 'g'), '0')"
        shorter = f"LEAST(pg_catalog.length({held}), {len(digits)})"
        given = quote_literal(digits)
        ends = f"pg_catalog.right({held}, {shorter}) OPERATOR(pg_catalog.=) pg_catalog.right({given}, {shorter})"
        plain = "value OPERATOR(pg_catalog.~) '^[-+0-9[:space:]()/.]+$'"
        same = f"{same} OR ({plain} AND pg_catalog.length({held}) OPERATOR(pg_catalog.>=) {_PHONE_DIGITS} AND {ends})"
    begins = f"pg_catalog.starts_with({folded}, {text})"
    exact = "value OPERATOR(pg_catalog.=) $1::pg_catalog.text"
    return f"CASE WHEN {exact} THEN 0 WHEN {same} THEN 1 WHEN {begins} THEN 2 END"
