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
        info = _info(entry, number)
        if info is not None and info.tag == "DeclareCursorStmt" and info.cursor is not None:
            name = server_name(info.cursor.encode())
            self._cursors.pop(name, None)
            self._cursors[name] = info, entry.plan.rewritten
            if len(self._cursors) > CURSORS:
                del self._cursors[next(iter(self._cursors))]

    def fragment(self, entry: Entry, number: int, full_text: bool) -> str | None:
        """The constant part of the record, with what is run by name in it; None where it runs nothing that is known."""
        info = _info(entry, number)
        source = self._source(info) if info is not None else None
        if info is None or source is None:
            return None
        run, rewritten = source
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
        plan = entry.plan
        texts = entry.sent[number : number + 1] if full_text else ()
        (made,) = statement_fragments((shown,), plan.rewritten or rewritten, version, texts, plan.refused_as)
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[entry, number] = run, made
        return made

    def _source(self, info: StatementInfo) -> Source | None:
        if info.executes is not None:
            prepared = self._statements.confirmed.get(server_name(info.executes.encode()))
            return None if prepared is None else _prepared(prepared, info.executes)
        if info.cursor is None or info.tag != "FetchStmt":
            return None
        name = server_name(info.cursor.encode())
        if name in self._cursors:
            return self._cursors[name]
        portal = self._statements.portals.get(name)
        return (portal.plan.statements[0], portal.plan.rewritten) if portal and portal.plan.statements else None


def _info(entry: Entry, number: int) -> StatementInfo | None:
    infos = entry.plan.statements
    return infos[number] if number < len(infos) else infos[-1] if infos else None


def _prepared(entry: Entry, name: str) -> Source | None:
    """The statement of the entry's text that was prepared under the name."""
    infos = entry.plan.statements
    named = (info for info in infos if any(e.kind == "prepare" and e.name == name for e in info.effects))
    info = next(named, infos[0] if infos else None)
    return None if info is None else (info, entry.plan.rewritten)
