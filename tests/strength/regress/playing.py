"""Plays a folder of psql scripts against a server, straight or through a gateway, and keeps every answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.strength.client import Answer, Wire, fields
from tests.strength.regress.script import Script, Step

# They test psql itself, or need what a server that listens on the loopback alone has not.
SKIPPED = frozenset(("psql", "psql_crosstab", "psql_pipeline"))
MAKING = ("test_setup", "create_index")  # the tables, and their indexes, that most of the others ask for
OPTIONS = {"datestyle": "Postgres, MDY", "timezone": "PST8PDT", "intervalstyle": "postgres_verbose"}
DATABASE = "regression"
ANSWER_SECONDS = 600  # of one statement: on a busy machine some take a minute


@dataclass(frozen=True)
class Played:
    """One text that was sent, and what came back. `status`: of the transaction before it (I, T or E)."""

    file: str
    number: int
    line: int
    text: str
    status: bytes
    answer: Answer


class Player:
    """Runs scripts on one port. `before` is called with each text before it is sent, and the transaction's status."""

    def __init__(
        self,
        port: int,
        database: str,
        folder: Path,
        results: Path,
        before: Callable[[str, bytes], None] = lambda text, status: None,
    ) -> None:
        self._port = port
        self._database = database
        self._folder = folder
        self._before = before
        self._environment = {
            "PG_ABS_SRCDIR": str(folder),
            "PG_ABS_BUILDDIR": str(results),
            "PG_LIBDIR": str(folder),
            "PG_DLSUFFIX": ".so",
        }

    def play(self, file: str) -> Iterator[Played]:
        """One file in a session of its own, from its first statement to its last."""
        variables = {"DBNAME": DATABASE, "VERBOSITY": "default"}
        text = (self._folder / "sql" / f"{file}.sql").read_text("utf-8", "replace")
        wire = self._connect(file)
        number = 0
        for step in Script(text, variables, self._environment).steps():
            if step.kind == "connect" or not wire.usable:
                wire.close()
                wire = self._connect(file)
            if step.kind != "send":
                continue
            for part in self._texts(wire, step, variables):
                status = wire.status
                self._before(part, status)
                answer = wire.simple(part, step.copy or ())
                number += 1
                yield Played(file, number, step.line, part, status, answer)
                self._note(step, answer, variables)
                self._last = answer
        if wire.usable:
            wire.simple("ROLLBACK")
        wire.close()

    def _connect(self, file: str) -> Wire:
        return Wire(
            self._port,
            "postgres",
            self._database,
            {**OPTIONS, "application_name": f"pg_regress/{file}"},
            timeout=ANSWER_SECONDS,
        )

    def _texts(self, wire: Wire, step: Step, variables: dict[str, str]) -> Iterator[str]:
        yield step.text
        if step.then == "gexec":
            for row in self._last.rows():
                yield from (value.decode() for value in row if value is not None)

    def _note(self, step: Step, answer: Answer, variables: dict[str, str]) -> None:
        """What psql keeps of an answer."""
        if answer.errors():
            variables["LAST_ERROR_MESSAGE"] = answer.errors()[-1].get("M", "")
            return
        rows = answer.rows()
        if step.then == "gset" and len(rows) == 1:
            for name, value in zip(_columns(answer), rows[0], strict=False):
                if value is None:
                    variables.pop(step.argument + name, None)
                else:
                    variables[step.argument + name] = value.decode("utf-8", "replace")


def _columns(answer: Answer) -> list[str]:
    body = next(body for kind, body in answer.messages if kind == b"T")
    names, at = [], 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = body.index(b"\0", at)
        names.append(body[at:end].decode())
        at = end + 19
    return names


def files_of(folder: Path, only: Sequence[str] = ()) -> list[str]:
    """The scripts in the order in which pg_regress runs them; `only`: those, after the two that make the tables."""
    names: list[str] = []
    for line in (folder / "parallel_schedule").read_text().splitlines():
        if line.startswith("test:"):
            names += line.removeprefix("test:").split()
    names = [name for name in names if name not in SKIPPED and (folder / "sql" / f"{name}.sql").exists()]
    if not only:
        return names
    return [n for n in names if n in MAKING] + [n for n in names if n in only and n not in MAKING]


def errors_of(messages: Sequence[tuple[bytes, bytes]]) -> list[dict[str, str]]:
    return [fields(body) for kind, body in messages if kind == b"E"]


def source_folder() -> Path | None:
    """PostgreSQL's src/test/regress, where CONSENTRY_REGRESS says it is."""
    name = os.environ.get("CONSENTRY_REGRESS")
    return Path(name) if name and (Path(name) / "parallel_schedule").exists() else None
