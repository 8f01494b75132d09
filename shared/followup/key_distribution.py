"""Key distribution: writes the new key to the Key Vault secret that a tag on the account names.

The tag alone is not trusted: a secret gets the new key only if its current value holds the old one. Key Vault has no
conditional writes, and each Set Secret creates a version. So it is sent once, a lost answer is resolved by reading,
and a second run finds the new key there and completes the first.

Ids: "Azure Key Vault keys, secrets and certificates overview"; values: "Configure Azure Storage connection strings".
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from shared.cloud.key_vault import Secret, SecretDisabled
from shared.domain.account import KEY_VAULT_FORMAT_TAG, KEY_VAULT_TAG, AccountFacts, AccountKey, tag_in
from shared.domain.execution import Execution, KeyDistribution, KeyDistributionOutcome
from shared.domain.target import ActionKind
from shared.errors import NotFound, TransientFailure
from shared.sas import key_sha256

if TYPE_CHECKING:  # not loaded on the way to a revocation
    from azure.keyvault.secrets import KeyVaultSecret
    from azure.keyvault.secrets.aio import SecretClient

_DEADLINE = 60.0  # seconds in total; less than a step lease
_MOST_READ = 10  # older versions, the newest of them

_SECRET_ID = re.compile(
    r"https://(?P<vault>[a-z](?:-?[a-z0-9]){2,23})\.(?P<suffix>[a-z.]{1,40})"
    r"/secrets/(?P<name>[0-9a-z-]{1,127})(?:/[0-9a-f]{32})?",
    re.ASCII | re.IGNORECASE,
)
_KEY = r"(?P<key>[A-Za-z0-9+/]{86}==)"  # 64 bytes


class _Format(StrEnum):
    """The format of the secret's value, from KEY_VAULT_FORMAT_TAG."""

    KEY = "key"
    CONNECTION_STRING = "connection-string"


_KEY_IN = {
    _Format.KEY: re.compile(rf"\A\s*{_KEY}\s*\Z"),
    _Format.CONNECTION_STRING: re.compile(rf"(?:\A|;)\s*(?i:AccountKey)\s*=\s*{_KEY}\s*(?=;|\Z)", re.ASCII),
}
_NO_KEY_IN = {
    _Format.KEY: "is not an account key alone; for a connection string, "
    f'set the tag {KEY_VAULT_FORMAT_TAG} to "{_Format.CONNECTION_STRING}"',
    _Format.CONNECTION_STRING: "is not a connection string with one AccountKey",
}


class _Declined(Exception):
    """Why nothing is written: an English sentence for the record."""


