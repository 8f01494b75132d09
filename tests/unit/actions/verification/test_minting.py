"""The verification tokens of our own."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from shared.actions.verification import (
    LIFETIME,
    Verifier,
)
from shared.domain.account import AccountFacts, SasPolicy
from shared.domain.execution import Outcome
from shared.sas import Service, verify
from tests.support import samples
from tests.support.data_plane import DataPlane
from tests.support.samples import ACCOUNT, KEYS, NOW, SERVICES
from tests.support.verification_tokens import verified, verifier


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
