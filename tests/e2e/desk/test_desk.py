"""The desk in a real browser: what a person does there, and that nothing goes wrong behind it."""

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from azure.core.messaging import CloudEvent
from playwright.async_api import Browser, expect

from shared import finding
from shared.revocation import State
from tests.support.browser import ROOT, Desk, at_the_desk
from tests.support.deployment import Road
from tests.support.leaks import account_sas, small_sas
from tests.support.patience import PATIENCE


async def test_paste_a_leak_see_what_would_happen_revoke_it_and_see_it_proven(desk: Desk, road: Road) -> None:
    account = await road.account()
    leaked = account_sas(account.name, account.keys["key1"])
    await desk.open("#/report", as_="approver")

    await desk.page.get_by_label("What leaked").fill(f"found this: {leaked}")
    await desk.page.get_by_label("Why you report it").fill("It was in a chat.")
    await desk.page.get_by_role("button", name="See what would happen").click()
    await expect(desk.page.locator("#results")).to_contain_text(f"Account SAS of {account.name}")
    await expect(desk.page.locator("#results")).to_contain_text("What would break")
    assert road.rotations(account) == []

    await desk.page.get_by_role("button", name="Revoke").click()
    await expect(desk.page.locator("h1")).to_have_text(f"Account SAS of {account.name}")
    await expect(desk.page.locator(".badge").first).to_have_text("closed")
    await expect(desk.page.get_by_role("heading", name="Proof")).to_be_visible()

    assert road.rotations(account) == ["key1"]
    assert desk.troubles == []
    assert await desk.violations() == []


async def awaiting(road: Road, **tags: str) -> tuple[str, str]:
    """A read-only token of hours, which a person decides on: the account's name and the record's id."""
    account = await road.account(**tags)
    [fingerprint] = await road.report(small_sas(account.name, account.keys["key1"]))
    record = await road.settled(fingerprint)
    assert record.state is State.AWAITING_APPROVAL
    return account.name, fingerprint


async def link_in_the_mail(road: Road, fingerprint: str) -> str:
    """The URL in the mail about a record, once it was sent."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for mail in road.cloud.model.mails:
                found = re.search(rf'href="(https://[^"]+#/record/{fingerprint})"', mail.body)
                if found:
                    return found[1]
            await asyncio.sleep(0.1)  # another process sends it


async def test_approve_from_the_link_in_the_mail(desk: Desk, road: Road) -> None:
    name, fingerprint = await awaiting(road)

    await desk.page.goto(await link_in_the_mail(road, fingerprint))
    await desk.page.locator("button[value='approver']").click()
    await expect(desk.page.locator(".badge").first).to_have_text("awaiting approval")
    await expect(desk.page.get_by_role("heading", name="What would break")).to_be_visible()
    await desk.page.get_by_label("Why").fill("It is ours.")
    await desk.page.get_by_role("button", name="Approve").click()
    await expect(desk.page.locator(".badge").first).to_have_text("closed")

    account = road.cloud.model.accounts[name]
    assert road.rotations(account) == ["key1"]
    assert desk.troubles == []
    assert await desk.violations() == []


async def test_reject_with_a_reason_and_find_it_in_the_timeline(desk: Desk, road: Road) -> None:
    _, fingerprint = await awaiting(road)
    await desk.open(f"#/record/{fingerprint}", as_="approver")

    await desk.page.get_by_label("Why").fill("A test of ours.")
    await desk.page.get_by_role("button", name="Reject").click()

    await expect(desk.page.locator(".badge").first).to_have_text("dismissed")
    await expect(desk.page.locator(".timeline")).to_contain_text("A test of ours.")
    assert desk.troubles == []


async def test_who_may_only_read_is_offered_nothing_to_do(desk: Desk, road: Road) -> None:
    _, fingerprint = await awaiting(road)

    await desk.open(f"#/record/{fingerprint}", as_="reader")

    await expect(desk.page.locator(".badge").first).to_have_text("awaiting approval")
    assert await desk.page.locator("form.acts").count() == 0


async def test_what_the_api_refuses_is_said_in_its_words(desk: Desk, road: Road) -> None:
    await desk.open("#/report", as_="reader")

    await desk.page.get_by_label("What leaked").fill("nothing to see")
    await desk.page.get_by_label("Why you report it").fill("A try.")
    await desk.page.get_by_role("button", name="See what would happen").click()

    await expect(desk.page.get_by_role("status")).to_contain_text("none of the app roles")


async def test_the_list_shows_states_and_ages_and_filters(desk: Desk, road: Road) -> None:
    name, _ = await awaiting(road)
    await desk.open(as_="reader")

    await expect(desk.page.locator("tbody tr", has_text=name)).to_contain_text("awaiting approval")
    await desk.page.get_by_label("State").select_option("failed")
    await expect(desk.page.locator("tbody tr", has_text=name)).to_have_count(0)
    assert desk.troubles == []
    assert await desk.violations() == []


async def test_hostile_text_stays_text(desk: Desk, road: Road) -> None:
    account = await road.account()
    leaked = account_sas(account.name, account.keys["key1"])
    [found] = finding.in_text(
        leaked,
        source="<img src=x onerror=alert(1)>",
        url="https://x/<script>alert(2)</script>",
        detected_at=datetime.now(UTC),
    )
    data = found.finding.to_data()
    await road.publish(CloudEvent(source="/t", type=finding.REPORTED, id=found.finding.fingerprint, data=data))
    await road.settled(found.finding.fingerprint)

    await desk.open(f"#/record/{found.finding.fingerprint}", as_="reader")

    await expect(desk.page.locator("main")).to_contain_text("<img src=x onerror=alert(1)>")
    assert await desk.page.locator("main img, main script").count() == 0
    assert desk.troubles == []


async def test_all_of_it_works_by_keyboard(desk: Desk, road: Road) -> None:
    name, fingerprint = await awaiting(road)
    await desk.open(f"#/record/{fingerprint}", as_="approver")
    keyboard = desk.page.keyboard

    await desk.page.get_by_label("Why").focus()
    await keyboard.type("By keyboard.")
    await keyboard.press("Tab")
    await keyboard.press("Enter")

    await expect(desk.page.locator(".badge").first).to_have_text("closed")
    assert road.rotations(road.cloud.model.accounts[name]) == ["key1"]


async def test_it_fits_a_phone_in_the_dark(browser: Browser, road: Road) -> None:
    _, fingerprint = await awaiting(road)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with at_the_desk(browser, road.cloud.hosts[0], **phone) as desk:
        await desk.open(as_="approver")
        for address in ("#/", f"#/record/{fingerprint}", "#/report", "#/readiness"):
            await desk.page.goto(f"{desk.url}{address}")
            await desk.page.wait_for_selector("main h1")
            wide = await desk.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, address
            assert await desk.violations() == [], address
        assert desk.troubles == []


async def test_nothing_but_the_app_and_entra_id_is_asked_for_anything(desk: Desk, road: Road) -> None:
    asked: set[str] = set()
    desk.page.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))

    await desk.open(as_="reader")

    assert asked <= {"127.0.0.1", "login.microsoftonline.com", ""}  # "": data: URLs


def test_msal_is_as_its_package_has_it() -> None:
    package = ROOT / "node_modules/@azure/msal-browser/lib/msal-browser.min.js"

    assert (ROOT / "shared/desk_page/msal-browser.min.js").read_bytes() == package.read_bytes()
