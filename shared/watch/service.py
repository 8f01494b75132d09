"""Answers which SAS are in use: reads the logs, orders what they have, and verifies the tokens of one page."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedTokens
from shared.errors import InvalidRequest
from shared.sas import Credential
from shared.watch.answer import SasPage, Unread, shown
from shared.watch.signers import MOST_ACCOUNTS, SignerSearch
from shared.watch.uses import Use, ordered, use_of

MOST_DAYS = 90


@dataclass(frozen=True, slots=True)
class Found:
    """What the logs have, and why those of a subscription could not be read, by its name."""

    tokens: tuple[LoggedTokens, ...]
    unread: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where the logs and the keys come from. Both raise SasquashError."""

    async def tokens(self, *, account: str | None, days: int) -> Found:
        """Return the tokens of an account, or of all."""

    async def keys(self, account: str) -> Mapping[str, AccountKey]:
        """Return key1 and key2 of an account that has such tokens."""


async def nobody(_credential: Credential) -> str | None:
    """Return no record: for a list beside which there is no ledger."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SasInUseList:
    """The list of the SAS in use. `record_of` returns the id of the record of a token that was reported."""

    source: Source
    search: SignerSearch
    clock: Callable[[], datetime]
    record_of: Callable[[Credential], Awaitable[str | None]] = nobody

    async def page(
        self, *, account: str | None = None, days: int = 30, limit: int = 50, after: str | None
    ) -> SasPage:
        """Return at most `limit` tokens, those behind the token with the id `after`.

        A page may have fewer: it has tokens of at most 20 accounts whose keys have to be listed. Raises
        InvalidRequest, TransientFailure or Blocked.
        """
        now = self.clock()
        found = await self.source.tokens(account=account, days=days)
        logged = [token for each in found.tokens for token in each.tokens]
        uses = ordered((use for token in logged if (use := use_of(token)) is not None), now=now)
        unreadable = sum(token.requests for token in logged) - sum(use.logged.requests for use in uses)
        page, is_last = self._cut(uses, limit=limit, after=after)
        signers = await self.search.find(page, keys=self.source.keys)
        records = await asyncio.gather(*(self.record_of(signers.of[use.id].credential) for use in page))
        return SasPage(
            days=days,
            tokens=tuple(
                shown(use, signers.of[use.id], now=now, revocation=record)
                for use, record in zip(page, records, strict=True)
            ),
            next=None if is_last else page[-1].id,
            unread=tuple(Unread(name, said) for name, said in sorted({**found.unread, **signers.unread}.items())),
            unidentified_requests=unreadable + sum(each.unidentified for each in found.tokens),
            limits=limits(days, is_cut=any(each.is_cut for each in found.tokens)),
        )

    def _cut(self, uses: Sequence[Use], *, limit: int, after: str | None) -> tuple[list[Use], bool]:
        """Return the uses of a page, and whether it is the last one."""
        ids = [use.id for use in uses]
        if after is not None and after not in ids:
            raise InvalidRequest("`after` is not in the list any more: read it from its start.")
        rest = uses[ids.index(after) + 1 :] if after is not None else uses
        page: list[Use] = []
        accounts: set[str | None] = {None}
        for use in rest[:limit]:
            accounts.add(self.search.accounts_to_list(use))
            if len(accounts) > MOST_ACCOUNTS + 1:
                break
            page.append(use)
        return page, len(page) == len(rest)


def limits(days: int, *, is_cut: bool) -> tuple[str, ...]:
    """Return what the list can't show, in sentences."""
    return (
        f"A token that was not used in the last {days} days is not listed: Azure has no list of the tokens that were "
        "signed.",
        "Requests are known where the storage logs of a service go to a workspace that may be read. Lines arrive "
        "minutes late.",
        "A user delegation SAS is listed by its type: Azure does not disclose the key that signed it.",
        "A stored access policy is not read: it may grant more, or end later, than the token says.",
        *(("There are more tokens than one query names: ask for one account.",) if is_cut else ()),
    )
