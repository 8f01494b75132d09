"""Azure Monitor's callers in process: a tenant, and the headers with which its identities call."""

from collections.abc import Callable

import pytest

from local.entra.tokens import MONITOR, Entra
from local.tenant import identities
from local.tenant.model import Cloud

type Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud) -> Entra:
    return Entra(cloud)


@pytest.fixture
def bearer(cloud: Cloud, entra: Entra) -> Bearer:
    """Return the header with an identity's access token: by default, of the responder and for Azure Monitor."""

    def made(name: str = "responder", audience: str = MONITOR) -> dict[str, str]:
        return {"Authorization": f"Bearer {entra.mint(cloud.identities[name], audience=audience)}"}

    return made
