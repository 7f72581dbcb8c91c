"""JSON lines: an object a line."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from proxy.profile.sources.reading import Record, SourceError, Wanted, digest_of, unchanged
from proxy.profile.values import loads


@dataclass(frozen=True, slots=True)
class JsonLinesReader:
    source: str
    path: Path

    unit: ClassVar[str] = "line"
    follows_cursor: ClassVar[bool] = False
    in_order: ClassVar[bool] = False
    complete_fields: ClassVar[bool] = False
    may_be_cut: ClassVar[bool] = True

    def content(self) -> str | None:
        return digest_of(self.source, self.path)

    async def records(self, wanted: Wanted) -> AsyncGenerator[Record]:
        """A field of an object in an object is named `customer.email`."""
        paths = [(field, field.split(".")) for field in wanted.fields]
        with unchanged(self.source, self.path), self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    document = loads(line, unique=True)
                except ValueError as error:
                    cut = "" if line.endswith(b"\n") else ": the file ends here; was it cut?"
                    raise SourceError(self.source, f"line {number}: {error}{cut}") from error
                if not isinstance(document, dict):
                    raise SourceError(self.source, f"line {number}: not an object: {type(document).__name__}")
                yield Record(number, inside(document, paths))

    async def keys(self, wanted: Wanted) -> AsyncGenerator[Any]:
        async for record in self.records(wanted):
            yield record.values.get(wanted.key)


def inside(document: dict[str, Any], paths: list[tuple[str, list[str]]]) -> dict[str, Any]:
    """The fields that the document has, by name; `paths` has for each the names of objects that it is in."""
    found: dict[str, Any] = {}
    for field, path in paths:
        if field in document:
            found[field] = document[field]
            continue
        here: Any = document
        for step in path:
            if not isinstance(here, dict) or step not in here:
                break
            here = here[step]
        else:
            found[field] = here
    return found
