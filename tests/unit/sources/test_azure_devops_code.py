"""Where Advanced Security for Azure DevOps has found a secret, over the stand-ins of its APIs.

MicrosoftDocs/vsts-rest-api-specs: advancedSecurity 7.2, alert.json (PhysicalLocation, Region, VersionControlDetails,
Instances_List); git 7.1, git.json (Items_Get, GitItem).
"""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from local.reporters.azure_devops import READ_CODE, location
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    AZURE_DEVOPS_PROJECT_NAME,
    AZURE_DEVOPS_REPOSITORY,
    AZURE_DEVOPS_REPOSITORY_NAME,
    AzureDevOpsAlert,
)
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.finding import Finding
from shared.domain.unread_place import UnreadPlace
from shared.sources.alert_places import AccountUnread
from tests.support import samples
from tests.support.asgi import Transport
from tests.support.azure_devops_api import ALERT, FOUND, Place, opened, served

KEY = samples.KEYS["key1"]
FILE = f"# Models\naccount: {samples.ACCOUNT}\n\nkey: {KEY}\n"
HOST = f"{samples.ACCOUNT}.blob.core.windows.net"
ITEMS = (
    f"GET https://dev.azure.com/contoso/{AZURE_DEVOPS_PROJECT}/_apis/git/repositories/{AZURE_DEVOPS_REPOSITORY}/items"
)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened() as there:
        yield there


def leaked_key(place: Place) -> AzureDevOpsAlert:
    """An alert whose secret is a bare key; its file names the account."""
    alert = place.alert(KEY)
    alert.file, alert.line = FILE, 4
    return alert


async def read(place: Place) -> Finding:
    """The one finding of the alert."""
    [finding] = await place.tool().read(ALERT, FOUND)
    return finding


async def unread(place: Place) -> tuple[UnreadPlace, ...]:
    """Why the account of the alert's key is not known."""
    finding = await read(place)
    assert finding.credential == samples.leak(KEY)
    assert finding.host is None
    return finding.unread_places


async def test_account_of_a_bare_key_is_read_from_the_lines_around_it(place: Place) -> None:
    leaked_key(place)

    assert (await read(place)).credential == samples.leak(f"account: {samples.ACCOUNT} key: {KEY}")


@pytest.mark.parametrize("leak", [samples.account_sas(), samples.blob_sas(), samples.queue_sas()])
async def test_host_of_a_bare_token_is_read_from_the_lines_around_it(place: Place, leak: str) -> None:
    alert = place.alert(leak.partition("?")[2].split('"')[0])
    alert.file = f"See {leak}\n"

    assert (await read(place)).credential == samples.leak(leak)


async def test_file_is_read_at_the_commit_of_the_alert(place: Place) -> None:
    alert = leaked_key(place)
    await read(place)
    [call] = place.calls("/items")

    assert call.partition("?")[0] == ITEMS
    assert parse_qs(urlsplit(call).query) == {
        "path": ["/README.md"],
        "versionDescriptor.version": [alert.commit],
        "versionDescriptor.versionType": ["commit"],
        "includeContent": ["true"],
        "$format": ["json"],
        "api-version": ["7.1"],
    }


async def test_repository_that_is_known_by_its_names_is_read(place: Place) -> None:
    """git 7.1, Items_Get: "Project ID or project name", "The name or ID of the repository"."""
    leaked_key(place)
    names = f"contoso/{AZURE_DEVOPS_PROJECT_NAME}/{AZURE_DEVOPS_REPOSITORY_NAME}"
    [finding] = await place.tool().read(AlertReference(AlertSource.AZURE_DEVOPS, names, "1"), FOUND)

    assert finding.host == HOST


@pytest.mark.parametrize(
    "path",
    ["/a b/c#d.txt", "/x&versionDescriptor.version=main", "/100%41.md", "/caf\u00e9+1?.md", "/$format=zip", "/a:b@c"],
)
async def test_path_of_a_file_is_nothing_but_a_path(place: Place, path: str) -> None:
    alert = leaked_key(place)
    alert.path = path

    assert (await read(place)).host == HOST
    assert len(place.calls("/items?")) == 1


async def test_path_without_its_slash_is_that_of_the_root(place: Place) -> None:
    alert = leaked_key(place)
    alert.locations = [location(alert) | {"filePath": "README.md"}]

    assert (await read(place)).host == HOST


async def test_secret_that_names_its_account_needs_no_file(place: Place) -> None:
    place.alert(samples.connection_string())
    await read(place)

    assert place.calls("/items") == place.calls("/instances") == []


async def test_commit_that_the_location_does_not_name_is_that_of_the_instance(place: Place) -> None:
    """Instances_List: AlertAnalysisInstance.firstSeen, AnalysisInstance.commitId."""
    alert = leaked_key(place)
    alert.locations = [{"filePath": "/README.md", "region": {"lineStart": 4, "lineEnd": 4}}]
    alert.seen_in = alert.commit

    assert (await read(place)).host == HOST
    assert len(place.calls("/instances?")) == 1


