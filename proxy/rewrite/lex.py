"""libpg_query as the rewriter uses it: the tree of a text, its tokens, and a copy that sqlglot can read harmlessly.

All offsets are bytes into the UTF-8 text. The tree is libpg_query's JSON as Python dicts: `{"SelectStmt": {...}}`;
a field that has its default (0, false, empty) is absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from postgast import PgQueryError, scan
from postgast.native import lib
from postgast.pg_query_pb2 import Token as TokenKind

from proxy.errors import PgError

Node = dict[str, Any]

_IDENT = TokenKind.Value("IDENT")
_UIDENT = TokenKind.Value("UIDENT")
_HARMLESS_AS_NAME = frozenset(
    TokenKind.Value(name) for name in ("SCONST", "USCONST", "BCONST", "XCONST", "PARAM", "IDENT", "UIDENT")
)
_STRINGS = frozenset(TokenKind.Value(name) for name in ("SCONST", "USCONST", "BCONST", "XCONST"))
_CONSTANTS = _STRINGS | {TokenKind.Value("ICONST"), TokenKind.Value("FCONST")}
# A byte for each token in which lists of constants are looked for: they are themselves but for the constants.
_SIGNS = {ord(sign): ord(sign) for sign in "(),-"} | dict.fromkeys(
    _CONSTANTS | {TokenKind.Value(name) for name in ("NULL_P", "TRUE_P", "FALSE_P")}, ord("c")
)
_OTHER = ord("x")
_LONG = 32  # no function takes so many arguments that it would not be one with fewer
_LIST_OF_CONSTANTS = re.compile(
    rb"(?<=c)(?:,-?c){%d,}|(?<=\))(?:,\(-?c(?:,-?c)*\)){%d,}" % (_LONG, _LONG)  # 1, 2, ... or (1, 'a'), (2, 'b'), ...
)
_QUERIES = frozenset((b"select", b"insert", b"update", b"delete", b"merge", b"with", b"values", b"table", b"("))
_QUERY = re.compile(
    r"[ \t\r\n\f\v]*(?:\(|(?:select|insert|update|delete|merge|with|values|table)\b)", re.ASCII | re.IGNORECASE
)
_STRING_OR_COMMENT = re.compile(r"'|--|/\*|\$(?![0-9])")  # where any of these may begin
_CONTINUED = re.compile(r"'[ \t\f\v]*--")  # where a string constant may go on behind a comment
_COMMENTS = frozenset(TokenKind.Value(name) for name in ("SQL_COMMENT", "C_COMMENT"))
_SQL_COMMENT = TokenKind.Value("SQL_COMMENT")
_BLANKED = _HARMLESS_AS_NAME | _COMMENTS


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` is the bytes as sent, `kind` libpg_query's number, `word` the lower-cased text of a keyword."""

    start: int
    end: int
    kind: int
    text: bytes
    keyword: bool

    @property
    def word(self) -> str:
        return self.text.decode().lower() if self.keyword else ""


def parse(text: str) -> list[Node]:
    """The statements of `text` (each a RawStmt: `stmt`, `stmt_location`, `stmt_len`).

    Raises PgError with PostgreSQL's own message and position where the grammar does not take the text.
    """
    result = lib.pg_query_parse(text.encode())
    try:
        if result.error:
            error = result.error.contents
            message = error.message.decode("utf-8", "replace")
            raise PgError(message, "42601", position=error.cursorpos or None)
        tree: Node = json.loads(result.parse_tree)
    finally:
        lib.pg_query_free_parse_result(result)
    statements: list[Node] = tree.get("stmts", [])
    return statements


def with_strings_joined(text: str) -> str:
    """`text` with blanks for comments between the parts of one string constant: libpg_query's scanner, which keeps
    comments, takes `'a' -- comment` and `'b'` on the next line for two. Raises PgError where it refuses the text.
    """
    if not _CONTINUED.search(text):
        return text
    raw = text.encode()
    out, at, comments = [], 0, []
    before: _Scanned | None = None
    for token in _scan(text):
        if token[2] == _SQL_COMMENT:
            comments.append(token)
            continue
        if comments and before and before[2] in _STRINGS and token[2] in _STRINGS and raw[token[0]] == ord("'"):
            for start, end, _, _ in comments:
                out += [raw[at:start], b" " * len(raw[start:end].decode())]
                at = end
        before, comments = token, []
    return b"".join([*out, raw[at:]]).decode()


def extent(statement: Node, raw: bytes) -> tuple[int, int]:
    """Where a statement that `parse` gave stands in its text: bytes of `raw`, with the comments before it."""
    begin = statement.get("stmt_location", 0)
    return begin, begin + statement.get("stmt_len", len(raw) - begin)


_Scanned = tuple[int, int, int, int]  # start, end, kind, and of a keyword which


