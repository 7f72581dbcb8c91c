"""A shop behind a real `consentry serve`, and Chromium before its customer pages."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests import npm
from tests.gateways import GatewayProcess, consentry, set_up_consent, write_settings
from tests.servers import PgServer

SIGN_UP = "http://sign-up.example"  # the organisation's own site
SCHEMA = """
CREATE TABLE customers (id bigint PRIMARY KEY, full_name text, email text, phone text, card_no text);
INSERT INTO customers SELECT n, 'Customer ' || n, 'c' || n || '@example.org', '+49 ' || n, '4111'
    FROM generate_series(1, 100) n;
UPDATE customers SET phone = '+49 30 10000' || id WHERE id IN (22, 24, 26, 28);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint, total numeric);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""
RULES = """
version: 1
attributes:
  full_name: {label: "Name"}
  email: {label: "Email address"}
  phone: {label: "Phone number"}
  card: {label: "Payment card", group: sensitive}
  orders: {label: "Purchase history", group: unstructured}
tables:
  public.customers:
    subject: id
    columns: {id: open, full_name: full_name, email: email, phone: phone, card_no: card}
  public.orders: {subject: customer_id, columns: {id: open, customer_id: open, total: orders}}
apps:
  crm: {label: "Customer service", logins: [shop_crm], purpose: "answering your questions"}
  mailco: {label: "MailCo newsletters", logins: [shop_mailco], kind: partner, purpose: "marketing email"}
  insight: {label: "Insight statistics", logins: [shop_insight], kind: partner, purpose: "reports without names"}
policies:
  - {name: service sees the end of a card, apps: [crm], attributes: [card], action: mask, mask: {kind: partial, keep_last: 4}}
  - {name: service works with customer data, apps: [crm], attributes: all, action: show, basis: contract}
  - {name: contact data from those who agreed, apps: [mailco], attributes: [full_name, email], action: show, consent: opt_in}
  - {name: reports until you say no, apps: [insight], attributes: [orders], action: show, consent: opt_out}
sources:
  leads: {key: key, match: {email: mail, phone: tel}, fields: {mail: email, tel: phone, name: full_name}}
"""
# Each but the last has the address of one customer and the number of another.
LEADS = """key,mail,tel,name
L-21,C21@example.org,+49301000022,Twenty-One
L-23,C23@example.org,+49301000024,Twenty-Three
L-25,C25@example.org,+49301000026,Twenty-Five
L-27,C27@example.org,+49301000028,Twenty-Seven
stranger,who@example.net,,Nobody Knows
"""


@dataclass(frozen=True)
class Shop:
    """A gateway with its web side."""

    gateway: GatewayProcess
    base: str

    def link(self, subject: int, valid: str = "1h") -> str:
        """A customer's link, as the command makes it."""
        made = consentry(self.gateway.folder, "link", str(subject), "--valid", valid).strip()
        return f"{self.base}/me?{made.partition('?')[2]}"


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    return found


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """axe-core's script, fetched once into pytest's cache."""
    modules = npm.node_modules(pytestconfig.rootpath, "axe", "axe-core@4")
    return (modules / "axe-core" / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="session")
def shop(pg_server: PgServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("pages")
    with running_shop(pg_server, folder, "pages_shop") as running:
        yield running


@contextmanager
def running_shop(server: PgServer, folder: Path, dbname: str) -> Iterator[Shop]:
    server.create_database(dbname, SCHEMA)
    for login in ("shop_crm", "shop_mailco", "shop_insight"):
        server.create_login(login, group="auth_trust")
    web = {
        "listen": "127.0.0.1:0",
        "login": {"secret_file": "web.key"},
        "organisation": {"name": "The Corner Shop", "colour": "#0b6e4f", "embed_from": [SIGN_UP]},
    }
    (folder / "leads.csv").write_text(LEADS)
    shop = {
        "upstream": f"postgresql://{server.host}:{server.port}/{dbname}",
        "rules": "rules/",
        "sources": {"leads": {"kind": "csv", "path": "leads.csv"}},
    }
    write_settings(server, folder, RULES, {}, {"web": web, "databases": {"shop": shop}})
    set_up_consent(folder, "shop")
    gateway = GatewayProcess(folder)
    try:
        yield Shop(gateway, f"http://127.0.0.1:{gateway.web_port()}")
    finally:
        gateway.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all of these tests, since they share one browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # The site that frames the form is made up, and so is a stranger to loopback, where the gateway listens.
        arguments = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        await browser.close()
