"""Reads, writes and disables the versions of one Key Vault secret.

REST: Key Vault - Get Secret, Set Secret, Get Secret Versions, Update Secret; "Azure Key Vault REST API error codes".
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError, HttpResponseError

from shared.cloud.errors import from_azure, from_status, translate_errors
from shared.errors import Blocked, SasquashError

if TYPE_CHECKING:  # not loaded on the way to a revocation
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from azure.keyvault.secrets import KeyVaultSecret, SecretProperties
    from azure.keyvault.secrets.aio import SecretClient

CURRENT = ""  # the version that a secret's id without one means: the newest

_ROLE = "Key Vault Secrets Officer"
_MOST_LISTED = 500  # versions of one secret; in no order of time: the newest may be the last
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_CLOSED_VAULT = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})


class SecretDisabled(Blocked):
    """The version is disabled: its value cannot be read."""

    code = "secret_disabled"


class Secret:
    """A secret, by its vault and name. `client` is the vault's.

    All methods raise NotFound, Blocked or TransientFailure. The messages name the vault and the secret, so both must
    be validated before.
    """

    def __init__(self, client: "SecretClient", *, vault: str, url: str, name: str) -> None:
        """`url` is the vault's, without a trailing slash."""
        self._client = client
        self._vault = vault
        self._name = name
        self.id = f"{url}/secrets/{name}"

    async def read(self, version: str = CURRENT) -> "KeyVaultSecret":
        """Return a version with its value. Raises SecretDisabled too."""
        with translate_errors(f"Reading {self.id}", meaning=self._meaning):
            return await self._client.get_secret(self._name, version, permit_redirects=False)

    async def write(self, value: str, *, like: "SecretProperties") -> "KeyVaultSecret":
        """Create a version with `value` and the properties of `like`. Sent once: it is not idempotent."""
        with translate_errors(f"Writing a version of {self.id}", meaning=self._meaning):
            return await self._client.set_secret(
                self._name,
                value,
                enabled=True,
                tags=like.tags,
                content_type=like.content_type,
                not_before=like.not_before,
                expires_on=like.expires_on,
                retry_total=0,
                middlewares=(_send_once,),
                permit_redirects=False,
            )

    async def disable(self, version: str) -> None:
        """Disable `version`; its other properties stay."""
        with translate_errors(f"Disabling version {version} of {self.id}", meaning=self._meaning):
            await self._client.update_secret_properties(
                self._name,
                version,
                enabled=False,
                retry_on_methods=frozenset({"PATCH"}),  # azure-core does not know that this one may be repeated
                permit_redirects=False,
            )

    async def enabled_before(self, current: "SecretProperties") -> list[str]:
        """Return the enabled versions that are not newer than `current`, the newest first.

        At most 500 versions are read.
        """
        found: list[SecretProperties] = []
        listed = 0
        with translate_errors(f"Listing the versions of {self.id}", meaning=self._meaning):
            async for each in self._client.list_properties_of_secret_versions(self._name, permit_redirects=False):
                listed += 1
                if each.enabled and each.version != current.version and _created(each) <= _created(current):
                    found.append(each)
                if listed == _MOST_LISTED:
                    break
        return [str(each.version) for each in sorted(found, key=_created, reverse=True)]

    def _meaning(self, error: AzureError, *, doing: str) -> SasquashError:
        code = _inner_code(error)
        if code == "SecretDisabled":
            return SecretDisabled(f"{doing} failed: the version is disabled. Enable it, or set a new one.")
        if code in _CLOSED_VAULT:
            return Blocked(
                f"{doing} failed: 403 {code}. Key vault {self._vault} is closed to the network that the app is in: "
                "let it in by the vault's firewall, or by a private endpoint."
            )
        if isinstance(error, HttpResponseError) and error.status_code == 403:
            right = f'the role "{_ROLE}" on key vault {self._vault}'
            return from_status(403, code or "Forbidden", doing=doing, retry_after=None, right=right)
        return from_azure(error, doing=doing)


async def _send_once(request: "ClientRequest", handler: "ClientHandlerType") -> "ClientResponse":
    """aiohttp repeats a PUT by itself when its connection is lost, whether or not the first one has arrived."""
    from aiohttp import (  # noqa: PLC0415 -- reads the trusted certificates when it is imported
        ClientConnectionError,
        ClientConnectorError,
        ClientOSError,
        ServerDisconnectedError,
    )

    try:
        return await handler(request)
    except ClientConnectorError:
        raise  # there was no connection: it has not left
    except (ClientOSError, ServerDisconnectedError) as error:
        raise ClientConnectionError("the connection was lost") from error


def _created(properties: "SecretProperties") -> datetime:
    return properties.created_on or _LONG_AGO


def _inner_code(error: AzureError) -> str:
    """The code inside Key Vault's error, which says more than "Forbidden"; empty where there is none."""
    inner = getattr(getattr(getattr(error, "model", None), "error", None), "inner_error", None)
    return str(getattr(inner, "code", None) or "")
