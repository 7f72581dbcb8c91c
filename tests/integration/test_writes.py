"""Statements that write relations of which the rules hide a part, through a real gateway.

The measure is a *shadow*: a database in which what the app may see is all that there is. The app's own text must give
the same answer there, directly, as through the gateway: rows, counts, names, types, and what is there afterwards.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import errors
from psycopg.types.string import TextLoader

from proxy.catalog.introspect import take_snapshot
from proxy.consent import ledger, needs
from proxy.policy.compile import compile_rules
from proxy.policy.load import load_rules
from proxy.server.generation import Generation
from tests.servers import PgServer, snapshot_of
from tests.wire.gateway import Running

# Accounts 4 and 5 are hidden from rower (by a value) and from ruler (by a query); the secret from all.
SCHEMA = """
CREATE TABLE regions (name text PRIMARY KEY, open boolean);
CREATE TABLE accounts (id int PRIMARY KEY, owner varchar(40), secret text DEFAULT 'default', pin text,
                       region text DEFAULT 'eu', balance bigint, tags text[]);
CREATE TABLE feed (id int, owner varchar(40), amount bigint);
INSERT INTO regions VALUES ('eu', true), ('us', false);
INSERT INTO accounts VALUES (1, 'Ann', 's1', '1111', 'eu', 100, '{a,b}'), (2, 'Bob', 's2', '2222', 'eu', 200, NULL),
    (3, 'Cid', 's3', NULL, 'eu', 300, '{c}'), (4, 'Dan', 's4', '4444', 'us', 400, '{d}'),
    (5, 'Eve', 's5', '5555', 'us', 500, '{e}');
INSERT INTO feed VALUES (1, 'Ann', 10), (3, 'Cyd', 30), (7, 'Gus', 70);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """
version: 1
attributes: {name: {}, secret: {}, pin: {}, other: {}}
tables:
  public.accounts:
    columns: {id: open, owner: name, secret: secret, pin: pin, region: open, balance: other, tags: other}
  public.regions: open
  public.feed: open
apps:
  masker: {logins: [wr_masker]}
  rower: {logins: [wr_rower]}
  ruler: {logins: [wr_ruler]}
policies:
  - {name: secrets are gone, attributes: [secret], action: drop}
  - {name: pins are cut, attributes: [pin], action: mask, mask: {kind: partial, keep_last: 1}}
  - {name: the rest, attributes: all, action: show, basis: contract}
  - {name: one region, apps: [rower], tables: [public.accounts], rows: {where: "region = 'eu'"}}
  - {name: open regions, apps: [ruler], tables: [public.accounts],
     rows: {where: "region in (select r.name from public.regions r where r.open)"}}
"""
APPS = ("masker", "rower", "ruler")
COLUMNS = "id, owner, pin, region, balance, tags"

