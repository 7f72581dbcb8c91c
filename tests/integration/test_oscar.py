"""A real shop, django-oscar, through the gateway: its migrations, its data, its pages, what its partner gets.

Two databases are built by the same programs, one worked on directly, one through the gateway; what they render and what
they hold must be equal.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from psycopg import sql

from proxy.consent import service
from proxy.consent.service import Vocabulary
from tests.integration.oscar.running import MIGRATIONS, ROOT, Gateway, Program, run
from tests.servers import PgServer

pytestmark = pytest.mark.timeout(600)

OSCAR = Path(__file__).parent / "oscar"
TEMPLATE, DIRECT, GOVERNED = "oscar_migrated", "oscar_direct", "oscar_governed"
LOGINS = ("deploy", "crm_app", "partner_app")
# What their hidden columns hold.
SECRETS = ("secret number", "secret note")
# The partner: pages that need what it does not have, and why; queries that it may ask (oscar/partner.py names them).
REFUSED_PAGES = {
    "refused get /catalogue/product-2-its-50-off_2/": "column auth_user.password does not exist",
    "refused get /catalogue/product-2-its-50-off_2/reviews/2/": "column auth_user.password does not exist",
    "refused get /checkout/": "column django_session.session_key does not exist",
    "refused post /accounts/login/": "column auth_user.password does not exist",
}
DENIED = {"SQLSTATE 42501", "SQLSTATE 42703"}
ANSWERED = {"everything there is", "rows", "another's customer", "count", "existing", "everything of sessions.Session"}
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
            self.answers[name] = [], []  # tried once: it would not find again what it changed
            self.answers[name] = direct.wait(), governed.wait()
        assert self.answers[name] != ([], []), f"{name} did not end"
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
    consentry(settings, "consent", "setup", "--apply", "--dsn", server.dsn(GOVERNED))


def consentry(settings: Path, *arguments: str) -> None:
    """A command of the command line."""
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", *arguments, "--config", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
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
    """A line for each page that is not the same; what differs goes into `out`.

    Pages whose rows come in another order may be few: rows that are equal by what they are sorted by, or not sorted at
    all, come as the plan and the pages of the table have it.
    """
    lines: list[str] = []
    text: list[str] = []
    shuffled: list[str] = []
    others = {key(page): page for page in governed}
    for page in direct:
        other = others.pop(key(page), None)
        if other is None:
            lines.append(f"{key(page)} only directly")
        elif page != other:
            parts = [name for name in page if page[name] != other[name]]
            if parts == ["body"] and same_lines(page["body"], other["body"]):
                shuffled.append(key(page))
                continue
            lines.append(f"{key(page)} {page['status']} -> {other['status']}: {parts} {other['failed'][:1]}")
            text += unified_diff(page["body"].splitlines(), other["body"].splitlines(), key(page), n=1, lineterm="")
    if len(shuffled) > len(direct) / 100:
        lines += [f"{name} in another order" for name in shuffled]
    lines += [f"{name} only through the gateway" for name in others]
    out.write_text("\n".join([*lines, *text]))
    return lines


def same_lines(text: str, other: str) -> bool:
    return sorted(text.splitlines()) == sorted(other.splitlines())


def key(page: dict[str, Any]) -> str:
    return f"{page['visitor']} {page['method']} {page['url']} #{page['number']}"


@pytest.mark.nightly
def test_what_visitors_and_staff_change_is_changed_as_directly(filled: Shop) -> None:
    direct, governed = filled.both("flows", OSCAR_BINDING="server")
    report = differing_pages(direct, governed, filled.folder / "flows.differ")
    cards = [line for line in report if " /admin/payment/bankcard/" in line]  # where the masked column is seen
    assert cards
    assert report == cards, "\n".join(report[:50])
    assert len([page for page in direct if page["method"] == "post" and page["status"] == 302]) > 150
    differing = filled.differing_tables()
    assert differing == {}


@pytest.mark.nightly
def test_harmless_statements_are_not_refused(filled: Shop) -> None:
    for name, environment in (("pages", {}), ("flows", {"OSCAR_BINDING": "server"})):
        filled.both(name, **environment)
    records = filled.gateway.records("crm")
    for _ in range(50):
        if sum(r["event"] == "connect" for r in records) == sum(r["event"] == "disconnect" for r in records):
            break
        time.sleep(0.1)
        records = filled.gateway.records("crm")
    refused = [r for r in records if r["event"] == "refused"]
    statements = [r for r in records if r["event"] in ("statement", "refused")]
    assert len(statements) > 20_000
    assert sum(bool(r.get("rewritten")) for r in statements) > 5_000
    listed = "\n".join(f"{r['sqlstate']} {r['message']}: {r['statement']}" for r in refused)
    (filled.folder / "refused.txt").write_text(listed)
    assert len(refused) / len(statements) < 0.005, listed
    assert not refused, listed
    for out in filled.folder.glob("*.governed.out"):
        text = out.read_text()
        assert not [secret for secret in SECRETS if secret in text], out


@dataclass
class Agreed:
    """Customers' keys: who shares the email address, the name."""

    email: set[int]
    names: set[int]


