"""The auditors' pages in Chromium: from a token to a record's story, by people who use a keyboard, and in the dark."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
from playwright.async_api import Browser, expect

from tests.gateways import consentry
from tests.pages.conftest import Shop
from tests.pages.test_me import judge


async def read(shop: Shop, app: str, text: str) -> None:
    connection = await asyncpg.connect(f"postgresql://shop_{app}@127.0.0.1:{shop.gateway.port}/shop")
    try:
        await connection.fetch(text)
    finally:
        await connection.close()


async def test_an_auditor_finds_out_who_read_what(browser: Browser, shop: Shop, axe: str, tmp_path: Path) -> None:
    consentry(shop.gateway.folder, "consent", "grant", "44", "mailco", "email")
    await read(shop, "mailco", "SELECT id, email FROM customers WHERE email <> 'x'")
    await read(shop, "crm", "SELECT full_name, phone FROM customers WHERE id = 44")
    token = consentry(shop.gateway.folder, "token", "add", "auditor in chromium", "--scope", "audit").strip()
    # The page's own policy lets no script in, so axe has to come past it.
    context = await browser.new_context(locale="en", bypass_csp=True)
    page = await context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(f"{shop.base}/audit")
    await judge(page, axe, "login")
    await page.keyboard.press("Tab")  # past "skip to the content"
    await page.get_by_label("Token").focus()
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Who read personal data")
    await expect(page.locator("svg")).to_have_count(3)
    await judge(page, axe, "overview")

    await page.get_by_role("link", name="The log was not verified yet").click()
    await page.get_by_role("button", name="Verify the log now").click()
    await expect(page.get_by_role("status")).to_contain_text("The log is whole", timeout=30_000)
    await judge(page, axe, "verification")
    await page.get_by_role("link", name="Overview").click()
    await expect(page.get_by_role("link", name=re.compile("The log is whole"))).to_be_visible()
    await page.get_by_role("link", name=re.compile(r"statements of MailCo newsletters that read Email address")).click()
    await expect(page.get_by_role("row", name=re.compile("SELECT id, email FROM customers")).first).to_be_visible()
    await judge(page, axe, "search")
    await page.get_by_role("row", name=re.compile("SELECT id, email")).first.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A statement")
    await expect(page.locator("ins").first).to_contain_text("SELECT")
    await expect(page.get_by_role("listitem").filter(has_text="contact data from those who agreed")).to_be_visible()
    await judge(page, axe, "record")

    for options in ({"color_scheme": "dark"}, {"viewport": {"width": 360, "height": 740}}):
        state = await context.storage_state()
        other = await browser.new_context(locale="en", bypass_csp=True, storage_state=state, **options)  # type: ignore[arg-type]
        looked = await other.new_page()
        for path in ("/audit", "/audit/search", page.url.removeprefix(shop.base)):
            await looked.goto(shop.base + path)
            await judge(looked, axe, f"{path} {options}")
        await other.close()

    await page.goto(f"{shop.base}/audit")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="page", exact=True).click()
    report = tmp_path / "report.html"
    await (await download.value).save_as(report)
    await page.goto(report.as_uri())
    await expect(page.get_by_role("heading", name="MailCo newsletters")).to_be_visible()
    await expect(page.locator("svg")).to_have_count(3)
    await judge(page, axe, "report")

    await page.goto(f"{shop.base}/audit")
    await page.get_by_role("button", name=re.compile("Log out")).click()
    await expect(page.get_by_label("Token")).to_be_visible()
    assert said == []
    await context.close()
