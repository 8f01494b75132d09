"""The storage accounts of a run."""

import base64
import random
from dataclasses import dataclass, field

OWNERS = ("model-owner@contoso.com", "storage-team@contoso.com")
KEYS = ("key1", "key2")


@dataclass(frozen=True)
class PlannedAccount:
    """A storage account. `locked_until`: a ReadOnly lock lies on it so long, in seconds; 0: none does.

    `secret` is what the Key Vault secret of its consumers holds: the name of a key, and how; None: there is none.
    """

    name: str
    owner: str
    keys: dict[str, str]
    locked_until: float
    tags: dict[str, str] = field(default_factory=dict)
    secret: "PlannedSecret | None" = None


@dataclass(frozen=True)
class PlannedSecret:
    """A Key Vault secret that holds a key of an account."""

    name: str
    key_name: str
    as_connection_string: bool

    def text(self, account: str, key: str) -> str:
        """Return what the secret says while the key is `key`."""
        if not self.as_connection_string:
            return key
        return (
            f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key};EndpointSuffix=core.windows.net"
        )


def account(rng: random.Random, new_key_of: random.Random, number: int) -> PlannedAccount:
    """Return an account."""
    keys = {name: new_key(new_key_of) for name in KEYS}
    locked_until = rng.uniform(30.0, 240.0) if rng.random() < 0.1 else 0.0
    return PlannedAccount(f"models{number}", rng.choice(OWNERS), keys, locked_until)


def new_key(rng: random.Random) -> str:
    """Return a storage account key: 64 bytes in base64."""
    return base64.b64encode(rng.randbytes(64)).decode()
