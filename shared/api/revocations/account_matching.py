"""Finds the account of an unattributed token or key among the accounts that its report names.

No other accounts are tried: a text from outside must not cause the keys of every account to be listed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountKey
from shared.domain.azure_clouds import AzureCloud
from shared.domain.finding import Reported
from shared.domain.text import clean
from shared.errors import SasquashError
from shared.sas import Credential, Kind, verify

_AT_ONCE = 8  # accounts at the same time: ARM allows 100 listings in five minutes per subscription
_PATIENCE = 20.0  # seconds for all accounts: the other findings of the text wait
_LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Placed:
    """A finding after the search. `note` is the result in English, empty where nothing was searched."""

    reported: Reported
    note: str = ""

    def beside(self, other: "Placed") -> "Placed":
        """Return this finding with the readings of another one of the same secret."""
        finding = self.reported.finding
        together = finding.with_readings((*finding.readings, *other.reported.finding.readings))
        return replace(self, reported=replace(self.reported, finding=together), note=self.note or other.note)


@dataclass(frozen=True, slots=True)
class _Tried:
    """One named account: its keys (name → base64 key), or why they could not be read."""

    account: str
    keys: dict[str, AccountKey]
    failure: str = ""


@dataclass(frozen=True, slots=True)
class AccountMatcher:
    """Verifies unattributed credentials with the keys of named accounts. `keys` lists the keys of an account."""

    accounts: Accounts
    keys: Callable[[AccountRef], Awaitable[dict[str, AccountKey]]]
    cloud: AzureCloud

    async def attribute(self, found: tuple[Reported, ...], names: tuple[str, ...]) -> tuple[Placed, ...]:
        """Return `found`, each unattributed credential with the host of the first account whose key signed it.

        A credential without a matching key stays unattributed. The note names the accounts that could not be read.
        """
        if not names or not any(_is_unattributed(reported) for reported in found):
            return tuple(Placed(reported) for reported in found)
        slots = asyncio.Semaphore(_AT_ONCE)
        deadline = asyncio.get_running_loop().time() + _PATIENCE

        async def tried(name: str) -> _Tried:
            try:
                async with asyncio.timeout_at(deadline), slots:
                    return await self._try(name)
            except TimeoutError:
                return _Tried(name, {}, f"{name} could not be read in time.")

        accounts = await asyncio.gather(*(tried(name) for name in dict.fromkeys(names)))
        return tuple(
            self._placed(reported, accounts) if _is_unattributed(reported) else Placed(reported) for reported in found
        )

    async def _try(self, name: str) -> _Tried:
        try:
            ref = await self.accounts.find(self.cloud.blob_host(name), name)
            if ref is None:
                return _Tried(name, {}, f"{name} is not an account in a monitored subscription.")
            return _Tried(ref.name, await self.keys(ref))
        except SasquashError as error:
            return _Tried(name, {}, f"{name} could not be read: {error}")

    def _placed(self, reported: Reported, accounts: list[_Tried]) -> Placed:
        credential = reported.finding.credential
        if credential is None:
            raise ValueError("only a credential can be unattributed")
        undecidable = False
        for tried in accounts:
            values = {name: key.value for name, key in tried.keys.items()}
            for reading in reported.finding.readings:
                result = verify(reading, account=tried.account, keys=values)
                undecidable = undecidable or result.undecidable is not None
                if result.key is not None:
                    signed = f"{result.key} of {tried.account} signed it"
                    note = f"Attributed by the accounts that the report names: {signed}."
                    return Placed(self._at(reported, reading, tried.account), note)
        asked = ", ".join(tried.account for tried in accounts if tried.keys)
        said = (
            "Its signature can't be verified without more of the token, so that no key can be matched."
            if undecidable
            else f"No key of the accounts that the report names signed it ({asked or 'none could be read'})."
        )
        failures = [tried.failure for tried in accounts if tried.failure]
        return Placed(reported, clean(" ".join((said, *failures)), limit=_LONGEST_NOTE))

    def _at(self, reported: Reported, reading: Credential, account: str) -> Reported:
        """Return the finding with the account that signed one of its readings."""
        located = replace(reading, host=self.cloud.host(account, reading.service))
        finding = replace(reported.finding, credential=located, fingerprint=located.fingerprint, candidates=())
        return replace(reported, finding=finding)


def _is_unattributed(reported: Reported) -> bool:
    """Whether an account key can attribute it: no account key signs a user delegation SAS."""
    credential = reported.finding.credential
    return credential is not None and credential.host is None and credential.kind is not Kind.USER_DELEGATION_SAS
