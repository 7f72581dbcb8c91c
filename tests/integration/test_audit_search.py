"""`consentry audit search` and `tail` on the log of a real gateway."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import COMMAND, consentry, environment, running_gateway
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop


@pytest.fixture(scope="module")
def folder(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, rules and the log of a gateway that has served three apps."""
    folder = tmp_path_factory.mktemp("searched")
    prepare_shop(pg_server, folder, "searched")
    consentry(folder, "consent", "grant", "1", "mailco", "email")
    with running_gateway(pg_server, folder, RULES, {"shop": "searched"}) as gateway:
        for login, texts in {
            "crm_app": ["SELECT full_name, email FROM customers WHERE id = 3", "SELECT title FROM products"],
            "mailco_batch": ["SELECT id, email FROM customers ORDER BY id", "SELECT * FROM payments"],
            "analytics_app": ["SELECT count(*) FROM orders"],
        }.items():
            gateway.ask(login, texts)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments, "--config", str(folder / "consentry.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def search(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in consentry(folder, "audit", "search", "--json", *arguments).splitlines()]


def test_by_app_attribute_and_relation(folder: Path) -> None:
    everything = search(folder, "--limit", "0")
    assert [r["time"] for r in everything] == sorted((r["time"] for r in everything), reverse=True)
    emails = search(folder, "--attribute", "email")
    assert [record["app"] for record in emails] == ["mailco", "crm"]
    assert emails == search(folder, "--attribute", "email", "--no-index")
    assert search(folder, "--attribute", "email", "--app", "crm") == emails[1:]
    assert search(folder, "--relation", "customers", "--login", "mailco_batch")[-1] == emails[0]
    assert [r["statement"] for r in search(folder, "--text", "COUNT(")] == ["SELECT count(*) FROM orders"]
    assert search(folder, "--to", "2020-01-01") == search(folder, "--app", "nobody") == []
    assert search(folder, "--from", "1h", "--limit", "2") == everything[:2]


def test_what_was_refused(folder: Path) -> None:
    refused = search(folder, "--refused")
    assert [(one["app"], one["statement"]) for one in refused] == [("mailco", "SELECT * FROM payments")]


def test_as_csv(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(consentry(folder, "audit", "search", "--csv", "--attribute", "email"))))
    assert [row["app"] for row in rows] == ["mailco", "crm"]
    assert "public.customers.email (email): show" in rows[1]["disclosed"]
    assert rows[0].keys() >= {"attribute", "decision", "actor", "act", "rules"}, "what changes, acts and reloads say"


def test_as_a_table(folder: Path) -> None:
    shown = consentry(folder, "audit", "search", "--app", "crm", "--attribute", "email")
    assert "SELECT full_name, email FROM customers WHERE id = $1" in shown


def test_as_sent_and_as_rewritten(folder: Path) -> None:
    (one,) = search(folder, "--app", "mailco", "--attribute", "email", "--event", "statement", "--rewritten")
    assert one["statement"] == "SELECT id, email FROM customers ORDER BY id"
    assert one["rewritten_text"].startswith("SELECT id, email FROM (SELECT")
    shown = consentry(folder, "audit", "search", "--app", "mailco", "--attribute", "email", "--rewritten")
    assert "SELECT id, email FROM [-customers-]{+(SELECT" in shown
    (plain,) = search(folder, "--text", "title", "--rewritten")
    assert plain["rewritten_note"] == "it was sent to the database as it is"


def test_rules_that_are_no_more(folder: Path) -> None:
    rules = folder / "rules" / "rules.yaml"
    rules.write_text(RULES + "\n# changed\n")
    try:
        (one,) = search(folder, "--app", "mailco", "--attribute", "email", "--rewritten")
        assert one["rewritten_text"] is None
        assert "were in force, which are not those of now" in one["rewritten_note"]
    finally:
        rules.write_text(RULES)


