"""Receipts: what was done for a customer's right, signed, without a word that names the customer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from proxy.audit.keys import Signer, signature_holds

_TITLE: Final = b"consentry receipt 1\n"


def make(signer: Signer, act: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A receipt with a number of its own. `facts`: JSON values."""
    made = {
        "receipt": str(uuid.uuid4()),
        "act": act,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "key": signer.id,
    }
    return {**made, "signature": signer.sign(signed_bytes(made))}


def holds(public: str, receipt: Mapping[str, Any]) -> bool:
    """Whether the receipt is as the owner of the public key signed it."""
    given = receipt.get("signature")
    body = {name: value for name, value in receipt.items() if name != "signature"}
    return isinstance(given, str) and signature_holds(public, given, signed_bytes(body))


def signed_bytes(body: Mapping[str, Any]) -> bytes:
    """What is signed: the receipt without its signature, keys sorted, no blanks, UTF-8."""
    return _TITLE + json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def keep(connection: asyncpg.Connection, receipt: Mapping[str, Any]) -> None:
    """Puts it into `consentry.receipts`, in the transaction that it is about."""
    await connection.execute(
        "INSERT INTO consentry.receipts (id, receipt) VALUES ($1, $2::text::jsonb)",
        uuid.UUID(receipt["receipt"]),
        json.dumps(receipt),
    )
