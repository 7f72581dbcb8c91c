"""The server's side of a session: its bytes on the way to the client, and what its answers change."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING

from proxy.audit.record import error_tail, statement_fragments, statement_tail
from proxy.errors import PgError
from proxy.rewrite.settings import encoding_of
from proxy.server import probe
from proxy.server.borrowed import Borrowed
from proxy.server.concerns import DIRTY, DRAINING, TOUCHED
from proxy.server.generation import Entry
from proxy.server.held import Held
from proxy.wire import errors, messages
from proxy.wire.backend import SUSPENDED, BackendFraming
from proxy.wire.scrub import Fields, Scrubber, field, of_statement
from proxy.wire.states import Awaiting, Expected, State

if TYPE_CHECKING:
    from proxy.rewrite.result import Plan
    from proxy.server.session import Session

log = logging.getLogger(__name__)


class Backend(asyncio.Protocol):
    """The server's connection of a session."""

    def __init__(self, session: Session, transport: asyncio.Transport, status: int) -> None:
        self.session = session
        self.transport = transport
        self.sink = Answers(session)
        self.framing = BackendFraming(self.sink, status)
        self.feed = self.framing.feed
        self.client = session.transport
        self.write = session.transport.write
        self.covers = session.audit.required  # no answer goes out before its record is written
        self.held = Held(session, transport)

    def data_received(self, data: bytes) -> None:
        clean = not self.framing.stream
        try:
            out = self.feed(data)
        except Exception as error:
            self.session.fail(error)
            return
        if not out or self.client.is_closing():
            return
        if self.covers:
            sink = self.sink
            if self.framing.inside and not sink.begun:
                sink.begin(self.framing)
            if sink.recorded:
                sink.recorded = False
                self.held.add(out, clean)
                return
            if self.held.parts:
                self.held.follow(out)
                return
        self.write(out)

    def pause_writing(self) -> None:
        self.session.pause_client(1, True)

    def resume_writing(self) -> None:
        self.session.pause_client(1, False)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        session = self.session
        if session.ended:
            return
        if session.fatal is None:
            session.fail(PgError("the connection to the database was lost", "08006", severity="FATAL"))
        else:
            session.end(session.fatal.message, session.fatal.sqlstate)


