"""Profiles over HTTP are what SQL gives: for every app and attribute of the examples, with the same records."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psycopg
import pytest
import yaml

from proxy.policy.model import Profile
from proxy.web.profiles import as_login
from proxy.web.records import FIRST as WEB_WORKER
from proxy.web.tokens import add
from tests.gateways import GatewayProcess, consentry, eventually, set_up_consent, write_settings
from tests.servers import PgServer

RULES = Path(__file__).parents[2] / "rules"
GRANTED = {
    "shop": [("1", "mailco", "email"), ("1", "mailco", "full_name"), ("3", "mailco", "email"), ("3", "mailco", "phone")],
    "clinic": [
        (f"00000000-0000-4000-8000-00000000000{number}", app, attribute)
        for number, app, attribute in [(1, "research", "diagnoses"), (1, "research", "visits"), (2, "research", "diagnoses"),
                                       (1, "reminders", "phone"), (3, "reminders", "phone"), (3, "reminders", "email")]
    ],
}  # fmt: skip


# Another source adds to a list of the shop's.
SOURCE = """
sources:
  calls: {key: number, subject: customer, lists: {notes: {fields: [at, words], order_by: at}}}
"""
TOLD = """
INSERT INTO consentry.profile_data (subject, notes) VALUES
    (1, '[{"at": "2025-12-24T08:00:00+00:00", "words": "called"}]'), (4, '[{"at": "2020-01-01", "words": "wrote"}]')
