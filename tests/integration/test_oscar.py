"""A real shop, django-oscar, through the gateway: its migrations, its data, its pages, what its partner gets.

Two databases are built by the same programs, one worked on directly, one through the gateway; what they render and what
they hold must be equal.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from tests.integration.oscar.running import MIGRATIONS, ROOT, Gateway, Program, run
from tests.servers import PgServer

pytestmark = pytest.mark.timeout(600)

OSCAR = Path(__file__).parent / "oscar"
TEMPLATE, DIRECT, GOVERNED = "oscar_migrated", "oscar_direct", "oscar_governed"
LOGINS = ("deploy", "crm_app", "partner_app")
# Sorted by a number that all rows share: their order is the plan's.
TIES = ("/dashboard/vouchers/?sort=num_offers", "/dashboard/vouchers/?sort=num_offers&dir=desc")
# Columns that the shop does not know, as databases have them, and the rights of the shop's logins.
PREPARE = """
ALTER TABLE auth_user ADD COLUMN national_id text DEFAULT 'secret number';
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['catalogue_product', 'catalogue_category', 'partner_stockrecord', 'order_line', 'basket_basket',
    'basket_line', 'offer_conditionaloffer', 'voucher_voucher', 'reviews_vote']
  LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN own_note text DEFAULT %L', t, 'secret note');
  END LOOP;
END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO crm_app, partner_app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO crm_app, partner_app;
DO $$ DECLARE t regclass; BEGIN  -- plans, and with them the order of rows, must not change by themselves
  FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', t);
  END LOOP;
END $$;
"""
SETTLE = """
DO $$ DECLARE i record; BEGIN
  FOR i IN SELECT indrelid::regclass AS t, c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE indisprimary AND c.relnamespace = 'public'::regnamespace
  LOOP
    EXECUTE format('CLUSTER %s USING %I', i.t, i.relname);
  END LOOP;
END $$;
"""


@dataclass
class Shop:
    """The two shops. `answers` by name of a program: what it printed, directly and through the gateway."""

    server: PgServer
    folder: Path
    gateway: Gateway
    answers: dict[str, tuple[list[Any], list[Any]]] = field(default_factory=dict)

    def both(self, name: str, **environment: str) -> tuple[list[Any], list[Any]]:
        """Runs a program of tests/integration/oscar on both databases at once, as the shop's own login."""
        if name not in self.answers:
            module = f"tests.integration.oscar.{name}"
            direct, governed = (
                Program(module, dsn, self.folder / f"{name}.{which}.out", **environment)
                for which, dsn in (
                    ("direct", self.server.dsn(DIRECT, "crm_app")),
                    ("governed", self.gateway.dsn("crm_app", GOVERNED)),
                )
            )
            self.answers[name] = direct.wait(), governed.wait()
        return self.answers[name]

    def differing_tables(self) -> dict[str, tuple[list[str], list[str]]]:
        """By table: the rows that only the direct database has, those that only the governed one has."""
        direct, governed = self._rows(DIRECT), self._rows(GOVERNED)
        assert direct.keys() == governed.keys()
        assert sum(map(len, direct.values())) > 1000
        return {
            name: (sorted(rows - governed[name]), sorted(governed[name] - rows))
            for name, rows in direct.items()
            if rows != governed[name]
        }

    def _rows(self, database: str) -> dict[str, set[str]]:
        with self.server.connect(database) as connection:
            names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            return {
                name: {
                    row
                    for (row,) in connection.execute(
                        sql.SQL("SELECT t::text || '/' || count(*) FROM {} t GROUP BY t.*").format(sql.Identifier(name))
                    )
                }
                for (name,) in names
            }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oscar")


@pytest.fixture(scope="module")
def migrated(pg_server: PgServer, folder: Path) -> list[dict[str, Any]]:
    """The shop's tables, made through the gateway from nothing, in a database that others are copied from.

    The gateway's log of it.
    """
    for login in LOGINS:
        pg_server.create_login(login, group="auth_trust")
    pg_server.create_database(TEMPLATE, "GRANT ALL ON SCHEMA public TO deploy")
    gateway = Gateway(pg_server, folder / "migrations", {TEMPLATE: MIGRATIONS})
    try:
        run("django", gateway.dsn("deploy", TEMPLATE), folder / "migrate.out", "migrate", "-v", "0")
        # As the shop's makers would: what is asked of a database that is already as it should be.
        run("django", gateway.dsn("deploy", TEMPLATE), folder / "again.out", "migrate", "--check", "-v", "0")
    finally:
        gateway.close()
    pg_server.run(TEMPLATE, PREPARE)
    return gateway.records("migrations")


