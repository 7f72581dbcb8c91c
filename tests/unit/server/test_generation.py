"""The caches of entries: bounded by bytes, whatever comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from proxy.server.generation import Entry, EntryCache

LIMIT = 8000


def entry(cost: int) -> Entry:
    return cast(Entry, SimpleNamespace(cost=cost))


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=2), st.integers(1, 2000), st.booleans())))
def test_any_sequence_stays_within_its_limits(puts: list[tuple[bytes, int, bool]]) -> None:
    cache = EntryCache(LIMIT)
    filled: set[bytes] = set()
    for key, cost, by_template in puts:
        if key in cache.entries:  # a text that is there is never put again
            continue
        cache.put(key, entry(cost), by_template)
        (filled.add if by_template else filled.discard)(key)
        costs: dict[bytes, Any] = {key: kept.cost for key, kept in cache.entries.items()}
        assert sum(costs.values()) <= LIMIT
        assert sum(cost for key, cost in costs.items() if key in filled) <= LIMIT // 4


def test_texts_of_templates_do_not_drive_out_the_rest() -> None:
    cache = EntryCache(LIMIT)
    cache.put(b"planned", entry(900), False)
    for number in range(100):
        cache.put(b"%d" % number, entry(500), True)
    assert cache.get(b"planned") is not None
    assert cache.get(b"99") is not None
    assert cache.get(b"90") is None
