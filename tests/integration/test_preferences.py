"""What an app may know of consent: consentry.preferences through the gateway, its own rows and no others'."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.policy.explain import explain_app
from tests.gateways import write_settings
from tests.integration.governed import Governed, governed
from tests.integration.test_cli import DONE, run_process
from tests.integration.test_consent_mapped_decisions import RULES as MAPPED_RULES
from tests.integration.test_consent_mapped_decisions import SCHEMA as MAPPED_SCHEMA
from tests.servers import PgServer

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text);
INSERT INTO customers SELECT n, 'name-' || n, 'mail-' || n, 'phone-' || n FROM generate_series(1, 9) n;
GRANT SELECT ON customers TO PUBLIC;
"""
RULES = """version: 1
attributes: {key: {}, name: {}, email: {}, phone: {}}
tables: {public.customers: {subject: id, columns: {id: key, name: name, email: email, phone: phone}}}
apps:
  prefmail: {logins: [prefmail], kind: partner}
  prefship: {logins: [prefship], explain: allow}
  prefblind: {logins: [prefblind]}
  prefcrm: {logins: [prefcrm]}
policies:
  - {name: key, apps: [prefmail, prefship, prefcrm], attributes: [key], action: show}
  - {name: hidden key, apps: [prefblind], attributes: [key], action: mask, mask: "null"}
  - {name: in, apps: [prefmail, prefblind], attributes: [name, email], action: show, consent: opt_in}
  - {name: out, apps: [prefship], attributes: [phone], action: show, consent: opt_out}
  - {name: all, apps: [prefcrm], attributes: all, action: show}
"""
APPS = ["prefmail", "prefship", "prefblind", "prefcrm"]
MAIL = [(1, "email", True), (1, "name", False), (2, "email", True)]
SHIP = [(1, "phone", False), (8, "phone", True)]


