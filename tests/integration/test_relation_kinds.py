"""Relations of every kind: partitions, inheritance, foreign tables, odd names, tables of which nothing is shown ...

Each has a column that holds `MARKER`, which `dropper` does not have and `masker` has as null; `rower` is shown all
columns, of rows with id 1 only where a row policy is for the relation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.governed import Governed, governed
from tests.servers import PgServer

APPS = ("dropper", "masker", "rower")
LONG = "x" * 63  # as long as names can be
ODD = '"Odd.Name ""x"""'
COLUMNS = 1500  # near the most that a table can have

PARTITIONS = """
CREATE SCHEMA "Other Schema";
CREATE TABLE part (id int, day date NOT NULL, secret text, v text DEFAULT 'top') PARTITION BY RANGE (day);
CREATE TABLE part_23 PARTITION OF part FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE "Other Schema".mid (secret text, gone int, v text DEFAULT 'mid', day date NOT NULL, id int)
    PARTITION BY LIST (id);
ALTER TABLE "Other Schema".mid DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION "Other Schema".mid FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE "Other Schema"."Leaf ""1" PARTITION OF "Other Schema".mid FOR VALUES IN (1, 2);
CREATE TABLE loose (v text, secret text, day date NOT NULL, id int);
INSERT INTO part VALUES (1, '2023-05-05', 'MARKER-a', 'a'), (1, '2024-05-05', 'MARKER-b', 'b'),
                        (2, '2024-06-05', 'MARKER-c', 'c');
INSERT INTO loose VALUES ('l', 'MARKER-loose', '2025-02-02', 1), ('m', 'MARKER-loose', '2025-02-03', 2);
"""
OTHERS = f"""
CREATE EXTENSION postgres_fdw;
CREATE TABLE p1 (id int, secret text);
CREATE TABLE p2 (id int, other text);
CREATE TABLE kid (extra text, more text) INHERITS (p1, p2);
INSERT INTO p1 VALUES (1, 'MARKER-p1');
INSERT INTO kid VALUES (2, 'MARKER-kid', 'o', 'MARKER-extra', 'MARKER-more');
CREATE UNLOGGED TABLE unlogged (id int, secret text);
INSERT INTO unlogged VALUES (1, 'MARKER-u'), (2, 'MARKER-u');
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE hidden (secret text);
INSERT INTO hidden VALUES ('MARKER-hidden');
CREATE TYPE row_type AS (id int, secret text);
CREATE TABLE typed OF row_type;
INSERT INTO typed VALUES (1, 'MARKER-t');
CREATE MATERIALIZED VIEW kept AS SELECT id, secret FROM unlogged;
CREATE TABLE secured (id int, secret text);
INSERT INTO secured VALUES (1, 'MARKER-s1'), (2, 'MARKER-s2');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY first ON secured USING (id = 1);
CREATE TABLE {ODD} ("Id" int, "sec ret" text, "select" int, "ünï" text, "{LONG}" int);
INSERT INTO {ODD} VALUES (1, 'MARKER-odd', 5, 'u', 9);
CREATE TABLE _t (_t int, _c text, secret text);
INSERT INTO _t VALUES (1, 'c', 'MARKER-_t');
CREATE TABLE wide (id int, secret text);
INSERT INTO wide VALUES (1, 'MARKER-w');
DO $$ BEGIN
    EXECUTE (SELECT 'ALTER TABLE wide ' || string_agg('ADD c' || i || ' int', ', ') FROM generate_series(1, {COLUMNS}) i);
END $$;
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY, secret text, v text);
INSERT INTO counted (secret, v) VALUES ('MARKER-i', 'x');
CREATE TABLE made (id int PRIMARY KEY, secret text, next int GENERATED ALWAYS AS (id + 1) STORED,
                   copied text GENERATED ALWAYS AS (secret || '!') STORED);
INSERT INTO made (id, secret) VALUES (1, 'MARKER-g');
CREATE TABLE toasted (id int, big text, secret text);
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT 1, repeat('abc', 100000), 'MARKER-toast' || repeat('x', 100000);
"""
FOREIGN = """
CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{host}', port '{port}', dbname 'kinds');
CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user '{user}', password '{password}', password_required 'false');
CREATE FOREIGN TABLE far (id int, secret text) SERVER loop OPTIONS (table_name 'unlogged');
CREATE FOREIGN TABLE far_unlisted (id int, secret text) SERVER loop OPTIONS (table_name 'unlogged');
"""
VIRTUAL = "ALTER TABLE made ADD doubled int GENERATED ALWAYS AS (id * 2) VIRTUAL"
RULES = f"""
version: 1
attributes: {{s: {{label: S}}}}
defaults: {{unlisted_columns: drop}}
tables:
  public.part: {{columns: {{id: open, day: open, secret: s, v: open}}}}
  public.p1: {{columns: {{id: open, secret: s}}}}
  public.p2: {{columns: {{id: open, other: open}}}}
  public.unlogged: {{columns: {{id: open, secret: s}}}}
  public.nothing: open
  public.hidden: {{columns: {{secret: s}}}}
  public.typed: {{columns: {{id: open, secret: s}}}}
  public.kept: {{columns: {{id: open, secret: s}}}}
  public.secured: {{columns: {{id: open, secret: s}}}}
  'public.{ODD}': {{columns: {{Id: open, "sec ret": s, select: open, ünï: open, {LONG}: open}}}}
  public._t: {{columns: {{_t: open, _c: open, secret: s}}}}
  public.wide: {{columns: {{id: open, secret: s, c{COLUMNS}: open}}}}
  public.counted: {{columns: {{id: open, secret: s, v: open}}}}
  public.made: {{columns: {{id: open, secret: s, next: open, copied: s}}}}
  public.toasted: {{columns: {{id: open, big: open, secret: s}}}}
  public.far: {{columns: {{id: open, secret: s}}}}
apps:
  dropper: {{kind: internal, purpose: t, logins: [dropper]}}
  masker: {{kind: internal, purpose: t, logins: [masker]}}
  rower: {{kind: internal, purpose: t, logins: [rower]}}
policies:
  - {{name: d, apps: [dropper], attributes: [s], action: drop}}
  - {{name: m, apps: [masker], attributes: [s], action: mask, mask: "null"}}
  - {{name: f, apps: [rower], attributes: all, action: show, write: allow, basis: contract}}
  - name: r
    apps: [rower]
    tables: [public.part, public.far, public.unlogged, public.counted]
    rows: {{where: "id = 1"}}
"""
GRANTS = """
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT USAGE ON SCHEMA "Other Schema" TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA "Other Schema" TO PUBLIC;
"""

