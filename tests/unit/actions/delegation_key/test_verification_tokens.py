"""What the plan says, and the verification tokens that are minted before the revocation."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions import delegation_key
from shared.actions.delegation_key import DelegationKeyAction, DelegationKeySpec
from shared.sas import Kind, Service, extract_leaks
from tests.support import samples
from tests.support.arm_transport import Wire
from tests.support.asgi import Credential
from tests.support.delegation_keys import HOST, JOB, NAME, PLAN, Clock, make
from tests.support.delegation_plane import DelegationPlane
from tests.support.jobs import job
from tests.support.samples import ACCOUNT, SUBSCRIPTION


def test_impact_names_the_account() -> None:
    lines = DelegationKeySpec().impact(samples.account(), "all")

    assert lines[0].startswith("Every user delegation SAS of robustmodels, from every issuer")
    assert not any("{" in line for line in lines)


async def test_verification_token_reads_one_missing_object_over_https_for_half_an_hour(
    action: DelegationKeyAction, clock: Clock
) -> None:
    [token] = await action.mint(JOB)

    [leak] = extract_leaks(f"{token.url}?{token.query}")
    minted = leak.credential
    assert (minted.kind, minted.service, token.service) == (Kind.USER_DELEGATION_SAS, Service.BLOB, Service.BLOB)
    assert (minted.permissions, minted.protocols, minted.parameter("sr")) == ("r", "https", "b")
    assert token.url == f"https://{HOST}/{NAME}"
    assert minted.expires == token.expires
    assert timedelta(minutes=29, seconds=58) < token.expires - clock() <= timedelta(minutes=30)


async def test_delegation_key_is_valid_as_long_as_its_token(
    action: DelegationKeyAction, plane: DelegationPlane, clock: Clock
) -> None:
    [token] = await action.mint(JOB)

    [key] = plane.issued
    assert datetime.fromisoformat(key.expiry) == token.expires
    assert datetime.fromisoformat(key.start) < clock() - timedelta(seconds=50)  # our clock may be ahead of Azure's


async def test_delegation_key_is_requested_from_the_account_with_the_app_identity(
    action: DelegationKeyAction, plane: DelegationPlane, credential: Credential
) -> None:
    await action.mint(JOB)

    assert plane.requests == [f"POST https://{HOST}/?restype=service&comp=userdelegationkey"]
    assert credential.scopes == ["https://storage.azure.com/.default"]


async def test_no_verification_token_for_an_account_without_blobs(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    account = replace(samples.account(), endpoints={Service.QUEUE: f"https://{ACCOUNT}.queue.core.windows.net/"})

    assert await action.mint(job(PLAN, account)) == ()
    assert plane.requests == []


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ((403, "AuthorizationPermissionMismatch"), "lacks Storage Blob Delegator"),
        ((403, "AuthorizationFailure"), "AuthorizationFailure"),
        ((404, "ResourceNotFound"), "404"),
        ((307, ""), "307"),
        ((503, "ServerBusy"), "503"),
        (ServiceRequestError("no route"), "ServiceRequestError"),
        ("<html>not a key", "not XML"),
        ("<UserDelegationKey><Value>no key</Value></UserDelegationKey>", "can't sign"),
    ],
)
async def test_no_verification_token_without_a_delegation_key_and_the_log_says_why(
    action: DelegationKeyAction,
    plane: DelegationPlane,
    caplog: pytest.LogCaptureFixture,
    says: tuple[int, str] | AzureError | str,
    reason: str,
) -> None:
    plane.says["key"] = says

    assert await action.mint(JOB) == ()
    [record] = caplog.records
    assert reason in record.getMessage()


async def test_no_verification_token_without_an_access_token(
    wire: Wire, plane: DelegationPlane, credential: Credential, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*scopes: str) -> None:
        raise ClientAuthenticationError("no identity")

    monkeypatch.setattr(credential, "get_token", refused)
    async with StorageManagementClient(credential, SUBSCRIPTION, transport=wire) as client:
        assert await make(client, plane, credential, clock).mint(JOB) == ()
    assert plane.requests == []


async def test_missing_delegation_key_delays_the_revocation_by_a_bounded_time(
    action: DelegationKeyAction, credential: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*scopes: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(credential, "get_token", silent)
    monkeypatch.setattr(delegation_key, "_MINT_TIMEOUT", 0.01)

    assert await action.mint(JOB) == ()


async def test_neither_the_key_nor_the_app_s_token_is_logged_or_shown(
    action: DelegationKeyAction, plane: DelegationPlane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    tokens = await action.mint(JOB)

    for text in (caplog.text, repr(tokens)):
        assert plane.issued[0].value not in text
        assert "sig=" not in text
        assert "Bearer" not in text
