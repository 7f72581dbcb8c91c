"""Files that are read whole: one that lost its end, or most of a field, is an error, and what is kept stays."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.test_cli import run
from tests.servers import PgServer
from tests.stores import source_rules, write_settings

SOURCES = "".join(
    f"  {name}: {{key: id, subject: customer, fields: {{v: v, w: w}}, deletes: {deletes}}}\n"
    for name, deletes in (("lines", "missing"), ("rows", "missing"), ("held", "keep"))
)
Row = dict[str, object]


@dataclass
class Place:
    server: PgServer
    folder: Path

    def write(self, source: str, rows: Iterable[Row]) -> None:
        rows = list(rows)
        text = io.StringIO()
        if source == "rows":
            made = csv.DictWriter(text, rows[0])
            made.writeheader()
            made.writerows(rows)
        else:
            text.writelines(json.dumps(row) + "\n" for row in rows)
        (self.folder / source).write_text(text.getvalue())

    def sync(self, source: str, *options: str, code: int = 0) -> str:
        """The error; else how many records were new, changed, deleted."""
        settings = ("--config", str(self.folder / "consentry.yaml"))
        ended = run("profile", "sync", "--source", source, "--json", *options, *settings)
        assert ended.code == code, ended.err + ended.out
        (one,) = json.loads(ended.out)
        return one["error"] or "{added} {changed} {deleted}".format_map(one["counts"])

    def kept(self, source: str) -> dict[str, dict[str, str]]:
        with self.server.connect("drift") as connection:
            query = 'SELECT key, "values" FROM consentry.profile_records WHERE source = %s'
            return dict(connection.execute(query, [source]).fetchall())


@pytest.fixture(scope="module")
def made(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("drift")
    customers = "CREATE TABLE customers AS SELECT generate_series(1::bigint, 50) AS id"
    pg_server.create_database("drift", f"{customers}; ALTER TABLE customers ADD PRIMARY KEY (id)")
    rules = source_rules("drift_crm", "{v: {label: Value}, w: {label: Other}}", SOURCES)
    kinds = {"lines": "jsonl", "rows": "csv", "held": "jsonl"}
    write_settings(
        folder, pg_server, "drift", rules, {name: {"kind": kind, "path": name} for name, kind in kinds.items()}
    )
    assert run("consent", "setup", "--config", str(folder / "consentry.yaml")).code == 0
    return Place(pg_server, folder)


@pytest.fixture
def place(made: Place) -> Place:
    with made.server.connect("drift") as connection:
        connection.execute("TRUNCATE consentry.profile_sources, consentry.profile_records, consentry.profile_data")
    return made


def some(first: int, last: int, **values: object) -> list[Row]:
    return [{"id": n, "customer": n, "v": f"v{n}", "w": "w"} | values for n in range(first, last + 1)]


# -- the end of a file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [19, 12])
@pytest.mark.parametrize("source", ["rows", "lines"])
def test_a_file_cut_at_a_lines_end(place: Place, source: str, left: int) -> None:
    place.write(source, some(1, 20))
    assert place.sync(source) == "20 0 0"
    place.write(source, some(1, left))
    for _ in range(2):
        said = place.sync(source, code=1)
        assert f"the last record of the file as it was is gone, with {19 - left} others, and none is new" in said
        assert "was it cut? If not, say --accept-deletes" in said
        assert len(place.kept(source)) == 20
    place.write(source, some(1, 20))
    assert place.sync(source) == "0 0 0"
    place.write(source, [*some(1, 3, v="other"), *some(4, left)])  # a new export, cut
    assert "was it cut?" in place.sync(source, code=1)
    assert place.sync(source, "--accept-deletes") == f"0 3 {20 - left}"
    place.write(source, some(1, left - 1))
    assert "with 0 others" in place.sync(source, code=1)


@pytest.mark.parametrize("source", ["rows", "lines"])
def test_deletes_that_no_cut_makes(place: Place, source: str) -> None:
    place.write(source, some(1, 20))
    place.sync(source)
    place.write(source, [*some(1, 5), *some(11, 20)])
    assert place.sync(source) == "0 0 5"  # the last one is there
    place.write(source, [*some(1, 5), *some(11, 19), *some(21, 21)])
    assert place.sync(source) == "1 0 1"  # another one came
    place.write(source, some(11, 15))
    assert place.sync(source, "--accept-deletes") == "0 0 10"
    place.write(source, [*some(12, 15), *some(11, 11)])
    assert place.sync(source) == "0 0 0"  # the order is another one
    place.write(source, some(12, 15))
    assert "was it cut?" in place.sync(source, code=1)


def test_a_file_that_loses_nothing_that_is_kept(place: Place) -> None:
    place.write("held", some(1, 20))
    place.sync("held")
    place.write("held", some(1, 12))
    assert place.sync("held") == "0 0 0"
    assert len(place.kept("held")) == 20


# -- fields -----------------------------------------------------------------------------------------------------------


def renamed(rows: list[Row], count: int) -> list[Row]:
    """The first so many have `value` where they had `v`."""
    return [
        {("value" if name == "v" and at < count else name): said for name, said in row.items()}
        for at, row in enumerate(rows)
    ]


def test_a_field_that_most_records_lost(place: Place) -> None:
    place.write("lines", some(1, 20))
    place.sync("lines")
    before = place.kept("lines")
    place.write("lines", renamed(some(1, 20, w="new"), 12))
    for _ in range(2):
        said = place.sync("lines", code=1)
        assert 'field "v" is in 8 of 20 records, and was in nearly all the last time: was it renamed?' in said
        assert "If not, say --accept-deletes" in said
        assert place.kept("lines") == before
    place.write("lines", renamed(some(1, 20), 10))
    assert place.sync("lines") == "0 10 0"  # half of them is not most
    place.write("lines", renamed(some(1, 20, w="new"), 12))
    assert place.sync("lines") == "0 20 0"  # not nearly all had it


def test_a_field_that_may_go(place: Place) -> None:
    place.write("lines", some(1, 20))
    place.sync("lines")
    place.write("lines", renamed(some(1, 20), 12))
    assert place.sync("lines", "--accept-deletes") == "0 12 0"
    place.write("lines", renamed(some(1, 20), 13))
    assert place.sync("lines") == "0 1 0"
    place.write("lines", some(1, 7))
    place.sync("lines", "--accept-deletes")
    place.write("lines", renamed(some(1, 7), 4))
    assert place.sync("lines") == "0 4 0"  # so few may be anything


@pytest.mark.parametrize(
    ("text", "name"), [('"v": "a", "v": "b"', "v"), ('"v": "a", "more": [{"x": {"n": 1, "m": 2, "n": 1}}]', "n")]
)
def test_a_name_twice_in_an_object(place: Place, text: str, name: str) -> None:
    place.write("lines", some(1, 3))
    place.sync("lines")
    with (place.folder / "lines").open("a") as file:
        file.write('{"id": 4, "customer": 4, ' + text + "}\n")
    assert place.sync("lines", code=1) == f'source "lines": line 4: an object has the name "{name}" twice'
    assert len(place.kept("lines")) == 3
