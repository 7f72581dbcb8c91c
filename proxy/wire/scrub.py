"""What an app may read of the database's errors and notices. Pure, and by no language of the server's messages.

Three hands write an error. The server writes names and, in DETAIL, CONTEXT and in the quotes of data exceptions
(class 22), values. A function of the DBA's (a trigger's RAISE) writes what it likes: its message is known by the format
that stands in the function's source, and its values go. The app writes its own statement: what an error quotes of that
stays, so that it can be debugged.

Source: PostgreSQL documentation, "Error and Notice Message Fields", "PostgreSQL Error Codes".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType

Fields = list[tuple[str, bytes]]  # (field type, value) in the order of the message

NOT_SHOWN = "a function of the database says something that is not shown"

# Fields that may quote rows, inner queries or values: detail, context, internal query and its position.
_REVEALING = frozenset("DWqp")
# Fields that a function's RAISE may fill with what it likes: hint, schema, table, column, data type, constraint.
_FILLED = frozenset("Hstcdn")
# Messages quote values, and do not double the quotes inside: all from the first quote to the last goes. Translated
# servers quote in other ways. Bytes that cannot be converted are named in hexadecimal.
_QUOTES = '"\u00ab\u00bb\u201e\u201c\u201d\u2039\u203a\u300c\u300d\u300e\u300f'
_QUOTED = re.compile(f"[{_QUOTES}](.*)[{_QUOTES}]", re.DOTALL)
_ONE_QUOTED = re.compile(f"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]")
_NUMBER = re.compile(r"(?<![\w$(])[+-]?\d[\d.:-]*(?:e[+-]?\d+)?(?!\w)")
# Messages of these end in what somebody gave, behind a colon and not in quotes: `COPY from stdin failed: ...` (the
# client's own words), `improper relation name (...): ...`, `cross-database references are not implemented: ...`.
_GIVEN_LAST = frozenset(("57014", "42601", "0A000"))
_BYTES = re.compile("0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*")
# `COPY people, line 2, column id: "x"`: the value is a field of the app's own line (in every language "COPY" is first).
_COPIED = re.compile(f"COPY [^{_QUOTES}]*,[^{_QUOTES}]*,[^{_QUOTES}]*[{_QUOTES}](.*)[{_QUOTES}]", re.DOTALL)
# The routines by which procedural languages and foreign servers pass on an error that somebody else has worded.
_WORDED_ELSEWHERE = re.compile(rb"exec_stmt_raise|exec_stmt_assert|PLy_output|\w*elog\w*|dblink_\w*error")
# Of a name that nothing has. Where the server says it, in which line of its source, would tell what else it has found;
# what the rules hide, the gateway itself says.
_OF_MISSING = frozenset((b"42703", b"42704", b"42P01"))
_SOURCE = frozenset("FLR")
# Classes of SQLSTATE of the server's own; 38, 39, HV and P0 are of functions, and RAISE may make up others.
_CLASSES = frozenset(
    """
    00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 XX
    """.split()
)


def field(fields: Fields, code: str) -> bytes:
    """The value of the first field of this type; empty where there is none."""
    for found, value in fields:
        if found == code:
            return value
    return b""


def without_values(message: str) -> str:
    """The message with what it quotes, and bytes in hexadecimal, replaced by `?`.

    `invalid input syntax for type integer: "ann@x.org"`, `value "99999" is out of range for type integer`,
    `character with byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"`.
    """
    return _BYTES.sub("0x?", _QUOTED.sub('"?"', message))


def of_known_names(message: str, known: str) -> str:
    """The message without numbers, and without what it quotes, that `known` does not have as a word.

    What PostgreSQL takes for a name may be a constant of the statement: `nextval('ann')` has relation "ann" not exist.
    """

    def is_known(word: str) -> bool:
        return re.search(rf"(?<![\w$]){re.escape(word)}(?!\w)", known, re.IGNORECASE) is not None

    def shown(found: re.Match[str]) -> str:
        return found[0] if all(map(is_known, found[1].split("."))) else '"?"'

    return _NUMBER.sub(lambda found: found[0] if is_known(found[0]) else "?", _ONE_QUOTED.sub(shown, message))


def of_statement(message: str, sqlstate: str, statement: str, *, ours: bool) -> str:
    """What a record may quote of an error's message. `statement`: without constants; `ours`: the gateway's own error.

    Class 23 names constraints, which the statement does not; of our own errors one has PostgreSQL's words.
    """
    names = sqlstate == "42P01" if ours else sqlstate[:2] != "23"
    if not names:
        return message
    first, colon, _ = message.partition(": ")
    return of_known_names(f"{first}: ?" if colon and sqlstate in _GIVEN_LAST else message, statement)


class Scrubber:
    """Takes out of errors and notices what one app may not see.

    `formats`: the messages that functions of the database raise, as their sources have them (`%` stands for a value).
    `constants`: other words of theirs in RAISE (hints, names of constraints).
    `hidden`: the columns that do not exist for the app (schema, relation, column).
    `constraints`: those that do not exist for the app, and such indexes (schema, table, constraint) -> whether the
    table does not either. A domain that does not exist is there as (schema, domain, "").
    `encoding`: the client's, in which the messages come.
    """

    def __init__(
        self,
        formats: Iterable[str] = (),
        constants: Iterable[str] = (),
        hidden: Iterable[tuple[str, str, str]] = (),
        encoding: str = "utf-8",
        constraints: Mapping[tuple[str, str, str], bool] = MappingProxyType({}),
    ) -> None:
        self._formats = tuple(formats)
        self._constants = frozenset(constants)
        self._hidden = frozenset(hidden)
        self._encoding = encoding
        self._constraints = constraints

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """(what a message of the format looks like, what is shown of it), those with most words of their own first."""
        found = []
        for text in sorted(set(self._formats), key=lambda text: (-len(text.replace("%", "")), text)):
            parts = [part.replace("\0", "%") for part in text.replace("%%", "\0").split("%")]
            found.append((re.compile("(.*)".join(map(re.escape, parts)), re.DOTALL), "?".join(parts)))
        return found

    @cached_property
    def _hidden_word(self) -> re.Pattern[str] | None:
        words = sorted({column for _, _, column in self._hidden}, key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)") if words else None

    def message(self, fields: Fields) -> str:
        """What may be kept of the message, whoever reads it."""
        text, sqlstate = self._text(field(fields, "M")), field(fields, "C")
        if _worded_elsewhere(fields):
            for pattern, shown in self._patterns:
                if pattern.fullmatch(text):
                    return shown
            return NOT_SHOWN
        inside = bool(field(fields, "W") or field(fields, "q"))  # of a function's statement: names may be values
        if sqlstate[:2] == b"22" or (inside and sqlstate[:2] != b"23"):
            return without_values(text)
        return text

    def is_of_hidden_constraint(self, fields: Fields) -> bool:
        """Whether it is of a constraint or an index that does not exist for the app: a violation, a key too long."""
        schema, table, domain, name = (self._text(field(fields, code)) for code in "stdn")
        return (schema, domain, "") in self._constraints or (schema, table, name) in self._constraints

    def scrubbed(self, fields: Fields, own: bool = False) -> Fields:
        """The fields that the app may have. `own`: the error's position is in what the app itself wrote."""
        elsewhere = _worded_elsewhere(fields)
        text, context = self._text(field(fields, "M")), self._text(field(fields, "W"))
        # Only the parser says a position: what it quotes is the app's own constant.
        own = own and not elsewhere and bool(field(fields, "P")) and not field(fields, "q")
        copied = not elsewhere and context.startswith("COPY ") and not field(fields, "q")
        if not own and not (copied and _quotes_the_same(text, context)):
            text = self.message(fields)
        schema, table, column = (self._text(field(fields, code)) for code in "stc")
        gone = (schema, table, column) in self._hidden
        if gone:
            text = _without_name(text, column)
        nameless: set[str] = set()
        if self.is_of_hidden_constraint(fields):
            domain, constraint = (self._text(field(fields, code)) for code in "dn")
            text, nameless = _without_name(text, constraint), {"n"}
            if domain:
                text, nameless = _without_domain(text, schema, domain), {"s", "d", "n"}
            elif self._constraints[schema, table, constraint]:
                text, nameless = _without_name(text, table), {"s", "t", "n"}
        elif field(fields, "C") in _OF_MISSING and not elsewhere:
            nameless = set(_SOURCE)
        kept = {"D", "W"} if own else {"W"} if copied else set()
        result: Fields = []
        for code, value in fields:
            if code == "M":
                result.append((code, text.encode(self._encoding, "surrogateescape")))
                continue
            values = (code in _REVEALING and code not in kept) or (
                elsewhere and code in _FILLED and self._text(value) not in self._constants
            )
            # What the app itself wrote is told whatever it calls so: its absence would tell what is hidden elsewhere.
            names = (code == "c" and gone) or (code == "H" and not own and self._names_hidden(value))
            if not values and not names and code not in nameless:
                result.append((code, value))
        return result

    def _text(self, value: bytes) -> str:
        return value.decode(self._encoding, "surrogateescape")

    def _names_hidden(self, value: bytes) -> bool:
        pattern = self._hidden_word
        return pattern is not None and pattern.search(self._text(value)) is not None


