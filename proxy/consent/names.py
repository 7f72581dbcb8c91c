"""What a decision can name in an attribute's place: an attribute, a group, all that the app asks consent for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.consent import access
from proxy.consent.service import Vocabulary
from proxy.policy.model import Attribute
from proxy.policy.table import CompiledRules


@dataclass(frozen=True, slots=True)
class Names:
    """What the rules call things: `rules` on the catalog, which also know what each app asks consent for."""

    vocabulary: Vocabulary
    rules: CompiledRules
    attributes: Mapping[str, Attribute]

    def meaning(self, app: str, what: str) -> tuple[Sequence[str], str | None]:
        """(attributes, scope) of `what` for the app: an attribute, `group:NAME`, `all`. Raises ConsentryError."""
        if not access.of_several(what):
            self.vocabulary.check(app, what)
            return (what,), None
        self.vocabulary.check_app(app)
        return access.named(self.rules.apps[app], self.attributes, what)