# Each is sent by each app, and rolled back.
STATEMENTS = [
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN MATCHED THEN UPDATE SET balance = a.balance + f.amount",
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN MATCHED AND f.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET owner = f.owner WHEN NOT MATCHED THEN INSERT (id, owner, balance) VALUES (f.id, f.owner, f.amount)",
    "MERGE INTO accounts a USING feed f ON f.id = a.id AND upper(a.owner) = upper(f.owner) WHEN MATCHED THEN DELETE",
    "MERGE INTO accounts USING (VALUES (1, 'x'), (9, 'y')) AS f (id, pin) ON f.id = accounts.id WHEN NOT MATCHED AND pin = 'y' THEN INSERT (id, owner) VALUES (f.id, pin) WHEN MATCHED AND accounts.pin = '***1' THEN DO NOTHING WHEN MATCHED THEN DELETE",
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN MATCHED THEN UPDATE SET (owner, balance) = (SELECT g.owner, g.amount + a.balance FROM feed g WHERE g.id = a.id)",
    "MERGE INTO accounts a USING accounts b ON a.id = b.id AND a.pin = b.pin WHEN MATCHED THEN UPDATE SET owner = b.pin",
    "MERGE INTO accounts a USING feed f ON a.id / (a.id - 4) = 99 OR a.id = f.id WHEN MATCHED THEN DELETE",
    "UPDATE accounts SET owner = pin WHERE pin = '***1' RETURNING pin, owner",
    "UPDATE accounts a SET owner = f.owner FROM feed f WHERE f.id = a.id RETURNING *",
    "UPDATE accounts a SET owner = b.owner FROM accounts AS b WHERE b.id = a.id + 1 RETURNING a.*, b.*",
    "UPDATE accounts SET owner = 'x' RETURNING accounts, row_to_json(accounts), accounts::text, accounts IS NOT NULL, (accounts).owner, ROW(accounts.*)",
    "UPDATE accounts SET tags[1] = 'z', owner = accounts.tags[1] RETURNING tags, owner",
    "UPDATE accounts SET (owner, balance) = (pin, balance + 1) WHERE accounts IS NOT NULL RETURNING *",
    "UPDATE accounts a SET owner = (SELECT string_agg(b.pin, ',' ORDER BY b.id) FROM accounts b WHERE b.id <> a.id) RETURNING owner",
    "UPDATE accounts SET owner = 'x' WHERE 100 / (balance - 400) < 0 RETURNING id",
    "UPDATE accounts a SET owner = 'x' FROM (SELECT 100 / (amount - 10) AS n FROM feed OFFSET 1) f WHERE a.id = f.n",
    "DELETE FROM accounts a USING feed f WHERE f.id = a.id RETURNING f.*, a.pin, a",
    "DELETE FROM accounts WHERE row_to_json(accounts)->>'pin' = '***1' RETURNING to_jsonb(accounts)",
    "DELETE FROM accounts a WHERE EXISTS (SELECT FROM accounts b WHERE b.owner > a.owner) RETURNING a.id",
    "INSERT INTO accounts (id, owner) VALUES (9, 'new') RETURNING *",
    "INSERT INTO accounts (id, owner) VALUES (9, 'new'), (10, DEFAULT) RETURNING accounts, region",
    "INSERT INTO accounts SELECT id + 10, owner FROM feed RETURNING id, owner, pin",
    "INSERT INTO accounts (id, owner) VALUES (1, 'new') ON CONFLICT (id) DO UPDATE SET (owner, tags[2]) = (SELECT excluded.owner || accounts.pin, 'q') RETURNING *",
    "INSERT INTO accounts (id, owner) VALUES (2, 'new') ON CONFLICT (id) DO UPDATE SET owner = accounts::text WHERE accounts.pin = '***2' RETURNING accounts",
    "WITH gone AS (DELETE FROM accounts WHERE id < 3 RETURNING *), sent AS (UPDATE feed SET owner = gone.pin FROM gone WHERE gone.id = feed.id RETURNING feed.*, gone.pin) SELECT * FROM gone NATURAL FULL JOIN (SELECT id, amount FROM sent) s ORDER BY id",
    "WITH f AS (SELECT * FROM feed) UPDATE accounts SET owner = f.owner FROM f WHERE f.id = accounts.id AND pin = '***1' RETURNING *",
    "WITH f AS (SELECT id, pin FROM accounts) UPDATE accounts a SET owner = f.pin FROM f WHERE f.id = a.id RETURNING a.owner",
    "SELECT a.*, a.ctid IS NULL FROM accounts a ORDER BY id",
    "SELECT *, a.xmin IS NULL FROM accounts a JOIN feed f USING (id) ORDER BY id",
    "SELECT count(a), bool_and(a IS NOT NULL), min(a.ctid) IS NULL FROM accounts a",
    "SELECT row_to_json(a), ctid IS NULL AS x FROM accounts a ORDER BY id",
]  # fmt: skip
# PostgreSQL 17 and 18
NEWER = [
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN NOT MATCHED BY SOURCE AND 100 / (a.balance - 400) < 0 THEN DELETE WHEN NOT MATCHED BY SOURCE AND a.id = 2 THEN UPDATE SET owner = a.pin WHEN NOT MATCHED BY TARGET THEN INSERT (id, owner) VALUES (f.id, f.owner) WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), *",
    "MERGE INTO accounts a USING feed f ON f.id = a.id AND a.owner = f.owner::text WHEN NOT MATCHED BY SOURCE THEN UPDATE SET owner = 'x' RETURNING merge_action(), a, f.owner",
    "WITH m AS (MERGE INTO accounts a USING feed f ON f.id = a.id WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM m",
]  # fmt: skip
NEWEST = [
    "UPDATE accounts SET owner = 'x' RETURNING old.owner, new.owner, old, new.*, old.pin",
    "INSERT INTO accounts (id, owner) VALUES (9, 'new') RETURNING old, old.pin, new.pin, new, old.*",
    "DELETE FROM accounts RETURNING old.pin, new.pin, new",
    "MERGE INTO accounts a USING feed f ON f.id = a.id WHEN MATCHED AND f.id = 1 THEN DELETE WHEN NOT MATCHED THEN INSERT (id, owner) VALUES (f.id, 'n') RETURNING merge_action(), old, new, old.pin, new.id, f",
]  # fmt: skip