class Tokens(Sequence[Token]):
    """The tokens of a text, comments left out, in its order; each is made when it is asked for."""

    def __init__(self, text: str) -> None:
        """Raises PgError where the scanner refuses the text."""
        self._raw = text.encode()
        self._scanned = _scan(text)
        self._tokens = [scanned for scanned in self._scanned if scanned[2] not in _COMMENTS]
        self.starts = [start for start, _, _, _ in self._tokens]

    def __len__(self) -> int:
        return len(self._tokens)

    @overload
    def __getitem__(self, index: int) -> Token: ...

    @overload
    def __getitem__(self, index: slice) -> list[Token]: ...

    def __getitem__(self, index: int | slice) -> Token | list[Token]:
        if isinstance(index, slice):
            return [self._token(t) for t in self._tokens[index]]
        return self._token(self._tokens[index])

    def _token(self, scanned: _Scanned) -> Token:
        start, end, kind, keyword = scanned
        return Token(start, end, kind, self._raw[start:end], keyword != 0)

    def text(self, index: int) -> bytes:
        """What a token is in the text, for who looks at many."""
        start, end, _, _ = self._tokens[index]
        return self._raw[start:end]

    @cached_property
    def harmless_copy(self) -> str:
        """A text of the same length in bytes, ASCII only, that means the same relations to a lexer that is not
        PostgreSQL's.

        Strings, parameters and non-ASCII names become identifiers of the same length, comments become blanks
        (rewriting.md, evidence 2: sqlglot reads `$1||$` as the start of a dollar quote). Of long lists of constants,
        and of rows of them, only the first stays.
        """
        raw = bytearray(self._raw)
        plain = raw.isascii() and b'""' not in raw and b"&" not in raw  # no name in it has to change
        changed = _BLANKED - {_IDENT, _UIDENT} if plain else _BLANKED
        for start, end, kind, _ in self._scanned:
            if kind in changed:
                raw[start:end] = _harmless(kind, raw[start:end])
        for first, last in self._lists_of_constants():
            begin, end = self.starts[first], self._tokens[last][1]
            raw[begin:end] = b" " * (end - begin)
        return raw.decode("ascii", "replace")

    def _lists_of_constants(self) -> Iterator[tuple[int, int]]:
        """The first and the last token of what follows the first constant, or row of them, of each long list."""
        if len(self._tokens) < _LONG:
            return
        kinds = bytes([_SIGNS.get(kind, _OTHER) for _, _, kind, _ in self._tokens])
        for found in _LIST_OF_CONSTANTS.finditer(kinds):
            yield found.start(), found.end() - 1


def part_end(found: Sequence[Token], index: int) -> int:
    """The index after one part of a name, which begins at `index`: `U&"..."` may have `UESCAPE '!'` behind it."""
    index += 1
    return index + 2 if index < len(found) and found[index].word == "uescape" else index


def part_at(found: Sequence[Token], index: int, number: int) -> int:
    """The index at which part `number` (from 0) of a dotted name begins; the name begins at `index`."""
    for _ in range(number):
        index = part_end(found, index) + 1
    return index


def _scan(text: str) -> list[_Scanned]:
    """The scanner's tokens. Its own objects are not kept: with a hundred thousand of them each access is slow."""
    try:
        return [(token.start, token.end, token.token, token.keyword_kind) for token in scan(text).tokens]
    except PgQueryError as error:
        raise PgError(str(error), "42601") from error


def without_constants(text: str) -> str:
    """`text`, which libpg_query has normalized, without comments and with `?` for constants of utility statements.

    In a query it leaves numbers that are no values: ORDER BY 1, varchar(80). Raises PgError where the scanner refuses
    the text.
    """
    if _QUERY.match(text) and not _STRING_OR_COMMENT.search(text):
        return text
    raw = text.encode()
    out, at = [], 0
    found = _scan(text)
    code = [token for token in found if token[2] not in _COMMENTS]
    first = raw[code[0][0] : code[0][1]].lower() if code else b""
    values = _STRINGS if first in _QUERIES else _CONSTANTS
    of_settings: set[int] = set()
    if first in (b"alter", b"create"):
        words = [raw[start:end].lower() for start, end, _, _ in code]
        of_settings = {token[0] for number, token in enumerate(code) if _is_setting(words, number)}
    for start, end, kind, _ in found:
        if kind in values or kind in _COMMENTS or start in of_settings:
            out += [raw[at:start], b" " if kind in _COMMENTS else b"?"]
            at = end
    if not out:
        return text
    return b"".join([*out, raw[at:]]).decode().strip()


def _is_setting(words: Sequence[bytes], number: int) -> bool:
    """Whether the token is what a setting gets, which may be written as a name: ALTER ROLE r SET token = abc."""
    while number > 1 and words[number - 1] == b",":
        number -= 2
    at = number - 1
    if at < 2 or words[at] not in (b"=", b"to"):
        return False
    at -= 1
    while at > 1 and words[at - 1] == b".":
        at -= 2
    return at > 0 and words[at - 1] == b"set"


def _harmless(kind: int, stretch: bytearray) -> bytes | bytearray:
    """What stands for a token in a harmless copy."""
    if kind in _COMMENTS:
        return b" " * len(stretch)
    if kind not in (_IDENT, _UIDENT):
        return b"s" * len(stretch)
    if stretch.isascii() and b'""' not in stretch and kind != _UIDENT:
        return stretch
    return b'"' + b"x" * (len(stretch) - 2) + b'"' if stretch.startswith(b'"') else b"x" * len(stretch)


def quote_literal(value: str) -> str:
    """`value` as a string constant that means the same under any setting of standard_conforming_strings."""
    quoted = value.replace("'", "''")
    return f"E'{quoted.replace(chr(92), chr(92) * 2)}'" if "\\" in value else f"'{quoted}'"
