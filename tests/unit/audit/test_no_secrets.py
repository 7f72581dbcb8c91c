"""No constant of any statement form is in a record: each one in all texts of tests/sql becomes a marker."""

from __future__ import annotations

import re
from itertools import repeat

import pytest
from postgast.pg_query_pb2 import Token as TokenKind

from proxy.audit.record import statement_fragments
from proxy.errors import PgError
from proxy.rewrite.lex import Tokens, parse
from proxy.rewrite.plan import describe
from tests.sql.test_pairs import HERE, Pair, read_pairs

TEXT, NUMBER = "marker7391", "73917391"
PAIRS = [pair for file in sorted(HERE.glob("*.sql")) if file.name != "schema.sql" for pair in read_pairs(file)]
STRINGS = {TokenKind.Value(name) for name in ("SCONST", "USCONST", "BCONST", "XCONST")}
NUMBERS = {TokenKind.Value(name) for name in ("ICONST", "FCONST")}
VALUED = re.compile(
    rb"(=|<|>|<=|>=|<>|!=|\+|-|\*|/|\|\||in|values|limit|offset|between|and|then|else|when)", re.IGNORECASE
)


def marked(text: str) -> str:
    """The text with markers for its constants: all strings, and the numbers that are values by what stands before."""
    out, at, before = [], 0, b""
    raw = text.encode()
    for token in Tokens(text):
        if token.kind in STRINGS:
            out += [raw[at : token.start], f"'{TEXT}'".encode()]
            at = token.end
        elif token.kind in NUMBERS and VALUED.fullmatch(before):
            out += [raw[at : token.start], NUMBER.encode()]
            at = token.end
        before = token.text
    return b"".join([*out, raw[at:]]).decode()


def of_marked(pair: Pair) -> str | None:
    """The pair's text with markers, where it is still a statement."""
    try:
        text = marked(pair.sent)
        parse(text)
    except PgError:
        return None
    return text


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.file}:{pair.line}")
def test_no_marker_is_in_a_record(pair: Pair) -> None:
    text = of_marked(pair)
    if text is None:
        return
    for fragment in statement_fragments(describe(text.encode()), repeat(True), "v"):
        assert TEXT not in fragment
        assert NUMBER not in fragment


def test_most_texts_have_markers() -> None:
    texts = [text for text in map(of_marked, PAIRS) if text is not None]
    assert len(texts) > 0.9 * len(PAIRS)
    assert sum(TEXT in text or NUMBER in text for text in texts) > 0.3 * len(PAIRS)
