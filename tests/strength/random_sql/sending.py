"""A statement's way to a server and back: in a transaction of its own, in one write, over the protocol that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.strength.client import SYNC, Answer, Wire, bind, close, describe, execute, packet, parse, query
from tests.strength.random_sql.making import Statement
from tests.strength.random_sql.nodes import Spelled
from tests.strength.random_sql.sqltypes import OIDS

_NAMES = {"double precision": "float8", "bigint": "int8"}


@dataclass
class Reply:
    """`parts`: what came up to each ReadyForQuery, of the statement's steps and of reading back."""

    parts: list[Answer] = field(default_factory=list)
    ended: bool = False
    hung: bool = False

    @property
    def whole(self) -> Answer:
        return Answer([m for part in self.parts for m in part.messages], self.ended, self.hung)

    @property
    def code(self) -> str:
        """The SQLSTATE of the first error."""
        return next(iter(self.whole.codes()), "")

    @property
    def message(self) -> str:
        return next((error.get("M", "") for error in self.whole.errors()), "")

    @property
    def rows(self) -> int:
        return sum(kind in b"Dd" for kind, _ in self.parts[0].messages) if self.parts else 0


def _number(sqltype: str | None) -> int:
    return OIDS.get(_NAMES.get(sqltype, sqltype), 0) if sqltype else 0


def request(spelled: Spelled, protocol: str) -> tuple[bytes, int]:
    """The messages, and how many ReadyForQuery will come."""
    if protocol == "simple":
        return query(spelled.text), 1
    values: Sequence[str | None] = [value for value, _ in spelled.params]
    types = [_number(sqltype) for _, sqltype in spelled.params]
    if protocol == "extended":
        return parse(spelled.text, b"", types) + bind(params=values) + describe(b"P") + execute() + SYNC, 1
    start = parse(spelled.text, b"rnd", types) + describe(b"S", b"rnd") + SYNC
    binary = not any(word in spelled.text.lower() for word in ("copy", "explain"))
    run = bind(b"rnd", b"port", values, binary=binary) + describe(b"P", b"port") + execute(b"port")
    return start + run + close(b"P", b"port") + SYNC + close(b"S", b"rnd") + SYNC, 3


_AFTER = {"prepare": ("DEALLOCATE ALL",)}  # what a transaction's end does not undo


@dataclass
class Connection:
    """One login's connection to one database, made again where a statement has used it up."""

    port: int
    user: str
    database: str
    wire: Wire | None = None
    made: int = 0

    def send(self, statement: Statement) -> Reply:
        return self.receive(statement, self.begin(statement))

    def begin(self, statement: Statement) -> list[int]:
        """Sends it, in a transaction that is rolled back; how many ReadyForQuery will come for each part."""
        if self.wire is None or not self.wire.usable or self.wire.status != b"I":
            self.close()
            self.wire = Wire(self.port, self.user, self.database, timeout=30)
            self.made += 1
            if not self.wire.usable:
                return []
        data, counts = query("BEGIN"), [1]
        for step in statement.steps:
            more, ready = request(statement.spelling.spell(step), statement.protocol)
            if statement.copy is not None:
                more, ready = query(statement.spelling.spell(step).text), 1
                more += b"".join(packet(b"d", line) for line in statement.copy) + packet(b"c", b"")
            data += more
            counts.append(ready)
        for text in [*statement.read_back, "ROLLBACK", *_AFTER.get(statement.kind, ())]:
            data += query(text)
            counts.append(1)
        self.wire.send(data)
        return counts

    def receive(self, statement: Statement, counts: list[int]) -> Reply:
        """What came of the steps and of reading back."""
        wire = self.wire
        if wire is None or not counts:
            answer = wire.greeting if wire is not None else Answer(ended=True)
            return Reply([answer], answer.ended, answer.hung)
        reply = Reply()
        for count in counts:
            part = _read(wire, count)
            reply.parts.append(part)
            if not wire.usable:
                reply.ended, reply.hung = True, part.hung
                return reply
        reply.parts = reply.parts[1 : len(counts) - 1 - len(_AFTER.get(statement.kind, ()))]
        return reply

    def close(self) -> None:
        if self.wire is not None:
            self.wire.close()
            self.wire = None


def _read(wire: Wire, ready: int) -> Answer:
    answer = Answer()
    while ready:
        part = wire.read_some(b"Z")
        answer.messages += part.messages
        if not wire.usable:
            answer.ended, answer.hung = True, part.hung
            return answer
        ready -= part.messages[-1][0] == b"Z"
        wire.status = part.messages[-1][1] if part.messages[-1][0] == b"Z" else wire.status
    return answer
