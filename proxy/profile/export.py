"""Everything held on one customer, as one JSON document: who sees what, the rows, the decisions (GDPR 15 and 20)."""

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
from proxy.policy.table import CompiledRules
from proxy.profile import held


async def document(
    connection: asyncpg.Connection,
    rules: CompiledRules,
    attributes: Mapping[str, Attribute],
    subject: str,
    organisation: str,
    access: Sequence[Mapping[str, Any]],
) -> AsyncIterator[str]:
    """The document, a piece at a time: neither many rows nor a long history are in memory as a whole.

    `connection`: one that is in no transaction; all is read of one moment. `access`: who sees what, as it is to stand
    there. Raises NotReadableError where something that belongs into it cannot be read.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # Row security that would leave rows out is an error then.
        await connection.execute("SET LOCAL row_security = off")
        head = {
            "subject": subject,
            "organisation": organisation,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "access": list(access),
        }
        yield json.dumps(head, ensure_ascii=False)[:-1] + ',\n"tables": ['
        for number, table in enumerate(rules.subject_tables):
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
        yield '\n],\n"decisions": ['
        comma = ""
        async for event in service.whole_history(connection, subject):
            made = receipt(event, rules.apps.get(event.app), attributes.get(event.attribute), organisation)
            yield f"{comma}\n {json.dumps(made, ensure_ascii=False)}"
            comma = ","
        yield "\n]}\n"
