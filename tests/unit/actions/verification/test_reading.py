"""How an answer of Azure Storage is read, and what answers of several endpoints come to."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.actions.verification import (
    Answer,
    EndpointResult,
    Subject,
    Try,
    judge,
    read_answer,
    unless_blocked,
)
from shared.domain.account import SasPolicy
from shared.domain.execution import Outcome
from tests.support import samples
from tests.support.samples import NOW

ACCEPTED, REFUSED = Try(Answer.ACCEPTED, "404"), Try(Answer.REFUSED, "403 AuthenticationFailed")


UNDECIDED = Try(Answer.UNDECIDED, "500")


POLICY = Subject("a token of the policy", "a token without it", control_decides=True, accepted="seen to be good")


def endpoint(*tries: Try, control: Try = ACCEPTED, accepted_before: bool | None = None) -> EndpointResult:
    return EndpointResult("blob", tries or (REFUSED,) * 3, control, accepted_before)


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
