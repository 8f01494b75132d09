"""Finds the account of a leak whose report names several, or none: by the keys, one of which signed it.

A report may pair a secret with the wrong address, and a key with the accounts that stand near it. Only accounts that
the report names are tried: a text from outside must not have every account's keys listed. What is found is no
verdict: the account's session verifies it again under the lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.coalescing import Remembered
from shared.containment.rate_limit import RateLimit
from shared.domain.account import AccountKey
from shared.domain.decision.attribution import all_expired, attribute
from shared.domain.readings import Reading, distinct
from shared.domain.revocation import Revocation
from shared.domain.signer import Signer
from shared.domain.states import State
from shared.errors import Conflict, SasquashError, TransientFailure
from shared.persistence.accounts import COOLDOWN
from shared.persistence.key_index import KeyIndex, KnownKey
from shared.persistence.store import Store
from shared.sas import Credential, InvalidCredential

_AT_ONCE = 8  # accounts whose keys are listed at the same time, for all leaks together
_MOST_LISTED = 1000  # accounts whose keys are remembered, for ten seconds
_LISTINGS_AN_HOUR = 2000  # ARM allows 800 reads in five minutes for a subscription and region
_ALL = ""

type _Keys = Mapping[str, AccountKey]
type _Change = Callable[[Revocation], Revocation]


@dataclass(frozen=True, slots=True)
class _Place:
    """A monitored account, and the readings of the leak that name it."""

    ref: AccountRef
    readings: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What became of a leak: how its record changes, the account to decide on it with, and a sentence about it."""

    change: _Change
    ref: AccountRef | None
    said: str
    is_proven: bool = False


