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
from proxy.errors import UnreachableError
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.rights import receipts
from proxy.rights.committed import Connecting, answered, number_of, outcome
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
    again: Connecting  # another connection, where this one ended

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
        self._transaction: str | None = None  # its number

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
        self._transaction = await number_of(desk.connection)
        await copy(desk.connection, self._acts.checkpoints)
        self._acts.checkpoints.clear()

    def undone(self) -> None:
        """The record was written, and the database did not commit."""
        self._correct(undone=True)

    async def is_done(self, error: BaseException) -> bool:
        """Whether the database committed though `error` came instead of its answer.

        Where nobody can say so for now, the record has that, and UnreachableError is raised.
        """
        if self._transaction is None or answered(error):
            return False
        committed = await outcome(self.desk.again, self._transaction)
        if committed is None:
            self._correct(in_doubt=True)
            what = "the connection ended while the database committed, and what became of it is not known"
            raise UnreachableError(f"{what}; do it again, which does nothing twice") from error
        return committed

    def _correct(self, **how: bool) -> None:
        if self._written is not None:
            self._acts.record(self._name, actor=self.desk.actor, **self._written, **how)


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
        made, committing = Act(desk, name, acts), False
        try:
            async with careful(desk.connection, writes=True):
                if subject is not None:
                    await desk.lock(subject)
                yield made
                committing = True
        except BaseException as error:
            if committing and await made.is_done(error) and isinstance(error, Exception):
                return
            made.undone()
            raise