def test_used_wrongly(folder: Path) -> None:
    for arguments, said in (
        (["--from", "yesterday"], "is no time"),
        (["--json", "--csv"], "choose one"),
        (["--from", "2026-11-30", "--to", "2026-11-01"], "is after --to"),
        (["--event", "statment"], "no statment; there are"),
        (["--directory", "/nowhere"], "cannot be read"),
    ):
        done = run(folder, "audit", "search", *arguments)
        assert done.returncode in (2, 3)
        assert said in done.stderr


def test_tail_follows_a_log(folder: Path, tmp_path: Path) -> None:
    last = consentry(folder, "audit", "tail", "-n", "2").splitlines()
    assert len(last) == 2
    assert "disconnect  analytics" in last[1]
    file = tmp_path / "0-2026-11-26.jsonl"
    file.write_text('{"time":"2026-11-26T00:00:00.000001Z","event":"connect"}\n')
    command = [*COMMAND, "audit", "tail", "-f", "--json", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["event"] == "connect"
            with file.open("a") as out:
                out.write('{"time":"2026-11-26T00:00:00.000002Z","event":"reload"}\n')
            assert json.loads(process.stdout.readline())["event"] == "reload"
        finally:
            process.kill()


def test_report_of_a_real_log(folder: Path) -> None:
    consentry(folder, "consent", "grant", "4", "mailco", "email")
    report = json.loads(consentry(folder, "audit", "report", "--format", "json", "--from", "1d"))
    apps = {app["app"]: {one["attribute"]: one for one in app["readings"]} for app in report["apps"]}
    assert apps["crm"]["email"]["basis"] == ["contract"]
    assert apps["mailco"]["email"]["basis"] == ["consent (opt-in)"]
    assert [(one["app"], one["message"]) for one in report["refusals"]] != []
    assert {
        "app": "mailco",
        "attribute": "email",
        "decision": "granted",
        "actor": "agent",
        "decisions": 2,
        "customers": 2,
    } in (report["consent_changes"])
    assert not [note for note in report["notes"] if "other version" in note]
    page = folder / "report.html"
    consentry(folder, "audit", "report", "-o", str(page))
    assert "Who read personal data" in page.read_text()
    offline = json.loads(consentry(folder, "audit", "report", "--format", "json", "--offline"))
    assert offline["consent_changes"] is None


def test_report_of_one_customer(folder: Path) -> None:
    consentry(folder, "consent", "grant", "5", "mailco", "full_name")
    report = json.loads(consentry(folder, "audit", "report", "--subject", "5", "--format", "json"))
    got = {(one["app"], one["attribute"]): one["got"] for one in report["accesses"]}
    assert got[("crm", "email")] == "value"
    assert got[("mailco", "email")] != "value"  # this customer had not agreed when it was read
    assert report["known"] is True
    assert "Who read the data of 5" in consentry(folder, "audit", "report", "--subject", "5")


def test_report_of_somebody_who_is_not_here(folder: Path) -> None:
    report = json.loads(consentry(folder, "audit", "report", "--subject", "4711", "--format", "json"))
    assert report["known"] is False
    assert report["note"].startswith("No row, no record of a source and no decision has this key")
    said = run(folder, "audit", "report", "--subject", "4711", "--format", "csv").stderr
    assert "No row, no record of a source and no decision has this key" in said
    page = consentry(folder, "audit", "report", "--subject", "4711")
    assert "No row, no record of a source and no decision has this key" in page
    assert '"x" is not a subject key' in run(folder, "audit", "report", "--subject", "x").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--app", "crn"], 'there is no app "crn" (did you mean "crm"?)'),
        (["--attribute", "emial"], 'there is no attribute "emial" (did you mean "email"?)'),
        (["--from", "2026-11-30", "--to", "2026-11-01"], "is after --to"),
    ],
)
def test_reports_of_what_there_is_not(folder: Path, arguments: list[str], said: str) -> None:
    done = run(folder, "audit", "report", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
