"""Keeps the index of keys: a pass over all monitored accounts, a few each hour, so that revocations come first.

ARM allows 800 reads in five minutes for a subscription and region ("Storage resource provider limits"); a pass makes
at most a hundred in an hour.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.cloud.accounts import AccountRef, Accounts
from shared.domain.account import AccountKey
from shared.errors import SasquashError, Throttled
from shared.persistence.key_index import KeyIndex

_log = logging.getLogger(__name__)

_MOST = 100  # accounts in one pass
_FRESH_FOR = timedelta(hours=20)  # each account once a day, where they are not more than 2,400
_KEPT_FOR = timedelta(days=400)  # a scanner may find an old key in a repository's history
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyIndexer:
    """Lists keys, the longest unlisted account first. `keys` lists those of an account."""

    accounts: Accounts
    index: KeyIndex
    keys: Callable[[AccountRef], Awaitable[Mapping[str, AccountKey]]]
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Note the keys of the accounts whose turn it is. An account that can't be read stops no other.

        Raises TransientFailure where the index can't be read or written.
        """
        listed, now = await self.index.listed(), self.clock()
        refs = await self.accounts.inventory()
        due = [ref for ref in refs if now - listed.get(ref.name, _NEVER) > _FRESH_FOR]
        for ref in sorted(due, key=lambda ref: listed.get(ref.name, _NEVER))[:_MOST]:
            try:
                keys = await self.keys(ref)
            except Throttled as error:
                _log.warning("The index of keys goes on in an hour: %s", error)
                break
            except SasquashError as error:
                _log.warning("The keys of %s are not in the index (%s): %s", ref.name, error.code, error)
                continue
            await self.index.note(ref.name, {name: key.sha256 for name, key in keys.items()}, at=self.clock())
        await self.index.forget_before(now - _KEPT_FOR)
