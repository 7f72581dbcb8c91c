"""Paths into a JSON document, as the rules write them: `$.contact.email`, `$.contacts[*]."first name"`.

`[*]` goes into an array where there is one. An array that no path goes into, where a path names keys, is not shown: in
jsonpath's lax mode a step to a key would go into it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from proxy.policy.table import Document, DocumentNode, GovernedPath, Mask, Part, PolicyRef, Treatment, Write

Steps = tuple[str | None, ...]  # a key, or None for `[*]`

PATHS_MASK = Mask("paths")  # of a column whose document says what is shown: no expression by itself

_STEP = re.compile(r'\.([^\W\d]\w*)|\.("(?:[^"\\]|\\.)*")|\[\s*\*\s*\]')


def split_path(text: str) -> Steps:
    """The steps of a path. Raises ValueError that says what would be right."""
    if not text.startswith("$"):
        raise ValueError(f'"{text}" is no path: it begins with $, such as $.contact.email')
    steps: list[str | None] = []
    at = 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            raise ValueError(f'"{text}": {_wrong(text[at:])}')
        steps.append(_unquoted(text, match[2]) if match[2] is not None else match[1])
        at = match.end()
    if not steps:
        raise ValueError('"$" is the whole document: that is what the column\'s own `attribute` is for')
    return tuple(steps)


def _wrong(rest: str) -> str:
    if re.match(r"\[\s*(\d|last|-)", rest):
        return "a rule holds for all elements of an array: write [*] for its index"
    if rest.startswith((".*", ".**")):
        return "a path names its keys one by one; .* and .** are not known here"
    if rest.startswith("["):
        return 'write ."key" for a key, [*] for the elements of an array'
    if rest.startswith(("?", "(")):
        return "filters and methods have no place in a rule"
    return f'"{rest}" is neither .key, ."any key" nor [*]; a key with other signs than letters, digits and _ is quoted'


def _unquoted(text: str, quoted: str) -> str:
    try:
        key = json.loads(quoted, strict=True)
        key.encode()
    except (ValueError, UnicodeEncodeError):
        raise ValueError(f'"{text}": {quoted} is not a key in the spelling of JSON') from None
    if "\0" in key:
        raise ValueError(f'"{text}": no key holds the character 0')
    return str(key)


def keys_of(steps: Steps) -> Steps:
    """The steps by which two paths are the same: whether one goes into an array on its way to a key says nothing."""
    last = max((number for number, step in enumerate(steps) if step is not None), default=-1)
    return (*(step for step in steps[: last + 1] if step is not None), *steps[last + 1 :])


# -- the tree -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Draft:
    """A place in the document while its rules are collected: by number of `[*]` behind the key, and by key."""

    levels: dict[int, Part] = field(default_factory=dict)
    keys: dict[str, _Draft] = field(default_factory=dict)
    depth: int = 0  # of arrays inside each other that a path goes into on its way to a key


def governed_document(rest: Part, paths: Sequence[tuple[str, Part]]) -> Document:
    """The document of one column for one app. Of overlapping paths the longest decides; what none names has `rest`."""
    top = _Draft({0: rest})
    for text, part in paths:
        here, stars = top, 0
        for step in split_path(text):
            if step is None:
                stars += 1
            else:
                here.depth, stars = max(here.depth, stars), 0
                here = here.keys.setdefault(step, _Draft())
        here.levels[stars] = part
    return Document(rest, tuple(GovernedPath(text, part) for text, part in paths), _node(top, rest))


def _node(draft: _Draft, inherited: Part) -> DocumentNode:
    levels: list[Part] = []
    for number in range(max(draft.levels, default=0) + 1):
        inherited = draft.levels.get(number, inherited)
        levels.append(inherited)
    while len(levels) > 1 and _same(levels[-1], levels[-2]):
        del levels[-1]
    below = ((key, _node(child, inherited)) for key, child in sorted(draft.keys.items()))
    keys = tuple((key, node) for key, node in below if not _says_nothing(node, inherited))
    return DocumentNode(tuple(levels), keys, max(len(levels) - 1, draft.depth if keys else 0))


def _says_nothing(node: DocumentNode, inherited: Part) -> bool:
    return not node.keys and len(node.levels) == 1 and _same(node.last, inherited)


def _same(one: Part, other: Part) -> bool:
    """Whether it makes no difference which of the two holds."""
    plain = one.treatment.plain and other.treatment.plain
    return plain or (one.treatment.action == "drop" and other.treatment.action == "drop")


# -- the column as a whole ------------------------------------------------------------------------------------------


def whole_treatment(document: Document) -> Treatment:
    """What the app gets of the column that holds the document.

    `deny` anywhere denies all of it: which path a statement touches cannot be told.
    """
    parts = document.parts
    rest = document.rest.treatment
    denied = next((part.treatment for part in parts if part.treatment.action == "deny"), None)
    if denied is not None:
        return denied
    if not any(part.treatment.visible for part in parts):
        return rest
    writes = {part.treatment.write for part in parts}
    if document.root.keys or len(document.root.levels) > 1:
        write: Write = "deny" if "deny" in writes else "allow" if _all_writable(parts) else "visible"
        return Treatment("mask", PATHS_MASK, policy=_deciding(parts), write=write)
    return replace(rest, write="deny") if rest.plain and "deny" in writes else rest


def _all_writable(parts: Iterable[Part]) -> bool:
    return all(part.treatment.writable for part in parts)


def _deciding(parts: Iterable[Part]) -> PolicyRef | None:
    """The policy to name in a hint: of the first part that is not simply shown."""
    return next((p.treatment.policy for p in parts if not p.treatment.plain and p.treatment.policy), None)
