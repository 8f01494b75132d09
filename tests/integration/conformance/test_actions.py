"""The conformance tests of containment actions, run against the local cloud."""

import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from azure.core.pipeline.transport import AioHttpTransport

from conformance import actions
from conformance.place import Place, TemporaryAccount
from local.cloud.cloud import LocalCloud
from local.tenant.model import SUBSCRIPTION_ID
from shared.cloud.clients import Transport
from tests.support.cloud_clients import new_account
from tests.support.deployment import Developer

QUICK = {"steady": 0.3, "patience": 20.0, "pause": 0.05}


class LocalPlace(Place):
    """A place that creates accounts directly: the local cloud does not create them over ARM."""

    cloud: LocalCloud

    async def account(self) -> TemporaryAccount:
        made = await new_account(self.cloud)
        return await self.filled(TemporaryAccount(made.id, made.name, made.resource_group, dict(made.keys)))


@pytest.fixture
async def place(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalPlace]:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    trust = ssl.create_default_context(cafile=cloud.authority_file)
    transports: list[AioHttpTransport] = []

    def transport() -> Transport:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), trust_env=True, auto_decompress=False
        )
        transports.append(AioHttpTransport(session=session))
        return transports[-1]

    made = LocalPlace(
        Developer(cloud), subscription=SUBSCRIPTION_ID, group="tests", location="westeurope", transport=transport
    )
    made.cloud = cloud
    yield made
    await made.close()
    for each in transports:
        await each.close()


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
