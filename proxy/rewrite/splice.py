"""Edits put into the original text: everything outside of them stays byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """`start` to `end` (bytes of the UTF-8 text) become `text`; an insertion where they are equal."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Spliced:
    """`stretches`: (start, end) in the new text and (start, end) in the original, in characters, ascending."""

    text: str
    stretches: tuple[tuple[int, int, int, int], ...]


def splice(original: str, edits: Iterable[Edit]) -> Spliced:
    """Applies `edits`, which must not overlap (ValueError). Insertions at one place keep their order."""
    raw = original.encode()
    out: list[str] = []
    stretches = []
    at = characters = original_characters = 0
    for edit in sorted(edits, key=lambda e: (e.start, e.end)):
        if edit.start < at:
            raise ValueError(f"edits overlap at byte {edit.start}")
        kept = raw[at : edit.start].decode()
        replaced = raw[edit.start : edit.end].decode()
        out += [kept, edit.text]
        characters += len(kept)
        original_characters += len(kept)
        stretches.append(
            (characters, characters + len(edit.text), original_characters, original_characters + len(replaced))
        )
        characters += len(edit.text)
        original_characters += len(replaced)
        at = edit.end
    out.append(raw[at:].decode())
    return Spliced("".join(out), tuple(stretches))
