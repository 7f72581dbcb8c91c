"""The demo's shop: the rules and data of rules/shop in a fresh database, its logins, its ledger, some consents."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from proxy.catalog.introspect import take_snapshot
from proxy.config import load_settings
from proxy.consent import ledger, needs, service, spans
from proxy.demo import stores
from proxy.demo.postgres import Postgres, free_port
from proxy.errors import ConsentryError
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.names import quote_identifier
from proxy.policy.table import CompiledRules
from proxy.profile import relation, shape
from proxy.rewrite.lex import quote_literal

DATABASE = "shop"
PASSWORD = "demo"  # noqa: S105 - of a database that lives as long as the demo
APPS = {"crm": "crm_app", "analytics": "analytics_app", "mailco": "mailco_app"}

# Who agreed to what before the tour begins: (customer, app, attribute).
CONSENTS = (
    ("1", "mailco", "full_name"),
    ("1", "mailco", "email"),
    ("1", "mailco", "phone"),
    ("1", "mailco", "interests"),
    ("3", "mailco", "email"),
    ("5", "mailco", "email"),
    ("5", "mailco", "full_name"),
)


@dataclass(frozen=True, slots=True)
class Files:
    """What the demo writes into its temp folder. `web`: the address of its pages."""

    settings: Path
    audit: Path
    web: str


def rules_folder() -> Path:
    """The folder of the shop's rules: beside the package in an installation, in `rules/` in a checkout.

    Raises ConsentryError where it is in neither.
    """
    here = Path(__file__).parent
    for folder in (here / "shop", here.parents[1] / "rules" / "shop"):
        if (folder / "schema.sql").exists():
            return folder
    raise ConsentryError(f"the demo's shop is missing: there is no schema.sql in {here / 'shop'}")


def write_settings(folder: Path, server: Postgres, port: int) -> Files:
    """Writes consentry.yaml as a DBA would, so that every other command can be tried on the demo."""
    audit, settings, rules = folder / "audit", folder / "consentry.yaml", folder / "rules"
    rules.mkdir()
    for file in ("shop.yaml", "stores/stores.yaml"):
        shutil.copy(rules_folder() / file, rules)
    files = stores.Files.of(folder)
    web = f"127.0.0.1:{free_port()}"
    lines = [
        f"listen: 127.0.0.1:{port}",
        "databases:",
        f"  {DATABASE}:",
        f"    upstream: postgresql://{server.host}:{server.port}/{DATABASE}",
        f"    rules: {_quoted(rules)}",
        "    sources:",
        f"      newsletter: {{kind: sqlite, path: {_quoted(files.newsletter)}}}",
        f"      crm_export: {{kind: csv, path: {_quoted(files.crm_export)}}}",
        f"      tickets: {{kind: jsonl, path: {_quoted(files.tickets)}}}",
        "control:",
        f"  dsn: {server.dsn(DATABASE)}",
        "tls: {mode: 'off'}",
        "audit:",
        f"  directory: {_quoted(audit)}",
        "web:",
        f"  listen: {web}",
        "  login: {secret_file: web.key}",
    ]
    settings.write_text("\n".join(lines) + "\n")
    return Files(settings, audit, f"http://{web}")


async def fill(connection: asyncpg.Connection) -> None:
    """The shop's tables and data, and one login an app, with what the app may do in the tables themselves."""
    schema = (rules_folder() / "schema.sql").read_text("utf-8")
    await connection.execute(schema)
    for login in APPS.values():
        role = quote_identifier(login)
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD {quote_literal(PASSWORD)}")
        await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        await connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")


async def set_up_ledger(connection: asyncpg.Connection, settings: Path) -> None:
    """What `consentry consent setup --apply` and a few `consent grant` do."""
    configuration = load_settings(settings)
    source = load_rules(configuration.rules_files(DATABASE))
    snapshot = await take_snapshot(connection)
    rules = compile_rules(source, snapshot)
    apps = [name for name, app in rules.apps.items() if not app.trusted]
    kind = needs.subject_type(rules, snapshot)
    views = needs.own_views(rules, snapshot)
    await ledger.setup(connection, kind, apps, needs.key_names(rules), list(source.attributes), views)
    await spans.follow(connection, rules)
    await shape.follow(connection, source)
    snapshot = await take_snapshot(connection)
    rules = compile_rules(source, snapshot)  # again: some of it depends on what was just made
    await relation.follow(connection, rules, snapshot)
    await grant_rights(connection, rules)
    words = service.Vocabulary(apps, list(source.attributes))
    for subject, app, attribute in CONSENTS:
        await service.grant(connection, words, subject, app, attribute)


async def grant_rights(connection: asyncpg.Connection, rules: CompiledRules) -> None:
    """What `consentry consent setup --apply` does."""
    missing = await needs.missing_roles(connection, rules)
    await needs.apply_grants(connection, needs.grants(rules), missing)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
