"""A consent receipt for the customer: one record of the ledger in the terms of ISO/IEC TS 27560. Pure.

Field names are those of the TS's annexes (JSON); what the ledger does not know is left out, never guessed.
"""

from __future__ import annotations

from typing import Any

from proxy.consent.service import Event
from proxy.policy.model import Attribute
from proxy.policy.table import AppPolicy

SCHEMA = "ISO/IEC TS 27560:2023"


def receipt(event: Event, app: AppPolicy | None, attribute: Attribute | None, organisation: str) -> dict[str, Any]:
    """The receipt of one event. `app` and `attribute` are None where the rules do not have them any more."""
    granted = event.decision == "granted"
    state: dict[str, Any] = {
        "event_type": "consent given" if granted else "consent withdrawn",
        "event_time": event.at.isoformat(),
        "event_state": "given" if granted else "withdrawn",
        "entity": {"customer": "data subject", "agent": "controller", "import": "imported record"}[event.actor],
    }
    if event.expires_at is not None:
        state["validity_end"] = event.expires_at.isoformat()
    notice = {"notice_version": event.text_version, "notice_text": (event.evidence or {}).get("shown")}
    recipient = {"id": event.app} | ({"name": app.label, "role": app.kind} if app else {})
    return {
        "schema_version": SCHEMA,
        "record_id": event.id,
        "pii_principal_id": event.subject,
        "pii_controller": organisation or None,
        "pii_processing": [
            {
                "purpose": app.purpose if app else None,
                "lawful_basis": "consent",
                "pii_information": [
                    {"attribute": event.attribute, "name": attribute.label if attribute else event.attribute}
                ],
                "recipients": [recipient],
                **({"scope_of_decision": event.scope} if event.scope else {}),
            }
        ],
        "consent_state": state,
        "privacy_notice": {name: value for name, value in notice.items() if value},
        "policy_version": event.policy_version,
        "integrity": {"algorithm": "SHA-256", "previous": event.prev_hash, "hash": event.hash},
    }
