"""Whose account a host is, by the bearer challenge of Azure Storage.

Sources: REST, "Authorize with Microsoft Entra ID" (bearer challenge); the header of a real refusal
(github.com/microsoft/AzureStorageExplorer/issues/9050); Microsoft's own reader of them, in azure-storage-blob.
"""

import asyncio
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob._shared.authentication import StorageHttpChallenge
from hypothesis import given
from hypothesis import strategies as st

from shared.cloud.bearer_challenge import BearerChallenge, Tenancy, tenant_of
from shared.domain.azure_clouds import CLOUDS, CloudName
from tests.support.arm_transport import Wire, answering
from tests.support.intake import Clock

OURS = "891a05bd-506b-48d8-b3ed-60f458010688"
OTHER = "7f1b9c3d-0000-4000-8000-000000000001"
REAL = (
    f"Bearer authorization_uri=https://login.microsoftonline.com/{OURS}/oauth2/authorize "
    "resource_id=https://storage.azure.com"
)
HOST = "contosodata.blob.core.windows.net"


@pytest.mark.parametrize(
    "challenge",
    [
        REAL,
        REAL.replace("Bearer", "bearer"),
        f'Bearer authorization_uri="https://login.microsoftonline.com/{OURS}/oauth2/authorize", resource_id="https://x"',
        f"Bearer resource_id=https://storage.azure.com, authorization_uri=https://login.windows.net/{OURS}",
        REAL.replace(OURS, OURS.upper()),
    ],
)
def test_tenant_is_read_as_the_sdk_reads_it(challenge: str) -> None:
    assert tenant_of(challenge) == StorageHttpChallenge(f"{challenge} resource_id=x").tenant_id.lower() == OURS


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        'Basic realm="x"',
        f"Basic authorization_uri=https://login.microsoftonline.com/{OURS}/oauth2/authorize",
        "Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize",
        "Bearer authorization_uri=https://login.microsoftonline.com/",
        "Bearer authorization_uri=https://[broken/" + OURS,
        f"Bearer authorization_uri={OURS}",
    ],
)
def test_challenge_without_a_tenant_names_none(challenge: str) -> None:
    assert tenant_of(challenge) is None


@given(st.text(max_size=2000))
def test_any_header_is_read(challenge: str) -> None:
    tenant = tenant_of(f"Bearer {challenge}")
    assert tenant is None or len(tenant) == 36


class Closable(Wire):
    """Notes that it was closed; it can be used again, as the next of its kind."""

    closed = False

    async def close(self) -> None:
        self.closed = True


def host_that(answers: int = 403, *, challenge: str = "") -> Closable:
    """Return a transport to a host that answers every request so."""
    return Closable(answering(answers, www_authenticate=challenge), on="")


def host_that_is_not_there() -> Closable:
    transport = host_that()
    transport.instead = ServiceRequestError("no such host")
    return transport


def of(transport: Wire, *, clock: Clock | None = None) -> BearerChallenge:
    cloud = CLOUDS[CloudName.PUBLIC]
    return BearerChallenge(lambda: transport, cloud=cloud, tenant_id=OURS, clock=clock or Clock())


@pytest.mark.parametrize(
    ("status", "header", "tenancy"),
    [
        (401, REAL, Tenancy.OURS),
        (401, REAL.replace(OURS, OTHER), Tenancy.OTHER),
        (401, "Bearer", Tenancy.UNKNOWN),
        (403, "", Tenancy.UNKNOWN),
        (403, REAL.replace(OURS, OTHER), Tenancy.UNKNOWN),
        (200, REAL.replace(OURS, OTHER), Tenancy.UNKNOWN),
        (302, REAL.replace(OURS, OTHER), Tenancy.UNKNOWN),
    ],
)
async def test_only_a_401_with_a_tenant_says_whose_account_it_is(status: int, header: str, tenancy: Tenancy) -> None:
    assert await of(host_that(status, challenge=header)).tenancy(HOST) is tenancy