# What can't be read leaves the leak without its account, and says so


async def test_identity_that_may_not_read_code_is_refused(place: Place) -> None:
    leaked_key(place)
    identity = place.cloud.identities["responder"]
    object.__setattr__(identity, "rights", identity.rights - {READ_CODE})

    assert await unread(place) == (UnreadPlace.REFUSED,)


async def test_file_that_is_no_longer_there_is_missing(place: Place) -> None:
    alert = leaked_key(place)
    alert.file = ""

    assert await unread(place) == (UnreadPlace.MISSING,)


async def test_file_that_the_service_says_is_not_in_the_repository_is_not_asked_for(place: Place) -> None:
    """PhysicalLocation.isValidGitPath."""
    alert = leaked_key(place)
    alert.locations = [location(alert) | {"isValidGitPath": False}]

    assert await unread(place) == (UnreadPlace.MISSING,)
    assert place.calls("/items") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"filePath": "/../../_apis/projects"},
        {"filePath": "/a/./b"},
        {"filePath": "/a//b"},
        {"filePath": "\\\\evil.example\\x"},
        {"filePath": "/a\nb"},
        {"filePath": "/a\0b"},
        {"filePath": "/\u202ea"},
        {"filePath": "/" + "a" * 5000},
        {"filePath": "/"},
        {"filePath": ""},
        {"filePath": 7},
        {"filePath": None},
        {"versionControl": {"commitHash": "main"}},
        {"versionControl": {"commitHash": "23d0bc5b128a10056dc68afece360d8a0fabb014&path=/x"}},
        {"versionControl": {"commitHash": "23d0bc5"}},
        {"versionControl": {"commitHash": 7}},
        {"versionControl": {"itemUrl": "https://evil.example/README.md"}},
        {"versionControl": None},
    ],
)
async def test_location_of_another_form_is_not_asked_for(place: Place, changed: dict[str, Any]) -> None:
    """What a file is called reaches neither the host nor the path of a request, and `itemUrl` is not read at all."""
    alert = leaked_key(place)
    alert.locations = [location(alert) | changed]

    assert await unread(place) == (UnreadPlace.MALFORMED,)
    assert place.calls("/items") == place.calls("evil") == []


@pytest.mark.parametrize(
    ("locations", "why"),
    [([], UnreadPlace.UNNAMED), ([7, None], UnreadPlace.MALFORMED), ([{}], UnreadPlace.MALFORMED)],
)
async def test_alert_without_a_location_says_so(place: Place, locations: list[object], why: UnreadPlace) -> None:
    leaked_key(place).locations = locations

    assert await unread(place) == (why,)


@pytest.mark.parametrize(
    "region", [None, {}, {"lineStart": 0}, {"lineStart": 10**9}, {"lineStart": "4"}, {"lineStart": True}]
)
async def test_location_without_its_lines_is_searched_from_the_beginning(place: Place, region: object) -> None:
    alert = leaked_key(place)
    alert.locations = [location(alert) | {"region": region}]

    assert (await read(place)).host == HOST


def repos(place: Place, answer: Response) -> ASGIApp:
    """Both hosts, of which Azure Repos gives this answer."""
    return served(place.cloud, place.entra, repos=answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (JSONResponse({"content": 7}), UnreadPlace.MALFORMED),
        (JSONResponse({"gitObjectType": "tree", "isFolder": True}), UnreadPlace.MALFORMED),
        (JSONResponse([FILE]), UnreadPlace.MALFORMED),
        (JSONResponse({"content": "x" * (5 * 1024 * 1024)}), UnreadPlace.TOO_LARGE),
        (Response(status_code=302, headers={"location": "https://evil.example/"}), UnreadPlace.REFUSED),
        (Response(status_code=401), UnreadPlace.REFUSED),
        (Response(status_code=400), UnreadPlace.REFUSED),
    ],
)
async def test_answer_without_the_file_says_why(place: Place, answer: Response, why: UnreadPlace) -> None:
    leaked_key(place)
    place.wire = Transport(repos(place, answer))

    assert await unread(place) == (why,)
    assert place.calls("evil") == []


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=503),
        Response(status_code=429, headers={"retry-after": "7"}),
        Response(
            "<html>Sign in</html>", status_code=203
        ),  # azure-devops-docs: to a request without valid credentials
    ],
)
async def test_service_that_does_not_answer_is_a_transient_failure_with_what_is_known(
    place: Place, answer: Response
) -> None:
    leaked_key(place)
    place.wire = Transport(repos(place, answer))

    with pytest.raises(AccountUnread) as raised:
        await read(place)
    [finding] = raised.value.findings
    assert finding.credential == samples.leak(KEY)
    assert finding.unread_places == (UnreadPlace.NO_ANSWER,)
    assert raised.value.retry_after == (7.0 if answer.status_code == 429 else None)
