"""SQL that the gateway writes, in encodings that lack its characters.

A governed form lists the columns of its relation, whatever the app asks for, and masks and catalogs have constants: the
client_encoding need not have their characters. PostgreSQL reads them by their code points, too.

Source: PostgreSQL documentation, "Lexical Structure", "String Constants with C-Style Escapes" and "with Unicode
Escapes" (standard_conforming_strings is on: `server.probe`).
"""

from __future__ import annotations

import re
from typing import Final

from postgast import scan
from postgast.pg_query_pb2 import Token as TokenKind

_WRITTEN: Final = frozenset(map(TokenKind.Value, ("IDENT", "SCONST")))
_CHARACTER: Final = re.compile(r"\\.|.", re.DOTALL)


def spelled(text: str, encoding: str) -> str:
    """`text` with its quoted names and its constants as `encoding` has them. What else it lacks stays."""
    if _has(text, encoding):
        return text
    raw, parts, at = text.encode(), [], 0
    for token in scan(text).tokens:
        word = raw[token.start : token.end].decode()
        if token.token in _WRITTEN and not _has(word, encoding):
            parts += [raw[at : token.start].decode(), _spelled(word, encoding)]
            at = token.end
    return "".join([*parts, raw[at:].decode()])


def _spelled(word: str, encoding: str) -> str:
    quote = word[0]
    if quote in "'\"":
        inside = "".join(c if _has(c, encoding) else f"\\+{ord(c):06X}" for c in word[1:-1].replace("\\", "\\\\"))
        return f" U&{quote}{inside}{quote}"  # the space: what stands before it may end in a word
    if quote in "eE":
        return _CHARACTER.sub(lambda c: c[0] if _has(c[0], encoding) else f"\\U{ord(c[0][-1]):08X}", word)
    return word


def _has(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