"""


class Example:
    """One of the examples behind a gateway with a web side; Consentry's own login may do no more than it must."""

    def __init__(self, name: str, server: PgServer, folder: Path, logins: dict[str, str]) -> None:
        self.name = name
        self.server = server
        self.logins = logins
        self.tokens: dict[str, str] = {}
        for login in logins:
            made = consentry(folder, "token", "add", f"{login} over http", "--login", login, "--json")
            self.tokens[login] = json.loads(made)["secret"]
            server.run(name, f'GRANT "{login}" TO consentry')
        self.gateway = GatewayProcess(folder)
        self.base = f"http://127.0.0.1:{self.gateway.web_port()}"

    def get(self, login: str, path: str = "", **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[login]}"}
        return httpx.get(f"{self.base}/api/profiles{path}", params=query, headers=headers, timeout=30)

    def ask(self, login: str, path: str, query: list[tuple[str, str]]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[login]}"}
        return httpx.get(f"{self.base}/api/profiles{path}", params=query, headers=headers, timeout=30)

    def sql(self, login: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.gateway.dsn(login, self.name), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()


def rules(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((RULES / name / f"{name}.yaml").read_text())
    return found


@contextmanager
def running(name: str, server: PgServer, folder: Path) -> Iterator[Example]:
    text = rules(name)
    server.create_database(name, (RULES / name / "schema.sql").read_text())
    logins = {login: app for app, one in text["apps"].items() if not one.get("trusted") for login in one["logins"]}
    for login in ("consentry", *(login for one in text["apps"].values() for login in one["logins"])):
        server.create_login(login, group="auth_trust")
    for schema in {table.split(".")[0] for table in text["tables"]}:
        grants = f"GRANT USAGE ON SCHEMA {schema} TO %s; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO %s"
        server.run(name, "; ".join(grants.replace("%s", login) for login in logins))
    raw = (RULES / name / f"{name}.yaml").read_text() + (SOURCE if name == "shop" else "")
    write_settings(server, folder, raw, {name: name})
    set_up_consent(folder, name)
    if name == "shop":
        server.run(name, TOLD)
    for subject, app, attribute in GRANTED[name]:
        consentry(folder, "consent", "grant", subject, app, attribute)
    web = {"web": {"listen": "127.0.0.1:0"}, "control": {"dsn": server.dsn(name, "consentry")}}
    write_settings(server, folder, raw, {name: name}, web)
    example = Example(name, server, folder, logins)
    try:
        yield example
    finally:
        example.gateway.stop()


@pytest.fixture(scope="module")
def shop(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running("shop", pg_server, tmp_path_factory.mktemp("http_shop")) as example:
        yield example


@pytest.fixture(scope="module")
def clinic(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running("clinic", pg_server, tmp_path_factory.mktemp("http_clinic")) as example:
        yield example


@pytest.fixture(params=["shop", "clinic"])
def example(request: pytest.FixtureRequest) -> Example:
    found: Example = request.getfixturevalue(request.param)
    return found


def attributes(name: str) -> list[str]:
    text = rules(name)
    return ["subject", *text["attributes"]]


def test_every_attribute_of_every_app_is_as_in_sql(example: Example) -> None:
    there = _columns(example)
    compared = 0
    for login in example.logins:
        for attribute in attributes(example.name):
            answer = example.get(login, fields=attribute, limit=500)
            expected = _in_sql(example, login, attribute)
            if expected is None:
                assert answer.status_code == (403 if attribute in there else 400), (login, attribute, answer.text)
                continue
            assert answer.status_code == 200, (login, attribute, answer.text)
            given = answer.json()["profiles"]
            assert sorted(map(str, given)) == sorted(map(str, expected)), (login, attribute)
            compared += len(given)
    assert compared > 50


def _in_sql(example: Example, login: str, attribute: str) -> list[Any] | None:
    """What the gateway gives; None where it has no such column for the app, or denies it."""
    query = f'SELECT row_to_json(o)::text FROM (SELECT p."{attribute}" FROM consentry.profile p) AS o'
    try:
        return [json.loads(text) for (text,) in example.sql(login, query)]
    except (psycopg.errors.UndefinedColumn, psycopg.errors.InsufficientPrivilege):
        return None


def _columns(example: Example) -> list[str]:
    with example.server.connect(example.name) as connection:
        rows = connection.execute(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'consentry.profile'::regclass AND attnum > 0"
        )
        return [name for (name,) in rows.fetchall()]


def test_one_customer_is_found_by_the_key_as_the_app_sees_it(example: Example) -> None:
    for login in example.logins:
        if _in_sql(example, login, "subject") is None:
            assert example.get(login, "/1").status_code == 403
            continue
        for key, whole in example.sql(
            login,
            "SELECT subject::text, row_to_json(p)::jsonb -> 'subject' FROM (SELECT subject FROM consentry.profile) p",
        ):
            answer = example.get(login, f"/{key}", fields="subject")
            assert (answer.status_code, answer.json()) == (200, {"subject": whole})


def test_pages_follow_each_other_without_loss(shop: Example) -> None:
    seen, after = [], None
    while True:
        page = shop.get(
            "crm_app", fields="subject,email", limit=2, **({} if after is None else {"after": after})
        ).json()
        seen += [one["subject"] for one in page["profiles"]]
        after = page["next"]
        if after is None:
            break
    assert seen == [1, 2, 3, 4, 5]


def test_a_page_of_lists_to_which_sources_add_is_looked_up_by_its_keys(shop: Example) -> None:
    before = len(_statements(shop))
    page = shop.get("crm_app", fields="full_name,notes", limit=2).json()
    keys, profiles = _statements(shop)[before:]
    assert [d["attribute"] for d in keys["disclosed"] if d["attribute"] == "notes"] == []
    assert "notes" in {d["attribute"] for d in profiles["disclosed"]}
    assert (keys["rows"], profiles["rows"]) == (2, 2)
    in_sql = "SELECT full_name, notes, subject::text FROM consentry.profile ORDER BY subject LIMIT 2"
    rows = shop.sql("crm_app", in_sql)
    assert [(one["full_name"], one["notes"]) for one in page["profiles"]] == [row[:2] for row in rows]
    assert "called" in repr(rows)
    assert page["next"] == rows[-1][-1]
    following = shop.get("crm_app", fields="full_name,notes", limit=500, after=page["next"]).json()
    assert [one["full_name"] for one in following["profiles"]] == [
        name for (name,) in shop.sql("crm_app", "SELECT full_name FROM consentry.profile ORDER BY subject OFFSET 2")
    ]


def test_filters_are_equality_on_what_the_app_sees(shop: Example) -> None:
    assert [
        one["subject"] for one in shop.get("crm_app", **{"filter[email]": "ben@example.net"}).json()["profiles"]
    ] == [2]
    both = {"filter[email]": "ben@example.net", "filter[full_name]": "Ann Archer"}
    assert shop.get("crm_app", **both).json() == {"profiles": [], "next": None}
    code = shop.get("analytics_app", fields="email", limit=1).json()["profiles"][0]["email"]
    assert re.fullmatch("[0-9a-f]{16}", code)
    assert len(shop.get("analytics_app", **{"filter[email]": code}).json()["profiles"]) == 1
    assert shop.get("analytics_app", **{"filter[email]": "ann@example.org"}).json()["profiles"] == []
    assert shop.get("mailco_app", **{"filter[phone]": "+39 06 5550103"}).json()["profiles"][0]["subject"] == 3
    assert shop.get("mailco_app", **{"filter[phone]": "+49 89 5550101"}).json()["profiles"] == []  # shown masked


def test_what_an_app_may_not_see_is_403_and_names_the_policy(shop: Example) -> None:
    answer = shop.get("mailco_app", fields="email,card_number")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["policies"] == ["cards are never read"]
    assert "rules.yaml:" in answer.json()["detail"]
    assert shop.get("mailco_app", **{"filter[card_number]": "4"}).status_code == 403
    assert shop.get("mailco_app", "/1", fields="notes").json()["policies"] == []  # the defaults
    assert "4111" not in answer.text
    each = shop.get("mailco_app", fields="email,notes,card_number,zz").json()
    assert each["policies"] == ["cards are never read"]
    assert "notes (no policy gives it), card_number (" in each["detail"]
    assert "zz" not in each["detail"]


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("", {"fields": "emial"}, 400),
        ("", {"fields": ""}, 400),
        ("", {"filter[emial]": "x"}, 400),
        ("", {"filter[subject]": "x"}, 422),
        ("", {"filter[subject]": "99999999999999999999"}, 422),
        ("", {"filter": "x"}, 422),
        ("", {"email": "x"}, 422),
        ("", {"limit": "0"}, 422),
        ("", {"after": "x"}, 422),
        ("", {"filter[email]": "a\0b"}, 422),
        ("/99", {}, 404),
        ("/x", {}, 422),
        ("/1'--", {}, 422),
        ("/1", {"limit": "1"}, 422),
        ("", {"limit": ["1", "2"]}, 422),
        ("", {"after": ["1", "2"]}, 422),
        ("", {"after": "1", "after[x]": "2"}, 422),
        ("", {"filter": "x", "filter[email]": "x"}, 422),
        ("", {"filter[email]": "x", "filter": "x"}, 422),
        ("/%2E%2E", {}, 422),
        ("/%2e", {}, 422),
        ("/1%2F2", {}, 422),
        ("/1%2F", {}, 422),
        ("/", {}, 404),
        ("/1/", {}, 404),
        ("/../", {}, 404),
    ],
)
def test_what_cannot_be_asked(shop: Example, path: str, query: dict[str, Any], status: int) -> None:
    answer = shop.get("crm_app", path, **query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


def test_parameters_that_come_again_must_all_hold(shop: Example) -> None:
    asked = [("fields", "subject"), ("fields", "email,full_name"), ("filter[email]", "ben@example.net")]
    assert list(shop.ask("crm_app", "", asked).json()["profiles"][0]) == ["subject", "email", "full_name"]
    assert shop.ask("crm_app", "/2", asked[:2]).json()["subject"] == 2
    both = [*asked, ("filter[email]", "ann@example.org")]
    assert (
        shop.ask("crm_app", "", both).json()
        == shop.ask("crm_app", "", both[::-1]).json()
        == {"profiles": [], "next": None}
    )
    again = shop.get("crm_app", limit=["1", "2"]).json()
    assert again["errors"] == [{"at": "limit", "message": "it is given more than once"}]


FAILED = [
    ("mailco_app", "", {"fields": "email,card_number"}, 'SELECT p."email", p."card_number" FROM consentry.profile p'),
    (
        "mailco_app",
        "",
        {"fields": "email", "filter[card_number]": "4"},
        """SELECT p."email" FROM consentry.profile p WHERE p."card_number" = '4'""",
    ),
    ("mailco_app", "/1", {"fields": "notes"}, 'SELECT p."notes" FROM consentry.profile p'),
    ("crm_app", "/1", {"fields": "emial"}, 'SELECT p."emial" FROM consentry.profile p'),
    (
        "crm_app",
        "",
        {"fields": "email", "filter[subject]": "x"},
        """SELECT p."email" FROM consentry.profile p WHERE p."subject" = 'x'""",
    ),
    (
        "crm_app",
        "/99999999999999999999",
        {"fields": "email"},
        """SELECT p."email" FROM consentry.profile p WHERE p."subject" = '99999999999999999999'""",
    ),
]


@pytest.mark.parametrize(("login", "path", "query", "sql"), FAILED)
def test_what_fails_has_the_record_of_the_same_statement_in_sql(
    shop: Example, login: str, path: str, query: dict[str, str], sql: str
) -> None:
    (over_http,) = _recorded(shop, lambda: shop.get(login, path, **query).raise_for_status())
    (in_sql,) = _recorded(shop, lambda: shop.sql(login, sql))
    for name in ("event", "app", "login", "database", "sqlstate", "message", "policies", "consent", "rules_version"):
        assert over_http[name] == in_sql[name], name
    assert over_http.get("rows") == in_sql.get("rows")
    assert over_http["application_name"] == f"http, token {login} over http"
    assert over_http["statement"].startswith('SELECT p."subject"::pg_catalog.text, pg_catalog.to_json(p.')
    assert over_http["fingerprint"]


def _recorded(example: Example, fails: Callable[[], object]) -> list[dict[str, Any]]:
    before = len(_statements(example))
    with pytest.raises((httpx.HTTPStatusError, psycopg.Error)):
        fails()
    return _statements(example)[before:]


def test_what_takes_too_long_is_not_called_unreachable(shop: Example) -> None:
    with shop.server.connect("shop") as locking:
        locking.execute("BEGIN; LOCK TABLE public.customers")
        answer = shop.get("crm_app", "/1", fields="email")
        locking.execute("ROLLBACK")
    assert (answer.status_code, "longer than 10 s" in answer.json()["detail"]) == (504, True), answer.text
    record = _statements(shop)[-1]
    assert (record["sqlstate"], record["app"], record["rows"]) == ("57014", "crm", 0)


def test_it_is_read_only_and_for_tokens_of_apps(shop: Example) -> None:
    headers = {"Authorization": f"Bearer {shop.tokens['crm_app']}"}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert httpx.request(method, f"{shop.base}/api/profiles/1", headers=headers).status_code == 405
    assert httpx.get(f"{shop.base}/api/profiles/1").status_code == 401
    assert httpx.get(f"{shop.base}/api/subjects/1/access", headers=headers).status_code == 403
    made = consentry(shop.gateway.folder, "token", "add", "no app", "--scope", "read")
    headers = {"Authorization": f"Bearer {made.split()[-1]}"}
    assert httpx.get(f"{shop.base}/api/profiles/1", headers=headers).status_code == 403


def test_the_record_is_that_of_the_same_statement_in_sql(shop: Example) -> None:
    shop.gateway.folder.joinpath("audit").exists()
    before = len(_statements(shop))
    assert shop.get("mailco_batch", "/1", fields="email,purchase_history").status_code == 200
    over_http = _statements(shop)[before:]
    query = 'SELECT p."email", p."purchase_history" FROM consentry.profile p WHERE p."subject" = 1'
    before = len(_statements(shop))
    shop.sql("mailco_batch", query)
    (one,), (other,) = over_http, [r for r in _statements(shop)[before:] if "purchase_history" in r["statement"]]
    for name in ("event", "app", "login", "database", "rewritten", "consent", "rules_version", "rows"):
        assert one[name] == other[name], name
    assert sorted(map(str, one["disclosed"])) == sorted(map(str, other["disclosed"]))
    assert sorted(one["policies"]) == sorted(other["policies"])
    assert {d["attribute"] for d in one["disclosed"]} >= {"email", "purchase_history"}
    assert one["client"] == "127.0.0.1"
    assert one["application_name"] == "http, token mailco_batch over http"
    assert "'1'" not in one["statement"]


def test_the_record_of_a_page_counts_what_is_on_it(shop: Example) -> None:
    """One row more is read, by which it is known that another page follows."""
    before = len(_statements(shop))
    page = shop.get("crm_app", "", limit="2", fields="email").json()
    assert (len(page["profiles"]), bool(page["next"])) == (2, True)
    assert [one["rows"] for one in _statements(shop)[before:]] == [2]


def _statements(example: Example) -> list[dict[str, Any]]:
    records = [*example.gateway.records("statement"), *example.gateway.records("refused")]
    return sorted((r for r in records if "profile" in r["statement"]), key=lambda r: str(r["time"]))


def test_the_log_is_whole(shop: Example) -> None:
    assert shop.get("crm_app", "/1").status_code == 200
    assert consentry(shop.gateway.folder, "audit", "verify")


def test_a_login_that_consentry_may_not_act_as_is_said(shop: Example) -> None:
    shop.server.run("shop", "REVOKE crm_app FROM consentry")
    try:
        answer = shop.get("crm_app", "/1")
        assert answer.status_code == 409
        assert 'GRANT "crm_app"' in answer.json()["detail"]
        assert _statements(shop)[-1]["sqlstate"] == "42501"
    finally:
        shop.server.run("shop", "GRANT crm_app TO consentry")


def test_a_consent_counts_in_the_next_request(shop: Example) -> None:
    assert shop.get("mailco_app", "/2").status_code == 404
    consentry(shop.gateway.folder, "consent", "grant", "2", "mailco", "email")
    assert shop.get("mailco_app", "/2").json()["email"] == "ben@example.net"
    consentry(shop.gateway.folder, "consent", "withdraw", "2", "mailco", "email")
    assert shop.get("mailco_app", "/2").status_code == 404


def test_the_login_that_asks_is_the_tokens() -> None:
    sql = """SELECT SESSION_USER, 'session_user', "session_user", x.session_user FROM t AS x -- session_user"""
    assert as_login(sql, "o'x") == sql.replace("SELECT SESSION_USER", "SELECT ('o''x'::pg_catalog.name)")


def test_tokens_are_of_logins_that_an_app_has(shop: Example) -> None:
    for login, message in (("nobody", "of no app"), ("deploy", "trusted")):
        with pytest.raises(AssertionError, match=message):
            consentry(shop.gateway.folder, "token", "add", f"x {login}", "--login", login)


def test_tokens_of_logins_that_are_no_app_s_any_more(shop: Example) -> None:
    async def made(login: str) -> str:
        connection = await asyncpg.connect(shop.server.dsn("shop"))
        try:
            return (await add(connection, f"once of {login}", ["profile"], login=login))[1]
        finally:
            await connection.close()

    for login, message in (("nobody", "of no app now"), ("deploy", "which is trusted now")):
        shop.tokens[login] = asyncio.run(made(login))
        for path in ("", "/1"):
            answer = shop.get(login, path)
            assert (answer.status_code, message in answer.json()["detail"]) == (403, True)
        found = [one for one in shop.gateway.records("connect_refused") if one["login"] == login]
        assert [(one["sqlstate"], message in one["message"]) for one in found] == [("28000", True)] * 2
        assert found[0]["application_name"] == f"http, token once of {login}"


def test_the_model_and_the_examples_agree() -> None:
    for name in ("shop", "clinic"):
        Profile.model_validate(rules(name)["profile"])


def test_a_database_that_is_away_is_no_change_of_rules(shop: Example, pg_server: PgServer) -> None:
    shop.get("mailco_app").raise_for_status()  # the web side's log is open
    told = len(shop.gateway.records("reload"))
    name = shop.name
    pg_server.run("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        pg_server.run("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        eventually(lambda: "proxy.web.site: the rules in force stay" in shop.gateway.log)
    finally:
        pg_server.run("postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    eventually(lambda: shop.get("mailco_app").status_code == 200)
    assert [one for one in shop.gateway.records("reload")[told:] if one["worker"] >= WEB_WORKER] == []


def test_rules_files_are_watched_on_both_ways_and_both_record_it(shop: Example) -> None:
    """The same rules are in force for SQL and for HTTP, and a record of each says since when."""
    shop.get("mailco_app").raise_for_status()  # both logs are open
    before = shop.gateway.rules.read_text()
    told = len(shop.gateway.records("reload"))

    def new() -> list[dict[str, Any]]:
        return shop.gateway.records("reload")[told:]

    try:
        shop.gateway.rules.write_text(f"{before}\n# two\n")
        eventually(lambda: {one["worker"] >= WEB_WORKER for one in new()} == {True, False})
        versions = {one["rules_version"] for one in new()}
        assert len(versions) == 1
        shop.get("mailco_app").raise_for_status()
        shop.sql("mailco_app", "SELECT subject FROM consentry.profile")
        eventually(lambda: {one["rules_version"] for one in _statements(shop)[-2:]} == versions)
    finally:
        shop.gateway.rules.write_text(before)
