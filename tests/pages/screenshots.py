"""Pictures of the customer pages for the docs: `make screenshots` writes docs/images/.

The pages are those of a real gateway, and what is on them was done by a browser as a customer does it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.gateways import consentry
from tests.pages.conftest import Shop, running_shop
from tests.servers import find_server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESKTOP = {"viewport": {"width": 1000, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}


async def take(browser: Browser, shop: Shop, images: Path) -> None:
    """All pictures."""
    page = await entered(browser, shop, DESKTOP)
    await page.get_by_role("switch", name="MailCo newsletters Email address", exact=True).click()
    await page.get_by_role("dialog").wait_for()
    await page.screenshot(path=images / "me-question.png")
    await page.get_by_role("button", name="Yes, share").click()
    await page.get_by_role("status").wait_for()
    await page.screenshot(path=images / "me-desktop.png", full_page=True)
    await page.get_by_role("link", name="Receipt").click()
    await page.get_by_role("heading", level=1).wait_for()
    await page.screenshot(path=images / "me-receipt.png", full_page=True)
    await page.context.close()
    for name, options in {
        "me-phone": PHONE,
        "me-dark": {**DESKTOP, "color_scheme": "dark"},
        "me-arabic": {**PHONE, "locale": "ar"},
    }.items():
        page = await entered(browser, shop, options)
        await page.screenshot(path=images / f"{name}.png", full_page=name == "me-dark")
        await page.context.close()
    link = consentry(shop.gateway.folder, "link", "2", "--collect").strip()
    context = await browser.new_context(locale="en", **DESKTOP)
    page = await context.new_page()
    await page.goto(f"{shop.base}/collect?{link.partition('?')[2]}")
    await page.screenshot(path=images / "collect.png", full_page=True)
    await context.close()


async def entered(browser: Browser, shop: Shop, options: dict[str, Any]) -> Page:
    context = await browser.new_context(**{"locale": "en", **options})
    page = await context.new_page()
    await page.goto(shop.link(1))
    await page.get_by_role("heading", level=1).wait_for()
    return page


async def main(executable: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    server = find_server()
    try:
        with TemporaryDirectory() as folder, running_shop(server, Path(folder), "screenshots") as shop:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
                await take(browser, shop, IMAGES)
                await browser.close()
    finally:
        server.close()


if __name__ == "__main__":
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is not installed (apt-get install chromium)")
    asyncio.run(main(chromium))
