"""The prepared statements and portals that a session has on its server, as the gateway knows them.

The frontend sends on before the backend has answered: `current` is what will be when all that was sent succeeds,
`confirmed` what the backend has said. After an error `current` is made again from `confirmed` and what is awaited.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.errors import PgError
from proxy.rewrite.result import StatementInfo
from proxy.server import probe
from proxy.server.generation import Context, Entry, untranslatable
from proxy.wire import messages
from proxy.wire.states import Awaiting, Expected

NAME_BYTES: Final = 63  # NAMEDATALEN - 1: the server compares no more of a name


def server_name(name: bytes, encoding: str = "utf-8") -> bytes:
    """The name as the server tells it from others: in UTF-8, whatever `encoding` it came in."""
    if encoding != "utf-8" and not name.isascii():
        name = name.decode(encoding, "replace").encode()
    return name if len(name) <= NAME_BYTES else name[:NAME_BYTES]


class Statements:
    """Prepared statements by name, those of SQL's PREPARE among them, and portals by name."""

    __slots__ = ("confirmed", "current", "fresh", "portals")

    def __init__(self) -> None:
        self.fresh: set[bytes] = set()  # names that the batch that is open has changed
        self.current: dict[bytes, Entry] = {}
        self.confirmed: dict[bytes, Entry] = {}
        self.portals: dict[bytes, Entry] = {}

    def parsed(self, item: Expected) -> None:
        """ParseComplete."""
        if item.owner is not None and item.name is not None:
            self.confirmed[item.name] = item.owner

    def closed(self, item: Expected) -> None:
        """CloseComplete, or the end of a simple query that dropped the unnamed statement."""
        if item.name is not None:
            self.confirmed.pop(item.name, None)

    def uncertain(self, name: bytes) -> bool:
        """An earlier batch changes the name, and its success is not known: the next use of the name must wait.

        One that nothing has may be closed by such a batch. In the same batch a use need not wait: where the change is
        skipped, so is the use.
        """
        entry = self.current.get(name)
        return (entry is None or entry is not self.confirmed.get(name)) and name not in self.fresh

    def settle(self, name: bytes) -> None:
        """All earlier batches are answered: the name is what the backend confirmed."""
        if name not in self.fresh:
            if name in self.confirmed:
                self.current[name] = self.confirmed[name]
            else:
                self.current.pop(name, None)

    def restore(self, failed: Expected | None, pending: Iterable[Expected]) -> None:
        """After an error: the server has what it confirmed, and will do what it still has to answer."""
        if failed is not None and failed.awaiting is Awaiting.PARSE and not failed.name:
            self.confirmed.pop(b"", None)  # the server drops the unnamed statement before it reads the text
        self.current = dict(self.confirmed)
        for number, item in enumerate(pending):
            if number == 0 and item is failed:  # a Query: it waits for its ReadyForQuery
                continue
            if item.awaiting is Awaiting.PARSE and item.name is not None and item.owner is not None:
                self.current[item.name] = item.owner
            elif item.awaiting in (Awaiting.CLOSE, Awaiting.QUERY) and item.name is not None:
                self.current.pop(item.name, None)
            if item.awaiting in (Awaiting.QUERY, Awaiting.EXECUTE) and item.owner is not None:
                self.executing(item.owner)

    def executing(self, entry: Entry, in_batch: bool = False) -> None:
        """PREPARE and DEALLOCATE of the text will be run; `in_batch`: by an Execute in the batch that is open."""
        if entry.changes_names:
            before = dict(self.current)
            for info in entry.plan.statements:
                _apply(self.current, info, entry)
            if in_batch:
                names = before.keys() | self.current.keys()
                self.fresh.update(name for name in names if before.get(name) is not self.current.get(name))

    def executed(self, entry: Entry, number: int) -> None:
        """The text's statement of this number has been run."""
        if entry.changes_names and number < len(entry.plan.statements):
            _apply(self.confirmed, entry.plan.statements[number], entry)


def _apply(names: dict[bytes, Entry], info: StatementInfo, entry: Entry) -> None:
    for effect in info.effects:
        if effect.kind == "prepare" and effect.name is not None:
            names[server_name(effect.name.encode())] = entry.as_prepared()
        elif effect.kind == "deallocate" and effect.name is not None:
            names.pop(server_name(effect.name.encode()), None)
        elif effect.kind == "deallocate" or (effect.kind == "discard" and info.text.upper().split()[1:2] == ["ALL"]):
            unnamed = names.get(b"")  # it stays
            names.clear()
            if unnamed is not None:
                names[b""] = unnamed


def changed_result() -> PgError:
    """0A000 in PostgreSQL's words: drivers prepare the statement again when they read it."""
    return PgError(
        "cached plan must not change result type", "0A000", hint="The gateway's rules or the catalog changed."
    )


def renew(name: bytes, entry: Entry, context: Context) -> tuple[Entry, bytes, tuple[Expected, ...]]:
    """Plans a prepared statement again, under `context`.

    Gives its entry there, and what must be sent before it is used (without Sync) with the answers to swallow: nothing
    where the same text stands. An entry with a refusal says that it must not be used.
    """
    if entry.by_sql and entry.several:
        if context.app.trusted:
            return entry, b"", ()
        return context.refused(changed_result(), entry), b"", ()
    new = context.again(entry)
    if new.plan.refusal is not None:
        return new, b"", ()
    if new.plan.text == entry.plan.text:
        return new, b"", ()
    if new.plan.shape != entry.plan.shape:
        return context.refused(changed_result(), entry), b"", ()
    try:
        called = name if context.encoding == "utf-8" else name.decode().encode(context.encoding)
    except UnicodeError:
        return context.refused(untranslatable(), entry), b"", ()
    if not new.by_sql:
        sent = messages.close(b"S", called) + new.parse(called)
        return new, sent, (_CLOSED, Expected(Awaiting.PARSE, new, swallow=True, name=name))
    own = probe.RESERVED
    sent = (
        messages.close(b"S", called)
        + messages.close(b"S", own)
        + new.parse(own)
        + messages.bind(own, own)
        + messages.execute(own)
        + messages.close(b"P", own)
        + messages.close(b"S", own)
    )
    answers = (
        _CLOSED,
        _CLOSED,
        Expected(Awaiting.PARSE, swallow=True),
        Expected(Awaiting.BIND, swallow=True),
        Expected(Awaiting.EXECUTE, new, swallow=True, name=name),
        _CLOSED,
        _CLOSED,
    )
    return new, sent, answers


_CLOSED = Expected(Awaiting.CLOSE, swallow=True)
