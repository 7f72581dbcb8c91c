"""`consentry audit verify` and `audit keys` on the log of a gateway that ran, with the database's checkpoints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.gateways import (
    COMMAND,
    GatewayProcess,
    consentry,
    environment,
    eventually,
    running_gateway,
    set_up_consent,
)
from tests.servers import PgServer
from tests.shops import RULES, SHOP, prepare_shop


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    prepare_shop(pg_server, tmp_path_factory.mktemp("proved"), "proved", ("crm_app",))
    return pg_server


def run_some(gateway: GatewayProcess, many: int = 5) -> None:
    with psycopg.connect(gateway.dsn("crm_app", "shop"), autocommit=True) as connection:
        for number in range(many):
            connection.execute(f"SELECT email FROM customers WHERE id = {number}")


def verify(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    command = [*COMMAND, "audit", "verify", "--json", *arguments, "--config", str(folder / "consentry.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def copied(server: PgServer, log: str) -> int:
    with server.connect("proved") as connection:
        row = connection.execute("SELECT max(count) FROM consentry.checkpoints WHERE log = %s", [log]).fetchone()
    return (row[0] if row else None) or 0


@pytest.fixture
def written(server: PgServer, tmp_path: Path) -> Path:
    """The folder of a gateway that has run twice."""
    for _ in range(2):
        with running_gateway(server, tmp_path, RULES, {"shop": "proved"}) as gateway:
            run_some(gateway)
            eventually(lambda: gateway.records("disconnect"))
    return tmp_path


def test_a_whole_log(written: Path, server: PgServer) -> None:
    code, facts = verify(written)
    assert (code, facts["whole"]) == (0, True)
    (log,) = facts["logs"]
    assert (log["files"], log["unsigned"], log["finding"]) == (2, 0, None)
    assert log["copied"] == copied(server, log["log"]) == log["records"] - 1
    said = consentry(written, "audit", "verify")
    assert said.startswith(f"worker 0: whole: {log['records']} records in 2 files")
    assert "and they are there" in said


def test_the_public_key_alone_is_enough(written: Path, tmp_path: Path) -> None:
    command = [*COMMAND, "audit", "verify", "--public-key", "audit.key.pub", "audit"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=written, env=environment())
    assert done.returncode == 0, done.stderr
    assert "only with the database's checkpoints" in done.stdout


def lines_of(folder: Path) -> tuple[Path, list[bytes]]:
    """The last file's lines: that one is not compressed while nobody begins another."""
    path = max((folder / "audit").glob("*.jsonl"))
    return path, path.read_bytes().splitlines(keepends=True)


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, Change] = {
    "changed": lambda lines: [*lines[:3], lines[3].replace(b'"duration_us":', b'"duration_us":9', 1), *lines[4:]],
    "removed": lambda lines: [*lines[:3], *lines[4:]],
    "inserted": lambda lines: [*lines[:3], lines[6], *lines[3:]],
    "reordered": lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]],
    "cut off": lambda lines: lines[:-3],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_tampering_is_found(written: Path, kind: str) -> None:
    path, lines = lines_of(written)
    changed = CHANGES[kind](lines)
    assert changed != lines
    path.write_bytes(b"".join(changed))
    code, facts = verify(written)
    finding = facts["logs"][0]["finding"]
    assert (code, facts["whole"], finding["kind"]) == (1, False, kind)
    assert finding["file"] == path.name.removesuffix(".jsonl")
    if kind != "cut off":
        assert finding["line"] == 4
    else:
        assert finding["sequence"] == json.loads(lines[-3])["seq"]


def test_a_file_that_no_worker_wrote_is_found(written: Path) -> None:
    """Search and report read it."""
    _, lines = lines_of(written)
    forged = next(line for line in lines if b'"rows":1,' in line).replace(b'"app":"crm"', b'"app":"forged"')
    (written / "audit" / "0-extra.jsonl").write_bytes(forged)
    assert "forged" in consentry(written, "audit", "report", "--format", "json")
    code, facts = verify(written)
    assert (code, facts["whole"], facts["foreign"]) == (1, False, ["0-extra"])
    command = [*COMMAND, "audit", "verify", "--config", str(written / "consentry.yaml")]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment()).stdout
    assert "0-extra: no worker's file has such a name" in said


