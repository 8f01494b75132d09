"""The readings of a leak at other hosts, as its record keeps them until one is proven. Pure.

A report may give a secret several addresses: a scanner pairs each secret of a file with each address in it, and a key
stands beside the names of several accounts. It is one leak, and each account is tried: its keys say whose it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from shared.domain import readings
from shared.domain.readings import Reading
from shared.sas import Credential, SignedParts, signed_parts

MOST = 64  # readings that wait to be tried


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Readings at other hosts than that of the record's credential, nearest first.

    `tried` are those that no key of their accounts signed; they give way to new ones.
    """

    waiting: tuple[Reading, ...] = ()
    tried: tuple[Reading, ...] = ()

    def with_report(self, credential: Credential, reported: Iterable[Credential]) -> Self:
        """Return it with the readings of a report at other hosts than that of `credential`, as many as fit."""
        added = [Reading.of(one) for one in self.unknown(credential, reported)]
        if not added:
            return self
        waiting = readings.bounded((*self.waiting, *added), credential)[:MOST]
        kept = readings.bounded((*waiting, *self.tried), credential)[len(waiting) : MOST]
        return replace(self, waiting=waiting, tried=kept)

    def unknown(self, credential: Credential, reported: Iterable[Credential]) -> tuple[Credential, ...]:
        """Return the readings of a report at other hosts that are not among these."""
        known = {_parts(one, credential) for one in (*self.waiting, *self.tried)}
        new = (one for one in reported if one.host not in (None, credential.host))
        return tuple(one for one in readings.distinct(new) if signed_parts(one) not in known)

    def tried_at(self, readings: Iterable[Reading]) -> Self:
        """Return it after no key signed these."""
        done = set(readings)
        tried = [one for one in self.waiting if one in done]
        waiting = tuple(one for one in self.waiting if one not in done)
        return replace(self, waiting=waiting, tried=(*tried, *self.tried)[:MOST])

    def left(self, own: Credential) -> Self:
        """Return it after another reading took the place of the record's `own`, which was tried."""
        if own.host is None:
            return self
        return replace(self, tried=(Reading.of(own), *self.tried)[:MOST])

    def again(self) -> Self:
        """Return it with all of them to be tried again: a key may be back, or an account readable."""
        return replace(self, waiting=(*self.waiting, *self.tried)[:MOST], tried=())

    def credentials(self, credential: Credential) -> tuple[Credential, ...]:
        """Return those that wait, as readings of `credential`."""
        return tuple(one.applied_to(credential) for one in self.waiting)


NOWHERE = Elsewhere()


def _parts(reading: Reading, credential: Credential) -> SignedParts:
    return signed_parts(reading.applied_to(credential))