class KeyDistributor:
    """Writes an account's new key where its consumers read it."""

    def __init__(
        self,
        client_for: Callable[[str], "SecretClient"],
        keys: Callable[[AccountFacts], Awaitable[dict[str, AccountKey]]],
        *,
        key_vaults: Collection[str],
        key_vault_suffix: str,
        clock: Callable[[], datetime],
    ) -> None:
        """`client_for` takes a vault's URL. `keys` returns an account's current keys in ARM.

        `key_vaults` are the names, in lower case, of the vaults that may be written to, and `key_vault_suffix` is
        the cloud's.
        """
        self._client_for = client_for
        self._keys = keys
        self._key_vaults = frozenset(key_vaults)
        self._suffix = key_vault_suffix
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, execution: Execution, account: AccountFacts) -> KeyDistribution:
        """Write the key that `execution` created to the secret that `account`'s tag names; disable the old version.

        Idempotent: completes an interrupted run.

        Raises AccountGone, Blocked or TransientFailure.
        """
        if execution.action is not ActionKind.ACCOUNT_KEY:
            return self._ended(
                KeyDistributionOutcome.NOT_ASKED, "No key was regenerated, so there is none to distribute."
            )
        tag = tag_in(account.tags, KEY_VAULT_TAG)
        if not tag:
            return self._ended(
                KeyDistributionOutcome.NOT_ASKED, f"No tag {KEY_VAULT_TAG} names a secret that holds the key."
            )
        secret = None
        try:
            secret = self._named(tag)
            said = await self._alone(execution, account, secret, _format(account))
        except _Declined as declined:
            return self._ended(KeyDistributionOutcome.DECLINED, str(declined), secret)
        return self._ended(KeyDistributionOutcome.DONE, said, secret)

    def _ended(self, outcome: KeyDistributionOutcome, said: str, secret: Secret | None = None) -> KeyDistribution:
        return KeyDistribution(outcome, self._clock(), said, secret.id if secret is not None else None)

    def _named(self, tag: str) -> Secret:
        """The secret that the tag's text names. The host is built of the vault's name, and not taken from the tag."""
        match = _SECRET_ID.fullmatch(tag)
        if match is None or match["suffix"].lower() != self._suffix:
            raise _Declined(
                f"The tag {KEY_VAULT_TAG} is not the ID of a secret (https://<vault>.{self._suffix}/secrets/<name>)."
            )
        vault = match["vault"].lower()
        if vault not in self._key_vaults:
            raise _Declined(
                f"The tag {KEY_VAULT_TAG} names key vault {vault}, which SASQUASH_KEY_VAULTS does not allow."
            )
        url = f"https://{vault}.{self._suffix}"
        return Secret(self._client_for(url), vault=vault, url=url, name=match["name"])

    async def _alone(self, execution: Execution, account: AccountFacts, secret: Secret, form: _Format) -> str:
        """One at a time for each secret: the follow-ups of many leaks of one execution run concurrently."""
        lock = self._locks.setdefault(secret.id.lower(), asyncio.Lock())
        try:
            async with asyncio.timeout(_DEADLINE), lock:
                return await self._key_distribution(execution, account, secret, form)
        except TimeoutError:
            raise TransientFailure(
                f"Distributing {execution.target} of {account.name} took more than {_DEADLINE:.0f} s."
            ) from None

    async def _key_distribution(
        self, execution: Execution, account: AccountFacts, secret: Secret, form: _Format
    ) -> str:
        """Return a sentence for the record once the secret holds the new key. Raises _Declined."""
        if not execution.old_sha256 or not execution.new_sha256:
            raise _Declined(f"The old or the new value of {execution.target} is unknown.")
        current = await self._current(execution, secret, form, wanted=execution.new_sha256)
        if not _holds(current, execution.new_sha256, form):
            new_key = await self._new_key(execution, account)
            # Read again, as late as possible: another host may be doing the same, and one new version is enough.
            current = await self._current(execution, secret, form, wanted=new_key.sha256)
            if not _holds(current, new_key.sha256, form):
                return await self._replace(execution, secret, current, new_key, form)
        return await self._finish(execution, secret, current, form)

    async def _current(self, execution: Execution, secret: Secret, form: _Format, *, wanted: str) -> "KeyVaultSecret":
        """Return the current version. Raises _Declined unless it has the key with that hash, or the old one, and may
        be replaced.
        """
        current = await _read(secret)
        if _holds(current, wanted, form):
            return current
        if _key_in(current, form) is None:
            raise _Declined(f"The value of {secret.id} {_NO_KEY_IN[form]}.")
        if not _holds(current, execution.old_sha256, form):
            raise _Declined(f"{secret.id} does not hold the {execution.target} that was replaced.")
        properties = current.properties
        if properties.managed or properties.key_id:
            raise _Declined(f"{secret.id} belongs to a certificate; only Key Vault writes its versions.")
        if properties.expires_on is not None and properties.expires_on <= self._clock():
            # A new version would expire at once, and only its owner can decide to drop the expiry.
            raise _Declined(f"The current version of {secret.id} has expired.")
        return current

    async def _new_key(self, execution: Execution, account: AccountFacts) -> AccountKey:
        """Return the key as it is now: where it was rotated again since, that is what its consumers need."""
        key = (await self._keys(account))[execution.target]
        if hmac.compare_digest(key.sha256, execution.old_sha256):
            raise TransientFailure(f"ARM still lists the old {execution.target} of {account.name}.")
        return key

    async def _replace(
        self, execution: Execution, secret: Secret, old: "KeyVaultSecret", new_key: AccountKey, form: _Format
    ) -> str:
        try:
            new = await secret.write(_with_key(old, new_key, form), like=old.properties)
        except TransientFailure as failure:
            if failure.had_no_effect:
                raise
            new = await _read(secret)  # the answer was lost: the current version shows whether it happened
            if not _holds(new, new_key.sha256, form):
                raise
        if not _holds(new, new_key.sha256, form):
            raise TransientFailure(f"Key Vault's response for {secret.id} does not have the new {execution.target}.")
        await secret.disable(_version(old))
        return (
            f"{secret.id} holds the new {execution.target} in version {_version(new)}; version {_version(old)} "
            "with the old key is disabled."
        )

    async def _finish(self, execution: Execution, secret: Secret, current: "KeyVaultSecret", form: _Format) -> str:
        """Disable the versions that hold the old key, among the newest: a previous run did not get there."""
        older = (await secret.enabled_before(current.properties))[:_MOST_READ]
        disabled = [version for version in older if await _disabled(secret, version, execution.old_sha256, form)]
        rest = (
            f"version {' and '.join(disabled)} with the old key is disabled"
            if disabled
            else f"none of the {len(older)} enabled older versions that were checked holds the old key"
        )
        return f"{secret.id} holds the new {execution.target} in version {_version(current)}; {rest}."


async def _read(secret: Secret) -> "KeyVaultSecret":
    try:
        return await secret.read()
    except SecretDisabled:
        raise _Declined(f"The current version of {secret.id} is disabled.") from None
    except NotFound:
        raise _Declined(f"{secret.id} does not exist, or was deleted.") from None


async def _disabled(secret: Secret, version: str, old_sha256: str, form: _Format) -> bool:
    """Disable `version` if it holds the old key; return whether it does."""
    try:
        if not _holds(await secret.read(version), old_sha256, form):
            return False
    except SecretDisabled:
        return False  # disabled meanwhile
    await secret.disable(version)
    return True


def _format(account: AccountFacts) -> _Format:
    try:
        return _Format((tag_in(account.tags, KEY_VAULT_FORMAT_TAG) or _Format.KEY).lower())
    except ValueError:
        raise _Declined(f"The tag {KEY_VAULT_FORMAT_TAG} is neither {' nor '.join(_Format)}.") from None


def _key_in(secret: "KeyVaultSecret", form: _Format) -> re.Match[str] | None:
    """Where in its value the account key is; None where there is none, or more than one."""
    found = list(_KEY_IN[form].finditer(secret.value or ""))
    return found[0] if len(found) == 1 else None


def _holds(secret: "KeyVaultSecret", sha256: str, form: _Format) -> bool:
    match = _key_in(secret, form)
    return match is not None and hmac.compare_digest(key_sha256(match["key"]), sha256)


def _with_key(secret: "KeyVaultSecret", key: AccountKey, form: _Format) -> str:
    """The value with another key, and byte for byte the same around it."""
    match = _key_in(secret, form)
    if match is None:
        raise ValueError("the value has no place for a key")
    start, end = match.span("key")
    return f"{match.string[:start]}{key.value}{match.string[end:]}"


def _version(secret: "KeyVaultSecret") -> str:
    return str(secret.properties.version)
