"""Records that could be two customers' in Chromium: side by side, decided once, taken back; by keyboard, without scripts."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.gateways import consentry
from tests.pages.conftest import Shop
from tests.pages.test_me import SCRIPTS, judge, tab_to


@pytest.fixture(scope="module")
def agent(shop: Shop) -> str:
    """An agent's token; the leads were synced."""
    consentry(shop.gateway.folder, "profile", "sync")
    return consentry(shop.gateway.folder, "token", "add", "agent at review", "--scope", "rights").strip()


@pytest_asyncio.fixture(loop_scope="session")
async def entered(browser: Browser, shop: Shop, agent: str) -> BrowserContext:
    """The cookies of an agent who came in."""
    context = await browser.new_context(locale="en", bypass_csp=True)
    await come_in(await context.new_page(), shop, agent)
    return context


async def come_in(page: Page, shop: Shop, token: str) -> None:
    await page.goto(f"{shop.base}/requests")
    await page.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name="Records").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Records that fit nobody, or several")


@SCRIPTS
async def test_both_are_seen_and_decided_once_and_taken_back(
    browser: Browser, shop: Shop, agent: str, scripts: bool
) -> None:
    one, two = (21, 22) if scripts else (23, 24)
    context = await browser.new_context(locale="en", java_script_enabled=scripts)
    page = await context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    await come_in(page, shop, agent)
    await expect(page.get_by_role("row", name="stranger")).to_contain_text("nobody who is known")
    await expect(page.get_by_role("row", name=f"L-{one}")).to_contain_text(f"customer {one}, {two}")
    await page.get_by_role("link", name=f"L-{one}").click()
    await expect(page.get_by_role("status")).to_have_text("Whose is it?")
    for row, cells in (
        ("Email address", [f"C{one}@example.org", f"c{one}@example.org", f"c{two}@example.org"]),
        ("Phone number", [f"+493010000{two}", f"+49 {one}", f"+49 30 10000{two}"]),
        ("In common", ["", "email", "phone"]),
    ):
        await expect(page.get_by_role("row", name=row).get_by_role("cell")).to_have_text(cells)
    other = await context.new_page()
    await other.goto(page.url)

    await page.get_by_role("button", name=f"Customer {two}’s", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(f"It is customer {two}’s.")
    await expect(page.get_by_text(f"by agents' page, agent at review: same, customer {two}.")).to_be_visible()
    await expect(page.get_by_role("button", name=f"Customer {one}’s", exact=True)).to_have_count(0)
    assert said == []

    await other.get_by_role("button", name=f"Customer {one}’s", exact=True).click()  # a window from before
    await expect(other.get_by_role("alert")).to_contain_text(f"customer {two}: take that back first")
    await other.get_by_role("link", name="Records that wait").click()
    await expect(other.get_by_role("row", name=f"L-{one}")).to_have_count(0)

    await page.get_by_role("button", name="Take it back").click()
    await expect(page.get_by_role("status")).to_have_text("Whose is it?")
    await page.get_by_role("button", name=f"Not customer {one}’s", exact=True).click()
    await expect(page.get_by_role("status")).to_have_text(f"It is customer {two}’s.")  # the one who is left
    await page.get_by_role("button", name="Take it back").click()
    await page.get_by_role("link", name="All records that wait").click()
    await expect(page.get_by_role("row", name=f"L-{one}")).to_be_visible()
    await context.close()


async def test_by_keyboard_alone(entered: BrowserContext, shop: Shop) -> None:
    page = await entered.new_page()
    await page.goto(f"{shop.base}/requests/records")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    record = page.get_by_role("link", name="L-25")
    await tab_to(page, record)
    await page.keyboard.press("Enter")
    same = page.get_by_role("button", name="Customer 26’s", exact=True)
    await expect(same).to_be_visible()
    await tab_to(page, same)
    await page.keyboard.press("Space")
    await expect(page.get_by_role("status")).to_have_text("It is customer 26’s.")
    back = page.get_by_role("button", name="Take it back")
    await tab_to(page, back)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Whose is it?")
    await entered.close()


@pytest.mark.parametrize(
    "look",
    [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 320, "height": 640}}],
    ids=["light", "dark", "phone"],
)
async def test_everybody_can_use_them(
    browser: Browser, entered: BrowserContext, shop: Shop, axe: str, look: dict[str, object]
) -> None:
    """axe-core's rules of WCAG 2.2 A and AA, and no scrolling sideways."""
    state = await entered.storage_state()
    context = await browser.new_context(locale="en", bypass_csp=True, storage_state=state, **look)  # type: ignore[arg-type]
    page = await context.new_page()
    for address in (
        "records",
        "record?source=leads&key=L-27",
        "record?source=leads&key=stranger",
        "record?source=leads&key=x",
    ):
        await page.goto(f"{shop.base}/requests/{address}")
        await judge(page, axe, f"{address} {look}")
    await page.goto(f"{shop.base}/requests/record?source=leads&key=L-27")
    await page.get_by_role("button", name="Customer 27’s", exact=True).click()
    await judge(page, axe, f"decided {look}")
    await page.get_by_role("button", name="Take it back").click()
    await expect(page.get_by_role("status")).to_have_text("Whose is it?")
    await context.close()
    await entered.close()
