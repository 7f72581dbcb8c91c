"""What each message from the frontend does: one handler an action of `wire.states.TABLE`.

A handler gives what is sent in the message's place (None: the message as it is), and appends to `session.pending` what
the server will answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from proxy.errors import PgError, insufficient_privilege, protocol_violation
from proxy.server import probe
from proxy.server.concerns import DIRTY, TOUCHED, UNRECORDED
from proxy.server.generation import Entry
from proxy.server.statements import renew, server_name
from proxy.wire import messages
from proxy.wire.framing import HOLD, Before, Handler, Outcome, statement_too_long, zero_terminated
from proxy.wire.states import CLOSE, COPY_END, SYNC, TABLE, Action, Awaiting, Expected, State

if TYPE_CHECKING:
    from proxy.server.session import Session


def _query(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if session.gate() is HOLD:
        return HOLD
    _check_length(session, start, end)
    entry = session.context.query(data[start:end])
    if _unknown_name(session, entry):
        return session.await_catalog()
    if any(_uncertain(session, server_name(name.encode())) for name in entry.executes):
        return session.await_answers()
    session.refreshed = False
    prefix = b""
    refusal = _refused_now(session) or _mixed_ends(session, entry)
    if refusal is None and entry.executes:
        refusal, prefix = _renew_executed(session, entry)
    if refusal is not None:
        entry = session.context.refused(refusal, entry)
    drops_unnamed = b"" in session.statements.current
    if drops_unnamed:
        del session.statements.current[b""]
    if drops_unnamed or entry.several:
        item = Expected(Awaiting.QUERY, entry, name=b"" if drops_unnamed else None)
    else:
        item = entry.on_query
    session.pending.append(item)
    session.open = False
    session.statements.fresh.clear()
    _note_effects(session, entry)
    if entry.plan.rewritten or entry.plan.refusal is not None:
        return prefix + entry.message
    return Before(prefix) if prefix else None


def _parse(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if session.concerns and session.gate() is HOLD:
        return HOLD
    if data[start + 5] == 0:
        name, after = b"", start + 6
    else:
        name, after = zero_terminated(data, start + 5, end)
        name = server_name(name, session.encoding)
    _check_length(session, start, end)
    if name and name in session.statements.current and _uncertain(session, name):
        return session.await_answers()
    entry = session.context.parse(data[after:end])
    if _unknown_name(session, entry):
        return session.await_catalog()
    session.refreshed = False
    if session.concerns:
        refusal = _refused_now(session)
        if refusal is not None:
            entry = session.context.refused(refusal, entry)
    session.pending.append(Expected(Awaiting.PARSE, entry, name=name) if name else entry.on_parse)
    if not name or name not in session.statements.current:  # a name that is taken: the server will refuse
        session.statements.current[name] = entry
        session.statements.fresh.add(name)
    session.open = True
    if entry.plan.rewritten or entry.plan.refusal is not None:
        return entry.parse(name)
    return None


def _bind(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if session.concerns and session.gate() is HOLD:
        return HOLD
    if data[start + 5] == 0 and data[start + 6 : start + 7] == b"\0":
        portal = name = b""
    else:
        portal, after = zero_terminated(data, start + 5, end)
        name, _ = zero_terminated(data, after, end)
        portal, name = server_name(portal, session.encoding), server_name(name, session.encoding)
    statements = session.statements
    entry = statements.current.get(name)
    if entry is None or entry is not statements.confirmed.get(name):
        if _uncertain(session, name):
            return session.await_answers()
        entry = statements.current.get(name)
    prefix = b""
    if entry is None or entry.context is not session.context or session.concerns:
        entry, prefix = _usable(session, name, entry)
        if entry.plan.refusal is not None:
            session.pending.append(entry.on_bind)
            session.open = True
            return messages.bind(b"", probe.NOWHERE)
    session.pending.append(entry.on_bind)
    statements.portals[portal] = entry
    session.open = True
    return Before(prefix) if prefix else None


def _describe(session: Session, data: bytes, start: int, end: int) -> Outcome:
    name, after = zero_terminated(data, start + 6, end)
    if after != end:
        raise protocol_violation("invalid message format")
    name = server_name(name, session.encoding)
    prefix = b""
    kind = data[start + 5]
    if kind == 83:  # S
        if session.concerns and session.gate() is HOLD:
            return HOLD
        if _uncertain(session, name):
            return session.await_answers()
        entry = session.statements.current.get(name)
        if entry is None or entry.context is not session.context:
            entry, prefix = _usable(session, name, entry)
            if entry.plan.refusal is not None:
                session.pending.append(entry.on_describe)
                session.open = True
                return messages.describe(b"S", probe.NOWHERE)
    else:
        entry = session.statements.portals.get(name) or session.context.unknown
    session.pending.append(entry.on_describe)
    session.open = True
    return Before(prefix) if prefix else None


def _execute(session: Session, data: bytes, start: int, end: int) -> Outcome:
    portal = b"" if data[start + 5] == 0 else zero_terminated(data, start + 5, end)[0]
    if session.concerns and not portal.isascii() and session.gate() is HOLD:  # client_encoding may have changed
        return HOLD
    portal = server_name(portal, session.encoding)
    entry = session.statements.portals.get(portal) or session.context.unknown
    prefix = b""
    if not entry.plain or session.concerns:
        if entry.executes and session.gate() is HOLD:
            return HOLD
        if any(_uncertain(session, server_name(name.encode())) for name in entry.executes):
            return session.await_answers()
        refusal = _refused_now(session)
        if refusal is None and entry.executes:
            refusal, prefix = _renew_executed(session, entry)
        session.open = True
        if refusal is not None:
            session.pending.append(session.context.refused(refusal, entry).on_execute)
            return messages.execute(probe.NOWHERE)
        _note_effects(session, entry, in_batch=True)
    limit = data[end - 4 : end]
    if limit == b"\0\0\0\0":
        session.pending.append(entry.on_execute)
    else:
        session.pending.append(Expected(Awaiting.EXECUTE, entry, limit=int.from_bytes(limit, "big")))
    session.open = True
    return Before(prefix) if prefix else None


def _close(session: Session, data: bytes, start: int, end: int) -> Outcome:
    # A question within the batch that it begins would be of its transaction: in it DISCARD ALL and VACUUM are refused.
    if not session.open and session.concerns and session.gate() is HOLD:
        return HOLD
    name, after = zero_terminated(data, start + 6, end)
    if after != end:
        raise protocol_violation("invalid message format")
    name = server_name(name, session.encoding)
    if data[start + 5] == 83:  # S
        session.statements.current.pop(name, None)
        session.statements.fresh.add(name)
        session.pending.append(Expected(Awaiting.CLOSE, name=name))
    else:
        session.statements.portals.pop(name, None)
        session.pending.append(CLOSE)
    session.open = True
    return None


def _sync(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if end - start != 5:
        raise protocol_violation("invalid message length")
    session.pending.append(SYNC)
    session.open = False
    if session.statements.fresh:
        session.statements.fresh.clear()
    return None


def _flush(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if end - start != 5:
        raise protocol_violation("invalid message length")
    return None


def _resume(session: Session, data: bytes, start: int, end: int) -> Outcome:
    session.enter(State.READY)
    return _sync(session, data, start, end)


def _function(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if session.gate() is HOLD:
        return HOLD
    session.open = False
    if not session.governed:
        session.pending.append(session.context.called.on_query)
        return None
    refusal = insufficient_privilege(
        f"app {session.context.app.name} may not use the fast-path function call",
        "Call the function in a SELECT.",
    )
    entry = session.context.refused(refusal)
    session.pending.append(entry.on_query)
    return entry.message


def _copy_end(session: Session, data: bytes, start: int, end: int) -> Outcome:
    if session.state is State.COPY_IN:
        session.enter(State.READY)
    elif session.pending:
        session.pending.append(COPY_END)
    return None


def _discard(session: Session, data: bytes, start: int, end: int) -> Outcome:
    return b""


def _terminate(session: Session, data: bytes, start: int, end: int) -> Outcome:
    session.enter(State.CLOSED)
    return None


def _violation(session: Session, data: bytes, start: int, end: int) -> Outcome:
    raise protocol_violation(f"unexpected message type 0x{data[start]:02X} during COPY from stdin")


# What handlers share.


def _check_length(session: Session, start: int, end: int) -> None:
    if end - start - 6 > session.framing.statement_bytes:
        raise statement_too_long(end - start - 6, session.framing.statement_bytes)


def _unknown_name(session: Session, entry: Entry) -> bool:
    """Whether the catalog should be looked at again before the refusal is believed: what it misses may be new."""
    refusal = entry.plan.refusal or entry.plan.refused_as
    return refusal is not None and refusal.sqlstate in _MISSING and not session.refreshed


def _refused_now(session: Session) -> PgError | None:
    """The refusal of everything while records that must be written cannot be."""
    if session.concerns & UNRECORDED and session.audit.required:
        return PgError(
            "the audit log cannot be written",
            "58030",
            hint="Statements are refused until it can be: see the gateway's log, or its disk.",
        )
    return None


def _mixed_ends(session: Session, entry: Entry) -> PgError | None:
    """A text that ends a transaction in which names changed, and goes on: what it means then is not known."""
    if session.concerns & TOUCHED and entry.ends_transaction and entry.several:
        return PgError(
            "a query that ends a transaction in which search_path or temp tables changed must stand alone",
            "0A000",
            hint="Send COMMIT or ROLLBACK as a query of its own.",
        )
    return None


def _note_effects(session: Session, entry: Entry, in_batch: bool = False) -> None:
    changes = entry.changes_path or (session.concerns & TOUCHED and entry.ends_transaction)
    if changes and session.governed:
        session.concern(DIRTY | TOUCHED)
    elif changes:
        session.lose_track("names")
    if entry.changes_names and entry.plan.refusal is None:
        session.statements.executing(entry, in_batch)


def _uncertain(session: Session, name: bytes) -> bool:
    """Whether what the name stands for depends on batches that are not answered yet."""
    if not session.statements.uncertain(name):
        return False
    if session.answers.unanswered:
        return True
    session.statements.settle(name)
    return False


def _usable(session: Session, name: bytes, entry: Entry | None) -> tuple[Entry, bytes]:
    """The entry to use for a prepared statement, and what is sent before; with a refusal where it must not be used."""
    refusal = _refused_now(session)
    if refusal is None and entry is None:
        refusal = _no_statement(name)
    if refusal is not None or entry is None:
        assert refusal is not None
        return session.context.refused(refusal, entry), b""
    new, sent, answers = renew(name, entry, session.context)
    if new.plan.refusal is None:
        _inject(session, answers)
        session.statements.current[name] = new
        if not answers:  # the server has the same text: nothing will confirm it
            session.statements.confirmed[name] = new
    return new, sent


def _no_statement(name: bytes) -> PgError:
    shown = name.decode("utf-8", "replace")
    return PgError(
        f'prepared statement "{shown}" does not exist' if name else "unnamed prepared statement does not exist", "26000"
    )


def _renew_executed(session: Session, entry: Entry) -> tuple[PgError | None, bytes]:
    """Before SQL's EXECUTE: prepares what it names again where that was planned under other rules or names."""
    prefix = b""
    made = {effect.name for effect in entry.plan.effects if effect.kind == "prepare"}
    for executed in entry.executes:
        name = server_name(executed.encode())
        prepared = session.statements.current.get(name)
        if prepared is None and executed not in made and session.governed and not session.context.app.monitor:
            return _no_statement(name), b""
        if prepared is None or prepared.context is session.context:
            continue
        new, sent, answers = renew(name, prepared, session.context)
        if new.plan.refusal is not None:
            return new.plan.refusal, b""
        session.statements.current[name] = new
        if not answers:
            session.statements.confirmed[name] = new
            continue
        _inject(session, answers)
        prefix += sent
        if not session.open:
            _inject(session, (probe.RENEWED,))
            prefix += messages.SYNC_MESSAGE
    return None, prefix


def _inject(session: Session, answers: Sequence[Expected]) -> None:
    session.pending.extend(answers)
    session.answers.injected += len(answers)


_BY_ACTION: Final[dict[Action, Handler | None]] = {
    Action.RELAY: lambda session, data, start, end: None,
    Action.FLUSH: _flush,
    Action.QUERY: _query,
    Action.PARSE: _parse,
    Action.BIND: _bind,
    Action.DESCRIBE: _describe,
    Action.EXECUTE: _execute,
    Action.CLOSE: _close,
    Action.SYNC: _sync,
    Action.RESUME: _resume,
    Action.FUNCTION: _function,
    Action.COPY_END: _copy_end,
    Action.DISCARD: _discard,
    Action.TERMINATE: _terminate,
    Action.VIOLATION: _violation,
}


# What a missing relation, column, function and type are: a migration may have made them since the snapshot.
_MISSING: Final = frozenset(("42P01", "42703", "42883", "42704"))


def _places(actions: dict[int, Action]) -> list[Handler | None]:
    places: list[Handler | None] = [None] * 256
    for kind, action in actions.items():
        places[kind] = _BY_ACTION[action]
    return places


HANDLERS: Final = {state: _places(actions) for state, actions in TABLE.items()}
