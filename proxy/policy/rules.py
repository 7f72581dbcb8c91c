"""The merged rules, as `load` makes them and the rest of the room reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.policy.model import App, Attribute, Consent, Defaults, Policy, Profile, TableRule
from proxy.policy.model_masks import MaskRule
from proxy.policy.model_rights import Retention, Rights
from proxy.policy.sources import Precedence, Source
from proxy.yaml_lines import Place, Problem, ProblemsError

Path = tuple[str | int, ...]


class RulesError(ProblemsError):
    """The rules are wrong: `problems` says where and what would be right."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The merged rules of all files. `place` has the shape of one file; policies are counted over all of them."""

    attributes: Mapping[str, Attribute]
    tables: Mapping[str, TableRule]
    apps: Mapping[str, App]
    masks: Mapping[str, MaskRule]
    policies: tuple[Policy, ...]
    retention: Mapping[str, Retention]
    rights: Rights
    consent: Consent
    profile: Profile | None
    defaults: Defaults
    hints: bool
    sources: Mapping[str, Source]
    conflicts: Mapping[str, Precedence]
    place: Place
    digest: str  # sha256 hex of all files' names and texts

    def problem(self, path: Path, message: str, *, key: bool = False) -> Problem:
        """A problem with the value at `path`, or with its key."""
        if key:
            file, line = self.place.key_line(path)
            return Problem(file, line, message)
        return self.place.find(path).problem(message)

    def where(self, path: Path) -> tuple[str, int]:
        """File and line of the key at `path`."""
        return self.place.key_line(path)

    def declares(self, section: str, name: str) -> bool:
        """Whether the section has the name, be what stands there right or wrong (or the whole section is wrong)."""
        below = self.place.children.get(section)
        return below is not None and (below.reported or name in below.key_lines)
