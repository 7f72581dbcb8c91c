"""Shipping the log: docs/howto/vector.yaml names every field that records have, and no other; docs/howto/rsyslog.conf
runs, and what it sends is what was written.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
import yaml

from proxy.audit.files import lines, log_files
from proxy.errors import UnreachableError
from tests.gateways import consentry, eventually, running_gateway
from tests.servers import PgServer
from tests.shops import RULES, prepare_shop
from tests.syslogs import SyslogServer

CONFIGURATION = Path(__file__).parents[2] / "docs" / "howto" / "vector.yaml"
NAMED = f"00-{'ab' * 16}-{'cd' * 8}-01"
# Fields of the log's own records, which say how it is made and are no activity of the datastore.
OWN = {"open", "checkpoint", "started"}


@pytest.fixture(scope="module")
def server(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> PgServer:
    prepare_shop(pg_server, tmp_path_factory.mktemp("siem"), "siem")
    return pg_server


@pytest.fixture(scope="module")
def records(server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("recorded")
    rules = RULES.replace("  analytics:\n", "  analytics:\n    mode: monitor\n")
    with running_gateway(server, folder, rules, {"shop": "siem"}) as gateway:
        consentry(folder, "consent", "grant", "1", "mailco", "email", "--expires", "2099-01-01T00:00:00Z")
        gateway.ask("analytics_app", ["DO $$ BEGIN END $$"])
        with psycopg.connect(gateway.dsn("mailco_app", "shop"), autocommit=True, application_name=NAMED) as connection:
            connection.execute(f"SELECT email FROM customers /*traceparent='00-{'ab' * 16}-{'cd' * 8}-01'*/")
            with pytest.raises(psycopg.Error):
                connection.execute("SELECT * FROM payments")
        with pytest.raises(psycopg.Error):
            psycopg.connect(gateway.dsn("nobody_known", "shop"))
        gateway.reload()
        eventually(lambda: gateway.records("consent"))
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


def test_rsyslog_ships_each_record_once_and_byte_for_byte(server: PgServer, tmp_path: Path) -> None:
    """The files end, are compressed and taken away meanwhile, and rsyslog is started again."""
    settings = {"audit": {"rotate": {"size": "20kB"}}}
    with (
        SyslogServer("tcp") as siem,
        running_gateway(server, tmp_path, RULES, {"shop": "siem"}, settings) as gateway,
        psycopg.connect(gateway.dsn("mailco_app", "shop"), autocommit=True) as connection,
    ):
        for _ in range(2):
            rsyslog = start_rsyslog(tmp_path, siem.port)
            try:
                for _ in range(100):
                    connection.execute("SELECT email, 'ü \\ \u2028 \x01' FROM customers")
                at_least = len(written(tmp_path))
                eventually(lambda least=at_least: len(siem.received) >= least)  # type: ignore[misc]
            finally:
                rsyslog.terminate()
                assert rsyslog.wait(20) == 0
        last = written(tmp_path)
    # Where a file ends, rsyslog may begin the next before it has read this one to its end: `seq` is the order.
    assert len(set(siem.messages)) == len(siem.messages) >= at_least
    assert set(siem.messages) <= set(last)
    whole = sorted(siem.messages, key=lambda record: json.loads(record)["seq"])[:at_least]
    for before, after in pairwise(whole):
        assert json.loads(after)["prev"] == sha256(before).hexdigest()
    assert {one.kind for one in siem.received} >= {"open", "connect", "statement", "checkpoint"}
    assert {(one.app, one.priority) for one in siem.received} == {("consentry", 110)}


def test_a_gateway_serves_and_records_whatever_becomes_of_its_syslog_server(server: PgServer, tmp_path: Path) -> None:
    with SyslogServer("tcp") as gone:
        port = gone.port
    settings = {"audit": {"syslog": f"tcp://127.0.0.1:{port}"}}
    with running_gateway(server, tmp_path, RULES, {"shop": "siem"}, settings) as gateway:
        gateway.wait_for_line("records are not sent to tcp://127.0.0.1:.*, and wait in the files")
        gateway.ask("mailco_app", ["SELECT email FROM customers"] * 5)
        with SyslogServer("tcp", port) as siem:
            gateway.wait_for_line("records are sent to tcp://127.0.0.1:.* again")
            gateway.ask("mailco_app", ["SELECT phone FROM customers"])
            gateway.stop()
            eventually(lambda: set(siem.messages) >= set(written(tmp_path)))


def written(folder: Path) -> list[bytes]:
    """The lines of the log as it is now."""
    while True:
        try:
            return [line for file in log_files(folder / "audit") for line in lines(file)]
        except UnreachableError:  # compressed meanwhile
            pass


def start_rsyslog(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """docs/howto/rsyslog.conf in an rsyslog of its own."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
    assert program is not None, "install rsyslog"
    (folder / "work").mkdir(exist_ok=True)
    (folder / "rsyslog.conf").write_text(
        f'global(workDirectory="{folder / "work"}")\ninclude(file="{CONFIGURATION.with_name("rsyslog.conf")}")\n'
    )
    environment = {"CONSENTRY_AUDIT": str(folder / "audit"), "SIEM_HOST": "127.0.0.1", "SIEM_PORT": str(port)}
    command = [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslog.pid")]
    return subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
