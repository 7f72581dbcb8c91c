"""Customers' rights over what sources say: what is past goes and no sync takes it in again; what is wrong is corrected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.gateways import audit_records
from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import source_rules, write_settings

SOURCES = """  tickets:
    key: number
    subject: customer
    fields: {topic: topic}
    lists: {talks: {fields: [body, opened], order_by: opened}}
retention:
  talks: {for: 2y, by: opened}
"""
RULES = source_rules("keeping_crm", "{topic: {}, talks: {}}", SOURCES)


class Place:
    def __init__(self, server: PgServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        server.create_database("talks", "CREATE TABLE customers (id bigint PRIMARY KEY)")
        write_settings(folder, server, "talks", RULES, {"tickets": {"kind": "jsonl", "path": "tickets.jsonl"}})
        self.json("consent", "setup", parse=False)

    def write(self, *tickets: tuple[int, str, object]) -> None:
        """(number, body, days ago or whatever is written there)."""
        self.tickets = tickets
        lines = [
            {"number": number, "customer": 1, "topic": f"t{number}", "body": body, "opened": _time(opened)}
            for number, body, opened in tickets
        ]
        (self.folder / "tickets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def json(self, *arguments: str, parse: bool = True, code: int = 0) -> Any:
        ended = run(*arguments, *(["--json"] if parse else []), "--config", str(self.folder / "consentry.yaml"))
        assert ended.code == code, ended.err
        return json.loads(ended.out) if parse else ended.err

    def shown(self) -> Sequence[str]:
        """Bodies of the entries that the profile has."""
        with self.server.connect("talks") as connection:
            query = "SELECT jsonb_path_query_array(talks, '$.body') FROM consentry.profile_data"
            rows = connection.execute(query).fetchall()
        return rows[0][0] if rows else []


def _time(opened: object) -> object:
    if isinstance(opened, int):
        return (datetime.now(UTC) - timedelta(days=opened)).isoformat()
    return opened


@pytest.fixture
def place(pg_server: PgServer, tmp_path: Path) -> Place:
    return Place(pg_server, tmp_path)


def test_what_is_past_goes_and_does_not_come_back(place: Place) -> None:
    place.write((1, "new", 10), (2, "old", 600), (3, "no time", ""), (4, "none", None))
    rules = (place.folder / "rules.yaml").read_text()
    (place.folder / "rules.yaml").write_text(rules.replace("2y", "20y"))
    place.json("profile", "sync")
    assert sorted(place.shown()) == ["new", "no time", "none", "old"]
    (place.folder / "rules.yaml").write_text(rules.replace("2y", "1y"))
    entry = {"entry": "tickets: talks", "rows": {"consentry.profile_records": 1}, "left": {}}
    assert place.json("retention", "run", "--dry-run") == [entry]
    assert "old" in place.shown()
    assert place.json("retention", "run") == [entry]
    assert sorted(place.shown()) == ["new", "no time", "none"]
    assert place.json("retention", "run") == [{**entry, "rows": {"consentry.profile_records": 0}}]
    (record,) = (one for one in audit_records(place.folder / "audit") if one["event"] == "subject")
    assert (record["attribute"], record["tables"][0]["rows"]) == ("talks", 1)
    assert "old" not in json.dumps(record)
    for changed in ("old", "old, written anew"):
        place.write((1, "new", 10), (2, changed, 600), (3, "no time", ""), (4, "none", None))
        place.json("profile", "sync", "--full")
        assert sorted(place.shown()) == ["new", "no time", "none"]
    with place.server.connect("talks") as connection:
        assert connection.execute(
            "SELECT count(*) FROM consentry.profile_values WHERE attribute = 'topic'"
        ).fetchall() == [(4,)]


def test_a_migration_compares_what_may_be_kept(place: Place) -> None:
    """What became past meanwhile is neither missing in the source nor left over here."""
    place.write((1, "new", 10), (2, "old", 600), (3, "older", 900))
    place.json("profile", "sync")
    assert sorted(place.shown()) == ["new", "old"]
    rules = (place.folder / "rules.yaml").read_text()
    (place.folder / "rules.yaml").write_text(rules.replace("2y", "1y"))
    (done,) = place.json("profile", "sync", "--once", "--cutover")
    assert {one["attribute"]: (one["read"], one["kept"]) for one in done["compared"]} == {
        "talks": (1, 1),
        "topic": (3, 3),
        "(customer)": (3, 3),
    }
    assert place.shown() == ["new"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2y, by: opened}", "2y, by: opend}", 'by: no list of talks is ordered by "opend" (did you mean "opened"?)'),
        (
            "  talks: {for",
            "  topic: {for",
            "no table has attribute topic, nor has a source a list of it with `order_by`",
        ),
    ],
)
def test_rules_that_are_wrong(place: Place, old: str, new: str, message: str) -> None:
    (place.folder / "rules.yaml").write_text(RULES.replace(old, new))
    assert message in place.json("retention", "run", parse=False, code=1)


def test_what_a_source_said_is_corrected_where_its_data_lives_here(place: Place) -> None:
    """A source that is still read is to be corrected itself: nothing is done, and it is named."""
    place.write((1, "new", 10), (2, "newer", 9))
    place.json("profile", "sync")
    said = place.json("subject", "rectify", "1", "topic", "right", parse=False, code=1)
    assert "topic of 1 is in tickets only: correct it there" in said
    place.json("profile", "sync", "--once", "--cutover")
    dry = place.json("subject", "rectify", "1", "topic", "right", "--dry-run")
    assert dry == {"columns": [], "records": [{"source": "tickets", "rows": 2}], "elsewhere": []}
    receipt = place.json("subject", "rectify", "1", "topic", "right")
    assert receipt["tables"] == [{"source": "tickets", "rows": 2}]
    assert "right" not in json.dumps(receipt["tables"])
    with place.server.connect("talks") as connection:
        assert connection.execute("SELECT topic FROM consentry.profile_data").fetchall() == [("right",)]
        query = "SELECT DISTINCT value, chosen FROM consentry.profile_values WHERE attribute = 'topic' ORDER BY 2"
        assert connection.execute(query).fetchall() == [("right", False), ("right", True)]
    assert place.json("subject", "rectify", "1", "topic", "right")["records"] == [{"source": "tickets", "rows": 0}]
    assert "nothing of 2 is there" in place.json("subject", "rectify", "2", "topic", "x", parse=False, code=1)
    assert "attribute nothing is not" in place.json("subject", "rectify", "1", "nothing", "x", parse=False, code=1)
