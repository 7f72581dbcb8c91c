"""psql through `consentry serve`: each script prints what it prints with the twin (drivers/world.py) directly."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.gateways import environment
from tests.integration.drivers.statements import FAILURES, READS, WRITES
from tests.integration.drivers.world import Pair

pytest_plugins = ["tests.integration.drivers.fixtures"]

CATALOGS = r"""
\d
\d customers
\d+ customers
\d orders
\d+ kinds
\d products
\d+ numbers
\d payroll
\d c*
\d no_such_relation
\d customers_name
\d orders_id_seq
\dt
\dt public.*
\dt+ products
\di
\di customers*
\ds
\dv
\dm
\dT
\dT+ public.*
\dD
\dn
\dn+
\dp
\dp customers
\z orders
\df
\df public.*
\df pg_catalog.lower
\da pg_catalog.max
\do pg_catalog.||
\dC integer
\dd
\dX
\ddp
\dy
\dP
\dx
\dF
\du drv_*
\dg drv_full
\drds
\db
\dL
\dO
\dRp
\sf pg_catalog.lower(text)
\encoding
"""

SCRIPT = r"""
\set id 1
\set name 'it''s'
SELECT full_name, :'name' AS quoted, card_no AS :"name" FROM customers WHERE id = :id;
SELECT id AS the_id, card_no AS the_card FROM customers WHERE id = 2 \gset
\echo :the_id :the_card :ROW_COUNT :SQLSTATE :ERROR :LAST_ERROR_SQLSTATE
SELECT email, card_no FROM customers ORDER BY id \gset row_
\if :ERROR
\echo several rows: :LAST_ERROR_MESSAGE
\endif
SELECT id, card_no, mood, total FROM customers JOIN orders USING (id) \gdesc
SELECT format('SELECT count(*) AS %I FROM %I', relname, relname) FROM pg_class
    WHERE relname IN ('customers', 'orders', 'kinds') ORDER BY 1 \gexec
SELECT customer_id, placed, total FROM orders ORDER BY 1, 2 \crosstabview
\x on
SELECT * FROM kinds WHERE id = 1;
\x off
\pset format csv
SELECT * FROM customers ORDER BY id;
\pset format unaligned
\pset tuples_only on
\pset null '(null)'
TABLE orders ORDER BY id;
\pset format aligned
\pset tuples_only off
\set FETCH_COUNT 7
SELECT n, card_no FROM numbers, customers WHERE n < 20 AND id = 1 ORDER BY n;
\unset FETCH_COUNT
\copy (SELECT * FROM customers ORDER BY id) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)
\copy orders (customer_id, total) TO 'FOLDER/orders.txt'
BEGIN;
\copy orders (customer_id, total) FROM 'FOLDER/orders.txt'
SELECT count(*), sum(total) FROM orders;
\copy numbers FROM STDIN
9001
9002
\.
SELECT count(*) FROM numbers;
COPY products FROM STDIN (FORMAT csv);
H8,Hat,1.5,2
\.
SELECT * FROM products ORDER BY sku;
SAVEPOINT s;
SELECT 1/0;
SELECT 2;
ROLLBACK TO s;
SELECT 3 AS still;
ROLLBACK;
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO numbers VALUES (1);
INSERT INTO numbers VALUES (9009);
SELECT max(n) FROM numbers;
ROLLBACK;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
DELETE FROM orders;
SELECT count(*) FROM orders;
ROLLBACK;
\set AUTOCOMMIT on
PREPARE find (bigint) AS SELECT full_name, card_no FROM customers WHERE id = $1;
EXECUTE find (1);
DEALLOCATE find;
SELECT full_name FROM customers WHERE id = 1\; SELECT card_no FROM customers WHERE id = 2;
SELECT nothing
    FROM customers;
\errverbose
LISTEN news;
NOTIFY news;
UNLISTEN *;
COMMIT;
SET DateStyle = German;
SELECT placed FROM orders ORDER BY id LIMIT 1;
RESET DateStyle;
SHOW DateStyle;
SHOW search_path;
SELECT current_user, session_user, current_schema();
"""

SCRIPT_18 = r"""
SELECT full_name, card_no FROM customers WHERE id = $1 \bind 1 \g
SELECT card_no FROM customers WHERE card_no LIKE $1 ORDER BY id \parse cards
\bind_named cards '%1111' \g
\close_prepared cards
\startpipeline
SELECT $1, card_no FROM customers WHERE id = 1 \bind a \sendpipeline
SELECT 1/0 \bind \sendpipeline
SELECT $1 \bind b \sendpipeline
\syncpipeline
SELECT $1 AS after FROM orders LIMIT 1 \bind c \sendpipeline
\endpipeline
"""


def run(pair: Pair, dsn: str, script: str) -> list[str]:
    """What psql prints, errors where they occur; without what an app that sees less is not told (world.py)."""
    own = pair.server.binaries and Path(pair.server.binaries) / "psql"
    program = str(own) if own and own.exists() else shutil.which("psql")
    if program is None:
        pytest.skip("psql is not installed")
    options = "-X -a -P pager=off -v VERBOSITY=verbose -v SHOW_CONTEXT=errors".split()
    done = subprocess.run(
        [program, *options, dsn],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
        env={**environment(), "PGCLIENTENCODING": "UTF8"},
    )
    text = re.sub(r"server process with PID \d+", "server process with PID N", done.stdout)
    text = re.sub(
        r"(?m)^LOCATION:  .*\n", "", text
    )  # refusals of the gateway come from no place in the server's source
    if pair.app == "sales":
        text = re.sub(r'(?m)^(ERROR:  22.*?)".*"', r'\1"?"', text)
        text = re.sub(r"(?m)^(DETAIL|CONTEXT):  .*\n", "", text)
    return text.splitlines()


def test_catalogs(pair: Pair) -> None:
    assert len(pair.same(lambda dsn: run(pair, dsn, CATALOGS))) > 300


def test_statements(pair: Pair) -> None:
    reads, writes, failures = (";\n".join(texts) + ";\n" for texts in (READS, WRITES, FAILURES))
    pair.same(lambda dsn: run(pair, dsn, f"{reads}BEGIN;\n{writes}ROLLBACK;\n{failures}"))


def test_a_session(pair: Pair, tmp_path: Path) -> None:
    script = SCRIPT.replace("FOLDER", str(tmp_path))
    if pair.server.version >= 180000 and pair.server.binaries is not None:
        script += SCRIPT_18
    pair.same(lambda dsn: run(pair, dsn, script))


def test_comments_of_columns(sales: Pair) -> None:
    sales.admin("COMMENT ON COLUMN customers.full_name IS 'as on the letter'")
    try:
        sales.same(lambda dsn: run(sales, dsn, r"\d+ customers"))
    finally:
        sales.admin("COMMENT ON COLUMN customers.full_name IS NULL")


def test_keys_of_dropped_columns(sales: Pair) -> None:
    sales.server.run(sales.databases[1], "ALTER TABLE customers ADD CONSTRAINT one_secret UNIQUE (secret, id)")
    try:
        sales.same(
            lambda dsn: run(
                sales,
                dsn,
                "\\d customers\n\\di\nSELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;\n",
            )
        )
    finally:
        sales.server.run(sales.databases[1], "ALTER TABLE customers DROP CONSTRAINT one_secret")
