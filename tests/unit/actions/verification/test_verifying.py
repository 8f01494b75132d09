"""Tokens are tried before the action, and until they are refused after it."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from shared.domain.execution import Execution, Outcome
from shared.sas import Service
from tests.support import samples
from tests.support.data_plane import NEW_KEY, DataPlane
from tests.support.samples import ACCOUNT, KEYS, SERVICES
from tests.support.verification_tokens import verified, verifier


@pytest.mark.parametrize(
    ("says", "accepted"),
    [
        ((404, "BlobNotFound"), True),
        ((403, "AuthenticationFailed"), False),
        ((403, "AuthorizationFailure"), None),
        (ServiceRequestError("no route"), None),
    ],
)
async def test_token_is_tried_before_the_execution(
    plane: DataPlane, says: tuple[int, str] | AzureError, accepted: bool | None
) -> None:
    plane.says[f"{ACCOUNT}.blob.core.windows.net"] = says

    tried = await verifier(plane).try_before(samples.verification_token())

    assert tried == samples.verification_token(accepted_before=accepted)


@pytest.mark.parametrize("service", SERVICES)
async def test_key_refused_while_the_new_one_is_accepted_is_revoked(plane: DataPlane, service: Service) -> None:
    verification = await verified(plane, samples.verification_token(service))

    assert verification.outcome is Outcome.PROVEN
    assert "refused 3 times" in verification.evidence[1]


async def test_table_service_says_its_codes_in_the_body_alone(plane: DataPlane) -> None:
    plane.in_body = True

    assert (await verified(plane, samples.verification_token(Service.TABLE))).outcome is Outcome.PROVEN


async def test_key_that_is_still_accepted_is_not_revoked(plane: DataPlane) -> None:
    plane.keys.append(KEYS["key2"])

    verification = await verified(plane)

    assert verification.outcome is Outcome.PENDING
    assert verification.evidence[1] == "blob: a token signed by the old key is still accepted."


@pytest.mark.parametrize("accepted", [True, False])
async def test_verification_says_whether_the_old_key_was_accepted_last(plane: DataPlane, accepted: bool) -> None:
    plane.keys += [KEYS["key2"]] * accepted

    assert (await verified(plane)).accepted is accepted


async def test_key_that_outlives_all_patience_is_said_to_be_alive(plane: DataPlane) -> None:
    plane.keys.append(KEYS["key2"])

    assert (await verified(plane, after=timedelta(minutes=28))).outcome is Outcome.STILL_ALIVE


async def test_unchanged_key_is_alive_whatever_the_data_plane_says(plane: DataPlane) -> None:
    verification = await verified(plane, changed=False)

    assert verification.outcome is Outcome.STILL_ALIVE
    assert plane.requests == []


@pytest.mark.parametrize("code", ["AuthorizationFailure", "KeyBasedAuthenticationNotPermitted"])
@pytest.mark.parametrize(
    ("after", "outcome"), [(timedelta(seconds=1), Outcome.PENDING), (timedelta(minutes=3), Outcome.ARM_ONLY)]
)
async def test_firewall_is_not_taken_for_a_revoked_key(
    plane: DataPlane, code: str, after: timedelta, outcome: Outcome
) -> None:
    plane.says[f"{ACCOUNT}.blob.core.windows.net"] = (403, code)

    assert (await verified(plane, after=after)).outcome is outcome


async def test_request_that_every_key_fails_is_not_taken_for_a_revoked_key(plane: DataPlane) -> None:
    plane.says[f"{ACCOUNT}.blob.core.windows.net"] = (403, "AuthenticationFailed")

    assert (await verified(plane)).outcome is Outcome.PENDING


@pytest.mark.parametrize("error", [ServiceRequestError("no route"), ServiceResponseError("reset")])
async def test_data_plane_that_cannot_be_reached_leaves_arm_s_word(plane: DataPlane, error: AzureError) -> None:
    plane.says[f"{ACCOUNT}.blob.core.windows.net"] = error

    verification = await verified(plane, after=timedelta(minutes=3))

    assert verification.outcome is Outcome.ARM_ONLY
    assert type(error).__name__ in verification.evidence[1]


async def test_read_only_copy_has_to_refuse_too(plane: DataPlane) -> None:
    plane.says[f"{ACCOUNT}-secondary.blob.core.windows.net"] = (404, "ContainerNotFound")

    verification = await verified(plane, account=samples.account(secondary=True))

    assert verification.outcome is Outcome.PENDING
    assert verification.evidence[2].startswith("blob (secondary): a token signed by the old key is still accepted")


async def test_unreachable_secondary_keeps_the_verification_pending(plane: DataPlane) -> None:
    plane.says[f"{ACCOUNT}-secondary.blob.core.windows.net"] = ServiceResponseError("reset")

    assert (await verified(plane, account=samples.account(secondary=True))).outcome is Outcome.PENDING


async def test_every_service_and_its_copy_are_asked(plane: DataPlane) -> None:
    tokens = [samples.verification_token(service) for service in SERVICES]

    verification = await verified(plane, *tokens, account=samples.account(secondary=True))

    assert verification.outcome is Outcome.PROVEN
    [of_all] = verification.evidence[1:]  # one sentence where the same is to be said of all
    assert of_all.split(":")[0].split(", ") == [
        "blob",
        "blob (secondary)",
        "file",
        "queue",
        "queue (secondary)",
        "table",
        "table (secondary)",
    ]


async def test_each_try_has_a_connection_of_its_own_which_is_closed(plane: DataPlane) -> None:
    await verified(plane)

    assert (plane.opened, plane.closed, len(plane.requests)) == (4, 4, 4)


async def test_connection_is_closed_when_its_try_fails(plane: DataPlane) -> None:
    plane.says[f"{ACCOUNT}.blob.core.windows.net"] = ServiceResponseError("reset")
    await verified(plane)

    assert plane.opened == plane.closed


async def test_only_reads_of_one_thing_that_does_not_exist_are_sent(plane: DataPlane) -> None:
    await verified(plane)

    assert {(request.method, urlsplit(request.url).path) for request in plane.requests} == {
        ("GET", "/sasquashproof1/none")
    }


@pytest.mark.parametrize(
    ("left", "asked"),
    [(timedelta(minutes=1, seconds=1), True), (timedelta(minutes=1), False), (timedelta(minutes=-5), False)],
)
async def test_verification_token_near_its_expiry_is_not_tried(
    plane: DataPlane, left: timedelta, asked: bool
) -> None:
    verification = await verified(
        plane, samples.verification_token(life=timedelta(minutes=3) + left), after=timedelta(minutes=3)
    )

    assert bool(plane.requests) is asked
    assert verification.outcome is (Outcome.PROVEN if asked else Outcome.ARM_ONLY)


async def test_without_verification_tokens_only_arm_answers(plane: DataPlane) -> None:
    execution: Execution = samples.execution(confirmed_by="listing")

    verification = await verifier(plane).verify(execution, samples.account(), changed=True, new_key=NEW_KEY)

    assert verification.outcome is Outcome.ARM_ONLY
    assert verification.evidence == ("ARM: the hash of key2 is no longer that of the key that signed the leak.",)


async def test_verification_shows_no_token(plane: DataPlane) -> None:
    plane.says[f"{ACCOUNT}.file.core.windows.net"] = ServiceResponseError("https://x/?sig=abc")
    verification = await verified(plane, *(samples.verification_token(service) for service in SERVICES))

    signatures = [parse_qs(urlsplit(request.url).query)["sig"][0] for request in plane.requests]
    assert signatures
    assert not any(signature in repr(verification) for signature in (*signatures, "sig="))