def test_a_log_that_is_gone_is_missed(written: Path) -> None:
    _, facts = verify(written)
    (log,) = facts["logs"]
    for path in (written / "audit").iterdir():
        path.unlink()
    code, facts = verify(written)
    assert (code, facts["whole"], facts["logs"]) == (1, False, [])
    assert [log["log"], log["worker"]] in facts["missing"]


def test_a_log_that_is_damaged_from_its_first_line_on_is_no_other_that_is_missing(written: Path) -> None:
    _, before = verify(written)
    (first,) = (path for path in (written / "audit").glob("0-*-000001.jsonl*"))
    first.write_bytes(b"not a compressed file" if first.suffix == ".zst" else b"nonsense\n")
    code, facts = verify(written)
    assert (code, facts["whole"]) == (1, False)
    assert facts["logs"][0]["finding"]["file"] == first.name.split(".")[0]
    assert [before["logs"][0]["log"], 0] not in facts["missing"]


def test_checkpoints_in_the_database_are_never_changed(written: Path, server: PgServer) -> None:
    with server.connect("proved") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM consentry.checkpoints")


def test_keys_are_rotated_while_the_gateway_runs(server: PgServer, tmp_path: Path) -> None:
    with running_gateway(server, tmp_path, RULES, {"shop": "proved"}) as gateway:
        run_some(gateway)
        old = json.loads(consentry(tmp_path, "audit", "keys", "show", "--json"))
        pem = (tmp_path / "audit.key.pub").read_bytes()
        new = json.loads(consentry(tmp_path, "audit", "keys", "rotate", "--json"))
        assert new["old"] == old["key"] != new["new"]
        run_some(gateway)
        eventually(lambda: gateway.records("key"))
    assert gateway.records("checkpoint")[-1]["key"] == new["new"]
    (tmp_path / "old.pub").write_bytes(pem)
    for public in ("old.pub", "audit.key.pub"):
        assert verify(tmp_path, "--public-key", str(tmp_path / public))[0] == 0


def test_logs_that_end_before_keys_are_rotated(server: PgServer, tmp_path: Path) -> None:
    """Those of commands, and of workers that there are no more, have no record by the new key."""
    with running_gateway(server, tmp_path, RULES, {"shop": "proved"}) as gateway:
        run_some(gateway)
        consentry(tmp_path, "subject", "erase", "5", "--yes")
        for _ in range(2):
            before = len(gateway.records("key"))
            consentry(tmp_path, "audit", "keys", "rotate")
            run_some(gateway)
            eventually(lambda before=before: len(gateway.records("key")) > before)
    code, facts = verify(tmp_path)
    assert (code, facts["whole"], [one["worker"] for one in facts["logs"]]) == (0, True, [0, 1000])
    (old,) = (tmp_path / "audit").glob("1000-*")
    text = old.read_text()
    old.rename(tmp_path / old.name)
    code, facts = verify(tmp_path)
    assert (code, [worker for _, worker in facts["missing"]]) == (1, [1000])
    old.write_text(text.replace('"erase"', '"lift"', 1))
    code, facts = verify(tmp_path)
    assert (code, facts["logs"][1]["finding"]["kind"]) == (1, "rewritten")


def test_a_log_is_verified_while_it_is_written(server: PgServer, tmp_path: Path) -> None:
    settings = {"audit": {"rotate": {"size": "20kB"}}}
    with running_gateway(server, tmp_path, RULES, {"shop": "proved"}, settings) as gateway:
        for _ in range(4):
            run_some(gateway, 30)
            code, facts = verify(tmp_path)
            assert code == 0, facts
    code, facts = verify(tmp_path)
    assert (code, facts["logs"][0]["unsigned"]) == (0, 0)
    assert facts["logs"][0]["files"] >= 4


def test_checkpoints_are_copied_later_where_the_table_was_missing(server: PgServer, tmp_path: Path) -> None:
    server.create_database("unproved", (SHOP / "schema.sql").read_text())
    with running_gateway(server, tmp_path, RULES, {"shop": "unproved"}) as gateway:
        gateway.wait_for_line("checkpoints are not copied to the database: .*consentry consent setup")
        set_up_consent(tmp_path, "shop")
        gateway.wait_for_line("checkpoints are copied to the database again")
    assert verify(tmp_path)[0] == 0
