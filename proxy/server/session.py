"""One client, from its first ReadyForQuery to its end: its state, and the way of its bytes to the server.

The hot path is `data_received`: one dict look-up by the exact bytes of a simple query, or by the text in a `batch` of
the extended protocol, and one write. What messages do is in `frontend`, what answers do in `relay`.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Final

from proxy.audit.record import session_fragment
from proxy.catalog.model import SearchPath, Unsure
from proxy.errors import PgError
from proxy.server import batch, probe
from proxy.server.concerns import DIRTY, DRAINING, LOOKING, STALE, TOUCHED, UNRECORDED, WAITING
from proxy.server.frontend import HANDLERS
from proxy.server.generation import Context
from proxy.server.statements import Statements
from proxy.wire import errors, messages
from proxy.wire.backend import BackendFraming
from proxy.wire.framing import HOLD, FrontendFraming, Hold, NotTakenError
from proxy.wire.states import State

if TYPE_CHECKING:
    from proxy.server.gateway import Gateway
    from proxy.server.login import LoggedIn
    from proxy.server.relay import Backend

log = logging.getLogger(__name__)

HELD_BYTES: Final = 64 * 1024  # of messages that wait; beyond it the client is not read
PROBES: Final = 3  # how often the server is asked again when the question is cancelled


class Session(asyncio.Protocol):
    """The client's side of a session; `backend` is the server's."""

    def __init__(self, gateway: Gateway, login: LoggedIn) -> None:
        self.gateway = gateway
        self.database = login.database
        self.audit = gateway.audit
        self.name = login.session
        self.login = login.login
        self.login_facts = login
        self.application_name = login.application_name
        self.encoding = login.encoding
        self.cancel_key = login.cancel_key
        self.transport: asyncio.Transport = login.client
        self.framing = FrontendFraming(self, HANDLERS[State.READY], gateway.statement_bytes)
        self.statements = Statements()
        self.state = State.READY
        self.open = False  # extended messages were sent since the last Sync
        self.concerns = UNRECORDED if gateway.audit.failing else 0
        self.refreshed = False  # the catalog was read again for the message that is held
        self.unsure = False  # waits until earlier batches are answered
        self.ended = False
        self.fatal: PgError | None = None  # the server has ended the session with it
        self.answer: list[bytes | None] | None = None
        self.probes = 0
        self.injection = b""
        self.clock = perf_counter()  # when the server began what it is doing
        self.hot = not self.concerns
        self._slow = False  # the client does not read
        self._unread = 0  # reasons not to read from the client: 1 the server is slow, 2 messages wait
        self._use(login.generation.context(login.app.name, login.path, login.encoding))
        self.describe()
        self.backend: Backend  # set by `start`

    def start(self, backend: Backend, framing: BackendFraming) -> None:
        """Takes over both transports."""
        self.backend = backend
        self.answers = framing
        self.pending = framing.pending
        self.write_upstream = backend.transport.write
        if self.database.generation is not self.context.generation:  # while the login was under way
            self.renew()
        if self.database.looking:
            self.await_look()

    def describe(self) -> None:
        """Makes the part of audit records that all statements of the session share."""
        self.fragment = session_fragment(
            self.name,
            self.context.app.name,
            self.login,
            self.login_facts.address,
            self.application_name,
            self.database.name,
            self.login_facts.tls,
        )
        self.executed = self.audit.begin("statement", self.fragment)

    # What the client sends.

    def data_received(self, data: bytes) -> None:
        if not self.pending:
            self.clock = perf_counter()
        if self.hot:
            if data[0] == messages.QUERY:
                entry = self.plain(data)
                if entry is not None and b"" not in self.statements.current:
                    self.pending.append(entry.on_query)
                    self.write_upstream(entry.message)
                    return
            else:
                out = batch.take(self, data)
                if out is not None:
                    self.write_upstream(out)
                    return
        if not self.ended:
            self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            out = self.framing.feed(data)
        except Exception as error:
            self.fail(error)
            return
        self._send(out)

    def _send(self, out: bytes) -> None:
        if self.injection:
            out += self.injection
            self.injection = b""
        if out and not self.ended:
            self.write_upstream(out)
        if self.state is State.CLOSED:
            self.end("client ended")
            return
        self.settle()
        if self.framing.held or self._unread:
            self.pause_client(2, self.framing.held and self.framing.buffered > HELD_BYTES)

    def settle(self) -> None:
        """Says whether the next bytes may take the hot path."""
        self.hot = self.state is State.READY and self.framing.between and not self.open and not self.concerns
        self.answers.attention = (
            self.concerns & (TOUCHED | DRAINING) != 0 or self.unsure or len(self.statements.portals) > 1
        )

    def resume(self) -> None:
        """Goes on with the messages that were held."""
        self.concerns &= ~WAITING
        if not self.framing.held or self.ended:
            self.settle()
            return
        try:
            out = self.framing.resume()
        except Exception as error:
            self.fail(error)
            return
        self._send(out)

    def enter(self, state: State) -> None:
        """Messages mean from now on what the table says for this state."""
        self.state = state
        self.framing.handlers = HANDLERS[state]

    # Names and rules.

    def _use(self, context: Context) -> None:
        self.context = context
        self.plain = context.plain

    @property
    def governed(self) -> bool:
        return not self.context.app.trusted

    def renew(self) -> None:
        """A new generation is in force: it is taken before the next statement."""
        self.concern(STALE)

    def await_look(self) -> None:
        """The catalog has changed: statements wait until it was read again. Those of trusted apps need not."""
        if self.governed:
            self.concern(LOOKING)

    def looked(self) -> None:
        """The catalog was read again."""
        self.concerns &= ~LOOKING
        self.settle()

    def gate(self) -> Hold | None:
        """Before a message that names are looked up for: takes new rules, asks the server what names mean.

        Raises PgError (FATAL) where the login has lost its app.
        """
        concerns = self.concerns
        if not concerns:
            return None
        if concerns & WAITING:
            return HOLD
        if concerns & LOOKING:
            self.concern(WAITING)
            self.database.after_look(self.resume)
            return HOLD
        if concerns & STALE:
            self._take_generation()
        if concerns & TOUCHED and self.answers.unanswered:
            self.concerns |= DIRTY  # the transaction may have ended by now, one way or the other
        if self.concerns & DIRTY:
            if not self.governed:
                self.concerns &= ~(DIRTY | TOUCHED)
            elif self.answers.failed:
                pass  # the server answers nothing now, and refuses all that looks a name up
            else:
                self.ask()
                return HOLD
        return None

    def concern(self, what: int) -> None:
        """Something must be seen to before the next statement."""
        self.concerns |= what
        self.hot = False

    def _take_generation(self) -> None:
        generation, before = self.database.generation, self.context.generation
        app = generation.app_of(self.login)
        if app is None:
            raise PgError(f'login "{self.login}" is not listed in the rules any more', "28000", severity="FATAL")
        self._use(generation.context(app.name, self.context.path, self.encoding))
        self.concerns = self.concerns & ~STALE | DIRTY
        if not self.governed and generation.snapshot.schemas != before.snapshot.schemas:
            self.lose_track("names")
        self.describe()

    def ask(self) -> None:
        """Sends the question to the server, between batches or inside of one."""
        self.concern(WAITING)
        self.answer = None
        expected = probe.EXPECTED_WITH_FLUSH if self.open else probe.EXPECTED_WITH_SYNC
        self.injection += probe.ASK_AND_FLUSH if self.open else probe.ASK_AND_SYNC
        self.pending.extend(expected)
        self.answers.injected += len(expected)

    def answered(self, status: int | None) -> None:
        """The server has answered the question, or failed to; `status` where a ReadyForQuery ended it."""
        if self.answer is not None:
            self.probes = 0
            self.concerns &= ~(DIRTY | TOUCHED) if status == messages.IDLE else ~DIRTY
            path = probe.search_path(self.answer)
            if path != self.context.path:
                self.use_path(path)
        elif status is not None and status != messages.IN_FAILED_TRANSACTION:
            self.probes += 1
            if self.probes >= PROBES:
                self.fail(PgError("the database did not say what names mean", "58000", severity="FATAL"))
                return
        self.answer = None
        self.resume()

    def use_path(self, path: SearchPath) -> None:
        """Plans for this path from now on."""
        self._use(self.context.generation.context(self.context.app.name, path, self.encoding))

    def lose_track(self, of: Unsure) -> None:
        """A statement that passes as it is may have changed what later ones mean: their records will say so."""
        if self.context.path.unsure not in (of, "text"):
            self.use_path(SearchPath(unsure=of))

    def use_encoding(self, encoding: str | None) -> None:
        """The client_encoding has changed."""
        if encoding is None:
            self.fail(PgError("this client_encoding is not supported", "0A000", severity="FATAL"))
        elif encoding != self.encoding:
            self.encoding = encoding
            self.use_path(self.context.path)

    def await_catalog(self) -> Hold:
        """A statement names a relation that the snapshot does not have: waits until the catalog was read again."""
        self.concern(WAITING)
        self.refreshed = True
        self.database.refresh_soon(self.resume)
        return HOLD

    def await_answers(self) -> Hold:
        """What a name stands for depends on batches that are not answered yet."""
        self.concern(WAITING)
        self.unsure = True
        return HOLD

    # Flow.

    def pause_client(self, reason: int, paused: bool) -> None:
        """Stops or goes on reading from the client, which has no more than its reasons."""
        before = self._unread
        self._unread = before | reason if paused else before & ~reason
        if bool(before) != bool(self._unread) and not self.transport.is_closing():
            if self._unread:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The client is slow: its server is not read."""
        self._slow = True
        if not self.backend.transport.is_closing():
            self.backend.transport.pause_reading()

    def resume_writing(self) -> None:
        self._slow = False
        self.read_backend()

    def read_backend(self) -> None:
        """Goes on reading from the server, unless there is another reason not to."""
        if not self._slow and not self.backend.held.paused and not self.backend.transport.is_closing():
            self.backend.transport.resume_reading()

    # The end.

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("client gone" if self.framing.between else "client gone in the middle of a message")

    def fail(self, error: Exception) -> None:
        """Tells the client a FATAL error and ends the session. What is no PgError is a fault of the gateway."""
        if self.ended:
            return
        if not isinstance(error, PgError):
            log.error("session %s (login %s): fault", self.name, self.login, exc_info=error)
            error = PgError("internal error in the gateway", "XX000", severity="FATAL")
        log.warning("session %s (login %s): %s", self.name, self.login, error.message)
        if isinstance(error, NotTakenError):
            self.backend.sink.not_taken(error)
        if self.answers.between:  # else it would stand in the middle of a row
            self._tell(errors.encode(error, encoding=self.encoding))
        self.end(error.message, error.sqlstate)

    def _tell(self, data: bytes) -> None:
        backend = self.backend
        if backend.covers and backend.sink.recorded:
            backend.held.add(data, True)
        elif backend.held.parts:
            backend.held.follow(data)
        else:
            self.transport.write(data)

    def drain(self) -> None:
        """Ends as soon as no transaction is under way."""
        self.concern(DRAINING)
        if self.idle:
            self.shut_down()
        else:
            self.settle()

    @property
    def idle(self) -> bool:
        return self.answers.status == messages.IDLE and not self.pending and not self.open

    def shut_down(self) -> None:
        self.fail(PgError("terminating connection due to administrator command", "57P01", severity="FATAL"))

    def end(self, reason: str, sqlstate: str | None = None) -> None:
        """Closes both sides; what was written before still goes out. May be called again."""
        if self.ended:
            return
        self.ended = True
        self.hot = False
        self.backend.sink.abandoned()
        self.audit.event("disconnect", self.fragment, message=reason, sqlstate=sqlstate)
        self.backend.held.close()
        if not self.backend.transport.is_closing():
            self.backend.transport.close()
        self.gateway.forget(self)
