"""The customer pages in Chromium: what a person does and sees, and what the apps get at the same moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, Page, expect

from tests.gateways import consentry
from tests.pages.conftest import SIGN_UP, Shop

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])


@asynccontextmanager
async def opened(
    browser: Browser, shop: Shop, subject: int, *, refusals: tuple[int, ...] = (), **options: Any
) -> AsyncIterator[Page]:
    """The pages of a customer, by the link. Fails where the page logs an error, but for these HTTP states."""
    context = await browser.new_context(**{"locale": "en", **options})
    page = await context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    await page.goto(shop.link(subject))
    yield page
    await context.close()
    assert [one for one in said if not any(f"status of {code} " in one for code in refusals)] == []


def switch(page: Page, app: str, what: str) -> Any:
    return page.get_by_role("switch", name=f"{app} {what}", exact=True)


@SCRIPTS
async def test_a_customer_changes_their_mind_and_the_app_obeys_at_once(
    browser: Browser, shop: Shop, scripts: bool
) -> None:
    subject = 1 if scripts else 2
    # MailCo was connected all the time, with a statement prepared before.
    mailco = await asyncpg.connect(f"postgresql://shop_mailco@127.0.0.1:{shop.gateway.port}/shop")
    try:
        statement = await mailco.prepare("SELECT full_name, email FROM customers WHERE id = $1")
        assert tuple(await statement.fetchrow(subject) or ()) == (None, None)
        async with opened(browser, shop, subject, java_script_enabled=scripts) as page:
            await expect(page.get_by_role("heading", level=1)).to_have_text("Who has access to your data")
            await expect(page.get_by_role("heading", name="MailCo newsletters")).to_be_visible()
            email = switch(page, "MailCo newsletters", "Email address")
            await expect(email).to_have_attribute("aria-checked", "false")

            await email.click()
            await expect(page.get_by_text("Email address: MailCo newsletters will see it")).to_be_visible()
            assert tuple(await statement.fetchrow(subject) or ()) == (None, None)  # asking changes nothing
            await page.get_by_role("button", name="Yes, share").click()
            await expect(page.get_by_role("status")).to_contain_text(
                "You share Email address with MailCo newsletters now."
            )
            assert tuple(await statement.fetchrow(subject) or ()) == (None, f"c{subject}@example.org")
            await expect(email).to_have_attribute("aria-checked", "true")

            await email.click()
            await expect(page.get_by_text("What MailCo newsletters has read before")).to_be_visible()
            await page.get_by_role("button", name="Yes, stop sharing").click()
            await expect(page.get_by_role("status")).to_contain_text("no longer share Email address")
            assert tuple(await statement.fetchrow(subject) or ()) == (None, None)

            await page.get_by_role("button", name="Undo").click()
            await expect(page.get_by_role("status")).to_contain_text("You share Email address")
            assert tuple(await statement.fetchrow(subject) or ()) == (None, f"c{subject}@example.org")

            await switch(page, "MailCo newsletters", "Everything that MailCo newsletters asks for").click()
            await page.get_by_role("button", name="Yes, share").click()
            await expect(page.get_by_role("status")).to_contain_text("Name, Email address")
            assert tuple(await statement.fetchrow(subject) or ()) == (f"Customer {subject}", f"c{subject}@example.org")
    finally:
        await mailco.close()


@SCRIPTS
async def test_leaving_it_as_it_is(browser: Browser, shop: Shop, scripts: bool) -> None:
    async with opened(browser, shop, 3, java_script_enabled=scripts) as page:
        await switch(page, "MailCo newsletters", "Email address").click()
        await page.get_by_role("link", name="Leave it as it is").click()
        await expect(switch(page, "MailCo newsletters", "Email address")).to_have_attribute("aria-checked", "false")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_role("link", name="History").click()
        await expect(page.get_by_text("You have not decided anything yet.")).to_be_visible()


async def test_why_in_plain_words(browser: Browser, shop: Shop) -> None:
    async with opened(browser, shop, 4) as page:
        service = page.get_by_role("region", name="Customer service")
        await expect(service.get_by_role("switch")).to_have_count(0)  # what must be has no switch
        row = service.get_by_role("listitem").filter(has_text="Payment card")
        await expect(row).to_contain_text("sees a part, the rest hidden")
        await row.get_by_text("Why?").click()
        await expect(row).to_contain_text("Our rules allow it.")
        await expect(row).to_contain_text("service sees the end of a card")
        insight = page.get_by_role("region", name="Insight statistics")
        await expect(insight.get_by_role("switch")).to_have_attribute("aria-checked", "true")
        await expect(insight).to_contain_text("Does not see: Name, Email address, Phone number, Payment card")


@SCRIPTS
async def test_two_windows(browser: Browser, shop: Shop, scripts: bool) -> None:
    subject = 5 if scripts else 6
    async with opened(browser, shop, subject, refusals=(409,), java_script_enabled=scripts) as page:
        await switch(page, "MailCo newsletters", "Email address").click()
        other = await page.context.new_page()
        await other.goto(f"{shop.base}/me")
        await switch(other, "MailCo newsletters", "Email address").click()
        await other.get_by_role("button", name="Yes, share").click()
        await expect(other.get_by_role("status")).to_be_visible()
        await page.get_by_role("button", name="Yes, share").click()
        await expect(page.get_by_role("heading", name="This was changed meanwhile")).to_be_visible()
        await page.get_by_role("link", name="Back to your data").click()
        await expect(switch(page, "MailCo newsletters", "Email address")).to_have_attribute("aria-checked", "true")


async def test_history_receipt_and_download(browser: Browser, shop: Shop, tmp_path: Path) -> None:
    async with opened(browser, shop, 7) as page:
        await switch(page, "MailCo newsletters", "Email address").click()
        await page.get_by_role("button", name="Yes, share").click()
        await page.get_by_role("link", name="Receipt").click()
        await expect(page.get_by_text("Share Email address with MailCo newsletters?")).to_be_visible()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Save as JSON").click()
        await (await download.value).save_as(tmp_path / "receipt.json")
        receipt = json.loads((tmp_path / "receipt.json").read_text())
        assert receipt["pii_principal_id"] == "7"
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download my data").click()
        await (await download.value).save_as(tmp_path / "data.json")
        assert json.loads((tmp_path / "data.json").read_text())["decisions"] == [receipt]
        await page.get_by_role("link", name="History").first.click()
        await expect(page.get_by_role("listitem").filter(has_text="shared with MailCo")).to_have_count(1)


@SCRIPTS
async def test_by_keyboard_alone(browser: Browser, shop: Shop, scripts: bool) -> None:
    async with opened(browser, shop, 8, java_script_enabled=scripts) as page:
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        email = switch(page, "MailCo newsletters", "Email address")
        await tab_to(page, email)
        await page.keyboard.press("Space")
        yes = page.get_by_role("button", name="Yes, share")
        await expect(yes).to_be_visible()
        await tab_to(page, yes)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("You share Email address")
        if scripts:
            await expect(page.get_by_role("status")).to_be_focused()
        undo = page.get_by_role("button", name="Undo")
        await tab_to(page, undo)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("no longer share")
        if scripts:
            await email.click()
            await expect(page.get_by_role("dialog")).to_be_visible()
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_have_count(0)
            await expect(email).to_be_focused()


async def tab_to(page: Page, wanted: Any) -> None:
    for _ in range(60):
        if await wanted.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not reach it")


async def test_languages(browser: Browser, shop: Shop) -> None:
    async with opened(browser, shop, 9, locale="de-DE") as page:
        await expect(page.get_by_role("heading", level=1)).to_have_text("Wer auf Ihre Daten zugreift")
        await page.get_by_role("link", name="العربية").click()
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        card = page.get_by_role("region", name="MailCo newsletters")
        box = await card.get_by_role("heading").bounding_box()
        button = await card.get_by_role("switch").first.bounding_box()
        assert box is not None
        assert button is not None
        assert button["x"] < box["x"]  # mirrored


async def test_logging_out_and_bad_links(browser: Browser, shop: Shop) -> None:
    async with opened(browser, shop, 10) as page:
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")
    context = await browser.new_context(locale="en")
    page = await context.new_page()
    for address, said in (
        (f"{shop.base}/me", "This link is no longer valid"),
        (f"{shop.link(10)}x", "This link does not work"),
    ):
        await page.goto(address)
        await expect(page.get_by_role("heading", level=1)).to_have_text(said)
    await context.close()


PAGES = ("/me", "/me/change?app=mailco&attribute=email&decision=granted", "/me/history", "/me?done=none", "/me/nothing")


@pytest.mark.parametrize(
    "look",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"viewport": {"width": 320, "height": 640}},
        {"locale": "ar"},
    ],
    ids=["light", "dark", "phone", "rtl"],
)
async def test_everybody_can_use_them(browser: Browser, shop: Shop, axe: str, look: dict[str, Any]) -> None:
    """axe-core's rules of WCAG 2.2 A and AA, and no scrolling sideways."""
    # The pages' own policy would keep axe out.
    async with opened(browser, shop, 11, bypass_csp=True, **look) as page:
        for address in PAGES[:4]:
            await page.goto(shop.base + address)
            await judge(page, axe, f"{address} {look}")
        await page.goto(f"{shop.base}/me")
        for summary in await page.locator("summary").all():
            await summary.click()
        await page.get_by_role("switch").first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        await judge(page, axe, f"dialog {look}")
        await page.get_by_role("dialog").locator("button.button").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await judge(page, axe, f"done {look}")
        await page.goto(f"{shop.base}/me/history")
        await judge(page, axe, f"history {look}")
        await page.locator("a[href*='/me/receipt/']").first.click()
        await judge(page, axe, f"receipt {look}")