class Writing(Running):
    """A gateway over SCHEMA with RULES."""

    def __init__(self, server: PgServer, directory: Path) -> None:
        self.server = server
        self.database = server.dsn("writing")
        super().__init__(server, directory, "writing")

    async def _load(self) -> Generation:
        snapshot = await snapshot_of(self.database)
        return Generation("db", compile_rules(load_rules([("rules.yaml", RULES)]), snapshot), snapshot)

    async def _fingerprint(self) -> str:
        return self.databases[0].generation.snapshot.version

    def connect(self, app: str, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(f"wr_{app}"), autocommit=True, **options)

    def behind(self) -> psycopg.Connection[Any]:
        """The database itself."""
        return psycopg.connect(self.database, autocommit=True)


@pytest.fixture(scope="module")
def gateway(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writing]:
    dsn = pg_server.create_database("writing", SCHEMA)
    for app in APPS:
        pg_server.create_login(f"wr_{app}", group="auth_trust")

    async def prepare() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await ledger.setup(connection, "bigint", APPS)
            rules = compile_rules(load_rules([("rules.yaml", RULES)]), await take_snapshot(connection))
            missing = await needs.missing_roles(connection, rules)
            await needs.apply_grants(connection, needs.grants(rules), missing)
        finally:
            await connection.close()

    asyncio.run(prepare())
    gateway = Writing(pg_server, tmp_path_factory.mktemp("writing"))
    yield gateway
    gateway.close()


@pytest.fixture(scope="module", params=APPS)
def app(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shadow(gateway: Writing, app: str) -> str:
    """A database with what the app sees, and nothing else."""
    dsn = gateway.server.create_database(f"shadow_{app}", SCHEMA)
    with gateway.connect(app) as seen, psycopg.connect(dsn, autocommit=True) as made:
        made.execute("ALTER TABLE accounts DROP COLUMN secret; TRUNCATE accounts")
        with made.cursor() as cursor:
            rows = seen.execute(f"SELECT {COLUMNS} FROM accounts").fetchall()
            cursor.executemany(f"INSERT INTO accounts ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)", rows)
    return dsn


def answer(connection: psycopg.Connection[Any], sql: str, cursor: type[psycopg.Cursor[Any]]) -> dict[str, Any]:
    """What a statement gives and leaves behind; it is rolled back."""
    found: dict[str, Any] = {}
    connection.adapters.register_loader("record", TextLoader)  # as the row of a relation
    with connection.transaction(force_rollback=True), cursor(connection) as one:
        try:
            with connection.transaction():
                one.execute(sql)
                found["status"] = one.statusmessage
                if one.description:
                    found["columns"] = [
                        (c.name, _kind(connection, c.type_code), c.internal_size) for c in one.description
                    ]
                    found["rows"] = sorted(map(repr, one.fetchall()))
        except psycopg.Error as error:
            found["error"] = (error.sqlstate, error.diag.message_primary, error.diag.statement_position)
        found["after"] = [
            one.execute(f"SELECT {COLUMNS} FROM accounts ORDER BY id").fetchall(),
            one.execute("SELECT * FROM feed ORDER BY id").fetchall(),
        ]
    return found


def _kind(connection: psycopg.Connection[Any], oid: int) -> int:
    """A type; for the row of a relation that of any row: a form's row has no type of its own."""
    return 2249 if oid >= 16384 else oid


def statements(version: int) -> list[str]:
    return STATEMENTS + (NEWER if version >= 170000 else []) + (NEWEST if version >= 180000 else [])


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor], ids=["extended", "simple"])
def test_the_answer_is_that_of_a_database_with_nothing_else(
    gateway: Writing, app: str, shadow: str, cursor: type[psycopg.Cursor[Any]]
) -> None:
    wrong = []
    with gateway.connect(app) as through, psycopg.connect(shadow, autocommit=True) as direct:
        for sql in statements(gateway.server.version):
            here, there = answer(through, sql, cursor), answer(direct, sql, cursor)
            if here != there:
                differences = {k: (here.get(k), there.get(k)) for k in here | there if here.get(k) != there.get(k)}
                wrong.append(f"{sql}\n  (gateway, shadow): {differences}")
    assert not wrong, "\n".join(wrong)


# -- hidden rows ----------------------------------------------------------------------------------------------------

