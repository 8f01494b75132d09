import json
from collections.abc import Iterator

import pytest

from shared import errors
from shared.api import problems
from shared.api.problems import NoCredentialFound
from shared.api.request_body import CompressedBody, IncompleteBody, LengthRequired
from shared.errors import AccountBusy, Blocked, NotFound, SasquashError, Throttled, TransientFailure
from shared.sources.json_body import TooLarge, UnsupportedMediaType
from tests.support import samples


def every_error(kind: type[SasquashError] = SasquashError) -> Iterator[type[SasquashError]]:
    yield kind
    for below in kind.__subclasses__():
        if not below.__name__.startswith("_"):  # one that a module raises and catches itself
            yield from every_error(below)


def made(kind: type[SasquashError]) -> SasquashError:
    if issubclass(kind, errors.UnreadableRow):
        return kind("It went wrong.", table="revocations", partition="ab", key="ab" * 32, is_newer=True)
    return (
        kind("It went wrong.", retry_after=2.2)
        if issubclass(kind, AccountBusy | errors.QuotaExceeded)
        else kind("It went wrong.")
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidRequest, 400),
        (errors.Unauthenticated, 401),
        (errors.NotPermitted, 403),
        (errors.NotAPerson, 403),
        (errors.NoSuchRecord, 404),
        (errors.NoSuchSource, 404),
        (errors.QuotaExceeded, 429),
        (problems.NotSigned, 401),
        (errors.WrongState, 409),
        (errors.Conflict, 409),
        (TooLarge, 413),
        (UnsupportedMediaType, 415),
        (LengthRequired, 411),
        (CompressedBody, 415),
        (IncompleteBody, 400),
        (NoCredentialFound, 422),
        (errors.SettingsError, 500),
        (errors.UnreadableRow, 500),
        (Blocked, 502),
        (NotFound, 502),
        (errors.AccountGone, 502),
        (errors.StillListed, 502),
        (errors.StorageRefused, 502),
        (TransientFailure, 503),
        (Throttled, 503),
        (AccountBusy, 503),
    ],
)
def test_an_error_has_its_status(kind: type[SasquashError], status: int) -> None:
    assert problems.answer(made(kind)).status_code == status


@pytest.mark.parametrize("kind", tuple(every_error()))
def test_every_error_becomes_problem_details(kind: type[SasquashError]) -> None:
    answer = problems.answer(made(kind))

    problem = json.loads(answer.get_body())
    assert answer.mimetype == "application/problem+json"
    assert problem["type"] == f"urn:sasquash:problem:{kind.code}"
    assert problem["code"] == kind.code
    assert problem["status"] == answer.status_code
    assert problem["detail"] == "It went wrong."
    assert problem["title"]


def test_only_subclasses_share_a_code() -> None:
    holders: dict[str, type[SasquashError]] = {}
    for kind in every_error():
        holder = holders.setdefault(kind.code, kind)
        assert issubclass(kind, holder), f"{kind.__name__} and {holder.__name__} share a code"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (AccountBusy("Locked.", retry_after=2.2), "3"),
        (AccountBusy("Locked.", retry_after=0.0), "1"),
        (TransientFailure("No answer."), "5"),
        (Throttled("Too much.", retry_after=30), "30"),
        (errors.QuotaExceeded("Too many.", retry_after=90.5), "91"),
        (Blocked("No right."), None),
    ],
)
def test_transient_error_has_retry_after(error: SasquashError, seconds: str | None) -> None:
    assert problems.answer(error).headers.get("Retry-After") == seconds


def test_challenge_is_in_the_response() -> None:
    answer = problems.answer(errors.Unauthenticated("No."), challenge='Bearer realm="x"')

    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="x"'


def test_secret_in_a_message_is_redacted() -> None:
    leaked = samples.account_sas()

    answer = problems.answer(Blocked(f"GET {leaked} failed."))

    assert leaked.partition("sig=")[2][:20] not in answer.get_body().decode()