def _without_name(message: str, name: str) -> str:
    return re.sub(f"[{_QUOTES}]{re.escape(name)}[{_QUOTES}]", '"?"', message)


def _without_domain(message: str, schema: str, domain: str) -> str:
    """The server writes a type's name as SQL does: with quotes and its schema where it needs them."""
    named = rf"\"?{re.escape(domain)}\"?"
    return re.sub(rf"(?<![\w$])(?:\"?{re.escape(schema)}\"?\.)?{named}(?![\w$])", lambda _: '"?"', message)


def _worded_elsewhere(fields: Fields) -> bool:
    """Whether the words may be those of a function or of another server."""
    state, routine = field(fields, "C")[:2].decode("ascii", "replace"), field(fields, "R")
    if routine.startswith(b"pgfdw_report"):
        return state not in _CLASSES  # else the other server's own words, which come with a context
    if _WORDED_ELSEWHERE.fullmatch(routine):
        return True
    return state not in _CLASSES and not (state == "P0" and routine.startswith(b"exec_stmt_"))


def _quotes_the_same(message: str, context: str) -> bool:
    """Whether the value in the message is the one that COPY's context quotes of the app's line."""
    value, copied = _QUOTED.search(message), _COPIED.fullmatch(context)
    return value is not None and copied is not None and value[1] == copied[1]