class Placement:
    """Tries the readings of a leak at all accounts that they name."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        keys: Callable[[AccountRef], Awaitable[Mapping[str, AccountKey]]],
        *,
        index: KeyIndex | None,
        host: Callable[[str], str],
    ) -> None:
        """`keys` lists the keys of an account; `index` is None where it is off; `host` is the one of an account."""
        self._store = store
        self._index = index
        self._host = host
        self._accounts = accounts
        self._keys = keys
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._listed = Remembered[AccountRef, _Keys](
            self._list, most=_MOST_LISTED, fresh_for=lambda _: COOLDOWN, clock=store.clock
        )
        self._listings = RateLimit(an_hour=_LISTINGS_AN_HOUR, clock=store.clock)

    async def placed(self, record: Revocation, ref: AccountRef | None) -> tuple[Revocation, AccountRef | None]:
        """Return a record that waits, and the account to decide on it with: the first whose key signed a reading.

        `ref` is the account of its credential. Where no key signed any, it stays there; if that is not monitored, the
        nearest account that is decides. Raises TransientFailure or Blocked where an account can't be read, and none
        of the others has the key: nothing is said before each was tried.
        """
        found = await self._found(record, ref)
        if found is None:
            return record, ref

        def change(current: Revocation) -> Revocation | None:
            return found.change(current) if current.state is State.RECEIVED else None

        await self._store.accounts.remove_waiting(record.finding)
        saved = await self._store.revocations.change(record.fingerprint, change, what=found.said)
        if saved is None:
            raise Conflict(f"Record {record.fingerprint[:12]} was decided by another instance.")
        await self._store.accounts.add_waiting(saved.to_weigh)
        return saved, found.ref

    async def previewed(self, record: Revocation, ref: AccountRef | None) -> tuple[Revocation, AccountRef | None]:
        """Return what `placed` would, and write nothing. Raises as it does."""
        found = await self._found(record, ref)
        return (record, ref) if found is None else (found.change(record), found.ref)

    async def _found(self, record: Revocation, ref: AccountRef | None) -> _Found | None:
        """Return what becomes of the leak; None where its account is known, or nobody knows one."""
        if record.paths.verified or not (record.elsewhere.waiting or ref is None):
            return None
        known = await self._known_key(record)
        if not record.elsewhere.waiting:
            return await self._by_index(record, known)
        found = await self._among_reported(record, ref, known)
        return found if found.is_proven else await self._by_index(record, known) or found

    async def _by_index(self, record: Revocation, known: KnownKey | None) -> _Found | None:
        """Return what the index of keys knows of a key: whose it is, or was. None where it does not know it."""
        credential = record.finding.credential
        ref = await self._accounts.find(self._host(known.account), known.account) if known is not None else None
        if credential is None or known is None or ref is None:
            return None
        reading = replace(credential, host=self._host(known.account), path=None)
        when = f"{known.seen_at:%Y-%m-%d %H:%M} UTC"
        said = f"By the index of keys it was {known.name} of {known.account} at {when}."
        signer = Signer(known.name, known.sha256, known.seen_at)
        return _Found(partial(Revocation.placed, credential=reading, signer=signer), ref, said, is_proven=True)

    async def _known_key(self, record: Revocation) -> KnownKey | None:
        credential = record.finding.credential
        if self._index is None or credential is None or credential.key_sha256 is None:
            return None
        return await self._index.find(credential.key_sha256)

    async def _among_reported(self, record: Revocation, ref: AccountRef | None, known: KnownKey | None) -> _Found:
        places = await self._places(record, ref)
        readings = [one for place in places for one in place.readings]
        is_over = all_expired(readings, now=self._store.clock()) is not None
        if is_over:
            return self._nowhere(record, ref, places)
        likely = [place for place in places if known is not None and place.ref.name == known.account]
        proven, _ = await self._proven(likely)
        if proven is not None:
            return proven
        proven, failure = await self._proven(places)
        if proven is not None:
            return proven
        if failure is not None:
            raise failure
        return self._nowhere(record, ref, places)

    async def _proven(self, places: Sequence[_Place]) -> tuple[_Found | None, SasquashError | None]:
        """Return where a key signed a reading, and why an account's keys could not be listed, if so."""
        keys = await self._keys_of([place.ref for place in places])
        for place in places:
            listed = keys[place.ref.id]
            signed = _signed(place, {} if isinstance(listed, SasquashError) else listed)
            if signed is not None:
                reading, name, sha256 = signed
                said = f"Signed by {name} of {place.ref.name}: one of the accounts that its reports name."
                signer = Signer(name, sha256, self._store.clock())
                change = partial(Revocation.placed, credential=reading, signer=signer)
                return _Found(change, place.ref, said, is_proven=True), None
        return None, next((one for one in keys.values() if isinstance(one, SasquashError)), None)

    def _nowhere(self, record: Revocation, ref: AccountRef | None, places: Sequence[_Place]) -> _Found:
        """Return what follows where no key of any account signed it."""
        tried: tuple[Reading, ...] = record.elsewhere.waiting
        names = ", ".join(place.ref.name for place in places) or "none of them is monitored"
        said = f"{len(tried)} other addresses were reported, and no key signed it (accounts: {names})."
        if ref is not None or not places:
            return _Found(partial(Revocation.tried_at, readings=tried), ref, said)
        nearest = places[0]
        host = nearest.readings[0].host or ""
        return _Found(lambda current: current.tried_at(tried).read_at(host), nearest.ref, said)

    async def _places(self, record: Revocation, ref: AccountRef | None) -> list[_Place]:
        """Return the monitored accounts that the readings name, nearest first."""
        credential = record.finding.credential
        if credential is None:
            return []
        elsewhere = record.elsewhere.credentials(credential)
        hosts = dict.fromkeys((one.host or "", one.account) for one in elsewhere)
        refs = await asyncio.gather(*(self._accounts.find(host, account) for host, account in hosts))
        by_host = dict(zip(hosts, refs, strict=True))
        found: dict[str, _Place] = {}
        if ref is not None:
            found[ref.id] = _Place(ref, record.to_weigh.readings)
        for one in elsewhere:
            place = by_host[one.host or "", one.account]
            if place is not None:
                known = found.get(place.id)
                before = known.readings if known is not None else _moved(record.to_weigh.readings, one)
                found[place.id] = _Place(place, (*before, one))
        return [_Place(place.ref, distinct(place.readings)) for place in found.values()]

    async def _keys_of(self, refs: Sequence[AccountRef]) -> dict[str, _Keys | SasquashError]:
        """Return the keys of each account, by its id, or why they can't be listed. Raises TransientFailure.

        Each is listed once in ten seconds, for all leaks together, and a few at a time.
        """
        wanted = sum(not self._listed.knows(ref) for ref in refs)
        wait = self._listings.take(_ALL, wanted) if wanted else 0.0
        if wait:
            raise TransientFailure(
                "Reports name too many accounts at once: their keys are listed later.", retry_after=wait
            )

        async def listed(ref: AccountRef) -> _Keys | SasquashError:
            try:
                return await self._listed.get(ref)
            except SasquashError as error:
                return error

        found = await asyncio.gather(*(listed(ref) for ref in refs))
        return {ref.id: keys for ref, keys in zip(refs, found, strict=True)}

    async def _list(self, ref: AccountRef) -> _Keys:
        async with self._slots:
            return await self._keys(ref)


def _moved(own: Sequence[Credential], there: Credential) -> Iterator[Credential]:
    """Yield the record's own readings at the host of another one: its report may have paired paths, too."""
    for one in own:
        with suppress(InvalidCredential):
            yield replace(one, host=there.host)


def _signed(place: _Place, keys: _Keys) -> tuple[Credential, str, str] | None:
    """Return the reading that a key of the account signed, that key's name and its SHA-256."""
    values = {name: key.value for name, key in keys.items()}
    for reading in place.readings:
        verdict = attribute(reading, account=place.ref.name, keys=values)
        if verdict.key_name is not None and verdict.key_sha256 is not None:
            return reading, verdict.key_name, verdict.key_sha256
    return None
