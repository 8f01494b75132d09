from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.decision import user_delegation
from shared.domain.execution import Liveness
from shared.sas import Credential
from tests.support import samples
from tests.support.samples import NOW, TENANT, leak

START = datetime.fromisoformat("2026-11-20T00:00:00Z")  # of the sample's key
SECOND = timedelta(seconds=1)
LEAK = leak(samples.delegation_sas())
ALIVE = samples.liveness()


def altered(**changed: str) -> Credential:
    return replace(LEAK, parameters=tuple(sorted((dict(LEAK.parameters) | changed).items())))


def doubted(
    credential: Credential = LEAK,
    *,
    liveness: Liveness | None = ALIVE,
    last_execution: datetime | None = None,
    tenant_id: str = TENANT,
) -> str | None:
    return user_delegation.doubt(credential, liveness=liveness, last_execution=last_execution, tenant_id=tenant_id)


# doubt


def test_nothing_speaks_against_a_token_of_ours_that_azure_accepted() -> None:
    assert doubted() is None


@pytest.mark.parametrize("said", [None, samples.liveness(None), samples.liveness(False)])
def test_token_that_azure_did_not_accept_is_doubted(said: Liveness | None) -> None:
    assert doubted(liveness=said) is not None


def test_verdict_repeats_what_azure_said() -> None:
    assert doubted(liveness=samples.liveness(False)) == (
        "it is not certain that the token is genuine: Azure refused it"
    )


def test_token_of_another_tenant_is_doubted() -> None:
    assert doubted(tenant_id=samples.SUBSCRIPTION) == "the token's key was issued in another tenant than ours"


def test_tenant_is_the_same_however_it_is_spelled() -> None:
    assert doubted(altered(sktid=TENANT.upper())) is None


@pytest.mark.parametrize(
    ("ske", "is_doubted"), [("2026-11-27T00:00:00Z", False), ("2026-11-27T00:00:01Z", True), ("9999-12-31", True)]
)
def test_key_of_more_than_seven_days_is_doubted(ske: str, is_doubted: bool) -> None:
    assert (doubted(altered(ske=ske)) is not None) is is_doubted


@pytest.mark.parametrize("name", ["skt", "ske"])
def test_key_whose_times_cannot_be_read_is_doubted(name: str) -> None:
    assert doubted(altered(**{name: "yesterday"})) == "the start or the end of the token's key can't be read"


@pytest.mark.parametrize(
    ("last_execution", "is_doubted"), [(START - SECOND, False), (START, True), (START + SECOND, True)]
)
def test_key_that_began_before_our_latest_revocation_is_doubted(last_execution: datetime, is_doubted: bool) -> None:
    assert (doubted(last_execution=last_execution) is not None) is is_doubted


def test_doubtful_revocation_is_named() -> None:
    assert "at 2026-11-21 10:00:00 UTC" in (doubted(last_execution=NOW) or "")


def test_token_that_needs_a_sign_in_is_doubted_even_if_azure_accepted_it() -> None:
    assert "sign-in of one user" in (doubted(altered(sduoid=samples.SUBSCRIPTION)) or "")


# version


@pytest.mark.parametrize("name", ["skoid", "sktid", "skt", "ske"])
def test_plan_goes_stale_with_the_key_that_signed_the_leak(name: str) -> None:
    other = altered(**{name: "2026-11-19T00:00:00Z"})

    assert user_delegation.version(other, last_execution=None) != user_delegation.version(LEAK, last_execution=None)


def test_plan_goes_stale_with_another_revocation_of_ours() -> None:
    versions = {user_delegation.version(LEAK, last_execution=at) for at in (None, START, NOW)}

    assert len(versions) == 3


def test_two_leaks_of_one_delegation_key_share_a_plan() -> None:
    other = leak(samples.delegation_sas(permissions="w"))

    assert user_delegation.version(other, last_execution=NOW) == user_delegation.version(LEAK, last_execution=NOW)


def test_order_goes_stale_with_another_revocation_of_ours() -> None:
    assert user_delegation.version(None, last_execution=None) != user_delegation.version(None, last_execution=NOW)
