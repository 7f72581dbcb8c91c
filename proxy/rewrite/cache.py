"""Plans by exact bytes, bounded by bytes."""

from __future__ import annotations

from proxy.rewrite.result import Plan


class PlanCache:
    """A dict of plans that forgets the oldest beyond `limit` bytes of texts (a plan costs about twice its text
    beside).
    """

    __slots__ = ("_limit", "_plans", "_size", "get")

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._plans: dict[bytes, Plan] = {}
        self._limit = limit
        self._size = 0
        self.get = self._plans.get  # the hot path: one dict look-up

    def put(self, key: bytes, plan: Plan) -> None:
        cost = _cost(key, plan)
        if cost > self._limit // 8:
            return
        if key not in self._plans:
            self._size += cost
        self._plans[key] = plan
        while self._size > self._limit:
            oldest = next(iter(self._plans))
            self._size -= _cost(oldest, self._plans.pop(oldest))

    def __len__(self) -> int:
        return len(self._plans)


def _cost(key: bytes, plan: Plan) -> int:
    return 1024 + 2 * len(key) + (len(plan.text) if plan.rewritten else 0)
