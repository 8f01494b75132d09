"""The desk in a real browser: what a person does there, and that nothing goes wrong behind it."""

import asyncio
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from azure.core.messaging import CloudEvent
from playwright.async_api import Browser, expect

from shared.domain import finding
from shared.domain.revocation import State
from tests.support.browser import ROOT, ConsolePage, console_page
from tests.support.deployment import Deployment
from tests.support.leaks import account_sas, small_sas
from tests.support.patience import PATIENCE


async def test_paste_a_leak_see_what_would_happen_revoke_it_and_see_it_proven(
    console: ConsolePage, deployment: Deployment
) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key1"])
    await console.open("#/report", as_="approver")

    await console.page.get_by_label("What leaked").fill(f"found this: {leaked}")
    await console.page.get_by_label("Why you report it").fill("It was in a chat.")
    await console.page.get_by_role("button", name="See what would happen").click()
    await expect(console.page.locator("#results")).to_contain_text(f"Account SAS of {account.name}")
    await expect(console.page.locator("#results")).to_contain_text("What would break")
    assert deployment.rotations(account) == []

    await console.page.get_by_role("button", name="Revoke").click()
    await expect(console.page.locator("h1")).to_have_text(f"Account SAS of {account.name}")
    await expect(console.page.locator(".badge").first).to_have_text("closed")
    await expect(console.page.get_by_role("heading", name="Verification")).to_be_visible()

    assert deployment.rotations(account) == ["key1"]
    assert console.troubles == []
    assert await console.violations() == []


async def awaiting(deployment: Deployment, **tags: str) -> tuple[str, str]:
    """A read-only token of hours, which a person decides on: the account's name and the record's id."""
    account = await deployment.account(**tags)
    [fingerprint] = await deployment.report(small_sas(account.name, account.keys["key1"]))
    record = await deployment.settled(fingerprint)
    assert record.state is State.AWAITING_APPROVAL
    return account.name, fingerprint


async def link_in_the_mail(deployment: Deployment, fingerprint: str) -> str:
    """The URL in the mail about a record, once it was sent."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for mail in deployment.cloud.model.mails:
                found = re.search(rf'href="(https://[^"]+#/record/{fingerprint})"', mail.body)
                if found:
                    return found[1]
            await asyncio.sleep(0.1)  # another process sends it


async def test_approve_from_the_link_in_the_mail(console: ConsolePage, deployment: Deployment) -> None:
    name, fingerprint = await awaiting(deployment)

    await console.page.goto(await link_in_the_mail(deployment, fingerprint))
    await console.page.locator("button[value='approver']").click()
    await expect(console.page.locator(".badge").first).to_have_text("awaiting approval")
    await expect(console.page.get_by_role("heading", name="What would break")).to_be_visible()
    await console.page.get_by_label("Why").fill("It is ours.")
    await console.page.get_by_role("button", name="Approve").click()
    await expect(console.page.locator(".badge").first).to_have_text("closed")

    account = deployment.cloud.model.accounts[name]
    assert deployment.rotations(account) == ["key1"]
    assert console.troubles == []
    assert await console.violations() == []


async def test_reject_with_a_reason_and_find_it_in_the_timeline(console: ConsolePage, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)
    await console.open(f"#/record/{fingerprint}", as_="approver")

    await console.page.get_by_label("Why").fill("A test of ours.")
    await console.page.get_by_role("button", name="Reject").click()

    await expect(console.page.locator(".badge").first).to_have_text("dismissed")
    await expect(console.page.locator(".timeline")).to_contain_text("A test of ours.")
    assert console.troubles == []


async def test_who_may_only_read_is_offered_nothing_to_do(console: ConsolePage, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)

    await console.open(f"#/record/{fingerprint}", as_="reader")

    await expect(console.page.locator(".badge").first).to_have_text("awaiting approval")
    assert await console.page.locator("form.acts").count() == 0


async def test_what_the_api_refuses_is_said_in_its_words(console: ConsolePage, deployment: Deployment) -> None:
    await console.open("#/report", as_="reader")

    await console.page.get_by_label("What leaked").fill("nothing to see")
    await console.page.get_by_label("Why you report it").fill("A try.")
    await console.page.get_by_role("button", name="See what would happen").click()

    await expect(console.page.get_by_role("status")).to_contain_text("none of the app roles")


async def test_the_list_shows_states_and_ages_and_filters(console: ConsolePage, deployment: Deployment) -> None:
    name, _ = await awaiting(deployment)
    await console.open(as_="reader")

    await expect(console.page.locator("tbody tr", has_text=name)).to_contain_text("awaiting approval")
    await console.page.get_by_label("State").select_option("failed")
    await expect(console.page.locator("tbody tr", has_text=name)).to_have_count(0)
    assert console.troubles == []
    assert await console.violations() == []


async def test_hostile_text_stays_text(console: ConsolePage, deployment: Deployment) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key1"])
    [found] = finding.in_text(
        leaked,
        source="<img src=x onerror=alert(1)>",
        url="https://x/<script>alert(2)</script>",
        detected_at=datetime.now(UTC),
    )
    data = found.finding.to_data()
    await deployment.publish(CloudEvent(source="/t", type=finding.REPORTED, id=found.finding.fingerprint, data=data))
    await deployment.settled(found.finding.fingerprint)

    await console.open(f"#/record/{found.finding.fingerprint}", as_="reader")

    await expect(console.page.locator("main")).to_contain_text("<img src=x onerror=alert(1)>")
    assert await console.page.locator("main img, main script").count() == 0
    assert console.troubles == []


async def test_all_of_it_works_by_keyboard(console: ConsolePage, deployment: Deployment) -> None:
    name, fingerprint = await awaiting(deployment)
    await console.open(f"#/record/{fingerprint}", as_="approver")
    keyboard = console.page.keyboard

    await console.page.get_by_label("Why").focus()
    await keyboard.type("By keyboard.")
    await keyboard.press("Tab")
    await keyboard.press("Enter")

    await expect(console.page.locator(".badge").first).to_have_text("closed")
    assert deployment.rotations(deployment.cloud.model.accounts[name]) == ["key1"]


async def test_it_fits_a_phone_in_the_dark(browser: Browser, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with console_page(browser, deployment.cloud.hosts[0], **phone) as console:
        await console.open(as_="approver")
        for address in ("#/", f"#/record/{fingerprint}", "#/report", "#/readiness"):
            await console.page.goto(f"{console.url}{address}")
            await console.page.wait_for_selector("main h1")
            wide = await console.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, address
            assert await console.violations() == [], address
        assert console.troubles == []


async def test_nothing_but_the_app_and_entra_id_is_asked_for_anything(
    console: ConsolePage, deployment: Deployment
) -> None:
    asked: set[str] = set()
    console.page.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))

    await console.open(as_="reader")

    assert asked <= {"127.0.0.1", "login.microsoftonline.com", ""}  # "": data: URLs


def test_msal_is_as_its_package_has_it() -> None:
    package = ROOT / "node_modules/@azure/msal-browser/lib/msal-browser.min.js"

    assert (ROOT / "shared/api/console/msal-browser.min.js").read_bytes() == package.read_bytes()
