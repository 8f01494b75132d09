"""The delegation key action, through the real management client, against the local ARM in process."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientOSError
from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.mgmt.storage.aio import StorageManagementClient
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.types import ASGIApp

from local.arm import service
from local.entra.service import Entra
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.actions import delegation_key
from shared.actions.delegation_key import DelegationKeyAction, DelegationKeySpec
from shared.actions.liveness import LivenessCheck
from shared.actions.user_delegation import UserDelegation
from shared.actions.verification import Verifier
from shared.domain.revocation import Execution, Outcome, VerificationToken
from shared.domain.target import DELEGATION_KEYS, ActionKind
from shared.errors import AccountGone, Blocked, Throttled, TransientFailure
from shared.sas import Kind, Service, extract_leaks
from tests.support import samples
from tests.support.arm_transport import NO_CONNECTION, Wire, answering
from tests.support.asgi import Credential
from tests.support.delegation_plane import DelegationPlane
from tests.support.jobs import job
from tests.support.samples import ACCOUNT, SUBSCRIPTION, TENANT

CORRELATION_ID = "11111111-2222-4333-8444-555555555555"
NAME = "sasquashproof1111111122224333/none"
HOST = f"{ACCOUNT}.blob.core.windows.net"
SECONDARY = f"{ACCOUNT}-secondary.blob.core.windows.net"
PLAN = replace(samples.plan(), action=ActionKind.DELEGATION_KEY, target=DELEGATION_KEYS, version="")
JOB = job(PLAN)


class Clock:
    """The real time, as the stand-ins have it, and what a test has moved it on by."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def account() -> Account:
    return Account(name=ACCOUNT, resource_group="research")


@pytest.fixture
def cloud(account: Account) -> Cloud:
    return Cloud(accounts={ACCOUNT: account}, identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def credential(cloud: Cloud, entra: Entra) -> Credential:
    return Credential(entra, cloud.identities["responder"])


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra), on="/revokeUserDelegationKeys")


@pytest.fixture
def plane(account: Account, entra: Entra) -> DelegationPlane:
    return DelegationPlane(account, entra)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def action(
    wire: Wire, plane: DelegationPlane, credential: Credential, clock: Clock
) -> AsyncIterator[DelegationKeyAction]:
    async with StorageManagementClient(
        credential, SUBSCRIPTION, transport=wire, retry_total=2, retry_backoff_factor=0
    ) as client:
        yield make(client, plane, credential, clock)


def make(
    client: StorageManagementClient, plane: DelegationPlane, credential: Credential, clock: Clock
) -> DelegationKeyAction:
    async def principal_exists(object_id: str) -> bool:
        return True

    return DelegationKeyAction(
        lambda _: client,
        Verifier(plane.connect, clock=clock, new_id=lambda: CORRELATION_ID),
        delegation=UserDelegation(credential, plane.connect),
        liveness=LivenessCheck(
            plane.connect,
            principal_exists=principal_exists,
            tenant_id=TENANT,
            clock=clock,
            new_id=lambda: CORRELATION_ID,
        ),
        clock=clock,
        new_id=lambda: CORRELATION_ID,
    )


async def execution(action: DelegationKeyAction, *tokens: VerificationToken) -> Execution:
    return (await action.execute(JOB, tokens)).execution


# impact


def test_impact_names_the_account() -> None:
    lines = DelegationKeySpec().impact(samples.account(), "all")

    assert lines[0].startswith("Every user delegation SAS of robustmodels, from every issuer")
    assert not any("{" in line for line in lines)


# mint


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


# execute


async def test_what_was_issued_before_is_revoked(action: DelegationKeyAction, account: Account, clock: Clock) -> None:
    before = clock()
    await execution(action)

    assert account.delegation_keys_revoked_at is not None
    assert before <= account.delegation_keys_revoked_at <= clock()


async def test_execution_records_what_was_done(action: DelegationKeyAction, account: Account, clock: Clock) -> None:
    executed = await execution(action)

    assert executed == Execution(
        ActionKind.DELEGATION_KEY, DELEGATION_KEYS, executed.at, "", "", "answer", CORRELATION_ID
    )
    assert account.delegation_keys_revoked_at is not None
    assert account.delegation_keys_revoked_at <= executed.at <= clock()


async def test_correlation_id_of_the_record_is_sent_to_arm(action: DelegationKeyAction, wire: Wire) -> None:
    await execution(action)

    [request] = wire.calls
    assert request.headers["x-ms-correlation-request-id"] == CORRELATION_ID