class Answers:
    """What the answers of the server change in the session (a `wire.backend.Sink`)."""

    __slots__ = ("audit", "begun", "borrowed", "recorded", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.audit = session.audit
        self.borrowed = Borrowed(session.statements)
        self.recorded = False  # what goes out next must wait for records that were appended
        self.begun = False  # a record says that the answer which is under way was begun

    def begin(self, framing: BackendFraming) -> None:
        """A part of an answer is to go out, and its statement has not ended: a record says what it discloses."""
        item = framing.pending[0] if framing.pending else None
        if (
            item is None
            or item.owner is None
            or item.swallow
            or item.awaiting not in (Awaiting.QUERY, Awaiting.EXECUTE)
        ):
            return
        entry: Entry = item.owner
        fragment = self._fragment(entry, item.done)
        duration = f'"duration_us":{int((perf_counter() - self.session.clock) * 1e6)}'
        self.audit.append(self.audit.begin("started", self.session.fragment), fragment, duration)
        self.recorded = self.begun = True

    def completed(self, item: Expected, tag: bytes) -> None:
        session = self.session
        now = perf_counter()
        fragment = item.owner.record or self._completed(item)
        rows = _rows(tag) if tag is not SUSPENDED else item.limit
        self.audit.append(session.executed, fragment, statement_tail(rows, int((now - session.clock) * 1e6)))
        session.clock = now
        self.recorded = True
        self.begun = False

    def _completed(self, item: Expected) -> str:
        """The same where it is told for the first time of an entry, or is more than a record."""
        entry: Entry = item.owner
        number = item.done
        fragment = self._fragment(entry, number)
        if entry.several and item.awaiting is Awaiting.QUERY:
            item.done += 1
        if entry.changes_names:
            self.session.statements.executed(entry, number)
        if entry.borrows:
            self.borrowed.done(entry, number)
        elif entry.plain:
            entry.record = fragment
        return fragment

    def _fragment(self, entry: Entry, number: int) -> str:
        """What the records of all executions of the text's statement share."""
        if entry.borrows:
            made = self.borrowed.fragment(entry, number, self.audit.full_text)
            if made is not None:
                return entry.trace + made
        fragments = entry.fragments or make_fragments(entry, self.audit.full_text)
        return entry.trace + (fragments[number] if number < len(fragments) else fragments[-1])

    def parsed(self, item: Expected) -> None:
        self.session.statements.parsed(item)

    def closed(self, item: Expected) -> None:
        if item is probe.ANSWERED:
            self.session.answered(None)
        else:
            self.session.statements.closed(item)

    def failed(self, item: Expected | None, body: bytes, dropped: list[Expected], skipping: bool) -> bytes | None:
        session = self.session
        fields = errors.split(body)
        error = errors.decode(body)
        fatal = errors.ends_connection(fields)
        if fatal:
            session.fatal = error
        if session.state is State.COPY_IN:
            session.enter(State.READY)
        if dropped:
            session.statements.restore(item, session.pending)
        if skipping:
            session.enter(State.SKIPPING)
            session.open = True
            session.hot = False
        if probe.ANSWERED in dropped:  # the batch has failed, and with it the question inside
            asyncio.get_running_loop().call_soon(session.answered, None)
        entry: Entry | None = item.owner if item is not None else None
        if entry is None:
            context = session.context
            return errors.rewrite(fields, context.scrubber) if context.scrubs else None
        plan = entry.plan
        refusal = None if fatal else plan.refusal
        if refusal is not None and error.sqlstate == _TRANSACTION_FAILED and refusal.sqlstate != _SYNTAX_ERROR:
            refusal = None  # the server did not look at the statement either
        if refusal is not None:
            self._record_failure(item, entry, refusal, "refused")
            return errors.encode(refusal, encoding=session.encoding)
        self._record_failure(item, entry, error, "statement", fields, session.answers.rows)
        if plan.rewritten and error.sqlstate in _OF_STALE_PLANS:
            session.database.look_soon()
        if not plan.scrub and not plan.splices:
            return None
        scrubber: Scrubber | None = entry.context.scrubber if plan.scrub else None
        if scrubber is not None and _of_whole(plan, fields) and not scrubber.is_of_hidden_constraint(fields):
            scrubber = None
        position = plan.original_position if plan.splices else None
        if scrubber is not None and plan.guessing and error.sqlstate == _UNDEFINED_COLUMN:
            fields = [(code, value) for code, value in fields if code not in "DH"]
        return errors.rewrite(fields, scrubber, position, own=_is_own(plan, fields))

    def not_taken(self, error: PgError) -> None:
        """A statement whose message is too long to be read: nothing was sent, and the session ends."""
        told = PgError(f"{error.message}. {error.hint}", error.sqlstate)
        self._record_failure(None, self.session.context.refused(error), told, "refused")

    def abandoned(self) -> None:
        """The connection has ended: what was not answered is recorded. The server may have done it, or send it yet."""
        session = self.session
        lost = PgError("the connection ended before the answer did", "08006")
        for number, item in enumerate(session.pending):
            if item.owner is None or item.swallow or item.awaiting not in _EXECUTED:
                continue
            entry: Entry = item.owner
            if number == 0 and session.answers.told and item.done in (0, len(entry.plan.statements)):
                continue
            self._record_failure(item, entry, lost, "statement", rows=0 if number else session.answers.rows)

    def _record_failure(
        self,
        item: Expected | None,
        entry: Entry,
        error: PgError,
        event: str,
        fields: Fields | None = None,
        rows: int | None = None,
    ) -> None:
        """`fields`: of the server's error, where it is one. `rows`: how many went out before."""
        session = self.session
        now = perf_counter()
        fragment = self._fragment(entry, item.done if item is not None else 0)
        message = session.context.scrubber.message(
            fields or [("C", error.sqlstate.encode()), ("M", error.message.encode())]
        )
        message = of_statement(message, error.sqlstate, fragment, ours=not fields)
        tail = error_tail(error.sqlstate, message, int((now - session.clock) * 1e6), rows)
        session.clock = now
        self.audit.append(self.audit.begin(event, session.fragment), fragment, tail)
        self.recorded = event != "refused" or not self.audit.failing  # a refusal discloses nothing
        self.begun = False

    def notice(self, item: Expected | None, body: bytes) -> bytes | None:
        entry: Entry | None = item.owner if item is not None else None
        fields = errors.split(body)
        if self.session.context.rewrites and field(fields, "V").startswith(_OF_THE_SERVER):
            return b""
        scrub = self.session.context.scrubs if entry is None else entry.plan.scrub
        if not scrub and (entry is None or not entry.plan.splices):
            return None
        position = entry.plan.original_position if entry is not None and entry.plan.splices else None
        scrubber = (entry.context if entry is not None else self.session.context).scrubber if scrub else None
        own = entry is not None and _is_own(entry.plan, fields)
        return errors.rewrite(fields, scrubber, position, messages.NOTICE, own)

    def notification(self, body: bytes) -> bytes | None:
        """Another app's payload is left out: it may hold what that app sees and this one does not."""
        session = self.session
        if not session.context.scrubs:
            return None
        if not session.gateway.roster.from_another_app(session.database.upstream, body, session.context.app):
            return None
        channel = body[: body.index(b"\0", 4) + 1]
        return messages.message(messages.NOTIFICATION, channel + b"\0")

    def ready(self, status: int, item: Expected | None) -> None:
        session = self.session
        if item is probe.SYNCED:
            session.answered(status)
            return
        if status == messages.IDLE:
            if session.concerns & TOUCHED:
                session.concerns = session.concerns & ~TOUCHED | DIRTY
            if not session.pending:
                session.statements.portals.clear()
                if session.concerns & DRAINING:
                    asyncio.get_running_loop().call_soon(session.drain)
        if session.unsure and not session.answers.unanswered:
            session.unsure = False
            session.resume()
        else:
            session.settle()

    def parameter(self, name: bytes, value: bytes) -> None:
        session = self.session
        text = value.decode("utf-8", "replace")
        if name == b"application_name":
            session.application_name = text
            session.describe()
        elif name == b"client_encoding":
            session.use_encoding(encoding_of(text))
        elif name == b"search_path":  # PostgreSQL 18 tells, whatever has changed it
            if session.governed:
                session.concern(DIRTY | TOUCHED)
            else:
                session.lose_track("names")
        elif name == b"standard_conforming_strings" and value != b"on" and not session.governed:
            session.lose_track("text")

    def copy_in(self, item: Expected) -> None:
        self.session.enter(State.COPY_IN)
        self.session.hot = False

    def row(self, values: list[bytes | None]) -> None:
        self.session.answer = values

    def injection_failed(self, body: bytes) -> None:
        log.warning(
            "session %s: a question of the gateway's failed: %s", self.session.name, errors.decode(body).message
        )


_EXECUTED = frozenset((Awaiting.QUERY, Awaiting.EXECUTE, Awaiting.BATCH))


@lru_cache(1000)
def _rows(tag: bytes) -> int | None:
    """How many rows the tag of a CommandComplete tells of."""
    word = tag[tag.rfind(b" ") + 1 :]
    return int(word) if word.isdigit() else None


_TRANSACTION_FAILED = "25P02"
_SYNTAX_ERROR = "42601"
_UNDEFINED_COLUMN = "42703"
# What the server says of a relation, column, function or type that is no more, or has another type.
_OF_STALE_PLANS = frozenset(("42P01", "42703", "42883", "42704", "0A000", "42804"))

# Severities of notices (client_min_messages) that hold what the gateway sent, and not what the app did.
_OF_THE_SERVER = (b"DEBUG", b"LOG")


def _of_whole(plan: Plan, fields: Fields) -> bool:
    """Whether the error tells of a row of a written relation that the app has whole; not what a function says of it."""
    schema, table = (field(fields, code).decode("utf-8", "replace") for code in "st")
    return (schema, table) in plan.whole and not field(fields, "R").startswith(b"exec_stmt_")


def _is_own(plan: Plan, fields: Fields) -> bool:
    """Whether the error's position is in what the app itself wrote."""
    position = field(fields, "P")
    return position.isdigit() and not plan.is_spliced(int(position))


def make_fragments(entry: Entry, full_text: bool) -> list[str]:
    """The constant parts of the text's audit records, kept with the entry."""
    plan = entry.plan
    texts = entry.sent if full_text else ()
    made = statement_fragments(
        plan.statements, entry.rewritten, entry.context.generation.rules.version, texts, plan.refused_as
    )
    if full_text:
        entry.fragments = made
    else:
        entry.fragments += made  # in place: entries of one template share them
    return entry.fragments
