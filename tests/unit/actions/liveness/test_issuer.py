"""Whether the issuer of a leaked token exists."""

import asyncio
from dataclasses import replace

import pytest

from shared.actions import liveness
from shared.errors import Blocked, SasquashError, TransientFailure
from tests.support import samples
from tests.support.liveness import (
    ISSUER,
    Plane,
    ask,
    blob,
    check,
    delegation_key,
    exists,
    leak,
)


@pytest.mark.parametrize(
    ("answer", "alive", "said"),
    [
        (True, True, "and its issuer exists in our tenant."),
        (False, None, f"but its issuer ({ISSUER.lower()}) is not in our tenant, or no longer."),
        (
            Blocked("Looking up failed: 403: lacks Application.Read.All. See docs/rights.md."),
            None,
            "but whether its issuer exists could not be checked: Looking up failed: 403: lacks "
            "Application.Read.All. See docs/rights.md.",
        ),
        (
            TransientFailure("Graph is away."),
            None,
            "but whether its issuer exists could not be checked: Graph is away.",
        ),
    ],
)
async def test_what_azure_accepts_lives_if_its_issuer_exists(
    plane: Plane, answer: bool | SasquashError, alive: bool | None, said: str
) -> None:
    answer = await ask(plane, blob(), issuer=exists(answer))

    assert answer.alive is alive
    assert answer.said == f"Azure accepted its signature (404 BlobNotFound), {said}"


@pytest.mark.parametrize("answer", [True, False, Blocked("no right")])
async def test_token_that_azure_refuses_is_invalid_for_every_issuer(
    plane: Plane, answer: bool | SasquashError
) -> None:
    plane.says = (403, "AuthenticationFailed")

    assert (await ask(plane, blob(), issuer=exists(answer))).alive is False


async def nobody_asks(object_id: str) -> bool:
    raise AssertionError(f"{object_id} was looked up")


async def test_issuer_of_another_tenant_is_not_looked_up_in_ours(plane: Plane) -> None:
    other = blob(key=delegation_key(tenant="00000000-0000-4000-8000-000000000000"))

    answer = await ask(plane, other, issuer=nobody_asks)

    assert answer.alive is True
    assert answer.said.endswith("and its issuer is of another tenant than ours.")


@pytest.mark.parametrize("issuer", ["me", "../me", ISSUER[:-1], f"{{{ISSUER}}}", ISSUER.replace("-", "")])
async def test_issuer_that_is_no_guid_is_not_looked_up(plane: Plane, issuer: str) -> None:
    credential = leak(blob()).credential
    forged = replace(
        credential, parameters=tuple((n, issuer if n == "skoid" else value) for n, value in credential.parameters)
    )

    answer = await check(plane, nobody_asks).ask(forged, "sig=x", samples.account())

    assert answer.alive is None
    assert answer.said.endswith("but it names no valid issuer id.")


async def test_lookup_that_never_ends_is_ended(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(object_id: str) -> bool:
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(liveness, "_ISSUER_TIMEOUT", 0.01)

    answer = await ask(plane, blob(), issuer=silent)

    assert answer.alive is None
    assert "could not be checked within" in answer.said
