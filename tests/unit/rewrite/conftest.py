"""The snapshot, rules and planners of tests/sql: the verifier's tests take their honest texts from there."""

from tests.sql.test_pairs import planners, rules, snapshot

__all__ = ["planners", "rules", "snapshot"]