async def test_host_that_does_not_answer_is_unknown() -> None:
    assert await of(host_that_is_not_there()).tenancy(HOST) is Tenancy.UNKNOWN


async def test_request_has_no_credential() -> None:
    transport = host_that(401, challenge=REAL)
    await of(transport).tenancy(HOST)
    [request] = transport.requests
    assert (request.url, {name.lower() for name in request.headers}) == (
        f"https://{HOST}/?restype=service&comp=properties",
        {"x-ms-version", "user-agent"},
    )


async def test_connection_is_closed() -> None:
    transport = host_that_is_not_there()
    await of(transport).tenancy(HOST)
    assert transport.closed


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        (HOST, HOST),
        ("contosodata.queue.core.windows.net", "contosodata.queue.core.windows.net"),
        ("contosodata-secondary.table.core.windows.net", "contosodata-secondary.table.core.windows.net"),
        ("contosodata.file.core.windows.net", "contosodata.file.core.windows.net"),
        ("contosodata.privatelink.blob.core.windows.net", "contosodata.privatelink.blob.core.windows.net"),
        ("contosodata.z6.web.core.windows.net", HOST),  # serves whatever its owner likes
        ("contosodata.dfs.core.windows.net", HOST),
        ("contosodata.z12.blob.storage.azure.net", "contosodata.z12.blob.storage.azure.net"),
    ],
)
async def test_storage_host_is_asked(host: str, asked: str) -> None:
    transport = host_that(403)
    await of(transport).tenancy(host)
    [request] = transport.requests
    assert request.url.split("/")[2] == asked


@pytest.mark.parametrize(
    "host",
    [
        "files.contoso.com",
        "10.0.0.4",
        "169.254.169.254",
        "localhost",
        "contosodata.blob.localhost",
        "contosodata.blob.core.windows.net.evil.example",
        "contosodata.blob.core.usgovcloudapi.net",  # another cloud has other tenants
        "core.windows.net",
    ],
)
async def test_no_other_host_is_asked(host: str) -> None:
    transport = host_that(401, challenge=REAL)
    assert (await of(transport).tenancy(host), transport.requests) == (Tenancy.UNKNOWN, [])


async def test_findings_of_one_host_at_the_same_time_are_one_request() -> None:
    transport = host_that(401, challenge=REAL)
    challenge = of(transport)
    answers = await asyncio.gather(*(challenge.tenancy(HOST) for _ in range(50)))
    assert (set(answers), len(transport.requests)) == ({Tenancy.OURS}, 1)


@pytest.mark.parametrize(
    ("transport", "asked_again_after"),
    [
        (host_that(401, challenge=REAL), timedelta(minutes=10)),
        (host_that(401, challenge=REAL.replace(OURS, OTHER)), timedelta(minutes=10)),
        (host_that(403), timedelta(minutes=1)),
        (host_that_is_not_there(), timedelta(minutes=1)),
    ],
)
async def test_answer_serves_for_a_while_and_none_for_less(transport: Closable, asked_again_after: timedelta) -> None:
    clock = Clock()
    challenge = of(transport, clock=clock)
    first = await challenge.tenancy(HOST)
    clock.now += asked_again_after - timedelta(seconds=1)
    assert (await challenge.tenancy(HOST), len(transport.requests)) == (first, 1)
    clock.now += timedelta(seconds=1)
    assert (await challenge.tenancy(HOST), len(transport.requests)) == (first, 2)


async def test_websites_and_data_lake_of_an_account_are_one_host() -> None:
    transport = host_that(401, challenge=REAL)
    challenge = of(transport)
    for host in (HOST, "contosodata.dfs.core.windows.net", "contosodata.z6.web.core.windows.net"):
        await challenge.tenancy(host)
    assert len(transport.requests) == 1


async def test_each_host_has_its_own_answer() -> None:
    transport = host_that(401, challenge=REAL)
    challenge = of(transport)
    await challenge.tenancy(HOST)
    await challenge.tenancy("contosologs.blob.core.windows.net")
    assert len(transport.requests) == 2
