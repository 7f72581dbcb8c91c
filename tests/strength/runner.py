"""Sends attacks as an app, and says what is wrong with the answers."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from tests.strength import world
from tests.strength.attacks import Attack
from tests.strength.client import (
    SYNC,
    Answer,
    Wire,
    bind,
    describe,
    execute,
    fields,
    parse,
    query,
    run,
)
from tests.strength.leaks import Detector

# What the gateway says where its planner or its verifier fails.
_STUMBLED = ("the statement could not be rewritten", "the statement's tree is not as expected")
PROTOCOLS = ("simple", "unnamed", "named")
# Where none of these stands, rows come in the order of a plan and of pages, which differs from run to run.
_ORDERED = re.compile(r"(?i)\b(order|group|distinct|union|except|intersect|over|fetch|limit|offset|cursor|min|max)\b")
_NAME = re.compile(rb"canaries_[ab]_")
_NEEDS_NEW = re.compile(r"(?i)\b(prepare|commit|deallocate|discard|end)\b")


@dataclass(frozen=True)
class Finding:
    """Something that must not be. `what`: leak, differs, internal, hung, cut."""

    what: str
    attack: str
    app: str
    protocol: str
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.what}: {self.app}, {self.protocol}, {self.attack}\n      {self.text[:300]!r}\n      {self.detail[:300]}"


@dataclass
class Sender:
    """One app's connection to one database, made again where an attack has used it up."""

    port: int
    app: str
    database: str
    wire: Wire | None = None
    opened: int = 0

    def connect(self, options: Iterable[tuple[str, str]] = ()) -> Wire:
        self.opened += 1
        return Wire(self.port, world.login(self.app), self.database, dict(options))

    def send(self, attack: Attack, protocol: str) -> Answer:
        """The whole answer: what a session's steps gave one after another, or one statement in a transaction that is
        rolled back.
        """
        steps = [step.replace("{db}", self.database) for step in attack.steps]
        if attack.session:
            return self._session(attack, steps, protocol)
        if self.wire is None or not self.wire.usable or self.wire.status != b"I":
            if self.wire is not None:
                self.wire.close()
            self.wire = self.connect()
            if not self.wire.usable:
                return self.wire.greeting
        wire = self.wire
        (text,) = steps
        if attack.copy is None and "copy" not in text.lower() and protocol != "named":
            wire.send(query("BEGIN") + _request(text, protocol, attack.params) + query("ROLLBACK"))
            answer = wire.read(3)
        else:
            wire.simple("BEGIN")
            answer = run(wire, text, protocol, attack.params, attack.copy)
            if wire.usable:
                wire.simple("ROLLBACK")
        if _NEEDS_NEW.search(text) or wire.status != b"I" or not wire.usable:
            wire.close()
            self.wire = None
        return answer

    def _session(self, attack: Attack, steps: Sequence[str], protocol: str) -> Answer:
        wire = self.connect(attack.options)
        answer = Answer([m for m in wire.greeting.messages if m[0] in b"EN"], wire.greeting.ended, wire.greeting.hung)
        for step in steps:
            if not wire.usable:
                break
            part = run(wire, step, protocol, attack.params, attack.copy)
            answer.messages += part.messages
            answer.ended, answer.hung = answer.ended or part.ended, answer.hung or part.hung
        wire.close()
        return answer

    def close(self) -> None:
        if self.wire is not None:
            self.wire.close()


def _request(text: str, protocol: str, params: Sequence[str | None]) -> bytes:
    if protocol == "simple":
        return query(text)
    return parse(text) + bind(params=params) + describe(b"P") + execute() + SYNC


def judge(answer: Answer, attack: Attack, app: str, protocol: str, detector: Detector) -> Iterator[Finding]:
    text = "\n".join(attack.steps)

    def finding(what: str, detail: str) -> Finding:
        return Finding(what, attack.name, app, protocol, detail, text)

    sent = " ".join((text, *(p or "" for p in attack.params), *(c.decode() for c in attack.copy or ())))
    leaks = detector.leaks(answer, sent)
    if leaks:
        yield finding("leak", ", ".join(leaks[:5]) + _where(answer, leaks))
    for error in answer.errors():
        if error.get("C", "").startswith("XX") or error.get("M", "").startswith(_STUMBLED):
            yield finding("internal", f"{error.get('C')} {error.get('M')}")
    if answer.hung:
        yield finding("hung", "no answer in time")
    elif answer.ended and not any(e.get("S") == "FATAL" for e in answer.errors()):
        yield finding("cut", f"closed without an error after {len(answer.messages)} messages")


