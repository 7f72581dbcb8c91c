"""The database's own log of statements (`log_statement = all`) beside the audit log: one record each, and no other."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.audit.secrets import as_sent
from proxy.demo.postgres import embedded_binaries, local_binaries
from proxy.rewrite.lex import parse
from proxy.rewrite.plan import describe
from proxy.server.probe import RESERVED
from tests.gateways import audit_records
from tests.servers import PgServer, start_server

SETTINGS = {"log_statement": "all", "log_line_prefix": "'%c|%u|%i| '", "log_min_messages": "warning"}
_LINE = re.compile(r"([0-9a-f]+\.[0-9a-f]+)\|([^|]*)\|([^|]*)\| (LOG|ERROR|FATAL|STATEMENT):  (.*)", re.DOTALL)
_EXECUTE = re.compile(r"execute (?:fetch from )?([^\n:]*): (.*)", re.DOTALL)
# What the server does when an error tells of a message that executes nothing.
_NOT_EXECUTING = ("PARSE", "BIND", "idle", "idle in transaction", "idle in transaction (aborted)")

Record = dict[str, Any]


@dataclass
class Attempt:
    """What reached the server: a simple query, an Execute, or a text that it did not take."""

    text: str
    simple: bool
    failed: bool = False

    @property
    def empty(self) -> bool:
        return self.simple and not parse(self.text)

    @property
    def statements(self) -> int:
        """How many there are in the text; an empty one is executed too."""
        return max(len(parse(self.text)), 1) if self.simple else 1


def start_logging_server() -> PgServer:
    """A server that logs each statement."""
    binaries = embedded_binaries() or local_binaries()
    assert binaries is not None
    return start_server(binaries, settings=SETTINGS)


def attempts(log: str, logins: Collection[str]) -> dict[int, list[Attempt]]:
    """Of these logins, by the process that served them, without the gateway's own questions."""
    found: dict[int, list[Attempt]] = {}
    own: set[str] = set()
    for line in re.split(r"\n(?!\t)", log):
        match = _LINE.fullmatch(line.replace("\n\t", "\n"))
        if match is None:
            continue
        session, login, doing, level, said = match.groups()
        if login not in logins:
            continue
        mine = found.setdefault(int(session.partition(".")[2], 16), [])
        execute = _EXECUTE.fullmatch(said)
        if level == "LOG" and said.startswith("statement: "):
            own.discard(session)
            mine.append(Attempt(said.removeprefix("statement: "), simple=True))
        elif level == "LOG" and execute is not None:
            own.discard(session)
            if execute[1].startswith(RESERVED.decode()):
                own.add(session)
            else:
                mine.append(Attempt(execute[2], simple=False))
        elif level == "LOG" and said.startswith("fastpath function call"):
            mine.append(Attempt("", simple=False))
        elif level == "ERROR" and doing in _NOT_EXECUTING:
            mine.append(Attempt("", simple=False, failed=True))
        elif level == "ERROR" and session not in own:
            mine[-1].failed = True
    return found


def logins_of(log: str) -> set[str]:
    """All that have come to the server, but for the superuser."""
    found = (_LINE.fullmatch(line.partition("\n")[0]) for line in re.split(r"\n(?!\t)", log))
    return {match[2] for match in found if match is not None} - {"", "postgres"}


def sessions(records: Iterable[Record]) -> dict[int, list[Record]]:
    """The records of statements by the process that served them."""
    processes: dict[str, int] = {}
    found: dict[int, list[Record]] = {}
    for record in records:
        if record["event"] == "connect":
            processes[record["session"]] = record["backend"]
        elif record["event"] in ("statement", "refused"):
            found.setdefault(processes[record["session"]], []).append(record)
    return found


def compare(log: str, folders: Iterable[Path], logins: Collection[str], *, alone: bool = True) -> int:
    """Raises AssertionError where a statement has no record, or a record no statement. Gives how many there are.

    `alone`: the logins have come through the gateway only.
    """
    recorded: dict[int, list[Record]] = {}
    for folder in folders:
        for process, records in sessions(audit_records(folder)).items():
            recorded.setdefault(process, []).extend(records)
    reached = {process: found for process, found in attempts(log, logins).items() if found}
    assert set(recorded) <= set(reached), [recorded[one][:2] for one in set(recorded) - set(reached)]
    assert not alone or set(reached) <= set(recorded)
    return sum(_compare(reached[process], records) for process, records in recorded.items())


def _compare(reached: list[Attempt], records: list[Record]) -> int:
    waiting = list(records)
    for number, attempt in enumerate(reached):
        around = [one.text for one in reached[max(number - 3, 0) : number + 3]]
        many = attempt.statements
        while many:
            assert waiting, ("no record", attempt, around)
            record = waiting.pop(0)
            if not record["statement"] and not attempt.empty:
                continue  # the Execute of an empty text: the server does not log it
            many -= 1
            if "sqlstate" in record:
                assert attempt.failed, ("it did not fail", record, attempt)
                break
            assert many or not attempt.failed, ("it failed", record, attempt, around)
            if attempt.text and not record["rewritten"]:
                assert _same(record["statement"], attempt.text), (record, attempt, around)
    waiting = [record for record in waiting if record["statement"]]
    assert not waiting, ("no statement", waiting[:3], reached[-3:])
    return len(records)


def _same(recorded: str, text: str) -> bool:
    """One of its statements, as it was sent or without constants. What is not understood is recorded without a text."""
    return recorded in {text, "", *(info.text for info in describe(text.encode())), *as_sent(text)}
