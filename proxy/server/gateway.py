"""A gateway's worker: takes connections, keeps sessions, stops."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from contextlib import suppress
from time import perf_counter
from typing import Final

from proxy.audit.consents import ConsentLog
from proxy.audit.copies import Copies
from proxy.audit.log import LogOptions
from proxy.audit.record import session_fragment
from proxy.audit.syslog import SyslogSender
from proxy.audit.writer import AuditWriter
from proxy.errors import PgError
from proxy.server import cancel
from proxy.server.accept import Client, greet
from proxy.server.concerns import UNRECORDED
from proxy.server.database import Database
from proxy.server.listener import Listener
from proxy.server.login import LoggedIn, Refused, log_in
from proxy.server.mailbox import Mailbox
from proxy.server.options import Options, Upstream
from proxy.server.relay import Backend
from proxy.server.roster import Roster
from proxy.server.session import Session
from proxy.server.tls import server_context
from proxy.wire import errors
from proxy.wire.startup import CancelRequest

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5  # between two looks at the rules' files; what changed is taken at the second that sees it
STARTING: Final = 100  # connections beyond the limit that may be in their start-up (to be refused, or to cancel)


class Gateway:
    """One worker. `databases` by the names that apps ask for; `start` makes their first generations.

    `copies` gets the audit log's checkpoints; `consents` brings changes of consent into it. `roster` is what it shares
    with other workers; without other workers it has its own.
    """

    def __init__(
        self,
        options: Options,
        databases: Iterable[Database],
        copies: Copies | None = None,
        consents: ConsentLog | None = None,
        roster: Roster | None = None,
    ) -> None:
        self.options = options
        self.databases = {database.name: database for database in databases}
        for database in self.databases.values():
            database.on_rules = self._tell_rules
        self.statement_bytes = options.statement_bytes
        self._copies = copies
        self._consents = consents
        self._syslog: SyslogSender | None = None
        self.audit = AuditWriter(
            _log_options(options),
            options.worker,
            on_change=self._audit_changed,
            on_checkpoint=copies.add if copies is not None else None,
        )
        self.sessions: set[Session] = set()
        self.roster = roster or Roster(options.connections)
        self.keys: dict[bytes, Upstream] = {}  # where to send a cancel request
        self._starting: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._listener = Listener(options.listen, self._accepted)
        self._context = server_context(options)
        self._empty = asyncio.Event()

    async def start(self) -> None:
        """Loads rules and catalogs, then listens. Raises ConsentryError and OSError."""
        for database in self.databases.values():
            await database.start()
        consents = await self._consents.newest() if self._consents is not None else None
        if self.audit.open(consents, self._rules()):
            self._tell_rules()
        if self.options.audit_syslog:
            self._syslog = SyslogSender(self.options.audit_syslog, self.options.audit_directory, self.options.worker)
            self._syslog.start()
        self._listener.bind()
        self._listener.listen()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(database.watch(self.options.poll)) for database in self.databases.values()]
        self._tasks.append(loop.create_task(self._watch_rules()))
        if self._copies is not None:
            self._tasks.append(loop.create_task(self._copies.run()))
        if self._consents is not None:
            self._tasks.append(loop.create_task(self._consents.run(self.audit)))
        if self.options.idle_timeout:
            self._tasks.append(loop.create_task(self._end_idle()))

    async def stop(self, grace: float | None = None) -> None:
        """Takes no new connections; idle sessions end at once, others with their transaction, all after `grace`."""
        self._listener.close()
        for task in (*self._tasks, *self._starting):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._starting, return_exceptions=True)
        for session in list(self.sessions):
            session.drain()
        if self.sessions:
            log.info("waiting for %d transactions to end", len(self.sessions))
            self._empty.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.stop_timeout if grace is None else grace):
                    await self._empty.wait()
        for session in list(self.sessions):
            session.shut_down()
        await asyncio.sleep(0)  # what was written last goes out
        self.audit.close()
        await asyncio.sleep(0)  # what waited for its record goes out
        if self._syslog is not None:
            await asyncio.to_thread(self._syslog.stop)
        if self._copies is not None:
            await self._copies.finish()

    async def reload(self) -> bool:
        """Takes the rules of all databases anew; false where any of them stays as it was."""
        results = [await database.reload() for database in self.databases.values()]
        self._tell_rules()
        return all(results)

    async def _watch_rules(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            changed = [database.rules_changed() for database in self.databases.values()]  # each looks
            if any(changed):
                await self.reload()

    def _tell_rules(self) -> None:
        databases = self.databases.values()
        version = ",".join(database.generation.rules.version for database in databases)
        problem = "; ".join(database.problem for database in databases if database.problem) or None
        self.audit.rules(self._rules(), version, problem)

    def _rules(self) -> str:
        """The hashes of all databases' rules, without what the catalog adds."""
        return ",".join(database.generation.rules.digest for database in self.databases.values())

    def check_room(self) -> None:
        """Raises PgError (FATAL) where there are as many sessions as may be."""
        if self.roster.full:
            raise _too_many()

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        self.roster.end(session.database.upstream, session.cancel_key)
        self.roster.leave()
        session.database.sessions.discard(session)
        self.keys.pop(session.cancel_key, None)
        if not self.sessions:
            self._empty.set()

    # New connections.

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The TCP addresses that it listens on."""
        return self._listener.addresses

    def take(self, sock: socket.socket) -> None:
        """A connection that was made, its socket not blocking."""
        task = asyncio.get_running_loop().create_task(self._begin(sock))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _accepted(self, sock: socket.socket) -> None:
        if len(self.sessions) + len(self._starting) < self.options.connections + STARTING:
            self.take(sock)
        else:
            sock.close()

    async def _begin(self, sock: socket.socket) -> None:
        """From an accepted socket to a session, or to nothing."""
        local = sock.family == socket.AF_UNIX
        address = "local" if local else "unknown"
        client: Client | None = None
        begun = False
        try:
            async with asyncio.timeout(self.options.startup_timeout or None):
                if not local:
                    address = "{}:{}".format(*sock.getpeername())
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                client = await greet(sock, self._context)
                if isinstance(client.packet, CancelRequest):
                    await self._cancel(client.packet)
                    client.mailbox.transport.close()
                    return
                login = await log_in(self, client, address, local)
                self._open_session(login, client.mailbox)
                begun = True
        except Refused as refused:
            self._refuse(client, address, refused.error, told=True)
        except PgError as error:
            self._refuse(client, address, error, told=client is None)
        except TimeoutError:
            self._refuse(client, address, PgError("canceling authentication due to timeout", "57P05", severity="FATAL"))
        except OSError as error:
            log.info("client %s: %s", address, error)
            if client is not None:
                client.mailbox.transport.abort()
            else:
                sock.close()
        except asyncio.CancelledError:
            stopping = PgError("the database system is shutting down", "57P03", severity="FATAL")
            self._refuse(client, address, stopping)
            raise
        except Exception:
            log.exception("client %s: the start-up failed", address)
            self._refuse(client, address, PgError("internal error in the gateway", "XX000", severity="FATAL"))
        finally:
            if not begun:
                self.roster.leave()

    async def _cancel(self, request: CancelRequest) -> None:
        known = self.keys.get(request.key)
        upstreams = [known] if known is not None else [database.upstream for database in self.databases.values()]
        await cancel.forward(request, upstreams, self.options.connect_timeout)

    def _open_session(self, login: LoggedIn, mailbox: Mailbox) -> None:
        if not self.roster.begin(login.database.upstream, login.cancel_key, login.app):
            login.upstream.close()
            raise _too_many()  # others were quicker than this one's password
        server = login.upstream.get_protocol()
        assert isinstance(server, Mailbox)
        session = Session(self, login)
        backend = Backend(session, login.upstream, login.status)
        session.start(backend, backend.framing)
        self.sessions.add(session)
        login.database.sessions.add(session)
        if login.cancel_key:
            self.keys[login.cancel_key] = login.database.upstream
        self.audit.event("connect", session.fragment, backend=int.from_bytes(login.cancel_key[:4], "big") or None)
        log.info("session %s: login %s, app %s, from %s", session.name, login.login, login.app.name, login.address)
        login.client.set_protocol(session)
        login.upstream.set_protocol(backend)
        login.client.write(login.ready)
        early, answers = mailbox.rest(), server.rest()
        if answers:
            backend.data_received(answers)
        if early:
            session.data_received(early)
        if mailbox.ended or server.ended:
            session.end("connection lost in the start-up")

    def _refuse(self, client: Client | None, address: str, error: PgError, told: bool = False) -> None:
        """Tells the client (unless it has been told), the log and the audit log that there will be no session."""
        packet = client.packet if client is not None else None
        login = packet.get("user") if packet is not None and not isinstance(packet, CancelRequest) else None
        database = None
        if packet is not None and not isinstance(packet, CancelRequest):
            database = packet.get("database") or login
        log.warning("client %s: login %s refused: %s", address, login, error.message)
        fragment = session_fragment("", None, login, address, None, database, client.tls if client else None)
        self.audit.event("connect_refused", fragment, sqlstate=error.sqlstate, message=error.message)
        if client is not None:
            if not told:
                error.severity = "FATAL"
                client.mailbox.transport.write(errors.encode(error))
            client.mailbox.transport.close()

    # All sessions.

    def _audit_changed(self, failing: bool) -> None:
        for session in self.sessions:
            if failing:
                session.concern(UNRECORDED)
            else:
                session.concerns &= ~UNRECORDED
                session.settle()

    async def _end_idle(self) -> None:
        limit = self.options.idle_timeout
        while True:
            await asyncio.sleep(min(limit / 4, 10))
            now = perf_counter()
            for session in list(self.sessions):
                if session.idle and now - session.clock > limit:
                    session.fail(
                        PgError("terminating connection due to idle-session timeout", "57P05", severity="FATAL")
                    )


def _too_many() -> PgError:
    return PgError("sorry, too many clients already", "53300", severity="FATAL")


def _log_options(options: Options) -> LogOptions:
    return LogOptions(
        directory=options.audit_directory,
        key=options.audit_key or options.audit_directory / "audit.key",
        required=options.audit_required,
        full_text=options.audit_full_text,
        rotate_size=options.audit_rotate_size,
        rotate_every=options.audit_rotate_every,
        keep=options.audit_keep,
        fsync=options.audit_fsync,
    )
