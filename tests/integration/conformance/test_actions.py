"""The conformance tests of containment actions, run against the local cloud."""

from collections.abc import AsyncIterator

import pytest

from conformance import accounts, actions
from local.cloud.cloud import LocalCloud
from tests.support.local_place import LocalPlace, local_place

QUICK = {"steady": 0.3, "patience": 20.0, "pause": 0.05}


@pytest.fixture
async def place(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalPlace]:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    async with local_place(cloud) as made:
        yield made


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (actions.account_key, "403 AuthenticationFailed"),
        (actions.stored_policy, "403 AuthenticationFailed"),
        (actions.delegation_keys, "403 AuthenticationFailed"),
        (actions.shared_key_off, "403 KeyBasedAuthenticationNotPermitted"),
        (actions.network_closed, "403 AuthorizationFailure); an anonymous request gets AuthorizationFailure"),
        (actions.policy_recreated, "accepted again"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_action_is_observed_to_revoke(place: LocalPlace, action: object, expected: str) -> None:
    result = await action(place, **QUICK)  # type: ignore[operator]

    assert result.startswith("refused after ")
    assert expected in result


async def test_policy_without_expiry_reports_acceptance_or_refusal(place: LocalPlace) -> None:
    assert (await actions.policy_without_expiry(place)).startswith("it is ")


async def test_key_creation_time_of_the_account_is_the_new_one(place: LocalPlace) -> None:
    assert (await accounts.key_creation_time(place, pause=0.05)).startswith("the account showed the new time ")


async def test_closed_account_is_observed_to_send_no_challenge(place: LocalPlace) -> None:
    assert await accounts.challenge_of_a_closed_account(place) == "403 AuthorizationFailure, without a challenge"
