"""Everything held on one customer, as one JSON document (GDPR 15 and 20): who sees what, rows, requests, decisions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from proxy.consent import service
from proxy.consent.receipt import receipt
from proxy.policy.model import Attribute
from proxy.policy.names import join_dotted
from proxy.policy.table import CompiledRules, SubjectTable
from proxy.profile import held


async def document(
    connection: asyncpg.Connection,
    rules: CompiledRules,
    attributes: Mapping[str, Attribute],
    subject: str,
    organisation: str,
    access: Sequence[Mapping[str, Any]],
    disclosures: Sequence[Mapping[str, Any]] | None = None,
) -> AsyncIterator[str]:
    """The document, a piece at a time: neither many rows nor a long history are in memory as a whole.

    `connection`: one that is in no transaction; all is read of one moment. `access`: who sees what, as it is to stand
    there; `disclosures`: who read what, where that was asked of the log. What the rules keep in secret from the
    customer is left out. Raises NotReadableError where something that belongs into it cannot be read.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # Row security that would leave rows out is an error then.
        await connection.execute("SET LOCAL row_security = off")
        head = {
            "subject": subject,
            "organisation": organisation,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "restricted_since": await _restricted(connection, subject),
            "access": list(access),
        }
        if disclosures is not None:
            head["disclosures"] = list(disclosures)
        yield json.dumps(head, ensure_ascii=False)[:-1] + ',\n"tables": ['
        for number, table in enumerate(_told(rules)):
            facts = {
                "relation": join_dotted(table.schema, table.name),
                "attributes": {name: list(called) for name, called in table.columns if called},
            }
            yield ("," if number else "") + "\n" + json.dumps(facts, ensure_ascii=False)[:-1] + ', "rows": ['
            comma = ""
            async for row in held.rows(connection, table, subject):
                yield f"{comma}\n {row}"
                comma = ","
            yield "]}"
        more = {
            "sources": _values(connection, subject),
            "requests": _requests(connection, subject),
            "decisions": _decisions(connection, rules, attributes, subject, organisation),
        }
        for name, texts in more.items():
            yield f'\n],\n"{name}": ['
            comma = ""
            async for text in texts:
                yield f"{comma}\n {text}"
                comma = ","
        yield "\n]}\n"


async def _decisions(
    connection: asyncpg.Connection,
    rules: CompiledRules,
    attributes: Mapping[str, Attribute],
    subject: str,
    organisation: str,
) -> AsyncIterator[str]:
    async for event in service.whole_history(connection, subject):
        made = receipt(event, rules.apps.get(event.app), attributes.get(event.attribute), organisation)
        yield json.dumps(made, ensure_ascii=False)


def _told(rules: CompiledRules) -> list[SubjectTable]:
    """The tables but for those that are kept in secret from the customer, as the law may demand."""
    secret = {
        key
        for key, table in (rules.rights.tables.items() if rules.rights is not None else ())
        if table.action == "keep" and all(kept.secret for kept in table.kept)
    }
    return [table for table in rules.subject_tables if (table.schema, table.name) not in secret]


async def _restricted(connection: asyncpg.Connection, subject: str) -> str | None:
    """Since when no app without a duty has anything of the customer; None: it is not restricted."""
    if await connection.fetchval("SELECT pg_catalog.to_regclass('consentry.restrictions')") is None:
        return None
    kind = await service.subject_type(connection)
    with service.said_of(subject, kind):
        query = f"SELECT since FROM consentry.restrictions WHERE subject = $1::text::{kind}"
        since = await connection.fetchval(query, subject)
    return None if since is None else str(since.isoformat())


def _values(connection: asyncpg.Connection, subject: str) -> AsyncIterator[str]:
    """What other sources said, each with where it is from and when it was read, as JSON objects."""
    columns = "attribute, value, source, key, read_at, chosen"
    return _objects(connection, "consentry.profile_values", columns, "attribute, source, key", subject)


def _requests(connection: asyncpg.Connection, subject: str) -> AsyncIterator[str]:
    """What the customer asked for, and what became of it, as JSON objects; not which agent decided."""
    columns = "id, kind, attribute, value, status, source, asked_at, due_at, decided_at, reason, receipt"
    return _objects(connection, "consentry.requests", columns, "id", subject)


async def _objects(
    connection: asyncpg.Connection, relation: str, columns: str, order: str, subject: str
) -> AsyncIterator[str]:
    """The customer's rows of one of our own relations, where it is there."""
    if await connection.fetchval("SELECT pg_catalog.to_regclass($1)", relation) is None:
        return
    kind = await service.subject_type(connection)
    rows = f"SELECT {columns} FROM {relation} WHERE subject = $1::text::{kind} ORDER BY {order}"
    query = f"SELECT row_to_json(r)::text FROM ({rows}) AS r"
    async for row in connection.cursor(query, subject, prefetch=held.BATCH):
        yield row[0]