async def test_revoking_twice_ends_the_same_way(action: DelegationKeyAction, wire: Wire) -> None:
    wire.instead, wire.after = answering(503), True
    with pytest.raises(TransientFailure):
        await execution(action)
    wire.instead = None

    again = await execution(action)

    assert (again.confirmed_by, len(wire.calls)) == ("answer", 2)


@pytest.mark.parametrize(
    ("instead", "error", "certain"),
    [
        (answering(408), TransientFailure, False),
        (answering(429, Retry_After="0"), Throttled, True),
        (answering(500), TransientFailure, False),
        (answering(503, Retry_After="0"), TransientFailure, False),
        (ServiceRequestError("reset", error=ClientOSError(104, "reset")), TransientFailure, False),
        (ServiceRequestError("refused", error=NO_CONNECTION), TransientFailure, True),
        (ServiceResponseError("cut"), TransientFailure, False),
    ],
    ids=["408", "429", "500", "503", "reset", "refused", "cut"],
)
async def test_call_that_fails_in_passing_is_sent_once(
    action: DelegationKeyAction,
    wire: Wire,
    instead: ASGIApp | AzureError,
    error: type[TransientFailure],
    certain: bool,
) -> None:
    wire.instead = instead

    with pytest.raises(TransientFailure) as failed:
        await execution(action)

    assert len(wire.calls) == 1
    assert type(failed.value) is error
    assert failed.value.had_no_effect is certain


async def test_call_that_is_never_answered_is_sent_once(
    action: DelegationKeyAction, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegation_key, "_REVOKE_TIMEOUT", 0.05)
    wire.instead = asyncio.Event()

    with pytest.raises(TransientFailure, match="got no answer within"):
        await execution(action)

    assert len(wire.calls) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(action: DelegationKeyAction, wire: Wire, status: int) -> None:
    wire.instead = answering(status, location="https://management.azure.com/elsewhere/revokeUserDelegationKeys")

    with pytest.raises(Blocked):
        await execution(action)

    assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AuthorizationFailed"), (403, "RequestDisallowedByPolicy"), (409, "ScopeLocked"), (400, "BadRequest")],
)
async def test_refusal_is_sent_once_and_needs_a_person(
    action: DelegationKeyAction, wire: Wire, status: int, code: str
) -> None:
    wire.instead = answering(status, {"error": {"code": code, "message": "m"}})

    with pytest.raises(Blocked, match=f"Revoking the user delegation keys of robustmodels failed: {status} {code}"):
        await execution(action)

    assert len(wire.calls) == 1


async def test_read_only_lock_is_named(action: DelegationKeyAction, account: Account) -> None:
    account.locks.append("ReadOnly")

    with pytest.raises(Blocked, match="a ReadOnly lock forbids it"):
        await execution(action)


async def test_missing_account_has_its_own_error(action: DelegationKeyAction, cloud: Cloud) -> None:
    del cloud.accounts[ACCOUNT]

    with pytest.raises(AccountGone):
        await execution(action)


async def test_verification_token_is_tried_before_the_keys_are_revoked(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    tokens = await action.mint(JOB)

    executed = await execution(action, *tokens)

    assert executed.verification_tokens == (replace(tokens[0], accepted_before=True),)
    assert len(plane.requests) == 2


# prove


async def executed(action: DelegationKeyAction) -> Execution:
    return await execution(action, *await action.mint(JOB))


async def test_token_refused_while_a_new_key_is_accepted_is_revoked(action: DelegationKeyAction) -> None:
    verification = await action.verify(await executed(action), samples.account(), samples.revocation())

    assert verification.outcome is Outcome.PROVEN
    assert not verification.accepted
    assert verification.evidence == (
        "ARM: the revocation of all user delegation keys of robustmodels was answered with success.",
        "blob: a user delegation SAS of our own from before the revocation was accepted before (its signature was "
        "found good) and refused 3 times on fresh connections (403 AuthenticationFailed); one by a user delegation "
        "key from after it is accepted.",
    )


async def test_new_key_s_time_does_not_begin_before_the_revocation(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    done = await executed(action)
    await action.verify(done, samples.account(), samples.revocation())

    old, new = plane.issued
    assert datetime.fromisoformat(new.start) == done.at.replace(microsecond=0)
    assert (new.start, new.expiry) != (old.start, old.expiry)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(0), Outcome.PENDING),
        (timedelta(minutes=10), Outcome.PENDING),
        (timedelta(minutes=28), Outcome.STILL_ALIVE),
    ],
)
async def test_cached_key_is_waited_for_and_then_said_to_be_alive(
    action: DelegationKeyAction, account: Account, clock: Clock, after: timedelta, outcome: Outcome
) -> None:
    done = await executed(action)
    account.delegation_keys_revoked_at = None
    clock.ahead = after

    verification = await action.verify(done, samples.account(), samples.revocation())

    assert verification.outcome is outcome
    assert verification.accepted
    assert "is still accepted" in verification.evidence[1]


