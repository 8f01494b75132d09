"""Verification by tokens of our own, against a data plane that checks their signatures as Azure would."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError

from shared.actions.verification import (
    LIFETIME,
    Answer,
    EndpointResult,
    Subject,
    Try,
    Verifier,
    judge,
    read_answer,
    unless_blocked,
)
from shared.domain.account import AccountFacts, SasPolicy
from shared.domain.revocation import Execution, Outcome, Verification, VerificationToken
from shared.sas import Service, verify
from tests.support import samples
from tests.support.data_plane import NEW_KEY, DataPlane
from tests.support.samples import ACCOUNT, KEYS, NOW, SERVICES

ACCEPTED, REFUSED = Try(Answer.ACCEPTED, "404"), Try(Answer.REFUSED, "403 AuthenticationFailed")
UNDECIDED = Try(Answer.UNDECIDED, "500")
POLICY = Subject("a token of the policy", "a token without it", control_decides=True, accepted="seen to be good")


@pytest.fixture
def plane() -> DataPlane:
    return DataPlane()


def verifier(plane: DataPlane, *, now: datetime = NOW) -> Verifier:
    return Verifier(plane.connect, clock=lambda: now, new_id=lambda: "11111111-2222-4333-8444-555555555555")


async def verified(
    plane: DataPlane,
    *tokens: VerificationToken,
    account: AccountFacts | None = None,
    changed: bool = True,
    after: timedelta = timedelta(seconds=1),
) -> Verification:
    execution = samples.execution(*(tokens or (samples.verification_token(),)))
    asked = verifier(plane, now=NOW + after)
    return await asked.verify(execution, account or samples.account(), changed=changed, new_key=NEW_KEY)


def endpoint(*tries: Try, control: Try = ACCEPTED, accepted_before: bool | None = None) -> EndpointResult:
    return EndpointResult("blob", tries or (REFUSED,) * 3, control, accepted_before)


# read_answer


@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (404, "BlobNotFound", Answer.ACCEPTED),
        (404, "ContainerNotFound", Answer.ACCEPTED),
        (404, "", Answer.ACCEPTED),
        (200, "", Answer.ACCEPTED),
        (403, "AuthorizationPermissionMismatch", Answer.ACCEPTED),
        (403, "AuthorizationSourceIPMismatch", Answer.ACCEPTED),
        (403, "AuthorizationProtocolMismatch", Answer.ACCEPTED),
        (403, "AuthorizationServiceMismatch", Answer.ACCEPTED),
        (403, "AuthorizationResourceTypeMismatch", Answer.ACCEPTED),
        (403, "AuthenticationFailed", Answer.REFUSED),
        (403, "AuthorizationFailure", Answer.UNDECIDED),
        (403, "KeyBasedAuthenticationNotPermitted", Answer.UNDECIDED),
        (403, "AccountIsDisabled", Answer.UNDECIDED),
        (403, "InsufficientAccountPermissions", Answer.UNDECIDED),
        (400, "AccountRequiresHttps", Answer.UNDECIDED),
        (401, "InvalidAuthenticationInfo", Answer.UNDECIDED),
        (401, "NoAuthenticationInformation", Answer.UNDECIDED),
        (409, "FeatureVersionMismatch", Answer.UNDECIDED),
        (403, "", Answer.UNDECIDED),
        (401, "AuthenticationFailed", Answer.UNDECIDED),
        (400, "AuthenticationFailed", Answer.UNDECIDED),
        (409, "PublicAccessNotPermitted", Answer.UNDECIDED),
        (500, "InternalError", Answer.UNDECIDED),
        (503, "ServerBusy", Answer.UNDECIDED),
        (307, "", Answer.UNDECIDED),
    ],
)
def test_answer_says_what_it_says_about_the_signature(status: int, code: str, answer: Answer) -> None:
    assert read_answer(status, code).answer is answer


# The first text is that of AzureStorageExplorer#8845. Its first words are in the query of azure-docs,
# sas-expiration-policy.md.
@pytest.mark.parametrize(
    "detail", ["Policy violated by no signed start.", "Policy violated by 3.00:00:00", "policy violated"]
)
def test_refusal_by_the_sas_expiration_policy_shows_nothing_of_the_signature(detail: str) -> None:
    answer = read_answer(403, "AuthenticationFailed", detail)

    assert answer.answer is Answer.UNDECIDED
    assert answer.said.startswith("403 AuthenticationFailed: the account's SAS expiration policy")


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "Signature did not match. String to sign used was r\nPolicy violated",
        "SAS identifier cannot be found for specified signed identifier",
        "Signature not valid in the specified time frame",
    ],
)
def test_other_details_leave_the_refusal_what_it_is(detail: str) -> None:
    assert read_answer(403, "AuthenticationFailed", detail).answer is Answer.REFUSED


def test_policy_that_refuses_a_token_makes_its_refusal_undecided_where_azure_gives_no_reason() -> None:
    policy = SasPolicy(timedelta(hours=1), blocks=True)

    assert unless_blocked(REFUSED, policy, "sr=b&se=2026-11-21T10%3A30%3A00Z").answer is Answer.UNDECIDED
    assert unless_blocked(ACCEPTED, policy, "sr=b&se=2026-11-21T10%3A30%3A00Z") is ACCEPTED
    assert unless_blocked(REFUSED, policy, "st=2026-11-21T10%3A00%3A00Z&se=2026-11-21T10%3A30%3A00Z") is REFUSED
    assert unless_blocked(REFUSED, None, "se=2026-11-21T10%3A30%3A00Z") is REFUSED


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AuthorizationFailure", "the account's network rules keep us out"),
        ("KeyBasedAuthenticationNotPermitted", "shared key access is switched off for the account"),
    ],
)
def test_refusal_that_is_not_about_the_key_is_explained(code: str, hint: str) -> None:
    assert read_answer(403, code).said == f"403 {code}: {hint}"


# EndpointResult


@pytest.mark.parametrize(
    ("result", "refused"),
    [
        (endpoint(), True),
        (endpoint(control=REFUSED), False),
        (endpoint(control=UNDECIDED), False),
        (endpoint(control=UNDECIDED, accepted_before=False), False),
        (endpoint(control=UNDECIDED, accepted_before=True), True),
        (endpoint(control=REFUSED, accepted_before=True), True),
        (endpoint(REFUSED, REFUSED, ACCEPTED, accepted_before=True), False),
        (endpoint(REFUSED, UNDECIDED, REFUSED, accepted_before=True), False),
        (replace(endpoint(control=UNDECIDED, accepted_before=True), subject=POLICY), False),
        (replace(endpoint(control=REFUSED, accepted_before=True), subject=POLICY), False),
        (replace(endpoint(), subject=POLICY), True),
    ],
)
def test_refused_means_shown_good_and_refused_every_time(result: EndpointResult, refused: bool) -> None:
    assert result.refused is refused


@pytest.mark.parametrize("tries", [(ACCEPTED,), (REFUSED, REFUSED, ACCEPTED), (UNDECIDED, ACCEPTED, UNDECIDED)])
def test_one_acceptance_is_a_sign_of_life(tries: Iterable[Try]) -> None:
    assert endpoint(*tries).accepted


@pytest.mark.parametrize(
    ("result", "evidence"),
    [
        (endpoint(ACCEPTED), "a token signed by the old key is still accepted."),
        (endpoint(REFUSED, Try(Answer.UNDECIDED, "503 ServerBusy")), "not decided: 503 ServerBusy."),
        (endpoint(control=Try(Answer.UNDECIDED, "400 Bad")), "not decided: 400 Bad."),
        (endpoint(control=REFUSED), "not decided: 403 AuthenticationFailed."),
        (
            endpoint(),
            "a token signed by the old key was refused 3 times on fresh connections "
            "(403 AuthenticationFailed); the same token signed by the new key is accepted.",
        ),
        (
            endpoint(control=UNDECIDED, accepted_before=True),
            "a token signed by the old key was accepted before (404) and refused 3 times on fresh "
            "connections (403 AuthenticationFailed).",
        ),
        (
            replace(endpoint(accepted_before=True), subject=POLICY),
            "a token of the policy was accepted before (seen to be good) and refused 3 times on fresh connections "
            "(403 AuthenticationFailed); a token without it is accepted.",
        ),
        (replace(endpoint(ACCEPTED), subject=POLICY), "a token of the policy is still accepted."),
    ],
)
def test_evidence_says_no_more_than_was_seen(result: EndpointResult, evidence: str) -> None:
    assert result.evidence == evidence


# judge

GONE, VALID, OPEN = endpoint(), endpoint(ACCEPTED), endpoint(control=REFUSED)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("endpoints", "waited", "outcome"),
    [
        ([GONE], SECOND, Outcome.PROVEN),
        ([GONE, GONE], SECOND, Outcome.PROVEN),
        ([GONE, VALID], SECOND, Outcome.PENDING),
        ([VALID], timedelta(minutes=10), Outcome.PENDING),
        ([VALID], timedelta(minutes=27) - SECOND, Outcome.PENDING),
        ([VALID], timedelta(minutes=27), Outcome.STILL_ALIVE),
        ([GONE, VALID], timedelta(minutes=27), Outcome.STILL_ALIVE),
        ([OPEN], SECOND, Outcome.PENDING),
        ([OPEN], timedelta(minutes=2) - SECOND, Outcome.PENDING),
        ([OPEN], timedelta(minutes=2), Outcome.ARM_ONLY),
        ([GONE, OPEN], SECOND, Outcome.PENDING),
        ([GONE, OPEN], timedelta(minutes=2), Outcome.PROVEN),
        ([], SECOND, Outcome.ARM_ONLY),
    ],
)
def test_outcome_is_no_more_than_the_endpoints_show(
    endpoints: list[EndpointResult], waited: timedelta, outcome: Outcome
) -> None:
    assert judge(samples.execution(), endpoints, now=NOW + waited) is outcome


# minting


@pytest.mark.parametrize("service", SERVICES)
def test_verification_token_is_signed_by_the_key_to_regenerate(plane: DataPlane, service: Service) -> None:
    [token] = verifier(plane).mint(samples.account(), [service], key=KEYS["key2"])

    minted = samples.leak(f"{token.url}{'&' if '?' in token.url else '?'}{token.query}")
    assert verify(minted, account=ACCOUNT, keys=KEYS).key == "key2"


@pytest.mark.parametrize("service", SERVICES)
def test_verification_token_reads_one_object_over_https_for_half_an_hour(plane: DataPlane, service: Service) -> None:
    [token] = verifier(plane).mint(samples.account(), [service], key=KEYS["key2"])

    query = parse_qs(token.query)
    assert (query["sp"], query["spr"], query["se"]) == (["r"], ["https"], ["2026-11-21T10:30:00Z"])
    assert "ss" not in query
    assert query.get("sr", ["-"]) != ["c"]


def test_verification_token_is_valid_for_half_an_hour_in_whole_seconds(plane: DataPlane) -> None:
    """The service reads the end with the token's own precision, and the record must say the same."""
    odd = NOW.replace(microsecond=999_999)
    [token] = verifier(plane, now=odd).mint(samples.account(), [Service.BLOB], key=KEYS["key2"])

    assert token.expires == (odd + LIFETIME).replace(microsecond=0)


