"""Finds the account of a token or key that leaked without one, among those that whoever reports it names.

Only these are tried: to list the keys of every account of a tenant for a text that somebody sent would be an attack
of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountKey
from shared.domain.azure_clouds import AzureCloud
from shared.domain.finding import Reported
from shared.errors import SasquashError
from shared.sas import Credential, Kind, Service, verify

_AT_ONCE = 8  # accounts that are asked side by side: ARM lets a subscription list 100 times in five minutes
_PATIENCE = 20.0  # seconds for all of them: what else is in the text waits meanwhile
_LONGEST_NOTE = 2000
_ONE_SERVICE = (Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding after the search. `note` tells in English what came of it; it is empty where nothing was searched."""

    reported: Reported
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Tried:
    """One named account: its keys (name → base64 key), or why it has none for us."""

    account: str
    keys: dict[str, AccountKey]
    failure: str = ""


class AccountMatcher:
    """Tries loose credentials under the keys of named accounts."""

    def __init__(
        self,
        accounts: Accounts,
        keys: Callable[[AccountRef], Awaitable[dict[str, AccountKey]]],
        *,
        cloud: AzureCloud,
    ) -> None:
        """`keys` lists an account's keys: `AccountKeyAction.keys`."""
        self._accounts = accounts
        self._keys = keys
        self._cloud = cloud

    async def place(self, found: tuple[Reported, ...], names: tuple[str, ...]) -> tuple[Placed, ...]:
        """Return `found`, each loose credential with the host of the first of the accounts `names` whose key fits.

        What no key fits stays loose. An account that can't be asked is told of in the note, and stops nothing.
        """
        if not names or not any(_is_loose(reported) for reported in found):
            return tuple(Placed(reported) for reported in found)
        places = asyncio.Semaphore(_AT_ONCE)
        deadline = asyncio.get_running_loop().time() + _PATIENCE

        async def tried(name: str) -> _Tried:
            try:
                async with asyncio.timeout_at(deadline), places:
                    return await self._try(name)
            except TimeoutError:
                return _Tried(name, {}, f"{name} could not be tried in time.")

        accounts = await asyncio.gather(*(tried(name) for name in dict.fromkeys(names)))
        return tuple(
            self._placed(reported, accounts) if _is_loose(reported) else Placed(reported) for reported in found
        )

    async def _try(self, name: str) -> _Tried:
        try:
            ref = await self._accounts.find(self._cloud.blob_host(name), name)
            if ref is None:
                return _Tried(name, {}, f"{name} is none of the storage accounts that Sasquash looks after.")
            return _Tried(ref.name, await self._keys(ref))
        except SasquashError as error:
            return _Tried(name, {}, f"{name} could not be tried: {error}")

    def _placed(self, reported: Reported, accounts: list[_Tried]) -> Placed:
        credential = reported.finding.credential
        if credential is None:
            raise ValueError("only a credential can be loose")
        undecidable = False
        for tried in accounts:
            values = {name: key.value for name, key in tried.keys.items()}
            result = verify(credential, account=tried.account, keys=values)
            undecidable = undecidable or result.undecidable is not None
            if result.key is not None:
                at_home = replace(credential, host=self._host(tried.account, credential))
                finding = replace(reported.finding, credential=at_home, fingerprint=at_home.fingerprint)
                note = f"It leaked without an account. {result.key} of {tried.account}, which the report names, fits."
                return Placed(replace(reported, finding=finding), note)
        asked = ", ".join(tried.account for tried in accounts if tried.keys)
        said = (
            "Its signature can't be recomputed from what the text says, so no account's keys tell whose it is."
            if undecidable
            else f"No key of the accounts that the report names fits ({asked or 'none could be tried'})."
        )
        failures = [tried.failure for tried in accounts if tried.failure]
        return Placed(reported, " ".join((said, *failures))[:_LONGEST_NOTE])

    def _host(self, account: str, credential: Credential) -> str:
        service = credential.service if credential.service in _ONE_SERVICE else Service.BLOB
        return f"{account}.{service}.{self._cloud.storage_suffix}"


def _is_loose(reported: Reported) -> bool:
    """Whether keys could tell whose it is: no key of any account signs a user delegation SAS."""
    credential = reported.finding.credential
    return credential is not None and credential.host is None and credential.kind is not Kind.USER_DELEGATION_SAS
