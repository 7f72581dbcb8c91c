"""YAML that remembers lines: text -> plain values and, beside them, where each one stands.

Closes YAML's traps: duplicate keys, tags, keys that YAML reads as something else than a name, empty values. Pure: no
file access. Rules and settings are both read through it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from proxy.errors import ConsentryError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_DEEPEST = 40
_SWITCHES = frozenset({"yes", "no", "on", "off"})
_MEANING = {"bool": "a truth value", "null": "nothing", "int": "a number", "float": "a number", "timestamp": "a date"}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file that people write. `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ProblemsError(ConsentryError):
    """Everything wrong that was found in one go, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class Place:
    """Where a value stands, and what stands below it. `raw`: a scalar as written; `plain`: unquoted."""

    file: str
    line: int
    raw: str | None = None
    plain: bool = False
    reported: bool = False  # a problem was said already: say nothing more about this value
    key_lines: dict[str, int] = field(default_factory=dict)
    children: dict[str | int, Place] = field(default_factory=dict)

    def find(self, path: Sequence[str | int]) -> Place:
        """The place at the end of `path`; steps that do not exist are skipped."""
        here = self
        for step in path:
            here = here.children.get(step, here)
        return here

    def key_line(self, path: Sequence[str | int]) -> tuple[str, int]:
        """File and line of the last key in `path` (of the value itself, where the last step is no key)."""
        parent = self.find(path[:-1])
        last = path[-1] if path else ""
        if isinstance(last, str) and last in parent.key_lines:
            child = parent.children.get(last)
            return (child.file if child else parent.file), parent.key_lines[last]
        here = self.find(path)
        return here.file, here.line

    def problem(self, message: str) -> Problem:
        return Problem(self.file, self.line, message)


def read_yaml(file: str, text: str, problems: list[Problem], *, switches_are_words: bool = False) -> tuple[Any, Place]:
    """The plain value of one document and its places; what is wrong is added to `problems`.

    `switches_are_words`: a bare yes, no, on, off is the word, not a truth value (settings).
    """
    nothing = Place(file, 1)
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = error.problem or error.context or "not YAML"
        problems.append(Problem(file, mark.line + 1 if mark else 1, f"not YAML: {why}"))
        return None, nothing
    except yaml.YAMLError as error:
        problems.append(Problem(file, 1, f"not YAML: {' '.join(str(error).split())}"))
        return None, nothing
    if node is None:
        return None, nothing
    return _Reader(file, problems, switches_are_words).convert(node, 0)


def nearest(word: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` with the nearest spelling, or nothing."""
    candidates = sorted(set(known))
    found = difflib.get_close_matches(word, candidates, 1, 0.6)
    if not found:
        folded = [k for k in candidates if k.casefold() == word.casefold()]
        found = folded[:1]
    return f' (did you mean "{found[0]}"?)' if found else ""


def quote_it(raw: str, meaning: str = "something else") -> str:
    """What to say of a bare word that YAML does not read as a word."""
    return f'{raw} written bare is {meaning} for YAML; where a name is meant, quote it: "{raw}"'


class _Reader:
    """Turns nodes into values and places, remembering what was wrong."""

    def __init__(self, file: str, problems: list[Problem], switches_are_words: bool) -> None:
        self._file = file
        self._problems = problems
        self._switches = switches_are_words

    def convert(self, node: yaml.Node, depth: int) -> tuple[Any, Place]:
        place = Place(self._file, node.start_mark.line + 1)
        if depth > _DEEPEST:
            self._say(place, "nested too deeply")
            return None, place
        kind = node.tag.removeprefix(_TAG)
        if node.tag.startswith("!") or kind not in _KINDS:
            self._say(place, f"the tag {node.tag} is not supported")
            return None, place
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place, depth), place
        if isinstance(node, yaml.SequenceNode):
            values = []
            for number, item in enumerate(node.value):
                value, below = self.convert(item, depth + 1)
                place.children[number] = below
                values.append(value)
            return values, place
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, kind, place), place

    def _mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            here = Place(self._file, line)
            value, below = self.convert(value_node, depth + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self._say(here, "a key must be a plain name")
                continue
            key = str(key_node.value)
            kind = key_node.tag.removeprefix(_TAG)
            if kind not in ("str", "merge"):
                self._say(here, quote_it(key or "an empty key", _MEANING.get(kind, "something else")))
            elif key in values:
                self._say(here, f'the key "{key}" stands here twice; the first is in line {place.key_lines[key]}')
                continue
            if value is None and not below.reported:
                self._nothing(key, below, value_node)
            place.key_lines[key] = line
            place.children[key] = below
            values[key] = value
        return values

    def _nothing(self, key: str, place: Place, node: yaml.Node) -> None:
        if node.value and not getattr(node, "style", None):
            self._say(place, f"{key}: {quote_it(str(node.value), 'nothing')}")
        place.raw = ""

    def _scalar(self, node: yaml.ScalarNode, kind: str, place: Place) -> Any:
        text = str(node.value)
        place.raw, place.plain = text, not node.style
        if kind == "null":
            return None
        if kind == "bool":
            word = text.lower()
            if self._switches and word in _SWITCHES:
                return word
            return word in ("true", "yes", "on")
        if kind == "int":
            try:
                return int(text.replace("_", ""))
            except ValueError:  # octal, hexadecimal, base 60: nobody means these here
                return text
        if kind == "float":
            try:
                return float(text.replace("_", ""))
            except ValueError:
                return text
        return text

    def _say(self, place: Place, message: str) -> None:
        place.reported = True
        self._problems.append(place.problem(message))


_KINDS = frozenset({"map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value"})
