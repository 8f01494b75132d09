"""Each way to try a lever, tried on the local cloud: it must see a credential die there, too."""

import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from azure.core.pipeline.transport import AioHttpTransport

from conformance import actions
from conformance.place import Place, Throwaway
from local.cloud.cloud import LocalCloud
from local.tenant.model import SUBSCRIPTION_ID
from shared.cloud.clients import Transport
from tests.support.cloud_clients import new_account
from tests.support.deployment import Developer

QUICK = {"steady": 0.3, "patience": 20.0, "pause": 0.05}


class LocalPlace(Place):
    """A place whose accounts are there already: the local cloud makes none over ARM."""

    cloud: LocalCloud

    async def account(self) -> Throwaway:
        made = await new_account(self.cloud)
        return await self.filled(Throwaway(made.id, made.name, made.resource_group, dict(made.keys)))


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
    ("action", "said"),
    [
        (actions.account_key, "403 AuthenticationFailed"),
        (actions.stored_policy, "403 AuthenticationFailed"),
        (actions.delegation_keys, "403 AuthenticationFailed"),
        (actions.shared_key_off, "403 KeyBasedAuthenticationNotPermitted"),
        (actions.network_closed, "403 AuthorizationFailure); who shows no credential is told AuthorizationFailure"),
        (actions.policy_made_anew, "alive again"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_action_is_observed_to_revoke(place: LocalPlace, action: object, said: str) -> None:
    seen = await action(place, **QUICK)  # type: ignore[operator]

    assert seen.startswith("dead after ")
    assert said in seen


async def test_a_policy_without_an_end_is_said_to_be_accepted_or_not(place: LocalPlace) -> None:
    assert (await actions.policy_without_an_end(place)).startswith("it is ")
