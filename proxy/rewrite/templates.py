"""Plans of texts that differ in their constants only: planned and proved once, then filled in.

A text is taken apart at its constants by PostgreSQL's own scanner. Where the pieces between them, and the kinds of the
constants, have been seen before, the edits of that plan are moved to where they belong in this text. A template is
made from a text whose constants are ones that occur nowhere else, so that each constant which the rewriter copied (a
comparison inside of a fence) or moved is found; and only for statements of which neither the rewriter nor the verifier
reads a constant's value: their kinds decide (an integer, a bigint, a string), and are part of the key.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final, Protocol

from postgast import PgQueryError, scan
from postgast.pg_query_pb2 import Token as TokenKind

from proxy.catalog.model import SearchPath
from proxy.errors import PgError
from proxy.rewrite.allowed import TYPE_READERS
from proxy.rewrite.lex import Node, parse, with_strings_joined
from proxy.rewrite.result import Plan
from proxy.rewrite.scope import every_node
from proxy.rewrite.splice import Edit, splice

log = logging.getLogger(__name__)

TEMPLATES: Final = 500  # how many are kept, and how many texts are remembered that were seen once
TEMPLATE_BYTES: Final = 4 * 1024 * 1024
LONGEST: Final = 8_000  # characters of a text that is worth it
_SCONST: Final = TokenKind.Value("SCONST")
_NUMBERS: Final = frozenset((TokenKind.Value("ICONST"), TokenKind.Value("FCONST")))
_TAGS: Final = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"))
# Calls of which a constant decides whether they are allowed.
_DECIDING: Final = TYPE_READERS | {"set_config", "nextval"}
_STRANGE: Final = {"s": "'consentry constant {}'", "i": "19{:08}", "b": "7719{:011}", "n": "0.7719{:07}"}
_FOUND: Final = re.compile(r"'consentry constant (\d+)'|\b19(\d{8})\b|\b7719(\d{11})\b|\b0\.7719(\d{7})\b")


class PlansText(Protocol):
    """What makes plans: `rewrite.plan.Planner` for one."""

    @property
    def hidden_constraints(self) -> Mapping[tuple[str, str, str], bool]:
        """The constraints that do not exist for the app: see SystemCatalog."""

    def plan(
        self, query: bytes, path: SearchPath, parameter_types: tuple[int, ...] = (), encoding: str = "utf-8"
    ) -> Plan: ...


@dataclass(frozen=True, slots=True)
class Constants:
    """A text taken apart: `pieces` are one more than `values`; `kinds` has a letter for each value."""

    kinds: str
    pieces: tuple[str, ...]
    values: tuple[str, ...]

    def with_values(self, values: tuple[str, ...]) -> str:
        """The text with other constants."""
        return "".join(part for pair in zip(self.pieces, (*values, ""), strict=True) for part in pair)


@dataclass(frozen=True, slots=True)
class _Place:
    """An offset in a text: so many bytes of its pieces, and the first so many of its constants, are before it."""

    bytes: int
    constants: int


@dataclass(frozen=True, slots=True)
class _Movable:
    """An edit of any text with these pieces; `text` holds the numbers of constants in their places."""

    start: _Place
    end: _Place
    text: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """The plan of one text, and its edits as they are for every text with the same pieces."""

    plan: Plan
    edits: tuple[_Movable, ...]
    encoding: str
    # The constant parts of audit records, which all texts share; filled in by who writes them.
    fragments: list[str] = field(default_factory=list)

    def fill(self, query: bytes, text: str, constants: Constants) -> Plan:
        """The plan of `text`, which is `query` decoded."""
        if not self.edits:
            return self.plan.filled(query, query, ())
        values = constants.values
        sums = (0, *accumulate(len(value.encode()) for value in values))
        edits = [
            Edit(
                edit.start.bytes + sums[edit.start.constants],
                edit.end.bytes + sums[edit.end.constants],
                "".join(part if isinstance(part, str) else values[part] for part in edit.text),
            )
            for edit in self.edits
        ]
        spliced = splice(text, edits)
        return self.plan.filled(spliced.text.encode(self.encoding), query, spliced.stretches)


_Key = tuple[str, tuple[str, ...], tuple[int, ...]]


class Templates:
    """Makes plans for one app, search path and encoding: anew, or by a template."""

    def __init__(self, planner: PlansText, path: SearchPath, encoding: str, limit: int = TEMPLATE_BYTES) -> None:
        self._planner = planner
        self._path = path
        self._encoding = encoding
        # None: seen once, or of no use as a template.
        self._templates: dict[_Key, Template | None] = {}
        self._seen: dict[int, None] = {}
        self._size = 0
        self._limit = limit

    def plan(self, query: bytes, types: tuple[int, ...] = ()) -> tuple[Plan, Template | None]:
        """The plan of a text as the app sent it; with the template that it was made by, or None."""
        text = self._text(query)
        constants = None if text is None else take_apart(text)
        if text is None or constants is None:
            return self._anew(query, types), None
        key = (constants.kinds, constants.pieces, types)
        if key in self._templates:
            template = self._templates[key]
            if template is None:
                return self._anew(query, types), None
            return template.fill(query, text, constants), template
        plan = self._anew(query, types)
        if hash(key) not in self._seen:
            _keep(self._seen, hash(key), None)
        else:
            del self._seen[hash(key)]
            self._put(key, self._template(text, constants, types, plan))
        return plan, None

    def _put(self, key: _Key, template: Template | None) -> None:
        """Keeps a template, and forgets the oldest beyond the limit."""
        self._templates[key] = template
        self._size += _cost(key, template)
        while self._size > self._limit or len(self._templates) > TEMPLATES:
            oldest = next(iter(self._templates))
            self._size -= _cost(oldest, self._templates.pop(oldest))

    def _anew(self, query: bytes, types: tuple[int, ...]) -> Plan:
        return self._planner.plan(query, self._path, types, self._encoding)

    def _text(self, query: bytes) -> str | None:
        """The text, where it can have a template."""
        if len(query) > LONGEST:
            return None
        try:
            text = query.decode(self._encoding)
            return text if with_strings_joined(text) == text else None
        except (UnicodeDecodeError, PgError):
            return None

    def _template(self, text: str, constants: Constants, types: tuple[int, ...], plan: Plan) -> Template | None:
        """What all texts with these pieces have in common with `plan`, the plan of one of them; None: not enough."""
        if not _is_fit(plan) or any(_FOUND.search(piece) for piece in constants.pieces):
            return None
        strange = tuple(_STRANGE[kind].format(number) for number, kind in enumerate(constants.kinds))
        strange_text = constants.with_values(strange)
        other = self._anew(strange_text.encode(self._encoding), types)
        if not _is_fit(other) or other.statements != plan.statements or _reads_constants(strange_text):
            return None
        edits = tuple(_movables(other.edits, replace(constants, values=strange)))
        template = Template(other, edits, self._encoding)
        filled = template.fill(plan.original, text, constants)
        if replace(filled, edits=plan.edits) != plan:
            log.warning("a statement is planned anew for each constant: %s", plan.statements[0].fingerprint)
            return None
        return template


def _cost(key: _Key, template: Template | None) -> int:
    """Bytes of memory, roughly: the pieces of the key, and the texts of the plan and of its edits."""
    text = 4 * sum(map(len, key[1]))
    return 1000 + text if template is None else 6000 + 2 * text + 4 * len(template.plan.text)


def _keep(kept: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    kept[key] = value
    if len(kept) > TEMPLATES:
        del kept[next(iter(kept))]


def take_apart(text: str) -> Constants | None:
    """None where the text has no constants, or any that is no plain number or string."""
    raw = text.encode()
    kinds, pieces, values = [], [], []
    at = 0
    try:
        found = scan(text).tokens
    except PgQueryError:
        return None
    for token in found:
        number = token.token
        if number == _SCONST or number in _NUMBERS:
            value = raw[token.start : token.end].decode()
            kind = _kind(value, number == _SCONST)
            if kind is None:
                return None
            kinds.append(kind)
            pieces.append(raw[at : token.start].decode())
            values.append(value)
            at = token.end
    if not values:
        return None
    return Constants("".join(kinds), (*pieces, raw[at:].decode()), tuple(values))


def _kind(value: str, is_string: bool) -> str | None:
    """s: string, i: integer, b: bigint, n: numeric. None for what is written in another way ('a' and 'b' of two lines
    are one constant), or lies where a minus decides on the type (2147483648).
    """
    if is_string:
        return "s" if value[0] == "'" and not any(c in value for c in "\n\r\\") else None
    if value.isascii() and value.isdigit() and (value == "0" or value[0] != "0"):
        number = int(value)
        if number < 2**31:
            return "i"
        return "b" if 2**31 < number < 2**63 else None
    return "n" if re.fullmatch(r"(0|[1-9]\d*)\.\d+", value, re.ASCII) else None


def _is_fit(plan: Plan) -> bool:
    return (
        plan.refusal is None
        and plan.refused_as is None
        and not plan.effects
        and len(plan.statements) == 1
        and plan.statements[0].tag in _TAGS
    )


def _reads_constants(text: str) -> bool:
    """Whether the value of a constant decides on what the statement means, or on whether it is allowed."""
    for kind, node in every_node(parse(text)):
        if kind == "FuncCall" and node["funcname"][-1]["String"]["sval"] in _DECIDING:
            return True
        if kind == "TypeName" and "typmods" in node:
            return True
        if kind == "SortBy" and "A_Const" in node["node"]:  # ORDER BY 1
            return True
        if any("A_Const" in item for name in ("groupClause", "distinctClause") for item in _items(node, name)):
            return True
    return False


def _items(node: Node, name: str) -> list[Node]:
    items: list[Node] = [item for item in node.get(name, ()) if isinstance(item, dict)]
    return items + [part for item in items for part in item.get("GroupingSet", {}).get("content", ())]


def _movables(edits: tuple[Edit, ...], constants: Constants) -> Iterator[_Movable]:
    """The edits of a text with strange constants, as edits of any."""
    ends, at = [], 0
    for piece, value in zip(constants.pieces, constants.values, strict=False):
        at += len(piece.encode()) + len(value.encode())
        ends.append(at)
    sums = (0, *accumulate(len(value.encode()) for value in constants.values))

    def place(offset: int) -> _Place:
        before = sum(end <= offset for end in ends)
        return _Place(offset - sums[before], before)

    for edit in edits:
        parts: list[str | int] = []
        at = 0
        for match in _FOUND.finditer(edit.text):
            number = int(next(group for group in match.groups() if group))
            if constants.values[number : number + 1] == (match[0],):  # else it is one of ours, an oid for example
                parts += [edit.text[at : match.start()], number]
                at = match.end()
        yield _Movable(place(edit.start), place(edit.end), (*parts, edit.text[at:]))
