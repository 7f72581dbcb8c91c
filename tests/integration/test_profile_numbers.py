"""Numbers of JSON come in as they are written, to the last digit: from a file, and from pages by HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import source_rules, write_settings

SOURCES = """  said:
    key: id
    subject: customer
    fields: {size: {attribute: size, type: integer}}
    lists: {orders: {fields: [at, total], order_by: at}}
"""
CUSTOMER = 9007199254740993  # the next one above 2^53: a float of it is another customer's key
LONG = "123456789012345678901234567890.123"


@dataclass
class Place:
    server: PgServer
    folder: Path
    kind: str
    page: list[bytes]

    def sync(self, *records: str, code: int = 0) -> str:
        if self.kind == "jsonl":
            (self.folder / "said.jsonl").write_text("\n".join(records) + "\n")
        self.page[:] = [f'{{"items": [{", ".join(records)}], "next": null}}'.encode()]
        ended = run("profile", "sync", "--accept-deletes", "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == code, ended.err + ended.out
        return ended.err

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with self.server.connect("numbers") as connection:
            return connection.execute(text.encode()).fetchall()


@pytest.fixture(params=["jsonl", "http"])
def place(pg_server: PgServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    page: list[bytes] = []

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page[0])

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    pages = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    pg_server.create_database("numbers", "CREATE TABLE customers (id bigint PRIMARY KEY)")
    url = f"http://127.0.0.1:{pages.server_port}/"
    said = {
        "jsonl": {"kind": "jsonl", "path": "said.jsonl"},
        "http": {"kind": "http", "url": url, "records": "items"},
    }[request.param]
    attributes = "{size: {label: Size}, orders: {label: Orders}}"
    write_settings(tmp_path, pg_server, "numbers", source_rules("numbers_crm", attributes, SOURCES), {"said": said})
    assert run("consent", "setup", "--config", str(tmp_path / "consentry.yaml")).code == 0
    yield Place(pg_server, tmp_path, request.param, page)
    pages.shutdown()
    pages.server_close()


def record(key: str = "1", customer: str = "1", size: str = "1", total: str = "1") -> str:
    return f'{{"id": {key}, "customer": {customer}, "size": {size}, "at": "2026-01-01", "total": {total}}}'


def test_numbers_are_kept_to_the_last_digit(place: Place) -> None:
    place.sync(record("12345678901234567.25", f"{CUSTOMER}.0", "450.0", LONG), record("12345678901234567.75"))
    assert place.query("SELECT key, subject FROM consentry.profile_records ORDER BY 1") == [
        ("12345678901234567.25", CUSTOMER),
        ("12345678901234567.75", 1),
    ]
    query = f"SELECT size, orders #>> '{{0,total}}' FROM consentry.profile_data WHERE subject = {CUSTOMER}"
    assert place.query(query) == [(450, LONG)]
    place.sync(record("30.0"))
    place.sync(record("30"))
    assert place.query("SELECT key FROM consentry.profile_records") == [("30",)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": "450.0000000000000000001"}, 'field "size" is no whole number that a bigint can hold'),
        ({"customer": "0.99999999999999999999"}, 'field "customer" is no whole number that a bigint can hold'),
        ({"key": "1e400000000"}, "a number has more than 1000 digits"),
        ({"total": "NaN"}, "not JSON: NaN is none of its numbers"),
    ],
)
def test_what_would_be_another_number_is_an_error(place: Place, wrong: dict[str, str], said: str) -> None:
    assert said in place.sync(record(**wrong), code=1)
    assert place.query("SELECT count(*) FROM consentry.profile_records") == [(0,)]
