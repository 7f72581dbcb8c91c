"""Why an app sees what it sees, in a customer's words: from the same access that the API gives. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from proxy.consent.access import AppAccess, AttributeAccess, Change
from proxy.web.pages.texts import Texts


def why(one: AttributeAccess, texts: Texts) -> list[str]:
    """One sentence each: the reason, how long it holds, and the rule."""
    said = [_reason(one, texts)]
    last = one.standing
    if one.consent is not None and last is not None and last.expires_at is not None:
        ended = last.expires_at <= datetime.now(UTC)
        said.append(texts("why_ended" if ended else "why_until", date=texts.moment(last.expires_at)))
    if one.policy is not None:
        said.append(texts("why_policy", policy=one.policy.name))
    return said


def _reason(one: AttributeAccess, texts: Texts) -> str:
    if one.why == "unrestricted":
        return texts("why_unrestricted")
    if one.why == "never":
        return texts("why_never")
    if one.why == "basis":
        return texts(f"why_{one.basis or 'rules'}")
    if one.consent is None:
        return texts("why_other")
    if one.standing is None:
        return texts("why_undecided" if one.consent == "opt_in" else "why_unless")
    decided = "why_granted" if one.standing.decision == "granted" else "why_withdrawn"
    if one.standing.since is None:  # a consent table that does not say
        return texts(f"{decided}_once")
    return texts(decided, date=texts.moment(one.standing.since))


def change(one: Change, app: AppAccess, texts: Texts) -> str:
    """What a decision changes, as a sentence."""
    return texts(f"change_to_{one.after}", attribute=one.label, app=app.label)
