"""How names are written in the rules, and read; and how they are written in SQL."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z_][a-z0-9_]{0,49}")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')

RESERVED = frozenset({"open", "all"})


def check_name(name: str) -> str:
    """A name of the rules' own (app, attribute, mask). Raises ValueError that says what would be right."""
    if not NAME.fullmatch(name):
        raise ValueError(f'"{name}" is not a name: lower-case letters, digits and _, at most 50, no digit first')
    if name in RESERVED:
        raise ValueError(f'"{name}" has a meaning of its own here: take another name')
    return name


def split_dotted(text: str) -> tuple[str, ...]:
    """`schema.name`, `"a.b".name`: the parts as PostgreSQL stores them. Raises ValueError."""
    parts: list[str] = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text!r}: a part of the name is empty, or a quote is not closed")
        parts.append(match[1].replace('""', '"') if match[1] is not None else match[2])
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            raise ValueError(f'{text!r}: write a dot between the parts of a name, and quote a part that has one: "a.b"')
        at += 1


def split_relation(text: str) -> tuple[str, str]:
    """(schema, name) of a relation. Raises ValueError."""
    parts = split_dotted(text)
    if len(parts) != 2:
        raise ValueError(f"{text!r}: write schema.name, such as public.customers")
    return parts[0], parts[1]


def split_column(text: str) -> tuple[str, str, str]:
    """(schema, relation, column). Raises ValueError."""
    parts = split_dotted(text)
    if len(parts) != 3:
        raise ValueError(f"{text!r}: write schema.table.column, such as public.customers.email")
    return parts[0], parts[1], parts[2]


def join_dotted(*parts: str) -> str:
    """The spelling that `split_dotted` reads back."""
    return ".".join('"' + p.replace('"', '""') + '"' if "." in p or '"' in p else p for p in parts)


def quote_identifier(name: str) -> str:
    """`name` as a quoted identifier: the one quoting function for names."""
    return '"' + name.replace('"', '""') + '"'


def quote_relation(key: tuple[str, str]) -> str:
    """A relation's name in SQL. `key`: its schema and name."""
    return f"{quote_identifier(key[0])}.{quote_identifier(key[1])}"
