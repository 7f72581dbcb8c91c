"""What functions of the database say in their errors: the constant words of RAISE in PL/pgSQL's sources. Pure.

Source: PostgreSQL documentation, "PL/pgSQL: Errors and Messages".
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TEXT = r"'((?:[^']|'')*)'"
_RAISE = re.compile(rf"\braise\s+(?:(?:debug|log|info|notice|warning|exception)\s+)?{_TEXT}", re.IGNORECASE)
_OPTION = re.compile(rf"\b(message|hint|constraint|column|table|schema|datatype)\s*:?=\s*{_TEXT}\s*[,;]", re.IGNORECASE)


def raised_texts(sources: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(formats of messages, in which `%` stands for a value and `%%` for itself; constants of other options)."""
    formats, constants = {"assertion failed"}, set()
    for source in sources:
        formats.update(found.replace("''", "'") for found in _RAISE.findall(source))
        for option, found in _OPTION.findall(source):
            text = found.replace("''", "'")
            if option.lower() == "message":
                formats.add(text.replace("%", "%%"))
            else:
                constants.add(text)
    return tuple(sorted(formats)), tuple(sorted(constants))
