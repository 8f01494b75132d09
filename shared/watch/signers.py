"""Which key signed a SAS in use: the keys of its account are listed, and its signature is verified under each.

Keys are listed for accounts with such tokens only, a few at a time. A result is kept for minutes, keys are not:
people read the list again and again, and revocations need the limits of Azure Resource Manager ("Storage resource
provider limits": 800 reads in five minutes for a subscription and region).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cachetools import TTLCache

from shared.domain.account import AccountKey
from shared.errors import SasquashError
from shared.sas import Credential, Undecidable, verify
from shared.watch.uses import Use

_log = logging.getLogger(__name__)

MOST_ACCOUNTS = 20
"""Accounts whose keys are listed for one page."""

_AT_ONCE = 4
_SECONDS = 40.0  # for all accounts of a page
_KNOWN_FOR = 300.0  # seconds
_MOST_KNOWN = 20_000


class SignedBy(StrEnum):
    """What signed a token, by verification of its signature.

    UNKNOWN: no current key signed it. UNDECIDED: its version is newer than those that can be verified, or its URL
    lacks what was signed. UNCHECKED: the keys of its account could not be read.
    """

    KEY1 = "key1"
    KEY2 = "key2"
    USER_DELEGATION = "user_delegation"
    UNKNOWN = "unknown"
    UNDECIDED = "undecided"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Signer:
    """What signed a token, and the reading of it that was verified: the likeliest one where none was."""

    signed_by: SignedBy
    credential: Credential


@dataclass(frozen=True, slots=True)
class Signers:
    """The signers of some tokens by their ids, and why the keys of accounts could not be read, by name."""

    of: Mapping[str, Signer]
    unread: Mapping[str, str]


type ListKeys = Callable[[str], Awaitable[Mapping[str, AccountKey]]]
"""Lists the keys of an account by its name. Raises SasquashError."""


class SignerSearch:
    """Verifies the tokens of a page."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._known = TTLCache[str, Signer](_MOST_KNOWN, ttl=_KNOWN_FOR, timer=lambda: clock().timestamp())

    async def find(self, uses: Sequence[Use], *, keys: ListKeys) -> Signers:
        """Return what signed each token. An account whose keys can't be read, or not in time, stops no other."""
        signers = {use.id: signer for use in uses if (signer := self._without_keys(use)) is not None}
        wanted: dict[str, list[Use]] = {}
        for use in uses:
            if use.id not in signers:
                wanted.setdefault(use.logged.account, []).append(use)
        unread = dict.fromkeys(wanted, "Listing its keys took too long. Query this account alone.")
        places = asyncio.Semaphore(_AT_ONCE)

        async def of_account(account: str) -> None:
            async with places:
                try:
                    listed = await keys(account)
                except SasquashError as error:
                    _log.warning("The keys of %s were not listed (%s): %s", account, error.code, error)
                    unread[account] = str(error)
                    return
            secrets = {name: key.value for name, key in listed.items()}
            for use in wanted[account]:
                signers[use.id] = self._known[use.id] = signer_of(use, secrets)
            del unread[account]

        await _in_time(of_account(account) for account in wanted)
        missing = {use.id: Signer(SignedBy.UNCHECKED, use.credential) for use in uses if use.id not in signers}
        return Signers(signers | missing, unread)

    def accounts_to_list(self, use: Use) -> str | None:
        """Return the account whose keys a token needs; None where its signer is known, or takes no key."""
        return None if self._without_keys(use) is not None else use.logged.account

    def _without_keys(self, use: Use) -> Signer | None:
        if not use.has_key:
            return Signer(SignedBy.USER_DELEGATION, use.credential)
        return self._known.get(use.id)


def signer_of(use: Use, keys: Mapping[str, str]) -> Signer:
    """Return the key among `keys` (name → base64 key) that signed a token, by the first reading that verifies."""
    account, doubt = use.logged.account, None
    for reading in use.readings():
        result = verify(reading, account=account, keys=keys)
        if result.key is not None:
            return Signer(SignedBy(result.key), reading)
        if result.undecidable not in (None, Undecidable.DELEGATION):
            doubt = reading
    return Signer(SignedBy.UNKNOWN, use.credential) if doubt is None else Signer(SignedBy.UNDECIDED, doubt)


async def _in_time(calls: Iterable[Awaitable[None]]) -> None:
    """Await all calls, and cancel those that are not done in time."""
    try:
        async with asyncio.timeout(_SECONDS):
            await asyncio.gather(*calls)
    except TimeoutError:
        _log.warning("Not all keys of the accounts with SAS in use were listed within %.0f s.", _SECONDS)
