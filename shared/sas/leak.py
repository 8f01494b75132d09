"""A leak with its secret, for the one check that sends a leaked token to Azure. Never stored, never shown."""

from dataclasses import dataclass, field
from urllib.parse import quote

from .credential import Credential

MOST_OTHERS = 64
"""How many other readings of a secret are kept: a finding carries no more."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A credential, and the token that it was read from.

    `token` is a SAS as a query string that can be sent: each value percent-encoded, in the order of the names, `sig`
    last, with the URL's `snapshot` or `versionid` where the signature covers it. None for an account key.
    `others` are other readings of the same secret, the likeliest first: the text allows another address, or its
    values mean something else.
    """

    credential: Credential
    token: str | None = field(repr=False)
    others: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A leak at a place of a text. `whole`: no other reading of the text can tell more about it."""

    at: int
    leak: Leak
    whole: bool = False


def leaked_token(credential: Credential, signature: str) -> Leak:
    """Return the leak of the SAS `credential` whose `sig`, decoded, is `signature`."""
    return Leak(credential, query_string((*credential.parameters, ("sig", signature))))


def query_string(parameters: tuple[tuple[str, str], ...]) -> str:
    """Return `parameters` as a query string, each value percent-encoded."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)
