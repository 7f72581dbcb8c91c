"""What `*` stands for where it must be spelled out, as the verifier reads FROM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.rewrite.verify.scope import Level, Source, Target
from proxy.rewrite.verify.tree import Node, strings


@dataclass(frozen=True, slots=True)
class Part:
    """All columns of a source or a target; or one, which belongs to the source, or (None) is merged by USING."""

    source: Source | Target | None
    column: str | None = None


def parts_of(level: Level) -> list[Part] | None:
    """What a bare `*` means at the level; None where that cannot be told."""
    sources = iter(level.sources)
    parts: list[Part] = []
    for item in level.items:
        found = _parts(item, sources)
        if found is None:
            return None
        parts += found
    if level.target is None:
        return parts
    target = [Part(level.target)]
    return [*parts, *target] if level.target_last else [*target, *parts]


def _parts(item: Node, sources: Iterator[Source]) -> list[Part] | None:
    join = item.get("JoinExpr")
    if join is None:
        return [Part(next(sources))]
    if "alias" in join:
        return [Part(next(sources))]  # the walk gives one source for the whole join
    left, right = _parts(join["larg"], sources), _parts(join["rarg"], sources)
    if "join_using_alias" in join:
        next(sources)
    if left is None or right is None:
        return None
    if "isNatural" not in join and "usingClause" not in join:
        return left + right
    one, two = single(left), single(right)
    if one is None or two is None:
        return None
    if "isNatural" in join:
        names = [part.column for part in one if any(other.column == part.column for other in two)]
    else:
        names = [*strings(join["usingClause"])]
    rest = [part for part in one + two if part.column not in names]
    return [*(Part(None, name) for name in names), *rest]


def single(parts: list[Part]) -> list[Part] | None:
    """The parts with each column for itself."""
    found: list[Part] = []
    for part in parts:
        if part.column is not None:
            found.append(part)
        elif isinstance(part.source, Source) and part.source.columns is not None:
            found += [Part(part.source, name) for name in part.source.columns]
        else:
            return None
    return found