@pytest.fixture(scope="module", params=["pg_server", "pg15_server"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    server: PgServer = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("preferences")
    with governed(server, folder, "preferences", SCHEMA, RULES, APPS) as running:
        for decision, subject, app, attribute in (
            ("grant", 1, "prefmail", "email"),
            ("withdraw", 1, "prefmail", "name"),
            ("grant", 2, "prefmail", "email"),
            ("withdraw", 1, "prefship", "phone"),
            ("grant", 8, "prefship", "phone"),
            ("grant", 9, "prefblind", "email"),
        ):
            running.give(decision, subject, app, attribute)
        yield running


def ask(gateway: Governed, login: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with gateway.connect(login) as connection:
        return connection.execute(query, values or None).fetchall()


OWN = "SELECT subject, attribute, granted FROM consentry.preferences ORDER BY 1, 2"


def test_each_app_sees_its_own_decisions(gateway: Governed) -> None:
    assert ask(gateway, "prefmail", OWN) == MAIL
    assert ask(gateway, "prefship", OWN) == SHIP
    ((since, expires),) = ask(gateway, "prefmail", "SELECT since, expires FROM consentry.preferences WHERE subject = 2")
    assert since is not None
    assert expires is None


def test_a_change_counts_in_the_next_statement_also_prepared(gateway: Governed) -> None:
    with gateway.connect("prefmail") as connection:
        query = "SELECT granted FROM consentry.preferences WHERE subject = %s AND attribute = %s"
        for decision, expected in (("grant", True), ("withdraw", False), ("grant", True)):
            gateway.give(decision, 5, "prefmail", "name")
            assert connection.execute(query, (5, "name"), prepare=True).fetchall() == [(expected,)]


def test_it_joins(gateway: Governed) -> None:
    query = """SELECT c.id, c.email FROM customers c JOIN consentry.preferences p ON p.subject = c.id
               WHERE p.attribute = 'email' AND p.granted ORDER BY 1"""
    assert ask(gateway, "prefmail", query) == [(1, "mail-1"), (2, "mail-2")]
    query = """SELECT c.id, coalesce(p.granted, true) FROM customers c
               LEFT JOIN consentry.preferences p ON p.subject = c.id AND p.attribute = 'phone' WHERE c.id IN (1, 2, 8)
               ORDER BY 1"""
    assert ask(gateway, "prefship", query) == [(1, False), (2, True), (8, True)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM consentry.preferences",
        "SELECT p FROM consentry.preferences p",
        "SELECT (p).* FROM consentry.preferences p",
        "SELECT row_to_json(p) FROM consentry.preferences p",
        "SELECT p::text FROM consentry.preferences p",
        "SELECT to_jsonb(p) - 'x' FROM consentry.preferences p",
        "TABLE consentry.preferences",
        "SELECT array_agg(p) FROM consentry.preferences p",
        "SELECT count(p), string_agg(p::text, ',') FROM consentry.preferences p",
        "WITH x AS (SELECT * FROM consentry.preferences) SELECT * FROM x, x AS y",
        "SELECT * FROM consentry.preferences JOIN consentry.preferences q USING (subject, attribute)",
        "SELECT (SELECT max(p::text) FROM consentry.preferences p)",
        "SELECT * FROM (VALUES ('prefship')) AS v (app) JOIN consentry.preferences p ON true",
        "SELECT * FROM consentry.preferences WHERE subject = 8 OR subject = 9 OR true",
        "SELECT * FROM consentry.preferences WHERE 1 / (subject - 8) < 9",
    ],
)
def test_no_way_leads_to_another_apps_rows(gateway: Governed, query: str) -> None:
    """Of prefship and prefblind: subjects 8 and 9, the attribute phone, and the apps' names."""
    seen = repr(ask(gateway, "prefmail", query))
    assert "name" in seen or "email" in seen
    for word in ("phone", "ship", "blind", "(8,", "(9,", "8,phone", "'subject': 8", "'subject': 9", "'app'"):
        assert word not in seen.replace("prefship', ", "") if "VALUES" in query else word not in seen


@pytest.mark.parametrize(
    "query",
    [
        "SELECT app FROM consentry.preferences",
        "SELECT p.app FROM consentry.preferences p",
        "SELECT (p).app FROM consentry.preferences p",
        "SELECT app(p) FROM consentry.preferences p",
        "SELECT * FROM consentry.preferences WHERE app = 'prefship'",
        "SELECT * FROM consentry.preferences JOIN (VALUES ('prefship')) AS v (app) USING (app)",
        "SELECT attribute FROM consentry.preferences GROUP BY attribute, app",
        "SELECT * FROM consentry.preferences ORDER BY app",
        "SELECT tableoid FROM consentry.preferences",
        "INSERT INTO consentry.preferences (subject, attribute) VALUES (1, 'email')",
        "UPDATE consentry.preferences SET granted = true",
        "DELETE FROM consentry.preferences",
        "SELECT pg_get_viewdef('consentry.preferences'::regclass) || 1 / 0",
        "SELECT * FROM query_to_xml('SELECT * FROM consentry.preferences', true, true, '')",
        "SELECT * FROM consentry.state",
        "SELECT * FROM consentry.state_prefmail",
        "SELECT * FROM consentry.events",
        "SELECT * FROM consentry.tokens",
        "SELECT * FROM consentry.keys",
        "SELECT * FROM consentry.imports",
        "SELECT * FROM consentry.migrations",
        "SELECT consentry.begin_bulk()",
        "SELECT consentry.iso(now())",
        "SELECT consentry.keyed_hash('default', 'x')",
        "SELECT nextval('consentry.event_ids')",
        "SET search_path = consentry",
        "SELECT set_config('search_path', 'consentry', false)",
        "SET consentry.bulk = on",
        "LISTEN consentry_consent",
        "LISTEN consentry_catalog",
        "NOTIFY consentry_consent, 'x'",
        "SELECT pg_notify('consentry_consent', 'x')",
        "COPY consentry.preferences FROM STDIN",
        "COPY consentry.events TO STDOUT",
        "CREATE TEMP TABLE x AS SELECT * FROM consentry.state_prefmail",
        "CREATE TEMP VIEW x AS SELECT * FROM consentry.preferences",
    ],
)
def test_what_is_refused(gateway: Governed, query: str) -> None:
    with gateway.connect("prefmail") as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(query).fetchall()
    said = f"{caught.value} {caught.value.diag.message_detail} {caught.value.diag.context}"
    assert caught.value.sqlstate is not None
    assert caught.value.sqlstate[:2] != "XX"
    for word in ("prefship", "prefblind", "phone"):
        assert word not in said.replace("'prefship'", "")


def test_copies_are_copies_of_its_own(gateway: Governed) -> None:
    with gateway.connect("prefmail") as connection:
        with connection.cursor() as cursor, cursor.copy("COPY consentry.preferences TO STDOUT") as copy:
            lines = b"".join(bytes(part) for part in copy).decode()
        assert "phone" not in lines
        assert "1\temail\tt" in lines
        connection.execute("CREATE TEMP TABLE mine AS SELECT * FROM consentry.preferences")
        found = connection.execute("SELECT subject, attribute FROM mine WHERE subject <> 5 ORDER BY 1, 2").fetchall()
        assert found == [row[:2] for row in MAIL]
        (names,) = connection.execute("SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute "
                                      "WHERE attrelid = 'mine'::regclass AND attnum > 0").fetchone() or ()  # fmt: skip
        assert names == ["subject", "attribute", "granted", "since", "expires"]


def test_the_catalogs_show_it_without_the_app(gateway: Governed) -> None:
    columns = """SELECT attname::text FROM pg_attribute WHERE attrelid = 'consentry.preferences'::regclass AND attnum > 0
                 AND NOT attisdropped ORDER BY attnum"""
    shown = [("subject",), ("attribute",), ("granted",), ("since",), ("expires",)]
    assert ask(gateway, "prefmail", columns) == shown
    columns = "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'consentry'"
    assert sorted(ask(gateway, "prefmail", columns)) == sorted(shown)
    relations = """SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                   WHERE nspname = 'consentry' AND relkind IN ('r', 'p', 'v', 'S', 'i', 'I')"""
    assert ask(gateway, "prefmail", relations) == [("preferences",)]
    for query in (
        "SELECT pg_get_viewdef('consentry.preferences'::regclass)",
        "SELECT view_definition FROM information_schema.views WHERE table_schema = 'consentry'",
        "SELECT definition FROM pg_views WHERE schemaname = 'consentry'",
        "SELECT most_common_vals::text FROM pg_stats WHERE schemaname = 'consentry'",
    ):
        seen = repr(ask(gateway, "prefmail", query))
        assert "state" not in seen
        assert "app" not in seen


def test_psql_describes_it(gateway: Governed, request: pytest.FixtureRequest) -> None:
    server: PgServer = request.getfixturevalue(request.node.callspec.params["gateway"])
    assert server.binaries is not None
    for command in (r"\d consentry.preferences", r"\d+ consentry.*", r"\dv consentry.*"):
        done = subprocess.run(
            [server.binaries / "psql", "-X", "-w", "-v", "ON_ERROR_STOP=1", "-c", command, gateway.dsn("prefmail")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert "preferences" in done.stdout
        for word in ("app", "state", "event", "prefship", "has_table"):
            assert re.search(rf"\b{word}", done.stdout.lower().replace("access privileges", "")) is None


def test_a_cursor_and_a_pipeline(gateway: Governed) -> None:
    with gateway.connect("prefmail") as connection, connection.transaction(), connection.cursor("c") as cursor:
        cursor.execute(OWN)
        assert [cursor.fetchone(), *cursor.fetchmany(2)] == MAIL
    with gateway.connect("prefmail") as connection, connection.pipeline():
        asked = [connection.execute(OWN + " LIMIT %s", [n], prepare=True) for n in (1, 2, 3)]
        assert [len(one.fetchall()) for one in asked] == [1, 2, 3]


def test_an_expiry_needs_no_job(gateway: Governed) -> None:
    """A grant that has ended is there, and grants nothing."""
    with psycopg.connect(gateway.database, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO consentry.events (subject, app, attribute, decision, actor, at, expires_at) VALUES "
            "(6, 'prefmail', 'email', 'granted', 'import', now() - interval '2 days', now() - interval '1 day'), "
            "(6, 'prefmail', 'name', 'granted', 'import', now() - interval '2 days', now() + interval '1 day')"
        )
    query = "SELECT attribute, granted, expires < now() FROM consentry.preferences WHERE subject = 6 ORDER BY 1"
    assert ask(gateway, "prefmail", query) == [("email", False, True), ("name", True, False)]
    shown = ask(gateway, "prefmail", "SELECT id, email, name FROM customers WHERE id = 6")
    assert shown == [(6, None, "name-6")]


def test_what_explain_says(gateway: Governed) -> None:
    lines = [line for line in explain_app(gateway.rules.apps["prefmail"]) if line.table == "consentry.preferences"]
    said = {line.column: (line.treatment, line.because) for line in lines}
    assert said["app"] == ("drop", 'policy "consentry.preferences" (rules.yaml:5)')
    assert said[""][0].startswith("rows only where")
    assert {said[name][0] for name in ("subject", "attribute", "granted", "since", "expires")} == {"show"}


def test_an_app_without_the_customers_keys_or_that_asks_nothing_has_no_such_relation(gateway: Governed) -> None:
    for login in ("prefblind", "prefcrm"):
        with gateway.connect(login) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM consentry.preferences")


def test_a_plan_tells_nothing_of_others(gateway: Governed) -> None:
    """Only an app with `explain: allow` gets one, of its own partition."""
    for query in ("SELECT * FROM consentry.preferences", "SELECT 1 FROM customers c, consentry.preferences p"):
        with gateway.connect("prefmail") as connection:
            for options in ("", "(ANALYZE)", "(VERBOSE)"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"EXPLAIN {options} {query}")
        plan = repr(ask(gateway, "prefship", f"EXPLAIN (VERBOSE) {query}"))
        assert "state_prefship" in plan
        assert "prefmail" not in plan
        assert "prefblind" not in plan


def test_a_login_that_goes_around_the_gateway_has_no_more(gateway: Governed, request: pytest.FixtureRequest) -> None:
    """By the database's own grants: its own partition of state, and what the view shows of it."""
    server: PgServer = request.getfixturevalue(request.node.callspec.params["gateway"])
    with psycopg.connect(server.dsn("preferences", "prefmail")) as connection:
        seen = connection.execute("SELECT DISTINCT app FROM consentry.preferences").fetchall()
        assert seen == [("prefmail",)]


def test_a_look_up_by_subject_reads_one_row_by_its_index(gateway: Governed, request: pytest.FixtureRequest) -> None:
    server: PgServer = request.getfixturevalue(request.node.callspec.params["gateway"])
    with server.connect("preferences") as connection:
        query = """SELECT _t."subject", _t."granted" FROM "consentry"."preferences" AS _t
                   WHERE _t."app" OPERATOR(pg_catalog.=) 'prefmail' AND _t."subject" = 1 OFFSET 0"""
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}").fetchall())
    assert "state_prefmail" in plan
    assert "Index Cond: ((subject = 1)" in plan
    assert "state_prefship" not in plan
    assert "events" not in plan  # `since` is looked for where it is asked


# Consent in a table of the database's own


def test_of_a_mapped_table(pg_server: PgServer, tmp_path: Path) -> None:
    """By the apps' and attributes' own names, strictest row first for opt_out; the next UPDATE counts."""
    logins = ["decided_mailco", "decided_shipco"]
    for login in logins:
        pg_server.create_login(login, group="auth_trust")
    rows = """INSERT INTO user_consents (user_id, partner_code, field_name, status, valid_until, given_at) VALUES
        (1, 'mc-7', 'mail_optin', 'yes', NULL, '2026-01-01 00:00Z'), (1, 'mc-7', 'name', 'no', NULL, NULL),
        (2, 'mc-7', 'mail_optin', 'no', NULL, NULL), (2, 'mc-7', 'mail_optin', 'yes', 'infinity', '2026-02-01 00:00Z'),
        (3, 'mc-7', 'mail_optin', 'yes', '2026-03-01 00:00Z', NULL), (4, 'mc-7', 'unknown', 'yes', NULL, NULL),
        (5, 'mc-7', NULL, 'yes', NULL, NULL), (6, 'shipco', 'phone', 'yes', NULL, NULL),
        (6, 'shipco', 'phone', 'no', NULL, NULL), (7, 'other', 'mail_optin', 'yes', NULL, NULL);"""
    dsn = pg_server.create_database("preferences_mapped", MAPPED_SCHEMA + rows)
    write_settings(pg_server, tmp_path, MAPPED_RULES, {"shop": "preferences_mapped"})
    first = consentry_process(tmp_path, "consent", "setup", "--apply")
    assert "made view consentry.preferences" in first
    assert "the ledger is up to date" in consentry_process(tmp_path, "consent", "setup", "--apply")
    gateway = Governed(pg_server, tmp_path, "preferences_mapped", MAPPED_RULES)
    try:
        changed = MAPPED_RULES.replace("{email: mail_optin}", "{email: mail_optin, phone: tel}")
        (tmp_path / "rules" / "rules.yaml").write_text(changed)
        stale = "consentry.preferences is not there, or not as the rules have it now: run `consentry consent setup`"
        assert stale in consentry_process(tmp_path, "check")
        assert "made view" in consentry_process(tmp_path, "consent", "setup", "--apply")
        assert stale not in consentry_process(tmp_path, "check")
        (tmp_path / "rules" / "rules.yaml").write_text(MAPPED_RULES)
        consentry_process(tmp_path, "consent", "setup", "--apply")
        query = "SELECT subject, attribute, granted FROM consentry.preferences ORDER BY 1, 2"
        own = [(1, "email", True), (1, "name", False), (2, "email", True), (3, "email", False)]
        assert ask(gateway, "decided_mailco", query) == own
        assert ask(gateway, "decided_shipco", query) == [(6, "phone", False)]
        (since,) = ask(gateway, "decided_mailco", "SELECT since, expires FROM consentry.preferences WHERE subject = 2")
        assert (str(since[0].date()), since[1]) == ("2026-02-01", None)
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("UPDATE user_consents SET status = 'no' WHERE user_id = 1")
        assert ask(gateway, "decided_mailco", query)[0] == (1, "email", False)
        with gateway.connect("decided_mailco") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM user_consents")
    finally:
        gateway.close()


def test_without_an_attribute_a_row_is_about_all_that_is_asked(pg_server: PgServer, tmp_path: Path) -> None:
    logins = ["decided_mailco", "decided_shipco"]
    for login in logins:
        pg_server.create_login(login, group="auth_trust")
    rules = MAPPED_RULES.replace("    attribute: field_name\n    attributes: {email: mail_optin}\n", "")
    rows = "INSERT INTO user_consents (user_id, partner_code, status) VALUES (1, 'mc-7', 'yes'), (2, 'shipco', 'no');"
    pg_server.create_database("preferences_mapped", MAPPED_SCHEMA + rows)
    write_settings(pg_server, tmp_path, rules, {"shop": "preferences_mapped"})
    consentry_process(tmp_path, "consent", "setup", "--apply")
    gateway = Governed(pg_server, tmp_path, "preferences_mapped", rules)
    try:
        query = "SELECT subject, attribute, granted FROM consentry.preferences ORDER BY 1, 2"
        assert ask(gateway, "decided_mailco", query) == [(1, "email", True), (1, "name", True)]
        assert ask(gateway, "decided_shipco", query) == [(2, "phone", False)]
    finally:
        gateway.close()


def consentry_process(folder: Path, *arguments: str) -> str:
    """What the command says on standard error."""
    ended = run_process(folder, *arguments)
    assert ended.code == DONE, ended.err
    return ended.err
