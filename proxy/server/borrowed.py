"""What EXECUTE and FETCH disclose: what the statement does that they run. For their audit records."""

from __future__ import annotations

from dataclasses import replace

from proxy.audit.record import statement_fragments
from proxy.rewrite.result import StatementInfo
from proxy.server.generation import Entry
from proxy.server.statements import Statements, server_name

CURSORS = 1000  # names that are remembered; of others it is not known what they read
KEPT = 64

Source = tuple[StatementInfo, bool]  # what a statement is, and whether it was rewritten


class Borrowed:
    """The cursors of a session, and fragments of records made for what is run by name."""

    __slots__ = ("_cursors", "_kept", "_statements")

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._cursors: dict[bytes, Source] = {}
        self._kept: dict[tuple[Entry, int], tuple[StatementInfo, str]] = {}

    def done(self, entry: Entry, number: int) -> None:
        """The text's statement of this number has been run: a DECLARE gives a name a meaning."""
        source = _source(entry, number)
        if source is not None and source[0].tag == "DeclareCursorStmt" and source[0].cursor is not None:
            name = server_name(source[0].cursor.encode())
            self._cursors.pop(name, None)
            self._cursors[name] = source
            if len(self._cursors) > CURSORS:
                del self._cursors[next(iter(self._cursors))]

    def fragment(self, entry: Entry, number: int, full_text: bool) -> str | None:
        """The constant part of the record, with what is run by name in it; None where it runs nothing that is known."""
        own = _source(entry, number)
        source = self._run_by(own[0]) if own is not None else None
        if own is None or source is None:
            return None
        info, rewritten = own
        run, run_rewritten = source
        kept = self._kept.get((entry, number))
        if kept is not None and kept[0] is run:
            return kept[1]
        shown = replace(
            info,
            disclosed=run.disclosed,
            policies=run.policies,
            consent=run.consent,
            unknown=run.unknown,
            would=run.would,
        )
        version = entry.context.generation.rules.version
        texts = entry.sent[number : number + 1] if full_text and not self._may_be_given_a_secret(info) else ()
        rewritten = rewritten or run_rewritten
        (made,) = statement_fragments((shown,), (rewritten,), version, texts, entry.plan.refused_as)
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[entry, number] = run, made
        return made

    def _may_be_given_a_secret(self, info: StatementInfo) -> bool:
        """Of an EXECUTE: what it gives may be the parameter of a function that takes a key, in the text it runs."""
        if info.executes is None:
            return False
        prepared = self._statements.confirmed.get(server_name(info.executes.encode()))
        return prepared is not None and None in prepared.sent

    def _run_by(self, info: StatementInfo) -> Source | None:
        if info.executes is not None:
            prepared = self._statements.confirmed.get(server_name(info.executes.encode()))
            return None if prepared is None else _prepared(prepared, info.executes)
        if info.cursor is None or info.tag != "FetchStmt":
            return None
        name = server_name(info.cursor.encode())
        if name in self._cursors:
            return self._cursors[name]
        portal = self._statements.portals.get(name)
        return _source(portal, 0) if portal else None


def _source(entry: Entry, number: int) -> Source | None:
    infos = entry.plan.statements
    number = min(number, len(infos) - 1)
    return (infos[number], entry.rewritten[number]) if infos else None


def _prepared(entry: Entry, name: str) -> Source | None:
    """The statement of the entry's text that was prepared under the name."""
    infos = entry.plan.statements
    named = (n for n, info in enumerate(infos) if any(e.kind == "prepare" and e.name == name for e in info.effects))
    return _source(entry, next(named, 0))
