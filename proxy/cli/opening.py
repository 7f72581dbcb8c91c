"""What commands begin with: the settings, one database of them, its rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxy.catalog.model import Snapshot
from proxy.config import Configuration, load_settings
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.rules import Rules
from proxy.policy.table import CompiledRules
from proxy.yaml_lines import nearest


@dataclass(frozen=True, slots=True)
class Opened:
    """One database of the settings, with its rules read and checked against the format."""

    configuration: Configuration
    database: str
    rules: Rules
    dsn: str | None = None  # by which the command was told to connect

    @property
    def control_dsn(self) -> str:
        return self.dsn or self.configuration.control_dsn(self.database)

    def compiled(self, snapshot: Snapshot) -> CompiledRules:
        """The rules against the catalog. Raises RulesError."""
        return compile_rules(self.rules, snapshot)


def choose_database(configuration: Configuration, name: str | None) -> str:
    """The database that a command is for: the only one, or the named one. Raises ConsentryError."""
    known = list(configuration.settings.databases)
    if name is None:
        if len(known) > 1:
            raise ConsentryError(f"the settings have several databases; choose with --database: {', '.join(known)}")
        return known[0]
    if name not in known:
        near = nearest(name, known) or f"; they have: {', '.join(known)}"
        raise ConsentryError(f'the settings have no database "{name}"{near}')
    return name


def open_database(config: Path, name: str | None = None, dsn: str | None = None) -> Opened:
    """Reads settings and rules. Raises SettingsError, RulesError, UnreachableError."""
    configuration = load_settings(config)
    database = choose_database(configuration, name)
    return Opened(configuration, database, load_rules(configuration.rules_files(database)), dsn)