Connections = dict[str, psycopg.Connection[Any]]


@pytest.fixture(scope="module", params=["pg_server", pytest.param("pg15_server", marks=pytest.mark.nightly)])
def server(request: pytest.FixtureRequest) -> PgServer:
    found: PgServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def gateway(server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    password = server.admin_password or ""
    far = FOREIGN.format(host=server.host, port=server.port, user=server.admin, password=password)
    schema = PARTITIONS + OTHERS + (VIRTUAL if server.version >= 180000 else "") + ";" + far + GRANTS
    with governed(server, tmp_path_factory.mktemp("kinds"), "kinds", schema, RULES, APPS) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def apps(gateway: Governed) -> Iterator[Connections]:
    opened = {app: gateway.connect(app, prepare_threshold=None) for app in APPS}
    yield opened
    for connection in opened.values():
        connection.close()


def answer(connection: psycopg.Connection[Any], text: str) -> list[str]:
    """The columns' names, then the rows, `-` for null; of COPY the lines; of an error its SQLSTATE. Undone afterwards."""
    try:
        with connection.transaction(force_rollback=True), connection.cursor() as cursor:
            if text.startswith("COPY"):
                with cursor.copy(text.encode()) as copy:
                    return [line.decode() for line in b"".join(bytes(data) for data in copy).splitlines()]
            cursor.execute(text.encode())
            if cursor.description is None:
                return [str(cursor.rowcount)]
            names = " ".join(column.name for column in cursor.description)
            return [names, *("|".join("-" if v is None else str(v) for v in row) for row in cursor.fetchall())]
    except psycopg.Error as error:
        return [str(error.sqlstate), *([str(error)] if "MARKER" in str(error) else [])]  # the latter nobody expects


def check(apps: Connections, text: str, *expected: list[str]) -> None:
    """What each app gets, in the order of APPS; with fewer expectations the last holds of the others too."""
    for number, app in enumerate(APPS):
        found = answer(apps[app], text)
        assert found == expected[min(number, len(expected) - 1)], f"{app}: {text}"
        assert app == "rower" or "MARKER" not in str(found), f"{app}: {text}"


PART = ["id day v", "1|2023-05-05|a", "1|2024-05-05|b", "2|2024-06-05|c"]
PART_MASKED = ["id day secret v", "1|2023-05-05|-|a", "1|2024-05-05|-|b", "2|2024-06-05|-|c"]
PART_ROWS = ["id day secret v", "1|2023-05-05|MARKER-a|a", "1|2024-05-05|MARKER-b|b"]
LEAF = ["v day id", "b|2024-05-05|1", "c|2024-06-05|2"]
LEAF_MASKED = ["secret v day id", "-|b|2024-05-05|1", "-|c|2024-06-05|2"]
LEAF_ROWS = ["secret v day id", "MARKER-b|b|2024-05-05|1"]


def test_partitions_at_every_level_have_the_rules_of_the_top(apps: Connections) -> None:
    check(apps, "SELECT * FROM part ORDER BY id, day", PART, PART_MASKED, PART_ROWS)
    check(apps, "SELECT * FROM ONLY part", PART[:1], PART_MASKED[:1])
    check(apps, "SELECT * FROM part_23", PART[:2], PART_MASKED[:2], PART_ROWS[:2])
    for name in ('"Other Schema".mid', '"Other Schema"."Leaf ""1"'):
        check(apps, f"SELECT * FROM {name} ORDER BY id", LEAF, LEAF_MASKED, LEAF_ROWS)
        check(apps, f"SELECT secret FROM {name} ORDER BY id", ["42703"], ["secret", "-", "-"], ["secret", "MARKER-b"])
    check(apps, "SELECT count(secret) FROM part", ["42703"], ["count", "0"], ["count", "2"])
    leaf = '"Other Schema"."Leaf ""1"'
    shown = ["tableoid v", "part_23|a", f"{leaf}|b", f"{leaf}|c"]
    check(apps, "SELECT tableoid::regclass::text, v FROM part ORDER BY v", shown, shown, shown[:3])
    check(apps, "SELECT * FROM loose", ["42501"])


def test_partitions_are_copied_by_the_rules_of_the_top(apps: Connections) -> None:
    plain, masked, rows = (
        [line.replace("|", "\t").replace("\t-", "\t\\N") for line in lines[1:]]
        for lines in (PART, PART_MASKED, PART_ROWS)
    )
    check(apps, "COPY (SELECT * FROM part) TO STDOUT", plain, masked, rows)
    check(apps, "COPY part TO STDOUT", ["42809"])  # as by the database itself
    plain, masked, rows = (
        [line.replace("|", "\t").replace("-\t", "\\N\t", line.startswith("-")) for line in lines[1:]]
        for lines in (LEAF, LEAF_MASKED, LEAF_ROWS)
    )
    check(apps, 'COPY "Other Schema"."Leaf ""1" TO STDOUT', plain, masked, rows)


def test_partitions_are_written_in_their_own_order_of_columns(apps: Connections) -> None:
    text = "INSERT INTO part (id, day) VALUES (1, '2024-07-07') RETURNING *"
    check(apps, text, ["id day v", "1|2024-07-07|top"], ["id day secret v", "1|2024-07-07|-|top"])
    text = """INSERT INTO "Other Schema"."Leaf ""1" (id, day) VALUES (2, '2024-08-08') RETURNING *"""
    check(apps, text, ["v day id", "mid|2024-08-08|2"], ["secret v day id", "-|mid|2024-08-08|2"])
    text = """INSERT INTO "Other Schema"."Leaf ""1" VALUES ('new', '2024-08-08', 2) RETURNING *"""
    check(apps, text, ["v day id", "new|2024-08-08|2"], ["42501"], ["42804"])  # the second column is v, day for rower
    text = "UPDATE part SET day = '2023-02-02' WHERE v = 'b' RETURNING *"  # to another partition
    moved = ["id day secret v", "1|2023-02-02|MARKER-b|b"]
    check(apps, text, ["id day v", "1|2023-02-02|b"], ["id day secret v", "1|2023-02-02|-|b"], moved)
    check(apps, 'DELETE FROM "Other Schema".mid RETURNING v', ["v", "b", "c"], ["v", "b", "c"], ["v", "b"])
    check(apps, "UPDATE part SET v = 'q'", ["3"], ["3"], ["2"])


def test_children_by_inheritance_have_the_columns_of_their_parents(apps: Connections) -> None:
    """What `kid` has of its own is not listed, hence dropped. To `rower` nothing of p1 is hidden: it is read as it is, for
    nothing else of a child is in it.
    """
    whole = ["id secret", "1|MARKER-p1", "2|MARKER-kid"]
    check(apps, "SELECT * FROM p1 ORDER BY id", ["id", "1", "2"], ["id secret", "1|-", "2|-"], whole)
    check(apps, "SELECT * FROM p1 * ORDER BY id", ["id", "1", "2"], ["id secret", "1|-", "2|-"], whole)
    check(apps, "UPDATE p1 SET id = id", ["2"], ["2"], ["2"])
    check(apps, "SELECT * FROM ONLY p1", ["id", "1"], ["id secret", "1|-"], ["id secret", "1|MARKER-p1"])
    check(apps, "SELECT p1::text FROM ONLY p1", ["p1", "(1)"], ["p1", "(1,)"], ["p1", "(1,MARKER-p1)"])
    for column in ("extra", "more"):
        check(apps, f"SELECT {column} FROM kid", ["42703"])
    found = answer(apps["masker"], "SELECT id, secret FROM kid")
    assert found == ["id secret", "2|-"]


def test_tables_of_which_nothing_is_shown_have_their_rows(apps: Connections) -> None:
    for text in (
        "SELECT count(*) FROM nothing",
        "SELECT count(*) FROM hidden",
        "SELECT count(*) FROM hidden a, hidden b",
    ):
        check(apps, text, ["count", "1"])
    for text in ("SELECT * FROM nothing", "SELECT FROM hidden"):
        check(apps, text, ["", ""])
    check(apps, "TABLE hidden", ["", ""], ["secret", "-"], ["secret", "MARKER-hidden"])
    check(apps, "SELECT hidden::text FROM hidden", ["hidden", "()"], ["hidden", "()"], ["hidden", "(MARKER-hidden)"])
    check(apps, "INSERT INTO hidden DEFAULT VALUES", ["42501"], ["1"])


@pytest.mark.parametrize(("name", "marker"), [("typed", "MARKER-t"), ("kept", "MARKER-u"), ("secured", "MARKER-s1")])
def test_typed_tables_materialised_views_and_row_security(apps: Connections, name: str, marker: str) -> None:
    shown = ["id secret", f"1|{marker}"]
    check(apps, f"SELECT * FROM {name} WHERE id = 1", ["id", "1"], ["id secret", "1|-"], shown)
    check(apps, f"SELECT max(secret) FROM {name} WHERE id = 1", ["42703"], ["max", "-"], ["max", marker])
    check(
        apps,
        f"SELECT count(*) FROM {name} WHERE secret LIKE 'MARK%'",
        ["42703"],
        ["count", "0"],
        ["count", "2" if name == "kept" else "1"],
    )


def test_a_typed_table_is_cast_to_its_type_where_all_columns_are_there(apps: Connections) -> None:
    check(apps, "SELECT (t::row_type)::text FROM typed t", ["42846"], ["t", "(1,)"], ["t", "(1,MARKER-t)"])


def test_odd_names(apps: Connections) -> None:
    masked, shown = f"Id sec ret select ünï {LONG}", "1|MARKER-odd|5|u|9"
    check(apps, f"SELECT * FROM {ODD}", [f"Id select ünï {LONG}", "1|5|u|9"], [masked, "1|-|5|u|9"], [masked, shown])
    check(apps, f'SELECT o."select", o."ünï" FROM {ODD} o WHERE "Id" = 1', ["select ünï", "5|u"])
    check(apps, f'SELECT public.{ODD}."Id", {ODD}."{LONG}" FROM public.{ODD}', [f"Id {LONG}", "1|9"])
    check(apps, f'SELECT "sec ret" FROM {ODD}', ["42703"], ["sec ret", "-"], ["sec ret", "MARKER-odd"])


def test_names_that_the_gateway_uses_itself(apps: Connections) -> None:
    """Relations and aliases called as the aliases within governed forms."""
    masked, shown = ["_t _c secret", "1|c|-"], ["_t _c secret", "1|c|MARKER-_t"]
    for text in ("SELECT * FROM _t", "SELECT _t.* FROM _t", "SELECT _c.* FROM _t _c", "SELECT _t.* FROM public._t"):
        check(apps, text, ["_t _c", "1|c"], masked, shown)
    check(apps, "SELECT _t._t, _t._c FROM _t", ["_t _c", "1|c"])
    text = "SELECT _c.id, _t._c FROM unlogged _c, _t WHERE _c.id = _t._t"
    check(apps, text, ["id _c", "1|c"])


def test_many_columns(apps: Connections) -> None:
    last = f"c{COLUMNS}"
    check(apps, "SELECT count(*) FROM wide", ["count", "1"])
    check(apps, f"SELECT w.id, w.{last} FROM wide w, wide v WHERE v.id = w.id", [f"id {last}", "1|-"])
    check(apps, "SELECT c1 FROM wide", ["42703"])
    for app, names in (("dropper", ["id", last]), ("masker", ["id", "secret", last])):
        assert answer(apps[app], "SELECT * FROM wide") == [" ".join(names), "|".join(["1", *"-" * (len(names) - 1)])]


def test_identity_columns(apps: Connections) -> None:
    text = "INSERT INTO counted OVERRIDING SYSTEM VALUE VALUES (7, 'n') RETURNING *"  # rower's second column is secret
    check(apps, text, ["id v", "7|n"], ["42501"], ["id secret v", "7|n|-"])
    check(apps, "INSERT INTO counted (id, v) VALUES (7, 'n')", ["428C9"])
    check(apps, "INSERT INTO counted (v) VALUES ('n') RETURNING id > 1 AS more, v", ["more v", "True|n"])
    check(apps, "SELECT * FROM counted", ["id v", "1|x"], ["id secret v", "1|-|x"], ["id secret v", "1|MARKER-i|x"])


def test_generated_columns(gateway: Governed, apps: Connections, server: PgServer) -> None:
    shown = ["id secret next copied", "1|MARKER-g|2|MARKER-g!"]
    check(apps, "SELECT id, next FROM made", ["id next", "1|2"])
    check(apps, "SELECT * FROM made", ["id next", "1|2"], ["id secret next copied", "1|-|2|-"], shown)
    check(apps, "SELECT copied FROM made", ["42703"], ["copied", "-"], ["copied", "MARKER-g!"])
    check(apps, "UPDATE made SET id = 5 RETURNING next", ["next", "6"])
    check(apps, "UPDATE made SET next = 5", ["428C9"])
    check(apps, "INSERT INTO made (id) VALUES (8) RETURNING next", ["next", "9"])
    if server.version >= 180000:
        check(apps, "SELECT doubled FROM made", ["42703"])  # not listed
        gateway.text = RULES.replace("next: open", "next: open, doubled: open")
        assert gateway.call(gateway.gateway.reload)
        check(apps, "SELECT doubled, next FROM made WHERE doubled = 2", ["doubled next", "2|2"])
        check(apps, "UPDATE made SET id = 5 RETURNING doubled", ["doubled", "10"])
        gateway.text = RULES
        assert gateway.call(gateway.gateway.reload)


def test_values_out_of_line(apps: Connections) -> None:
    check(apps, "SELECT id, length(big) FROM toasted", ["id length", "1|300000"])
    big = "abc" * 100000
    assert answer(apps["dropper"], "SELECT * FROM toasted") == ["id big", f"1|{big}"]
    assert answer(apps["masker"], "SELECT * FROM toasted") == ["id big secret", f"1|{big}|-"]
    check(apps, "SELECT length(secret) FROM toasted", ["42703"], ["length", "-"], ["length", "100012"])


def test_foreign_tables(apps: Connections) -> None:
    rows = ["id secret", "1|MARKER-u"]
    check(apps, "SELECT * FROM far ORDER BY id", ["id", "1", "2"], ["id secret", "1|-", "2|-"], rows)
    check(apps, "SELECT * FROM far ORDER BY id FOR UPDATE", ["id", "1", "2"], ["id secret", "1|-", "2|-"], rows)
    check(apps, "SELECT id FROM far WHERE secret = 'MARK' || 'ER-u'", ["42703"], ["id"], ["id", "1"])
    check(apps, "SELECT id FROM far WHERE secret::int = 1", ["42703"], ["id"], ["22P02"])
    check(
        apps,
        "SELECT far.id, u.id FROM far JOIN unlogged u USING (id) ORDER BY 1",
        ["id id", "1|1", "2|2"],
        ["id id", "1|1", "2|2"],
        ["id id", "1|1"],
    )
    check(apps, "UPDATE far SET id = 1 WHERE id = 1 RETURNING *", ["id", "1"], ["id secret", "1|-"], rows)
    check(apps, "INSERT INTO far (id) VALUES (1) RETURNING *", ["id", "1"], ["id secret", "1|-"])
    check(apps, "DELETE FROM far WHERE id > 0", ["2"], ["2"], ["1"])
    check(apps, "SELECT * FROM far_unlisted", ["42501"])


def test_partitions_come_and_go_under_open_connections(gateway: Governed, apps: Connections, server: PgServer) -> None:
    """Attached, with another order of columns: it has the rules of the table. Detached: the rules do not list it."""
    attach = "ALTER TABLE part ATTACH PARTITION loose FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    attached = ["v day id", "l|2025-02-02|1", "m|2025-02-03|2"]
    masked = ["v secret day id", "l|-|2025-02-02|1", "m|-|2025-02-03|2"]
    rows = ["v secret day id", "l|MARKER-loose|2025-02-02|1"]
    for connection in apps.values():
        connection.execute("PREPARE of_part AS SELECT v FROM part ORDER BY v")
        connection.execute("PREPARE of_23 AS SELECT * FROM part_23")
    server.run("kinds", attach)
    everything = ["v", "a", "b", "c", "l", "m"]
    check(apps, "EXECUTE of_part", everything, everything, ["v", "a", "b", "l"])  # the catalog is not looked at yet
    assert gateway.call(gateway.gateway.reload)
    check(apps, "SELECT * FROM loose ORDER BY id", attached, masked, rows)
    check(apps, "SELECT v FROM part ORDER BY v", everything, everything, ["v", "a", "b", "l"])
    check(apps, "EXECUTE of_part", everything, everything, ["v", "a", "b", "l"])
    server.run("kinds", "ALTER TABLE part DETACH PARTITION loose; ALTER TABLE part DETACH PARTITION part_23")
    check(apps, "SELECT * FROM loose ORDER BY id", attached, masked, rows)  # as long as it is not looked at
    assert gateway.call(gateway.gateway.reload)
    check(apps, "SELECT * FROM loose", ["42501"])
    check(apps, "EXECUTE of_23", ["42501"])
    check(apps, "SELECT v FROM part ORDER BY v", ["v", "b", "c"], ["v", "b", "c"], ["v", "b"])
    server.run("kinds", "ALTER TABLE part ATTACH PARTITION part_23 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')")
    assert gateway.call(gateway.gateway.reload)
    check(apps, "SELECT * FROM part_23", PART[:2], PART_MASKED[:2], PART_ROWS[:2])
    check(apps, "EXECUTE of_23", PART[:2], PART_MASKED[:2], PART_ROWS[:2])