# {id} is that of a hidden row, and of none: the answers must be the same. (id / (id - id) fails for any row.)
QUESTIONS = [
    "UPDATE accounts SET owner = 'x' WHERE id = {id} RETURNING *",
    "DELETE FROM accounts WHERE id = {id} AND 1 / (balance - balance) = 1",
    "DELETE FROM accounts a USING (SELECT 1 / (id - id) AS x FROM feed OFFSET 0) f WHERE a.id = {id} AND f.x = 1",
    "UPDATE accounts a SET owner = 'x' FROM (SELECT 1 / (id - id) AS x FROM feed OFFSET 0) f WHERE a.id = {id} AND f.x = a.balance + 0",
    "UPDATE accounts a SET owner = 'x' FROM feed f WHERE a.id = {id} AND 1 / (f.id - f.id) = 1",
    "WITH f AS MATERIALIZED (SELECT 1 / (id - id) AS x FROM feed) DELETE FROM accounts a USING f WHERE a.id = {id} AND f.x = 1",
    "MERGE INTO accounts a USING (VALUES ({id})) f (id) ON f.id = a.id WHEN MATCHED THEN DELETE",
    "MERGE INTO accounts a USING (VALUES ({id})) f (id) ON f.id = a.id AND 1 / (a.id - a.id) = 1 WHEN MATCHED THEN DELETE",
    "MERGE INTO accounts a USING (VALUES ({id})) f (id) ON f.id = a.id WHEN MATCHED AND 1 / (a.id - a.id) = 1 THEN DELETE",
    "MERGE INTO accounts a USING (VALUES ({id})) f (id) ON f.id = a.id WHEN MATCHED THEN UPDATE SET balance = 1 / (a.id - a.id)",
    "MERGE INTO accounts a USING (VALUES ({id}), ({id})) f (id) ON f.id = a.id WHEN MATCHED THEN UPDATE SET owner = 'x'",
    "MERGE INTO accounts a USING (SELECT 1 / (id - id) AS x FROM feed OFFSET 0) f ON a.id = {id} AND f.x = 1 WHEN MATCHED THEN DELETE",
    "MERGE INTO accounts a USING (SELECT id, 1 / (id - id) AS x FROM feed OFFSET 0) f ON a.id = {id} WHEN MATCHED AND f.x = 1 THEN DELETE",
]  # fmt: skip
NEWER_QUESTIONS = [
    "MERGE INTO accounts a USING (VALUES (0)) f (id) ON f.id = a.id WHEN NOT MATCHED BY SOURCE AND a.id = {id} THEN DELETE RETURNING a.id",
    "MERGE INTO accounts a USING (VALUES (0)) f (id) ON f.id = a.id WHEN NOT MATCHED BY SOURCE AND a.id = {id} AND 1 / (a.id - a.id) = 1 THEN DELETE",
    "MERGE INTO accounts a USING (VALUES ({id})) f (id) ON f.id = a.id WHEN NOT MATCHED BY SOURCE AND a.id > 3 AND 1 / (a.id - a.id) = 1 THEN DELETE",
]  # fmt: skip


@pytest.mark.parametrize("app", ["rower", "ruler"])
def test_a_hidden_row_is_no_row(gateway: Writing, app: str) -> None:
    questions = QUESTIONS + (NEWER_QUESTIONS if gateway.server.version >= 170000 else [])
    with gateway.connect(app) as connection:
        # PostgreSQL joins in the order of the text then, and what it made joins of last.
        connection.execute("SET from_collapse_limit = 1")
        connection.execute("SET join_collapse_limit = 1")
        for question in questions:
            hidden, none, shown = (
                answer(connection, question.format(id=number), psycopg.Cursor) for number in (5, 99, 2)
            )
            assert hidden == none, question
            assert "error" in hidden or hidden["after"] == none["after"]
            assert shown != none or "> 3" in question, f"a row that is shown makes no difference: {question}"


