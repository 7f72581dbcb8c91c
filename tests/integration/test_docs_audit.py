"""docs/howto/audit-questions.md: each command in it gives what stands there, on the log that it tells of.

`...` in the page stands for any text.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from proxy.audit.record import Clock, error_tail, fragment, session_fragment, statement_fragment, statement_tail
from proxy.catalog.model import SearchPath
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.rewrite.plan import Planner
from tests.gateways import COMMAND, consentry, environment, set_up_consent, write_settings
from tests.servers import PgServer, snapshot_of

SHOP = Path(__file__).parents[2] / "rules" / "shop"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "audit-questions.md"
RULES = (SHOP / "shop.yaml").read_text()
CONSENTS = """subject,app,attribute,decision,at
1,mailco,email,granted,2026-10-01T10:00:00Z
2,mailco,email,granted,2026-10-02T10:00:00Z
2,mailco,full_name,granted,2026-10-02T10:00:00Z
2,mailco,email,withdrawn,2026-11-15T08:00:00Z
"""
# What happened: time, login, statement, rows.
STATEMENTS = [
    ("2026-11-02T09:00:01", "mailco_batch", "SELECT id, full_name, email FROM customers ORDER BY id", 2),
    ("2026-11-02T09:00:02", "mailco_batch", "SELECT * FROM payments", None),
    ("2026-11-03T10:05:00", "crm_app", "SELECT full_name, email FROM customers WHERE id = 2", 1),
    ("2026-11-03T10:05:09", "crm_app", "SELECT card_no FROM customers WHERE id = 2", 1),
    ("2026-11-04T07:00:00", "analytics_app", "SELECT count(*), sum(total) FROM orders", 1),
    ("2026-11-09T09:00:01", "mailco_batch", "SELECT id, full_name, email FROM customers ORDER BY id", 2),
    ("2026-11-16T09:00:01", "mailco_batch", "SELECT id, full_name, email FROM customers ORDER BY id", 1),
    ("2026-11-16T09:00:09", "mailco_batch", "SELECT phone FROM customers WHERE phone LIKE '+49%'", 1),
    (
        "2026-11-20T16:30:00",
        "crm_app",
        "SELECT phone, street FROM customers c JOIN addresses a ON a.customer_id = c.id",
        5,
    ),
]
SESSIONS = {
    "mailco_batch": ("1f9c0c52a66ab001", "mailco", "10.1.0.9:41002"),
    "crm_app": ("1f9c0c52a66ab002", "crm", "10.0.0.4:50110"),
    "analytics_app": ("1f9c0c52a66ab003", "analytics", "10.0.0.7:50344"),
}


class Log:
    """Lines of a log, as the gateway writes them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._clock = Clock()

    def add(self, at: str, event: str, session: str, statement: str, tail: str) -> None:
        time = self._clock.text(datetime.fromisoformat(f"{at}+00:00").timestamp())
        head = fragment({"time": time, "seq": len(self.lines) + 1, "worker": 0, "event": event})
        self.lines.append("{" + (head + session + statement + tail).rstrip(",") + "}\n")


def write_log(folder: Path, dsn: str) -> None:
    snapshot = asyncio.run(snapshot_of(dsn))
    rules = compile_rules(load_rules([("rules.yaml", RULES)]), snapshot)
    log = Log()
    sessions = {
        login: session_fragment(session, app, login, client, f"{app} job", "shop", "TLSv1.3")
        for login, (session, app, client) in SESSIONS.items()
    }
    nobody = session_fragment("", None, "intern", "10.0.0.99:5000", None, "shop", None)
    log.add(
        "2026-11-01T22:14:00", "connect_refused", nobody, "", error_tail("28000", 'login "intern" belongs to no app')
    )
    log.add("2026-11-02T09:00:00", "connect", sessions["mailco_batch"], "", "")
    for at, login, text, rows in STATEMENTS:
        app = SESSIONS[login][1]
        plan = Planner(rules.apps[app], rules, snapshot).plan(text.encode(), SearchPath())
        (info,) = plan.statements
        statement = statement_fragment(info, plan.rewritten, rules.version)
        if plan.refusal is not None:
            tail = error_tail(plan.refusal.sqlstate, plan.refusal.message, 180)
            log.add(at, "refused", sessions[login], statement, tail)
        else:
            log.add(at, "statement", sessions[login], statement, statement_tail(rows, 950))
        if at.startswith("2026-11-09"):
            log.add("2026-11-10T11:00:00", "reload", "", "", f'"rules_version":"{"5f2b" * 16}"')
    (folder / "audit").mkdir()
    (folder / "audit" / "0-2026-11-01-000001.jsonl").write_text("".join(log.lines))


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    dsn = pg_server.create_database("questions", (SHOP / "schema.sql").read_text())
    for login in ("crm_app", "analytics_app", "mailco_app", "mailco_batch", "deploy"):
        pg_server.create_login(login, group="auth_trust")
    write_settings(pg_server, folder, RULES, {"shop": "questions"})
    set_up_consent(folder, "shop")
    (folder / "consents.csv").write_text(CONSENTS)
    consentry(folder, "consent", "import", str(folder / "consents.csv"))
    write_log(folder, dsn)
    return folder


def examples() -> list[tuple[str, str]]:
    """(command, what follows it) of each block that begins with `$ consentry`."""
    blocks = re.findall(r"```console\n\$ (consentry .*?)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [(command, output) for command, output in blocks]


def printed(folder: Path, command: str) -> str:
    done = subprocess.run(
        [*COMMAND, *shlex.split(command)[1:]],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


@pytest.mark.parametrize(("command", "output"), examples(), ids=[command for command, _ in examples()])
def test_a_command_gives_what_the_page_says(folder: Path, command: str, output: str) -> None:
    wanted = ".*?".join(map(re.escape, output.split("...")))
    assert re.fullmatch(wanted, printed(folder, command), re.DOTALL), printed(folder, command)


def test_there_are_ten_questions() -> None:
    questions = re.findall(r"^## \d+\. (.+\?)$", PAGE.read_text(), re.MULTILINE)
    assert len(questions) == 10
    assert len(examples()) >= 9
