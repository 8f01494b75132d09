"""Key distribution when Key Vault or ARM fails, and secrets that no failure shows."""

import asyncio
import logging

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.rest import HttpRequest
from azure.keyvault.secrets.aio import SecretClient
from starlette.types import ASGIApp

from local.entra.service import Entra
from local.key_vault import service
from local.tenant.model import KEY_VAULT, Cloud
from local.tenant.model.vault import Vault
from shared.domain.execution import KeyDistributionOutcome
from shared.errors import AccountGone, Blocked, SasquashError, Throttled, TransientFailure
from shared.followup import key_distribution
from shared.followup.key_distribution import KeyDistributor
from tests.support.asgi import Credential
from tests.support.key_vaults import (
    ID,
    NAME,
    NEW,
    OLD,
    REPLACED,
    Arm,
    FaultyTransport,
    account,
    answering,
    connection_string,
    distributor_for,
    execution,
    put,
    shown,
)

FAILURES: dict[str, tuple[ASGIApp | AzureError, type[SasquashError]]] = {
    "408": (answering(408), TransientFailure),
    "429": (answering(429, Retry_After="0"), Throttled),
    "500": (answering(500), TransientFailure),
    "503": (answering(503, Retry_After="0"), TransientFailure),
    "reset": (ServiceRequestError("reset"), TransientFailure),
    "cut": (ServiceResponseError("cut"), TransientFailure),
    "400": (answering(400), Blocked),
    "409": (answering(409), Blocked),
}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
@pytest.mark.parametrize("failure", FAILURES)
async def test_failure_is_raised_and_the_next_run_does_the_rest(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, method: str, failure: str
) -> None:
    put(vault)
    (wire.instead, error), wire.method = FAILURES[failure], method

    with pytest.raises(error) as failed:
        await distributor.run(execution(), account())

    assert type(failed.value) is error
    assert wire.count("PUT") == {"GET": 0, "PUT": 1, "PATCH": 1}[method]
    wire.instead = None
    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


async def test_write_that_is_refused_for_now_is_not_read_back(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)
    wire.instead, wire.method = answering(429, Retry_After="7"), "PUT"

    with pytest.raises(Throttled) as failed:
        await distributor.run(execution(), account())

    assert failed.value.retry_after == 7
    assert wire.lines[-1].startswith("PUT")


async def test_write_that_did_not_happen_fails_with_what_key_vault_said(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)
    wire.instead, wire.method = answering(503), "PUT"

    with pytest.raises(TransientFailure, match=f"Writing a version of {ID} failed: 503 Code"):
        await distributor.run(execution(), account())


@pytest.mark.parametrize("instead", [answering(503), ServiceResponseError("cut")], ids=["503", "cut"])
async def test_answer_that_is_lost_costs_no_second_version(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, instead: ASGIApp | AzureError
) -> None:
    put(vault)
    wire.instead, wire.method, wire.after = instead, "PUT", True

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 1


async def test_answer_that_shows_no_new_key_disables_nothing(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)
    wire.instead, wire.method = answering(200, {"value": OLD, "id": f"{ID}/{'0' * 32}"}), "PUT"

    with pytest.raises(TransientFailure, match="does not have the new key2"):
        await distributor.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


async def test_disabling_is_tried_again_at_once(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)
    wire.instead, wire.method = ServiceResponseError("cut"), "PATCH"

    def heal(_: HttpRequest) -> None:
        if wire.count("PATCH"):
            wire.instead = None

    wire.before = heal

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_silence_ends_the_run(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_distribution, "_DEADLINE", 0.2)
    put(vault)
    wire.instead, wire.method = asyncio.Event(), method

    with pytest.raises(TransientFailure, match="Distributing key2 of robustmodels took more than"):
        await distributor.run(execution(), account())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_redirect_is_not_followed(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, method: str, status: int
) -> None:
    put(vault)
    wire.instead = answering(status, location="https://evil.example/")
    wire.method = method

    with pytest.raises(Blocked):
        await distributor.run(execution(), account())

    assert all(f"https://{KEY_VAULT}." in line for line in wire.lines)


async def test_missing_right_needs_a_person_and_is_named(cloud: Cloud, entra: Entra, vault: Vault, arm: Arm) -> None:
    put(vault)
    wire = FaultyTransport(service.app(cloud, entra))
    powerless = Credential(entra, cloud.identities["reader"])
    async with SecretClient(f"https://{KEY_VAULT}.vault.azure.net", powerless, transport=wire) as client:
        with pytest.raises(Blocked) as refused:
            await distributor_for(client, arm).run(execution(), account())

    assert '403 ForbiddenByRbac: the app\'s identity lacks the role "Key Vault Secrets Officer"' in str(refused.value)
    assert f"on key vault {KEY_VAULT}" in str(refused.value)


@pytest.mark.parametrize("code", ["ForbiddenByFirewall", "ForbiddenByConnection"])
async def test_closed_vault_is_blocked_with_its_own_message(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, code: str
) -> None:
    put(vault)
    wire.instead = answering(403, {"error": {"code": "Forbidden", "message": "m", "innererror": {"code": code}}})

    with pytest.raises(Blocked, match=f"403 {code}. Key vault {KEY_VAULT} is closed to the network"):
        await distributor.run(execution(), account())


@pytest.mark.parametrize("body", [{}, {"error": {}}, {"error": {"innererror": None}}, {"error": "no"}, "text"])
async def test_refusal_without_a_reason_needs_a_person(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, body: object
) -> None:
    put(vault)
    wire.instead = answering(403, body)

    with pytest.raises(Blocked, match="Key Vault Secrets Officer"):
        await distributor.run(execution(), account())


async def test_arm_that_still_lists_the_old_key_is_asked_again_later(
    distributor: KeyDistributor, vault: Vault, arm: Arm
) -> None:
    put(vault)
    arm.key2 = OLD

    with pytest.raises(TransientFailure, match="ARM still lists the old key2 of robustmodels"):
        await distributor.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


async def test_account_that_is_gone_ends_the_run(distributor: KeyDistributor, vault: Vault, arm: Arm) -> None:
    put(vault)
    arm.fails = AccountGone("Listing the keys of robustmodels failed: 404.")

    with pytest.raises(AccountGone):
        await distributor.run(execution(), account())


async def test_secret_that_is_deleted_before_the_write_is_not_made_again(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)

    def meanwhile(request: HttpRequest) -> None:
        vault.secrets[NAME].deleted = request.method == "PUT"

    wire.before = meanwhile

    with pytest.raises(Blocked, match="409"):
        await distributor.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
@pytest.mark.parametrize("status", [200, 400, 403, 409, 429, 500])
async def test_no_failure_repeats_a_key_or_what_key_vault_said(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, method: str, status: int
) -> None:
    put(vault)
    said = {"error": {"code": OLD, "message": f"the key is {NEW}", "innererror": {"code": NEW}}}
    wire.instead, wire.method = answering(status, said), method

    try:
        shown = repr(await distributor.run(execution(), account()))
    except SasquashError as failed:
        shown = f"{failed} {failed!r}"

    assert not any(key.rstrip("=") in shown for key in (OLD, NEW))


async def test_nothing_of_the_secret_is_logged_or_recorded(
    distributor: KeyDistributor, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(vault, connection_string(OLD))

    done = await distributor.run(execution(), account(form="connection-string"))

    assert done.outcome is KeyDistributionOutcome.DONE
    assert not any(key.rstrip("=") in f"{caplog.text} {done!r}" for key in (OLD, NEW))
