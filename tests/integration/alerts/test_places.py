"""A bare key of an alert gets its account from the place where its tool has found it, and is revoked.

A place that can't be read leaves the leak without its account, but recorded, and the record says so.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from local.reporters import reports
from local.reporters.azure_devops import READ_CODE
from local.reporters.reports import REPOSITORY, Posted
from local.tenant.model import Account
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_REPOSITORY,
    AzureDevOpsAlert,
    GitHubAlert,
    GitHubComment,
    GitHubDiscussion,
    GitHubPost,
)
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.report import REPORTED, Report
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.persistence.alert_queue import AlertMessage
from tests.support.asgi import Credential
from tests.support.driver import Driver
from tests.support.reported_alerts import alert_of, made, request

SITE = f"https://github.com/{REPOSITORY}/discussions/39082"
API = f"https://api.github.com/repos/{REPOSITORY}"


def in_github(driver: Driver, account: Account) -> tuple[Posted, GitHubAlert]:
    """A webhook about a bare key, and its alert, which has no location yet: the only one, since posts have paths."""
    driver.cloud.model.alerts.github.clear()
    made(driver, account)
    alert = alert_of(driver)[1]
    alert.secret, alert.secret_type, alert.file = account.keys["key1"], "azure_storage_account_key", ""
    return reports.signed_by_github(driver.cloud.model, alert), alert


def in_azure_devops(driver: Driver, account: Account) -> tuple[Posted, AzureDevOpsAlert]:
    """A service hook about a bare key, and its alert, whose file has the account."""
    posted = made(driver, account, source="azure-devops")
    alert = driver.cloud.model.alerts.azure_devops[-1]
    alert.secret, alert.file = account.keys["key1"], text(account)
    return posted, alert


def text(account: Account) -> str:
    return f"storage account: {account.name} key: {account.keys['key1']}"


async def received(driver: Driver, posted: Posted) -> Revocation:
    """The record of what the intake publishes about a report."""
    before = len(driver.cloud.model.events)
    answer = await driver.app().http.intake.receive(request(posted))
    assert answer.status_code == 202
    return await contained(driver, before)


async def contained(driver: Driver, before: int) -> Revocation:
    """The record of the one event that was published since there were so many."""
    [event] = driver.cloud.model.events[before:]
    await driver.app().fast_path.ingest.receive(
        Report(str(event["id"]), REPORTED, str(event["source"]), event["data"])
    )
    return await driver.record(str(event["id"]))


def post(kind: str, path: str) -> Callable[[GitHubAlert, str], None]:
    def add(alert: GitHubAlert, text: str) -> None:
        title, body = (text, "") if kind.endswith("_title") else ("", text)
        alert.posts.append(GitHubPost(kind, f"/repos/{REPOSITORY}{path}", title, body))

    return add


def discussion(kind: str, fragment: str) -> Callable[[GitHubAlert, str], None]:
    def add(alert: GitHubAlert, text: str) -> None:
        comments = (GitHubComment(4158232, text if kind == "discussion_comment" else "Hi."),)
        title, body = (text if kind == f"discussion_{part}" else "Hello." for part in ("title", "body"))
        alert.discussions.append(GitHubDiscussion(39082, title, body, comments))
        alert.places.append((kind, {f"{kind}_url": f"{SITE}{fragment}"}))

    return add


def file(alert: GitHubAlert, text: str) -> None:
    alert.file, alert.line = f"# Models\n{text}\n", 2


PLACES = {
    "commit": file,
    "issue_title": post("issue_title", "/issues/1347"),
    "issue_body": post("issue_body", "/issues/1347"),
    "issue_comment": post("issue_comment", "/issues/comments/1081119451"),
    "pull_request_title": post("pull_request_title", "/pulls/2846"),
    "pull_request_body": post("pull_request_body", "/pulls/2846"),
    "pull_request_comment": post("pull_request_comment", "/issues/comments/1081119452"),
    "pull_request_review": post("pull_request_review", "/pulls/2846/reviews/80"),
    "pull_request_review_comment": post("pull_request_review_comment", "/pulls/comments/12"),
    "discussion_title": discussion("discussion_title", ""),
    "discussion_body": discussion("discussion_body", "#discussion-4566270"),
    "discussion_comment": discussion("discussion_comment", "#discussioncomment-4158232"),
}
"""By the types of `secret-scanning-location`, github/rest-api-description; `wiki_commit` has no text in any API."""


@pytest.mark.parametrize("kind", PLACES)
async def test_bare_key_at_each_type_of_location_in_github_is_revoked(
    driver: Driver, account: Account, kind: str
) -> None:
    posted, alert = in_github(driver, account)
    PLACES[kind](alert, text(account))
    record = await received(driver, posted)

    assert (record.state, [key for key, _ in account.rotations]) == (State.CONTAINED, ["key1"]), record.detail


@pytest.mark.parametrize("path", ["/README.md", "/a b/c#d&e=100%41+\u00e9.txt"])
async def test_bare_key_in_a_file_of_azure_devops_is_revoked(driver: Driver, account: Account, path: str) -> None:
    """git 7.1, Items_Get."""
    posted, alert = in_azure_devops(driver, account)
    alert.path = path
    record = await received(driver, posted)

    assert (record.state, [key for key, _ in account.rotations]) == (State.CONTAINED, ["key1"]), record.detail


def check_recorded(record: Revocation, account: Account, why: str) -> None:
    """The leak has a record without its account, which says why."""
    assert (record.state, record.reason, account.rotations) == (State.UNRESOLVED, Reason.LOOSE, [])
    assert record.finding.credential is not None
    assert record.finding.credential.key_sha256 is not None
    assert f"could not be read, and may name the account: {why}" in record.detail


WIKI = ("wiki_commit", {"path": "/Home.md", "blob_sha": "a" * 40, "page_url": f"{SITE}/wiki/Home/{'a' * 40}"})
UNREADABLE: dict[str, tuple[tuple[str, dict[str, object]], str]] = {
    "wiki": (WIKI, "it is a page of a wiki, whose text GitHub's API does not have."),
    "missing": (("issue_body", {"issue_body_url": f"{API}/issues/7"}), "it is deleted, or hidden from the app."),
    "hostile": (("issue_body", {"issue_body_url": "https://evil.example/x"}), "the alert or the service does not"),
    "elsewhere": (
        ("discussion_body", {"discussion_body_url": "https://evil.example/x/y/discussions/1"}),
        "the alert",
    ),
    "unknown": (("release_body", {"release_body_url": f"{API}/releases/1"}), "it is of a kind that this version"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_bare_key_at_a_place_in_github_that_can_t_be_read_is_recorded(
    driver: Driver, account: Account, name: str
) -> None:
    posted, alert = in_github(driver, account)
    place, why = UNREADABLE[name]
    alert.places.append(place)
    record = await received(driver, posted)

    check_recorded(record, account, why)
    assert driver.requests("evil.example") == []
    assert why in (await driver.history(record.fingerprint))[0].what


@pytest.mark.parametrize("status", [401, 403, 404])
@pytest.mark.parametrize("call", ["/git/blobs/", "/locations"])
async def test_bare_key_whose_place_github_refuses_is_recorded(
    driver: Driver, account: Account, call: str, status: int
) -> None:
    posted, alert = in_github(driver, account)
    file(alert, text(account))
    driver.fault(call, status=status, times=None)
    record = await received(driver, posted)
    driver.cloud.faults.clear()

    why = "it is deleted, or hidden from the app" if status == 404 else "the service refused it"
    check_recorded(record, account, why)


async def test_bare_key_whose_code_the_app_may_not_read_is_recorded(
    driver: Driver, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """azure-devops-docs, "Set Git repository permissions": Read."""
    posted, _ = in_azure_devops(driver, account)
    identity = driver.cloud.model.identities["intake"]
    less = replace(identity, rights=identity.rights - {READ_CODE})
    monkeypatch.setitem(driver.cloud.model.identities, "intake", less)
    before = len(driver.cloud.model.events)
    intake = driver.app(credential=Credential(driver.cloud.entra, less)).http.intake
    await intake.receive(request(posted))

    check_recorded(await contained(driver, before), account, "the service refused it")


@pytest.mark.parametrize("source", ["github", "azure-devops"])
async def test_bare_key_whose_place_does_not_answer_is_recorded_after_a_minute(
    driver: Driver, account: Account, source: str
) -> None:
    if source == "github":
        posted, alert = in_github(driver, account)
        file(alert, text(account))
        reference = alert_of(driver)[0]
    else:
        posted, kept = in_azure_devops(driver, account)
        place = f"contoso/{AZURE_DEVOPS_PROJECT}/{AZURE_DEVOPS_REPOSITORY}"
        reference = AlertReference(AlertSource.AZURE_DEVOPS, place, str(kept.number))
    driver.fault("/git/", status=503, times=None)
    before = len(driver.cloud.model.events)
    answer = await driver.app().http.intake.receive(request(posted))
    assert (answer.status_code, len(driver.cloud.model.events)) == (202, before)  # the queue tries it again
    message = AlertMessage(reference, driver.clock())
    driver.clock.advance(minutes=1)
    await driver.app().http.alert_reader.resume(message)
    driver.cloud.faults.clear()

    check_recorded(await contained(driver, before), account, "the service did not answer.")
