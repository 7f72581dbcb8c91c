"""How many harmless statements of other projects' own test suites the gateway would refuse: counted and listed.

`python -m benchmarks.refusals NAME FOLDER` (NAME: sqlalchemy, django, psycopg; FOLDER: the suite's unpacked source)
runs the suite's tests against PostgreSQL through a gateway, as an app in `mode: monitor`: each statement is planned,
rewritten and proved as for a governed app, and then sent as it was. The rules are made from the catalog whenever it
changes: they govern every table and view of the suite, with the last column that belongs to no key masked. A statement
counts as harmless when it is one that a governed app may send (no DDL, no SET ROLE and the like), PostgreSQL itself
took it, and its relations are not made in the same transaction (by DDL that a governed app may not send, and which
nobody else sees before it ends).
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import _report
from benchmarks._suites import SUITES
from proxy.catalog.connect import connected
from proxy.catalog.introspect import fingerprint
from proxy.catalog.model import Relation, Snapshot
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.policy.names import quote_identifier
from proxy.server.generation import Generation
from proxy.server.options import Upstream
from tests.servers import PgServer, find_server, snapshot_of, start_server
from tests.wire.gateway import Running

DATABASE = "suite"
SETUP = """
CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2;
CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext;
ALTER DATABASE suite OWNER TO suite;
GRANT ALL ON SCHEMA public, test_schema, test_schema_2 TO suite;
"""
GOVERNED = frozenset("rpvmf")
# Statements that the page rewriting.md lets a governed app send.
LISTED = frozenset(
    "SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt TransactionStmt DeclareCursorStmt FetchStmt ClosePortalStmt "
    "PrepareStmt ExecuteStmt DeallocateStmt CopyStmt ExplainStmt ListenStmt UnlistenStmt NotifyStmt VariableSetStmt "
    "VariableShowStmt DiscardStmt LockStmt".split()
)


def hidden_column(relation: Relation) -> str | None:
    """The last column that is in no key."""
    keys = {name for key in (relation.primary_key, *relation.unique_keys) for name in key}
    names = [column.name for column in relation.columns if column.name not in keys]
    return names[-1] if len(relation.columns) > 2 and names else None


def rules_of(snapshot: Snapshot) -> str:
    """Rules (JSON is YAML) that govern all relations outside of the system's schemas."""
    tables = {}
    for relation in snapshot.relations.values():
        if relation.kind not in GOVERNED or re.match("pg_|information_schema$|consentry$", relation.schema):
            continue
        hidden = hidden_column(relation)
        columns = {c.name: "hidden" if c.name == hidden else "shown" for c in relation.columns}
        tables[f"{quote_identifier(relation.schema)}.{quote_identifier(relation.name)}"] = {"columns": columns}
    everything = {"name": "all", "apps": "all", "attributes": "all", "action": "show", "write": "allow"}
    masked = {"name": "mask", "apps": "all", "attributes": ["hidden"], "action": "mask", "mask": "null"}
    rules = {
        "version": 1,
        "attributes": {name: {"label": name, "group": "basic"} for name in ("shown", "hidden")},
        "tables": tables,
        "apps": {
            "suite": {
                "label": "Suite",
                "logins": ["suite"],
                "kind": "internal",
                "purpose": "tests",
                "mode": "monitor",
            }
        },
        "policies": [masked | {"write": "allow"}, everything | {"basis": "contract"}],
        "defaults": {"unlisted_tables": "open"},
    }
    return json.dumps(rules)


class Monitoring(Running):
    """The gateway, with rules made from the catalog."""

    def __init__(self, server: PgServer, directory: Path) -> None:
        self.database = server.dsn(DATABASE)
        one = Upstream(server.host, server.port, DATABASE, sslmode="disable")
        # Django asks the database `postgres` whether its own is there.
        more = {DATABASE: one, "postgres": one}
        super().__init__(server, directory, DATABASE, audit_full_text=True, upstream=one, upstreams=more)

    async def _load(self) -> Generation:
        snapshot = await snapshot_of(self.database)
        return Generation("db", compile_rules(load_rules([("rules", rules_of(snapshot))]), snapshot), snapshot)

    async def _fingerprint(self) -> str:
        async with connected(self.database) as connection:
            return await fingerprint(connection)


def harmless(record: dict[str, Any]) -> bool:
    """Whether PostgreSQL took the statement, a governed app may send one of its kind, and its relations are known."""
    unseen = record.get("would_refuse", {}).get("sqlstate") == "42P01"
    return "sqlstate" not in record and record.get("kind") in LISTED and not unseen


def count(records: list[dict[str, Any]]) -> tuple[int, int, list[dict[str, Any]]]:
    """(statements, distinct texts of them, the refused ones: one of each text)."""
    from proxy.rewrite.plan import describe

    kinds: dict[str, str] = {}
    seen: set[str] = set()
    total, refused = 0, {}
    for record in records:
        text = record["statement"]
        if text not in kinds:
            infos = describe(text.encode())
            kinds[text] = infos[0].tag if len(infos) == 1 else "several"
        record["kind"] = kinds[text]
        if not harmless(record):
            continue
        total += 1
        seen.add(text)
        if "would_refuse" in record:
            refused.setdefault(text, record)
    return total, len(seen), list(refused.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--list", type=Path, help="Write every refused text to this file.")
    parser.add_argument("--binaries", type=Path, help="PostgreSQL's programs: Django's tests need one built with ICU.")
    parser.add_argument("tests", nargs="*", help="Tests of the suite, in place of those that matter.")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    server = start_server(options.binaries) if options.binaries else find_server()
    with tempfile.TemporaryDirectory(prefix="consentry-refusals-") as name:
        folder = Path(name)
        try:
            server.create_login("suite", group="auth_trust", options="SUPERUSER")
            server.create_database(DATABASE, SETUP)
            server.create_database(f"{DATABASE}_other", f"ALTER DATABASE {DATABASE}_other OWNER TO suite")
            gateway = Monitoring(server, folder)
            try:
                last = suite.run(options.folder, gateway.port, server.port, folder, options.tests)
                records = gateway.records("statement")
            finally:
                gateway.close()
            if options.list:
                (options.list.parent / "suite.log").write_text((folder / "suite.log").read_text())
        finally:
            server.close()
    total, distinct, refused = count(records)
    reasons = Counter(re.sub(r'"[^"]*"', '"..."', r["would_refuse"]["message"]) for r in refused)
    if options.list:
        options.list.write_text("\n".join(json.dumps([r["would_refuse"], r["statement"]]) for r in refused))
    lines = [f"| {n} | {message} |" for message, n in reasons.most_common()]
    _report.write(
        f"Refusals of harmless statements: {suite.title}",
        f"`python -m benchmarks.refusals {options.suite} FOLDER`, the suite's own tests ({last}): {total:,} harmless "
        f"statements, {distinct:,} texts; **{len(refused)} texts refused ({len(refused) / max(distinct, 1):.2%})**.\n\n"
        "| texts | refused because |\n|---|---|\n" + "\n".join(lines),
    )


if __name__ == "__main__":
    main()
