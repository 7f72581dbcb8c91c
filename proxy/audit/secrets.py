"""What of a text may be recorded as it was sent (`audit.text: full`): all but statements that may hold a secret. Pure.

A secret is a password or a key, wherever it stands: as an option, in a connection string, as an argument, in the body
of a function, in a comment. What one looks like is said by `_TELLING`, what is never recorded by `_KINDS`. Rather one
statement too many than a secret: whoever gives a column or a table such a name has its constants out too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxy.errors import PgError
from proxy.rewrite.lex import Node, extent, parse

# Words of names, constants, bodies and comments. `(?<![a-z])` begins a word, in `app.api_key` too.
_TELLING: Final = re.compile(
    r"""
    passw(?:or)?d | passphrase | passcode | pwd | (?<![a-z])(?:pw|jwt)(?![a-z]) | scram-sha | authorization:
    | _pass(?![a-z]) | (?<![a-z])pass\s*[=:]
    | credential | (?<![a-z])(?:secret|token)s?(?![a-z]) | bearer\s
    # Which key it is; of any other one rows have names ("the key of the customer").
    | (?:api|access|account|auth|session|private|secret|cipher|crypt\w*|sign\w*|master|symmetric|ssl|ssh|scram\w*)
      [\s_-]?keys?(?![a-z])
    # A URI that says who connects, and libpq's own.
    | \w://[^\s/?\#]*@ | postgres(?:ql)?://
    # Functions that are given keys (pgcrypto's, pgsodium's) or connection strings, which may come in pieces.
    | (?<![a-z])(?:(?:en|de)?crypt(?:_iv)?|hmac|digest|sign|verify|pgp_(?:sym|pub)_\w+|crypto_\w+|dblink\w*)(?![a-z])
    """,
    re.IGNORECASE | re.VERBOSE,
)

# Kinds of statements, and what the tree says of some: their options may be called anything.
_KINDS: Final = frozenset(
    """
    CreateRoleStmt AlterRoleStmt AlterSystemStmt CreateSubscriptionStmt AlterSubscriptionStmt
    CreateFdwStmt AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt CreateUserMappingStmt
    AlterUserMappingStmt CreateForeignTableStmt ImportForeignSchemaStmt AT_GenericOptions AT_AlterColumnGenericOptions
    fdwoptions is_program
    """.split()
)


def as_sent(text: str) -> list[str | None]:
    """The statements of a text as they were sent, with comments; None where one may hold a secret.

    A text that does not parse, or is nothing but comments, has none: what is in it cannot be told.
    """
    try:
        statements = parse(text)
    except (PgError, RecursionError):
        return []
    if len(statements) == 1:
        return [None if _may_hold_a_secret(text, statements[0]) else text]
    raw = text.encode()
    found: list[str | None] = []
    for statement in statements:
        begin, end = extent(statement, raw)
        part = raw[begin:end].decode().strip()
        found.append(None if _may_hold_a_secret(part, statement) else part)
    return found


def _may_hold_a_secret(text: str, statement: Node) -> bool:
    """The text has the comments; the tree has constants as they are meant (`E'pass\\x77ord'`)."""
    return bool(_TELLING.search(text)) or any(word in _KINDS or _TELLING.search(word) for word in _words(statement))


def _words(tree: Node) -> Iterator[str]:
    """Every name, constant and kind of node in a tree."""
    stack: list[object] = [tree]
    while stack:
        element = stack.pop()
        if isinstance(element, dict):
            yield from element
            stack += element.values()
        elif isinstance(element, list):
            stack += element
        elif isinstance(element, str):
            yield element
