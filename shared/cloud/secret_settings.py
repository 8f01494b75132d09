"""Reads the secrets of the settings: the setting itself, or a Key Vault secret that it names."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.errors import Blocked
from shared.setting_parsers import SecretSetting

if TYPE_CHECKING:
    from azure.keyvault.secrets.aio import SecretClient

_KEPT = timedelta(minutes=5)  # a secret that changes in the vault is used after that


class SecretSettings:
    """Caches each secret for five minutes. `vault` creates a client for a vault's URL."""

    def __init__(self, vault: "Callable[[str], SecretClient]", *, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._clock = clock
        self._known: dict[str, tuple[str, datetime]] = {}

    async def read(self, setting: SecretSetting) -> str:
        """Return the secret. Raises TransientFailure or Blocked."""
        if setting.vault_id is None:
            return setting.value
        known = self._known.get(setting.vault_id)
        if known is not None and known[1] > self._clock():
            return known[0]
        value = await self._of_vault(setting.vault_id)
        self._known[setting.vault_id] = value, self._clock() + _KEPT
        return value

    async def _of_vault(self, secret_id: str) -> str:
        from shared.cloud.key_vault import Secret  # noqa: PLC0415 -- not on the way to a revocation

        url, _, name = secret_id.rpartition("/secrets/")
        vault = url.removeprefix("https://").partition(".")[0]
        found = await Secret(self._vault(url), vault=vault, url=url, name=name).read()
        if not found.value:
            raise Blocked(f"Secret {secret_id}, which a setting names, is empty. Set a value.")
        return found.value
