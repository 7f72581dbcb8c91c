"""Where customers' requests are dealt with: what every act needs, and how it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.audit.acts import Acts, acting
from proxy.audit.copies import copy
from proxy.audit.keys import load_or_make
from proxy.audit.log import LogOptions
from proxy.catalog.model import Snapshot
from proxy.consent import locks
from proxy.consent.service import Vocabulary, said_of, subject_type
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.rights import receipts
from proxy.rights.erasing import careful


@dataclass(frozen=True, slots=True)
class Desk:
    """One database, its rules, and who acts. `database`: as the settings call it; `actor`: for records and receipts."""

    connection: asyncpg.Connection
    rules: CompiledRules
    snapshot: Snapshot
    words: Vocabulary
    database: str
    written: Rules  # the rules as they are in their files
    audit: LogOptions
    actor: str

    @property
    def digest(self) -> str:
        """Of the rules' files."""
        return self.written.digest

    async def check(self, subject: str) -> str:
        """The type of the customers' keys. Raises ConsentryError: the subject is not of it, or there is no ledger."""
        kind = await subject_type(self.connection)
        with said_of(subject, kind):
            await self.connection.fetchval(f"SELECT $1::text::{kind}", subject)
        return kind

    async def key(self, subject: str) -> str:
        """The customer's key as the database writes it: of "042", 42. Raises as `check`."""
        kind = await subject_type(self.connection)
        with said_of(subject, kind):
            written: str = await self.connection.fetchval(f"SELECT ($1::text::{kind})::text", subject)
        return written

    async def lock(self, subject: str) -> None:
        """Waits for decisions and acts about this customer that are under way; until the transaction's end."""
        kind = await subject_type(self.connection)
        await self.connection.execute(locks.of_subject(kind), subject)


class Act:
    """One act under way."""

    def __init__(self, desk: Desk, name: str, acts: Acts) -> None:
        self.desk = desk
        self._name = name
        self._acts = acts
        self._written: Mapping[str, Any] | None = None  # by what its record is known

    async def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Writes the receipt and the record, the last thing before the commit. Raises UnreachableError, ConsentryError.

        `facts` name no customer and hold no value. Gives the receipt.
        """
        desk = self.desk
        said = {"database": desk.database, "rules": desk.digest, **facts}
        receipt = receipts.make(load_or_make(desk.audit.key), self._name, said)
        await receipts.keep(desk.connection, receipt)
        await self._record({"receipt": receipt["receipt"]}, facts)
        return receipt

    async def note(self, facts: Mapping[str, Any]) -> None:
        """The record alone, of what is no customer's to prove. As `finish`."""
        await self._record(facts, {})

    async def _record(self, known_by: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        desk = self.desk
        self._acts.record(
            self._name, actor=desk.actor, database=desk.database, rules_version=desk.digest, **known_by, **facts
        )
        self._written = known_by
        await copy(desk.connection, self._acts.checkpoints)
        self._acts.checkpoints.clear()

    def undone(self) -> None:
        """The record was written, and the database did not commit."""
        if self._written is not None:
            self._acts.record(self._name, actor=self.desk.actor, **self._written, undone=True)


async def note(desk: Desk, name: str, **facts: object) -> None:
    """Records that something of customers goes to who acts. Raises UnreachableError, ConsentryError: then it must not.

    `name`: `export` (all that is held on one), `show` (what is known of one), `find` (who has something). `facts`: as
    in `Act.finish`.
    """
    async with act(desk, name) as under_way:
        await under_way.note(facts)


@asynccontextmanager
async def act(desk: Desk, name: str, *, subject: str | None = None, opened: Acts | None = None) -> AsyncIterator[Act]:
    """A transaction for one act; nothing is done that no record tells of. Errors as `careful`; UnreachableError.

    `subject`: whom it is about, as `Desk.key` gave it; acts and decisions about one customer come one after another.
    `opened`: the log, where one is open for many acts.
    """
    with nullcontext(opened) if opened is not None else acting(desk.audit) as acts:
        made = Act(desk, name, acts)
        try:
            async with careful(desk.connection, writes=True):
                if subject is not None:
                    await desk.lock(subject)
                yield made
        except BaseException:
            made.undone()
            raise
