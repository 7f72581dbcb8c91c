"""Requests in Chromium: a customer asks, an agent confirms or refuses, and the customer reads what became of it."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.gateways import consentry
from tests.pages.conftest import Shop
from tests.pages.test_me import judge


async def test_a_customer_asks_and_an_agent_answers(browser: Browser, shop: Shop, axe: str) -> None:
    context = await browser.new_context(locale="en", bypass_csp=True)
    page = await context.new_page()
    await page.goto(shop.link(71))
    await page.get_by_role("link", name="Requests").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your requests")
    await expect(page.get_by_text("You have not asked for anything yet.")).to_be_visible()
    await judge(page, axe, "requests")
    await page.get_by_label("What is wrong?").select_option(label="Email address")
    await page.get_by_label("What is right?").fill("right@example.org")
    await page.get_by_role("region", name="Correct something").get_by_role("button", name="Send the request").click()
    await expect(page.get_by_role("status")).to_have_text("We have your request.")
    erase = page.get_by_role("region", name="Erase your data")
    await erase.get_by_role("button", name="Send the request").click()
    await expect(page.get_by_role("listitem").filter(has_text="Erase your data")).to_have_count(0), "it asks to be sure"
    await erase.get_by_label("Yes, I want my data to be erased.").check()
    await erase.get_by_role("button", name="Send the request").click()
    await expect(page.get_by_role("listitem").filter(has_text="Erase your data")).to_contain_text("we answer by")
    await judge(page, axe, "asked")

    token = consentry(shop.gateway.folder, "token", "add", "agent in chromium", "--scope", "rights").strip()
    agent = await (await browser.new_context(locale="en", bypass_csp=True)).new_page()
    await agent.goto(f"{shop.base}/requests")
    await judge(agent, axe, "login")
    await agent.get_by_label("Token").fill(token)
    await agent.keyboard.press("Enter")
    await expect(agent.get_by_role("heading", level=1)).to_have_text("Requests that wait")
    await judge(agent, axe, "queue")
    await agent.get_by_role("row", name="71").get_by_role("link", name="Correct Email address").click()
    await expect(agent.get_by_text("right@example.org")).to_be_visible()
    await judge(agent, axe, "request")
    await agent.get_by_role("button", name="Confirm").click()
    await expect(agent.get_by_role("status")).to_contain_text("Done")
    await agent.get_by_role("link", name="Requests that wait").click()
    await agent.get_by_role("row", name="71").get_by_role("link", name="Erase everything").click()
    await expect(agent.get_by_role("alert")).to_contain_text("its rules have no `erase`")
    await agent.get_by_label("Reason").fill("first we have to pay you back")
    await agent.get_by_role("button", name="Refuse").click()
    await expect(agent.get_by_role("status")).to_contain_text("Refused")
    await judge(agent, axe, "refused")
    await agent.get_by_role("button", name="Log out").click()
    await expect(agent.get_by_label("Token")).to_be_visible()

    await page.reload()
    await expect(page.get_by_role("listitem").filter(has_text="Email address")).to_contain_text("done")
    await expect(page.get_by_role("listitem").filter(has_text="Erase your data")).to_contain_text(
        "refused: first we have to pay you back"
    )