async def judge(page: Page, axe: str, where: str) -> None:
    await page.evaluate(axe)
    found = await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    told = [(v["id"], v["help"], [node["html"] for node in v["nodes"]]) for v in found["violations"]]
    assert told == [], where
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"sideways: {where}"


async def test_axe_finds_what_is_wrong(browser: Browser, axe: str) -> None:
    page = await browser.new_page()
    await page.set_content("<html><body><img src='x'><button></button></body></html>")
    with pytest.raises(AssertionError):
        await judge(page, axe, "a page that is wrong")
    await page.close()


async def test_the_form_of_consent_inside_another_site(browser: Browser, shop: Shop, axe: str) -> None:
    """At sign-up: the organisation's own page frames the form; cookies of the frame are not needed."""
    link = consentry(shop.gateway.folder, "link", "12", "--collect").strip()
    address = f"{shop.base}/collect?{link.partition('?')[2]}&app=mailco"
    context = await browser.new_context(locale="en", bypass_csp=True)
    page = await context.new_page()
    await page.goto(address)
    await judge(page, axe, "collect")
    await context.close()

    context = await browser.new_context(locale="en")
    page = await context.new_page()
    await page.route(
        f"{SIGN_UP}/*",
        lambda route: route.fulfill(
            content_type="text/html", body=f'<h1>Sign up</h1><iframe src="{address}" width="400" height="600"></iframe>'
        ),
    )
    await page.goto(f"{SIGN_UP}/join")
    frame = page.frame_locator("iframe")
    box = frame.get_by_role("checkbox", name="MailCo newsletters may use my Email address")
    await expect(box).not_to_be_checked()
    await box.check()
    await frame.get_by_role("button", name="Save my choice").click()
    await expect(frame.get_by_role("status")).to_contain_text("Your choice is saved")
    await context.close()
    mailco = await asyncpg.connect(f"postgresql://shop_mailco@127.0.0.1:{shop.gateway.port}/shop")
    try:
        seen = await mailco.fetchrow("SELECT full_name, email FROM customers WHERE id = 12")
        assert tuple(seen or ()) == (None, "c12@example.org")
    finally:
        await mailco.close()
    # Another site may not.
    page = await browser.new_page()
    await page.route(
        "https://evil.example/*",
        lambda route: route.fulfill(content_type="text/html", body=f'<iframe src="{address}"></iframe>'),
    )
    await page.goto("https://evil.example/")
    await expect(page.frame_locator("iframe").get_by_role("button", name="Save my choice")).to_have_count(0)
    await page.close()