def of_period(period: timedelta | None, *, blocks: bool = True) -> AccountFacts:
    return replace(samples.account(), sas_policy=SasPolicy(period, blocks=blocks))


def parameters(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def test_verification_token_began_five_minutes_ago(plane: DataPlane) -> None:
    [token] = verifier(plane).mint(samples.account(), [Service.BLOB], key=KEYS["key2"])

    assert parameters(token.query)["st"] == "2026-11-21T09:55:00Z"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("minutes", [1, 5, 20, 34, 35, 36, 60 * 24 * 7])
def test_verification_token_fits_the_sas_policy_of_the_account(
    plane: DataPlane, service: Service, blocks: bool, minutes: int
) -> None:
    odd = NOW.replace(microsecond=999_999)
    period = timedelta(minutes=minutes)
    account = of_period(period, blocks=blocks)
    [token] = verifier(plane, now=odd).mint(account, [service], key=KEYS["key2"])

    assert not SasPolicy(period, blocks=True).refuses(parameters(token.query))
    assert odd < token.expires <= odd + LIFETIME


@pytest.mark.parametrize("minutes", [20, 60])
async def test_control_fits_the_sas_policy_and_ends_with_the_token(plane: DataPlane, minutes: int) -> None:
    account = of_period(timedelta(minutes=minutes))
    [token] = verifier(plane).mint(account, [Service.BLOB], key=KEYS["key2"])
    await verified(plane, token, account=account)

    sent = {request.url.partition("?")[2] for request in plane.requests}
    [control] = sent - {token.query}
    assert {name: parameters(control)[name] for name in ("st", "se")} == {
        name: parameters(token.query)[name] for name in ("st", "se")
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_token_that_the_policy_refuses_is_not_taken_for_a_revoked_key(
    plane: DataPlane, service: Service
) -> None:
    token = samples.verification_token(service, accepted_before=True)
    account = of_period(timedelta(minutes=1))  # shorter than when the token was minted

    verification = await verified(plane, token, account=account, after=timedelta(minutes=3))

    assert verification.outcome is Outcome.ARM_ONLY
    assert "SAS expiration policy" in " ".join(verification.evidence)


def test_period_that_can_t_be_read_leaves_the_token_as_it_is_elsewhere(plane: DataPlane) -> None:
    [token] = verifier(plane).mint(of_period(None), [Service.BLOB], key=KEYS["key2"])

    assert token.expires == NOW + LIFETIME


def test_verification_token_for_each_service_of_the_leak_and_the_account(plane: DataPlane) -> None:
    account = samples.account()
    without_files = replace(account, endpoints={s: u for s, u in account.endpoints.items() if s is not Service.FILE})

    tokens = verifier(plane).mint(without_files, [Service.TABLE, Service.FILE, Service.BLOB], key=KEYS["key2"])

    assert [token.service for token in tokens] == [Service.BLOB, Service.TABLE]


def test_object_of_a_verification_token_has_a_random_name(plane: DataPlane) -> None:
    ids = iter(("aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"))
    two = Verifier(plane.connect, clock=lambda: NOW, new_id=lambda: next(ids))

    one, other = (two.mint(samples.account(), [Service.BLOB], key=KEYS["key2"])[0].url for _ in range(2))

    assert one == f"https://{ACCOUNT}.blob.core.windows.net/sasquashproofaaaaaaaa00004000/none"
    assert other != one


# try_before


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


# prove


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