@pytest.fixture(scope="module")
def shop(migrated: list[dict[str, Any]], pg_server: PgServer, folder: Path) -> Iterator[Shop]:
    for name in (DIRECT, GOVERNED):
        copy_database(pg_server, name)
    gateway = Gateway(pg_server, folder / "gateway", {GOVERNED: (OSCAR / "rules.yaml").read_text()}, prepare=setup)
    try:
        yield Shop(pg_server, folder, gateway)
    finally:
        gateway.close()


def copy_database(server: PgServer, name: str) -> None:
    server.create_database(name)
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(TEMPLATE)))


def setup(server: PgServer, settings: Path) -> None:
    """`consentry consent setup` as the database's owner."""
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", "consent", "setup", "--apply"]
    done = subprocess.run(
        [*command, "--config", str(settings), "--dsn", server.dsn(GOVERNED)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_migrations_run_through_the_gateway(migrated: list[dict[str, Any]], pg_server: PgServer) -> None:
    with pg_server.connect(TEMPLATE) as connection:
        tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").rowcount
        done = connection.execute("SELECT FROM django_migrations").rowcount
    assert tables > 80
    assert done > 150
    assert len(migrated) > 1000
    assert not [record for record in migrated if record["event"] == "refused"]


def test_the_shop_is_filled_as_directly(shop: Shop) -> None:
    direct, governed = shop.both("shop")
    assert direct == governed
    assert shop.differing_tables() == {}


@pytest.fixture(scope="module")
def filled(shop: Shop) -> Shop:
    """Both shops with equal data in an equal order, so that results nobody ordered come in the same order too."""
    shop.both("shop")
    for name in (DIRECT, GOVERNED):
        shop.server.run(name, SETTLE)
        with shop.server.connect(name) as connection:
            connection.execute("ANALYZE")
    return shop


def test_every_page_is_as_directly(filled: Shop) -> None:
    direct, governed = filled.both("pages")
    assert len(direct) > 400
    report = differing_pages(direct, governed, filled.folder / "pages.differ")
    assert not report, "\n".join(report[:50])
    assert filled.differing_tables() == {}


def differing_pages(direct: list[Any], governed: list[Any], out: Path) -> list[str]:
    """A line for each page that is not the same; what differs goes into `out`."""
    lines, text = [], []
    others = {key(page): page for page in governed}
    for page in direct:
        other = others.pop(key(page), None)
        if other is None:
            lines.append(f"{key(page)} only directly")
        elif page != other:
            parts = [name for name in page if page[name] != other[name]]
            if parts == ["body"] and page["url"] in TIES and same_lines(page["body"], other["body"]):
                continue
            lines.append(f"{key(page)} {page['status']} -> {other['status']}: {parts} {other['failed'][:1]}")
            text += unified_diff(page["body"].splitlines(), other["body"].splitlines(), key(page), n=1, lineterm="")
    lines += [f"{name} only through the gateway" for name in others]
    out.write_text("\n".join([*lines, *text]))
    return lines


def same_lines(text: str, other: str) -> bool:
    return sorted(text.splitlines()) == sorted(other.splitlines())


def key(page: dict[str, Any]) -> str:
    return f"{page['visitor']} {page['method']} {page['url']} #{page['number']}"


def test_what_visitors_and_staff_change_is_changed_as_directly(filled: Shop) -> None:
    direct, governed = filled.both("flows", OSCAR_BINDING="server")
    report = differing_pages(direct, governed, filled.folder / "flows.differ")
    cards = [line for line in report if " /admin/payment/bankcard/" in line]  # where the masked column is seen
    assert cards
    assert report == cards, "\n".join(report[:50])
    assert len([page for page in direct if page["method"] == "post" and page["status"] == 302]) > 150
    differing = filled.differing_tables()
    assert differing == {}
