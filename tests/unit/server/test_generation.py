"""The caches of entries: bounded by bytes, whatever comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from proxy.server.generation import Budget, Entry, EntryCache

LIMIT = 8000


def entry(cost: int) -> Entry:
    return cast(Entry, SimpleNamespace(cost=cost))


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=2), st.integers(1, 2000), st.booleans())))
def test_any_sequence_stays_within_its_limits(puts: list[tuple[bytes, int, bool]]) -> None:
    cache = EntryCache(LIMIT, Budget())
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
    cache = EntryCache(LIMIT, Budget())
    cache.put(b"planned", entry(900), False)
    for number in range(100):
        cache.put(b"%d" % number, entry(500), True)
    assert cache.get(b"planned") is not None
    assert cache.get(b"99") is not None
    assert cache.get(b"90") is None


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(1, 900), st.booleans())),
    st.sets(st.integers(0, 5)),
)
def test_all_caches_together_stay_within_the_budget(puts: list[tuple[int, int, int, bool]], dropped: set[int]) -> None:
    budget = Budget(LIMIT)
    caches: dict[int, EntryCache] = {number: EntryCache(LIMIT, budget) for number in range(6)}
    for step, (number, key, cost, by_template) in enumerate(puts):
        if step == len(puts) // 2:
            for gone in dropped:  # contexts end with their sessions
                caches.pop(gone, None)
        cache = caches.get(number)
        if cache is None or b"%d" % key in cache.entries:
            continue
        cache.put(b"%d" % key, entry(cost), by_template)
        for one in caches.values():
            assert one.size == sum(kept.cost for kept in one.entries.values())
        assert sum(one.size for one in caches.values()) <= LIMIT
    budget.clear()
    assert not any(one.entries for one in caches.values())


def test_the_largest_cache_makes_room() -> None:
    budget = Budget(LIMIT)
    small, large = EntryCache(LIMIT, budget), EntryCache(LIMIT, budget)
    small.put(b"small", entry(500), False)
    for number in range(100):
        large.put(b"%d" % number, entry(500), False)
    assert small.get(b"small") is not None
    assert large.get(b"99") is not None