def test_a_source_that_counts_may_not_be_read_for_each_hidden_row(gateway: Writing) -> None:
    counts = (
        "MERGE INTO accounts a USING (SELECT upper(owner) AS owner FROM feed OFFSET 0) f ON a.owner = f.owner "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    with gateway.connect("rower") as connection, pytest.raises(errors.FeatureNotSupported):
        connection.execute(counts)


def test_a_key_that_a_hidden_row_has_is_told_by_its_constraint_alone(gateway: Writing) -> None:
    merge = (
        "MERGE INTO accounts a USING (VALUES (5)) f (id) ON f.id = a.id "
        "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (f.id)"
    )
    with gateway.connect("rower") as connection:
        with pytest.raises(errors.UniqueViolation) as raised:
            connection.execute(merge)
        assert raised.value.diag.message_detail is None


def test_merge_from_a_temp_table_of_which_the_gateway_knows_no_types(gateway: Writing) -> None:
    """FULL JOIN needs a condition that can be hashed, whatever stands behind CASE."""
    if gateway.server.version < 170000:
        pytest.skip("WHEN NOT MATCHED BY SOURCE is of PostgreSQL 17")
    merge = (
        "MERGE INTO accounts a USING incoming i ON i.id = a.id WHEN MATCHED THEN UPDATE SET owner = i.owner "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE WHEN NOT MATCHED THEN INSERT (id, owner) VALUES (i.id, i.owner)"
    )
    with gateway.connect("rower") as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE TEMP TABLE incoming (id bigint, owner text) ON COMMIT DROP")
        connection.execute("INSERT INTO incoming VALUES (1, 'one'), (9, 'nine')")
        assert connection.execute(merge).rowcount == 4
        rows = connection.execute("SELECT id, owner FROM accounts ORDER BY id").fetchall()
        assert rows == [(1, "one"), (9, "nine")]
    with gateway.behind() as behind:
        assert behind.execute("SELECT count(*) FROM accounts").fetchone() == (5,)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE accounts SET owner = came FROM incoming i WHERE i.id = accounts.id RETURNING *",
        "DELETE FROM accounts USING incoming WHERE incoming.id = accounts.id RETURNING *",
        "UPDATE accounts a SET owner = came FROM incoming i WHERE i.id = a.id RETURNING i.*, a.id, came",
    ],
)
def test_rows_of_a_temp_table_come_with_a_star(gateway: Writing, text: str) -> None:
    """Its columns are not known; the written relation hides some of its own."""
    with gateway.connect("masker") as connection, connection.transaction(force_rollback=True):
        connection.execute("CREATE TEMP TABLE incoming (came text, id bigint) ON COMMIT DROP")
        connection.execute("INSERT INTO incoming VALUES ('new', 1)")
        cursor = connection.execute(text)
        names = [column.name for column in cursor.description or ()]
        at = names.index("came")
        assert [row[at] for row in cursor] == ["new"]


# -- cursors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor], ids=["extended", "simple"])
@pytest.mark.parametrize("locking", ["", " FOR UPDATE"])
def test_the_row_of_a_cursor(gateway: Writing, cursor: type[psycopg.Cursor[Any]], locking: str) -> None:
    with (
        gateway.connect("masker") as connection,
        connection.transaction(force_rollback=True),
        cursor(connection) as one,
    ):
        one.execute(f"DECLARE c CURSOR FOR SELECT id, pin FROM accounts WHERE id IN (2, 4){locking}")
        assert one.execute("FETCH c").fetchone() == (2, "***2")
        one.execute("UPDATE accounts SET owner = pin WHERE CURRENT OF c RETURNING id, owner, pin")
        assert one.fetchall() == [(2, "***2", "***2")]
        assert one.execute("FETCH c").fetchone() == (4, "***4")
        one.execute("DELETE FROM accounts WHERE CURRENT OF c RETURNING accounts.*")
        assert one.fetchall() == [(4, "Dan", "***4", "us", 400, ["d"])]
        assert one.execute("SELECT id, owner FROM accounts WHERE id IN (2, 4)").fetchall() == [(2, "***2")]


def test_the_row_of_a_cursor_where_rows_are_hidden(gateway: Writing) -> None:
    with gateway.connect("rower") as connection, connection.transaction(force_rollback=True):
        connection.execute("DECLARE c CURSOR FOR SELECT id FROM accounts FOR UPDATE")
        connection.execute("FETCH c")
        with pytest.raises(errors.FeatureNotSupported):
            connection.execute("DELETE FROM accounts WHERE CURRENT OF c")


# -- rows that are locked -------------------------------------------------------------------------------------------


