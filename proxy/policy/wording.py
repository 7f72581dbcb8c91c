"""Words what pydantic finds wrong in a file of rules or of their tests, with its line. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from proxy.policy.rules import Path
from proxy.yaml_lines import Place, Problem, nearest, quote_it

_Model = TypeVar("_Model", bound=BaseModel)


def validated(model: type[_Model], data: Any, place: Place, problems: list[Problem]) -> _Model | ValidationError:
    """The model of what a file says, or why there is none; what is wrong is added to `problems`, in words."""
    reading = _Reading(data, place)
    try:
        return model.model_validate(data, context=reading)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _report(detail, data, place, problems)
        return error
    finally:
        problems += reading.problems


class _Reading:
    """Words the errors of unknown keys (see model.Reading)."""

    def __init__(self, data: Any, place: Place) -> None:
        self._places: dict[int, Place] = {}
        self.problems: list[Problem] = []
        self._index(data, place)

    def _index(self, data: Any, place: Place) -> None:
        if isinstance(data, dict | list):
            self._places[id(data)] = place
            for key, value in data.items() if isinstance(data, dict) else enumerate(data):
                if key in place.children:
                    self._index(value, place.children[key])

    def unknown_keys(self, model: type[BaseModel], data: dict[str, Any], keys: list[str]) -> None:
        place = self._places.get(id(data))
        if place is None:
            return
        known = [field.alias or name for name, field in model.model_fields.items()]
        for key in keys:
            file, line = place.key_line((key,))
            hint = nearest(key, known) or f"; known here: {', '.join(known)}"
            self.problems.append(Problem(file, line, f'unknown key "{key}"{hint}'))


def _report(detail: Any, data: Any, root: Place, problems: list[Problem]) -> None:
    """Words one of pydantic's errors, and places it."""
    steps, place = _walk(detail["loc"], root)
    if place.reported:
        return
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    key = next((str(step) for step in reversed(steps) if isinstance(step, str)), "")
    file, line = place.file, place.line
    if kind == "missing":
        file, line = root.key_line(steps) if steps else (file, line)
        inside = "this policy" if steps and steps[0] == "policies" and isinstance(steps[-1], int) else key or "the file"
        message = f"`{detail['loc'][-1]}` is missing in {inside}"
    elif detail["loc"] and detail["loc"][-1] == "[key]":
        file, line = root.key_line(steps)
        message = _plain(detail["msg"])
    elif kind in ("union_tag_invalid", "union_tag_not_found", "literal_error"):
        message = _choice(kind, key, given, detail, context, place)
    elif given is None:
        message = f"{key}: a value is missing" if not place.raw else quote_it(place.raw, "nothing")
    elif kind == "string_type":
        raw = place.raw or str(given)
        message = f"{key}: a name is expected, not a {_called(given)}"
        if not isinstance(given, dict | list):
            message = f"{key}: " + quote_it(raw, "a truth value" if isinstance(given, bool) else "a number")
    elif kind in ("dict_type", "model_type", "model_attributes_type"):
        message = f"{key}: a mapping (key: value) is expected, not {place.raw or _called(given)}"
    elif kind == "list_type":
        message = f"{key}: a list is expected, such as [{place.raw or '...'}]"
    elif kind == "too_short":
        message = f"{key}: at least one entry is needed"
    else:
        message = f"{key}: {_plain(detail['msg'])}"
    problems.append(Problem(file, line, message))


def _walk(loc: Sequence[str | int], root: Place) -> tuple[Path, Place]:
    """The steps of a pydantic location that exist in the file (it adds names of its own), and the place there."""
    steps: list[str | int] = []
    place = root
    for step in loc:
        below = place.children.get(step)
        if below is not None:
            steps.append(step)
            place = below
    return tuple(steps), place


def _choice(kind: str, key: str, given: Any, detail: Any, context: Mapping[str, Any], place: Place) -> str:
    if kind == "union_tag_not_found":
        return f"`kind` is missing in {key}"
    expected = str(context.get("expected_tags") or context.get("expected") or "").replace("'", "")
    options = [o for part in expected.split(" or ") for o in part.split(", ") if o]
    word = str(given.get("kind", "")) if isinstance(given, dict) else (place.raw or str(given))
    if kind == "union_tag_invalid":
        key = "kind"
    if isinstance(given, bool) or given is None:
        return f"{key}: " + quote_it(
            word or "an empty value", "a truth value" if isinstance(given, bool) else "nothing"
        )
    if options == ["open"]:
        return f"{key}: write `open`, or a mapping with `columns`, not {word}{nearest(word, options)}"
    if options == ["builtin"]:
        mapping = "a mapping with table, subject, app and granted"
        return f"{key}: write `builtin`, or {mapping}, not {word}{nearest(word, options)}"
    if options == ["all"]:
        return f"{key}: write `all`, or a list such as [{word}]"
    return f'{key}: "{word}" is not one of {", ".join(options)}{nearest(word, options)}'


def _called(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list" if isinstance(value, list) else str(value)


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
