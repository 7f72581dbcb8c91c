"""Locks of Consentry's own, until the transaction's end. No application can know their keys (migration 013)."""

from __future__ import annotations

from typing import Final

# Of whoever changes what sources say of customers: syncs, reviews, erasure.
WRITING: Final = "SELECT pg_catalog.pg_advisory_xact_lock(consentry.lock_key('profile'))"
# One sync of a database at a time.
SYNCING: Final = "SELECT pg_catalog.pg_try_advisory_xact_lock(consentry.lock_key('sync'))"


def of_subject(kind: str) -> str:
    """Of whoever decides about the customer $1, or acts on their data. `kind`: the key's type."""
    return f"SELECT pg_catalog.pg_advisory_xact_lock(consentry.lock_key('subject ' || ($1::text::{kind})::text))"