def test_a_fence_locks_what_the_form_reaches(gateway: Writing) -> None:
    """Documented in refusals.md: as with PostgreSQL's own security barriers."""
    leakproof = "SELECT id FROM accounts WHERE owner = '{}' ORDER BY id LIMIT 1 FOR UPDATE"
    fenced = "SELECT id FROM accounts WHERE lower(owner) = lower('{}') ORDER BY id LIMIT 1 FOR UPDATE"
    both = "SELECT id FROM accounts WHERE owner = '{0}' AND lower(owner) = lower('{0}') ORDER BY id LIMIT 1 FOR UPDATE"
    with gateway.connect("rower") as one, gateway.connect("rower") as other:
        for held, asked, found in ((leakproof, fenced, 2), (both, fenced, 2), (fenced, leakproof, None)):
            with one.transaction(force_rollback=True), other.transaction(force_rollback=True):
                assert one.execute(held.format("Ann")).fetchone() == (1,)
                row = other.execute(f"{asked.format('Bob')} SKIP LOCKED").fetchone()
                assert row == (None if found is None else (found,))
        with one.transaction(force_rollback=True), other.transaction(force_rollback=True):
            one.execute(fenced.format("Ann"))
            with pytest.raises(errors.LockNotAvailable):
                other.execute(f"{leakproof.format('Bob')} NOWAIT")


# -- two at a time --------------------------------------------------------------------------------------------------


def _meanwhile(gateway: Writing, app: str, sql: str, first: str) -> list[Any]:
    """What `sql` gives that waits for `first`, which another has done and commits only then."""
    found: list[Any] = []

    def run() -> None:
        with gateway.connect(app) as connection:
            one = connection.execute(sql)
            found.append((one.rowcount, one.fetchall()))

    with gateway.behind() as behind, gateway.behind() as watching:
        with behind.transaction():
            behind.execute(first)
            waiting = threading.Thread(target=run)
            waiting.start()
            _until(
                lambda: watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is not None,
                waiting.is_alive,
            )
        waiting.join(30)
    return found


def _until(condition: Callable[[], bool], going_on: Callable[[], bool]) -> None:
    while not condition():
        assert going_on(), "the statement did not wait"


@pytest.fixture
def restored(gateway: Writing) -> Iterator[None]:
    yield
    with gateway.behind() as behind:
        behind.execute("TRUNCATE accounts")
        rows = SCHEMA[SCHEMA.index("INSERT INTO accounts") : SCHEMA.index("INSERT INTO feed")]
        behind.execute(rows.encode())


@pytest.mark.parametrize("app", ["rower", "ruler"])
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE accounts SET balance = balance + 1 WHERE id = 1 RETURNING balance, pin", (1, [(1001, "***1")])),
        ("UPDATE accounts a SET balance = balance + f.amount FROM feed f WHERE f.id = a.id AND a.id = 1 RETURNING a.balance", (1, [(1010,)])),
        ("MERGE INTO accounts a USING feed f ON f.id = a.id AND f.id = 1 WHEN MATCHED THEN UPDATE SET balance = a.balance + f.amount RETURNING a.balance", (1, [(1010,)])),
        ("DELETE FROM accounts WHERE id = 1 RETURNING balance", (1, [(1000,)])),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("restored")
def test_a_row_that_another_changes_is_changed_as_it_is_then(
    gateway: Writing, app: str, sql: str, expected: Any
) -> None:
    if "MERGE" in sql and gateway.server.version < 170000:
        pytest.skip("MERGE ... RETURNING is of PostgreSQL 17")
    assert _meanwhile(gateway, app, sql, "UPDATE accounts SET balance = 1000 WHERE id = 1") == [expected]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts SET balance = 0 WHERE id = 1 RETURNING balance",
        "UPDATE accounts a SET balance = 0 FROM feed f WHERE f.id = a.id AND a.id = 1 RETURNING a",
        "MERGE INTO accounts a USING feed f ON f.id = a.id AND f.id = 1 WHEN MATCHED THEN UPDATE SET balance = 0 RETURNING a.*",
        "MERGE INTO accounts a USING (VALUES (2)) f (id) ON f.id = a.id WHEN NOT MATCHED BY SOURCE AND a.id = 1 THEN DELETE RETURNING a.*",
        "DELETE FROM accounts WHERE id = 1 AND upper(owner) <> '' RETURNING balance",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("restored")
def test_a_row_that_another_hides_is_left_alone(gateway: Writing, sql: str) -> None:
    if "MERGE" in sql and gateway.server.version < 170000:
        pytest.skip("MERGE ... RETURNING is of PostgreSQL 17")
    assert _meanwhile(gateway, "rower", sql, "UPDATE accounts SET region = 'us' WHERE id = 1") == [(0, [])]
    with gateway.behind() as behind:
        assert behind.execute("SELECT balance FROM accounts WHERE id = 1").fetchone() == (100,)