async def test_without_a_verification_token_only_arm_answers(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    verification = await action.verify(await execution(action), samples.account(), samples.revocation())

    assert verification.outcome is Outcome.ARM_ONLY
    assert len(verification.evidence) == 1
    assert "Storage Blob Delegator" in verification.evidence[0]
    assert plane.requests == []


@pytest.mark.parametrize(
    ("accepted_before", "after", "outcome"),
    [
        (True, timedelta(0), Outcome.PROVEN),
        (None, timedelta(0), Outcome.PENDING),
        (False, timedelta(minutes=1), Outcome.PENDING),
        (None, timedelta(minutes=3), Outcome.ARM_ONLY),
    ],
)
async def test_without_a_control_only_a_token_accepted_before_counts_as_revoked(
    *,
    action: DelegationKeyAction,
    plane: DelegationPlane,
    clock: Clock,
    accepted_before: bool | None,
    after: timedelta,
    outcome: Outcome,
) -> None:
    done = await executed(action)
    [token] = done.verification_tokens
    plane.says["key"] = (403, "AuthorizationPermissionMismatch")
    clock.ahead = after

    verification = await action.verify(
        replace(done, verification_tokens=(replace(token, accepted_before=accepted_before),)),
        samples.account(),
        samples.revocation(),
    )

    assert verification.outcome is outcome
    assert (
        "There is nothing to compare with: Getting a user delegation key of robustmodels failed"
        in verification.evidence[0]
    )
    assert "sig=" not in repr(verification)


@pytest.mark.parametrize(("after", "outcome"), [(0, Outcome.PENDING), (3, Outcome.ARM_ONLY)])
async def test_firewall_does_not_pass_for_a_revocation(
    action: DelegationKeyAction, plane: DelegationPlane, clock: Clock, after: int, outcome: Outcome
) -> None:
    done = await executed(action)
    plane.says[HOST] = (403, "AuthorizationFailure")
    clock.ahead = timedelta(minutes=after)

    assert (await action.verify(done, samples.account(), samples.revocation())).outcome is outcome


async def test_read_only_copy_has_to_refuse_too(action: DelegationKeyAction, plane: DelegationPlane) -> None:
    done = await executed(action)
    plane.says[SECONDARY] = (404, "ContainerNotFound")

    verification = await action.verify(done, samples.account(secondary=True), samples.revocation())

    assert verification.outcome is Outcome.PENDING
    assert verification.evidence[2].startswith("blob (secondary): ")


async def test_token_that_is_over_proves_nothing_and_is_not_asked(
    action: DelegationKeyAction, plane: DelegationPlane, clock: Clock
) -> None:
    done = await executed(action)
    asked = len(plane.requests)
    clock.ahead = timedelta(minutes=31)

    verification = await action.verify(done, samples.account(), samples.revocation())

    assert verification.outcome is Outcome.ARM_ONLY
    assert len(plane.requests) == asked


# check


async def test_leaked_token_lives_until_the_keys_are_revoked(
    action: DelegationKeyAction, plane: DelegationPlane
) -> None:
    [ours] = await action.mint(JOB)
    [leak] = extract_leaks(f"{ours.url}?{ours.query}")
    assert leak.token is not None

    before = await action.check(leak.credential, leak.token, samples.account())
    await execution(action)
    after = await action.check(leak.credential, leak.token, samples.account())

    assert (before.alive, after.alive) == (True, False)
    sent = [urlsplit(request.removeprefix("GET ")) for request in plane.requests if request.startswith("GET ")]
    assert [url.path for url in sent] == [f"/{NAME}"] * 2
    assert parse_qs(sent[0].query) == parse_qs(leak.token) | {"comp": ["metadata"]}
