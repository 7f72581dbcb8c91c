"""docs/howto/vector.yaml against the log's format: it names every field that records have, and no other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.gateways import running_gateway
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop

CONFIGURATION = Path(__file__).parents[2] / "docs" / "howto" / "vector.yaml"
# Fields of the log's own records, which say how it is made and are no activity of the datastore.
OWN = {"open", "checkpoint", "started"}


@pytest.fixture(scope="module")
def records(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("siem")
    prepare_shop(pg_server, folder, "siem")
    with running_gateway(pg_server, folder, RULES, {"shop": "siem"}) as gateway:
        with psycopg.connect(gateway.dsn("mailco_app", "shop"), autocommit=True, application_name="a") as connection:
            connection.execute("SELECT email FROM customers")
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT * FROM payments")
        with pytest.raises(psycopg.Error):
            psycopg.connect(gateway.dsn("nobody_known", "shop"))
        gateway.reload()
    return [record for record in gateway.records() if record["event"] not in OWN]


def program() -> str:
    found = yaml.safe_load(CONFIGURATION.read_text())["transforms"]["ocsf"]["source"]
    assert isinstance(found, str)
    return found


def test_it_names_every_field_and_no_other(records: list[dict[str, object]]) -> None:
    named = set(re.findall(r"record\.(\w+)", program()))
    there = {field for record in records for field in record}
    assert there - named == set()
    assert named - there == set()
    assert {"statement", "refused", "connect", "connect_refused"} <= {str(record["event"]) for record in records}


def test_it_reads_what_is_written_and_nothing_twice(records: list[dict[str, object]]) -> None:
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    assert configuration["sources"]["audit"]["include"] == ["${CONSENTRY_AUDIT}/*.jsonl"]
    assert configuration["sources"]["audit"]["max_line_bytes"] >= 16 * 1024**2
    assert max(len(json.dumps(record)) for record in records) < 16 * 1024**2
    inputs = {name: part["inputs"] for kind in ("transforms", "sinks") for name, part in configuration[kind].items()}
    assert inputs == {"records": ["audit"], "ocsf": ["records"], "siem": ["ocsf"]}


@pytest.mark.skipif(shutil.which("vector") is None, reason="vector is not installed")
def test_vector_takes_it(tmp_path: Path) -> None:
    environment = {"CONSENTRY_AUDIT": str(tmp_path), "SIEM_URL": "http://127.0.0.1:1/", "PATH": "/usr/bin:/bin"}
    command = ["vector", "validate", "--no-environment", str(CONFIGURATION)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
