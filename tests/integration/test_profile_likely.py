"""Records that fit nobody exactly: compared as a whole, matched where the rules have it so, else shown for review."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from benchmarks.matching import generate
from tests.integration.test_cli import run
from tests.servers import PgServer

RULES = """version: 1
attributes: {full_name: {}, email: {}, birth_date: {}, city: {}}
tables:
  public.customers: {subject: id, columns: {id: open, full_name: full_name, email: email, birth_date: birth_date, city: city}}
apps: {crm: {logins: [likely_crm]}}
policies: [{name: service, apps: [crm], attributes: all, action: show, basis: contract}]
sources:
  leads:
    key: key
    match: {email: email, likely: {by: [full_name, birth_date, city], threshold: 0.99}}
    fields: {email: email, full_name: full_name, birth_date: {attribute: birth_date, type: date}, city: city}
"""


@pytest.fixture
def connection(pg_server: PgServer, tmp_path: Path) -> Iterator[psycopg.Connection]:
    pg_server.create_database(
        "likely",
        "CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, birth_date date, city text)",
    )
    upstream = f"postgresql://{pg_server.host}:{pg_server.port}/likely"
    sources = {"leads": {"kind": "jsonl", "path": "leads.jsonl"}}
    databases = {"shop": {"upstream": upstream, "rules": "rules.yaml", "sources": sources}}
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "consentry.yaml").write_text(
        yaml.safe_dump({"databases": databases, "control": {"dsn": pg_server.admin_dsn}})
    )
    with pg_server.connect("likely") as connection:
        yield connection


def test_probable_matches(connection: psycopg.Connection, tmp_path: Path) -> None:
    customers, records, truth = generate(600)
    with connection.cursor().copy("COPY customers FROM STDIN") as copy:
        for subject, values in customers.items():
            copy.write_row((subject, values["full_name"], values["email"], values["birth_date"], values["city"]))
    (tmp_path / "leads.jsonl").write_text("".join(json.dumps({"key": k, **v}) + "\n" for k, v in records.items()))
    settings = ("--config", str(tmp_path / "consentry.yaml"))
    assert run("consent", "setup", *settings).code == 0
    assert run("profile", "sync", *settings).code == 0

    def found() -> dict[str, int | None]:
        return dict(connection.execute("SELECT key, subject FROM consentry.profile_records").fetchall())

    exact = found()
    ended = run("profile", "match", "--json", *settings)
    assert ended.code == 0, ended.err
    (facts,) = json.loads(ended.out)
    probable = {key: subject for key, subject in found().items() if subject is not None and exact[key] is None}
    assert facts["matched"] == len(probable) > 50
    wrong = [key for key, subject in probable.items() if truth[key] != str(subject)]
    assert len(wrong) <= len(probable) // 50
    how = connection.execute("SELECT how, count(*) FROM consentry.profile_records GROUP BY 1").fetchall()
    assert dict(how)["likely"] == len(probable)
    # What is not sure waits, with its candidates; and all of it stays so in a later sync.
    before = connection.execute("SELECT key, subject, candidates FROM consentry.profile_records ORDER BY 1").fetchall()
    assert facts["candidates"] == sum(subject is None and candidates != [] for _, subject, candidates in before) > 0
    assert run("profile", "sync", "--full", *settings).code == 0
    assert (
        connection.execute("SELECT key, subject, candidates FROM consentry.profile_records ORDER BY 1").fetchall()
        == before
    )
    # A person says that it is not so.
    key, subject = next(iter(probable.items()))
    ended = run("profile", "review", "decide", "leads", key, "other", "--subject", str(subject), *settings)
    assert ended.code == 0, ended.err
    assert found()[key] != subject


def test_where_nothing_can_be_learnt(connection: psycopg.Connection, tmp_path: Path) -> None:
    """On the second run, say: no traceback, and what the first one found stands."""
    customers, records, _ = generate(600)
    with connection.cursor().copy("COPY customers FROM STDIN") as copy:
        for subject, values in customers.items():
            copy.write_row((subject, values["full_name"], values["email"], values["birth_date"], values["city"]))
    (tmp_path / "leads.jsonl").write_text("".join(json.dumps({"key": k, **v}) + "\n" for k, v in records.items()))
    settings = ("--config", str(tmp_path / "consentry.yaml"))
    for arguments in (("consent", "setup"), ("profile", "sync"), ("profile", "match")):
        assert run(*arguments, *settings).code == 0
    query = "SELECT key, subject, how FROM consentry.profile_records WHERE how = 'likely' ORDER BY 1"
    before = connection.execute(query).fetchall()
    sure = connection.execute("SELECT count(*) FROM consentry.profile_likely WHERE sure").fetchall()
    lonely = {"key": "lonely", "email": None, "full_name": "Zzyzx Qqqq", "birth_date": "1801-01-01", "city": "Nowhere"}
    kept = [f"{json.dumps({'key': key, **records[key]})}\n" for key, _, _ in before]
    (tmp_path / "leads.jsonl").write_text("".join([*kept, json.dumps(lonely) + "\n"]))
    assert run("profile", "sync", "--accept-deletes", *settings).code == 0
    for _ in range(2):
        ended = run("profile", "match", *settings)
        assert ended.code == 0, ended.err
        assert "1 records: no pair of them has a value in common" in ended.out
        assert "Traceback" not in ended.err
        assert connection.execute(query).fetchall() == before != []
        assert connection.execute("SELECT count(*) FROM consentry.profile_likely WHERE sure").fetchall() == sure
    assert run("profile", "sync", "--full", *settings).code == 0
    assert connection.execute(query).fetchall() == before