def ask_partner(shop: Shop, agreed: Agreed, name: str, *arguments: str) -> tuple[list[Any], list[Any]]:
    """What the partner's program gets: directly, with what the gateway does written into its queries; by the gateway."""
    module = "tests.integration.oscar.partner"
    ids = [",".join(map(str, sorted(one))) for one in (agreed.email, agreed.names)]
    environment = dict(zip(("OSCAR_AGREED_EMAIL", "OSCAR_AGREED_NAMES"), ids, strict=True))
    direct = Program(
        module, shop.server.dsn(DIRECT, "partner_app"), shop.folder / f"{name}.direct.out", *arguments, **environment
    )
    governed = Program(
        module, shop.gateway.dsn("partner_app", GOVERNED), shop.folder / f"{name}.governed.out", *arguments
    )
    return direct.wait(), governed.wait()


async def grant(shop: Shop, agreed: Agreed) -> None:
    connection = await asyncpg.connect(shop.server.dsn(GOVERNED))
    words = Vocabulary(["partner"], ["email", "full_name"])
    try:
        for attribute, subjects in (("email", agreed.email), ("full_name", agreed.names)):
            for subject in subjects:
                await service.grant(connection, words, str(subject), "partner", attribute)
    finally:
        await connection.close()


def test_a_partner_gets_those_who_agreed_and_nothing_else(filled: Shop) -> None:
    agreed = Agreed({2, 3, 5, 8, 13, 21, 26}, {3, 5, 6, 7, 13, 26})
    asyncio.run(grant(filled, agreed))
    direct, governed = ask_partner(filled, agreed, "partner")
    assert len(direct) > 60
    answers = governed.pop()["queries"]
    for page in direct:  # the name in a review by nobody's account: nobody agreed for it
        page["body"] = page["body"].replace("<strong>Anon</strong>", "<strong>None</strong>")
    report = differing_pages(direct, governed, filled.folder / "partner.differ")
    assert {line.split(" #")[0] for line in report} == REFUSED_PAGES.keys(), "\n".join(report[:50])
    for line in report:
        assert " -> 500: " in line
        assert REFUSED_PAGES[line.split(" #")[0]] in line
    assert answers["count"] == str(len(agreed.email))
    for name, answer in answers.items():
        wanted = not answer.startswith("SQLSTATE ") if name in ANSWERED else answer in DENIED
        assert wanted, (name, answer)
    assert not [name for name in filled.differing_tables() if name.startswith(("address_", "payment_"))]
    received = (filled.folder / "partner.governed.out").read_text()
    for marker in hidden_from_partner(filled, agreed):
        assert marker not in received, marker

    for subject, attribute, left in ((8, "email", agreed.email), (5, "full_name", agreed.names)):
        consentry(filled.gateway.settings, "consent", "withdraw", str(subject), "partner", attribute)
        left.remove(subject)
    direct, governed = ask_partner(filled, agreed, "withdrawn", "mailing")
    assert len(direct) > 20
    report = differing_pages(direct, governed, filled.folder / "withdrawn.differ")
    assert not report, "\n".join(report[:50])


def hidden_from_partner(shop: Shop, agreed: Agreed) -> list[str]:
    """Texts that are in what the partner may not have, and nowhere else."""
    with shop.server.connect(GOVERNED) as connection:
        rows = connection.execute("SELECT email FROM auth_user WHERE id <> ALL (%s)", [sorted(agreed.email)]).fetchall()
    assert len(rows) > 15
    return [
        *(row[0] for row in rows),
        *SECRETS,
        "Marker Street",
        "Delivery Road",
        "PAY-",
        "XXXX-",
        "***",
        "Dear customer",
    ]