def _where(answer: Answer, leaks: Sequence[str]) -> str:
    for kind, body in answer.messages:
        if any(leak.encode() in body.lower() for leak in leaks):
            return f" in {kind.decode()}: {body[:160]!r}"
    return " (encoded)"


def comparable(answer: Answer, last_oid: int) -> list[tuple[bytes, bytes]]:
    """What twins must agree on."""
    found = []
    for kind, body in answer.messages:
        if kind in b"EN":
            parts = {k: v for k, v in fields(body).items() if k not in "FLR"}
            body = repr(sorted(parts.items())).encode()
        elif kind == b"T":
            body = _without_new_oids(body, last_oid)
        elif kind == b"A":
            body = body[4:]
        elif kind in b"SK":
            continue
        found.append((kind, _NAME.sub(b"canaries_x_", body)))
    return found


def _without_new_oids(body: bytes, last_oid: int) -> bytes:
    out, at = bytearray(body), 2
    for _ in range(int.from_bytes(body[:2], "big")):
        at = body.index(b"\0", at) + 1
        for place in (at, at + 6):
            if int.from_bytes(body[place : place + 4], "big") > last_oid:
                struct.pack_into("!I", out, place, 0)
        at += 18
    return bytes(out)


def difference(first: Answer, second: Answer, last_oid: int, text: str = "order") -> str | None:
    """How the answers of twins to this text differ, in words."""
    left, right = comparable(first, last_oid), comparable(second, last_oid)
    if not _ORDERED.search(text):
        left, right = _sorted_rows(left), _sorted_rows(right)
    if left == right:
        return None
    for one, two in zip(left, right, strict=False):
        if one != two:
            return f"{one[0].decode()}{one[1][:140]!r} | {two[0].decode()}{two[1][:140]!r}"
    return f"{len(left)} messages and {len(right)}"


def _sorted_rows(messages: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The rows of each result in an order of their own."""
    return [m for kind, group in groupby(messages, lambda m: m[0]) for m in (sorted(group) if kind in b"Dd" else group)]


@dataclass
class Outcome:
    findings: list[Finding] = field(default_factory=list)
    errors: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)  # SQLSTATE and message
    sent: int = 0


def campaign(
    port: int,
    attacks: Sequence[Attack],
    apps: Sequence[str],
    protocols: Sequence[str],
    last_oid: int,
    twin_of_refused: bool = True,
    in_turn: bool = False,
) -> Outcome:
    """All attacks as all apps over the protocols; by the first of them against the app's twin too.

    `twin_of_refused`: also where the app's own database gave 42501. `in_turn`: each attack as each app over one of the
    protocols only, as another app over the next one.
    """

    def chosen(app: str) -> dict[str, list[str]]:
        """Over which protocols the app sends which attack."""
        usable = {a.name: [p for p in protocols if not (p == "simple" and a.params)] for a in attacks if app in a.apps}
        if not in_turn:
            return usable
        turns = enumerate(usable.items(), apps.index(app))
        return {name: [able[turn % len(able)]] for turn, (name, able) in turns}

    total = Outcome()
    with ThreadPoolExecutor(len(apps)) as pool:
        for outcome in pool.map(lambda app: _as_app(port, attacks, app, chosen(app), last_oid, twin_of_refused), apps):
            total.findings += outcome.findings
            total.errors |= outcome.errors
            total.sent += outcome.sent
    return total


def _as_app(
    port: int, attacks: Sequence[Attack], app: str, chosen: dict[str, list[str]], last_oid: int, twin_of_refused: bool
) -> Outcome:
    """What an attack commits is committed in the twin too before anything else is sent: first one protocol for all, then
    the others.
    """
    outcome = Outcome()
    detector = Detector(app)
    sender, twin = Sender(port, app, world.base(app)), Sender(port, app, world.twin(app))
    for number in range(max(map(len, chosen.values()))):
        for attack in attacks:
            if number >= len(chosen.get(attack.name, ())):
                continue
            protocol = chosen[attack.name][number]
            answer = sender.send(attack, protocol)
            outcome.sent += 1
            outcome.findings += judge(answer, attack, app, protocol, detector)
            outcome.errors[attack.name, app, protocol] = tuple(f"{e.get('C')} {e.get('M')}" for e in answer.errors())
            if number == 0 and (twin_of_refused or "42501" not in answer.codes()):
                other = twin.send(attack, protocol)
                outcome.sent += 1
                text = "\n".join(attack.steps)
                how = None if attack.nodiff else difference(answer, other, last_oid, text)
                if how is not None:
                    outcome.findings.append(Finding("differs", attack.name, app, protocol, how, text))
    sender.close()
    twin.close()
    return outcome
