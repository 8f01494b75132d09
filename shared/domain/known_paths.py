"""The paths with which a leak was reported, as its record keeps them. Pure.

The first report of a leak may give it a wrong path, by mistake or on purpose. The path is no part of the fingerprint,
so each report adds its paths to the record, and every one of them is tried until one verifies. So is a reading whose
parameters have other values: the text did not say how they were written.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from shared.domain import readings
from shared.domain.readings import Reading
from shared.sas import Credential, signed_parts

MOST_TRIED = 32  # paths that did not verify
MOST = 96  # with those that were not tried yet: one report has up to 65
_ID = 8  # hex digits
_LARGEST = 30_000  # bytes of them as JSON: a text column of Table Storage holds 32 K characters


@dataclass(frozen=True, slots=True)
class KnownPath:
    """A reported path. `tried`: it did not verify. `by_person`: a responder reported it, not only a tool.

    `parameters` are those of the reading where they are not the credential's.
    """

    path: str | None
    by_person: bool = False
    tried: bool = False
    parameters: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(cls, reading: Credential, credential: Credential, *, by_person: bool = False) -> "KnownPath":
        """Return the path of a reading of `credential`."""
        other = reading.parameters if reading.parameters != credential.parameters else None
        return cls(reading.path, by_person, parameters=other)


@dataclass(frozen=True, slots=True)
class Part:
    """Readings of a credential that fit into a text column of Table Storage, or into a queue message.

    `paths` are of those with the parameters of the credential, `respelled` those with others.
    """

    paths: tuple[str | None, ...] = ()
    respelled: tuple[Reading, ...] = ()

    def readings(self, credential: Credential) -> tuple[Credential, ...]:
        """Return the readings of `credential`."""
        respelled = (one.of_same_kind(credential) for one in self.respelled)
        return (*(replace(credential, path=path) for path in self.paths), *(one for one in respelled if one))


NOTHING = Part()


@dataclass(frozen=True, slots=True)
class KnownPaths:
    """The paths of a record, oldest first; `dropped` counts those that gave way to others.

    `verified`: the path of the record's credential is the right one. Others are only sightings then.
    """

    known: tuple[KnownPath, ...] = ()
    dropped: int = 0
    verified: bool = False

    def readings(self, credential: Credential) -> tuple[Credential, ...]:
        """Return what `credential` may be: one reading for each path to try, none beside one that verified."""
        if self.verified:
            return (credential,)
        return readings.distinct((credential, *_read(self.known, credential)))

    def unknown(self, credential: Credential, reported: Iterable[Credential]) -> tuple[Credential, ...]:
        """Return those of the `reported` readings that are not among those of the record's `credential`."""
        known = {signed_parts(one) for one in (credential, *_read(self.known, credential))}
        return tuple(one for one in readings.distinct(reported) if signed_parts(one) not in known)

    def untried(self, credential: Credential) -> tuple[Credential, ...]:
        """Return the readings that were not tried yet."""
        return tuple(one for path, one in self._beside(credential) if not path.tried)

    def others(self, credential: Credential) -> int:
        """Return how many paths were reported beside that of `credential`, those that are no longer kept included."""
        known = {signed_parts(one) for one in _read(self.known, credential)}
        return len(known - {signed_parts(credential)}) + self.dropped

    def with_report(self, credential: Credential, reported: Iterable[Credential], *, by_person: bool) -> "KnownPaths":
        """Return the paths with those of another report, as many as fit.

        One that did not verify gives way to a new one; one that was not tried yet does only for a person's, and a
        person's only for another person's.
        """
        added = self if self.known else replace(self, known=(KnownPath(credential.path),))
        known = {signed_parts(one): path for path, one in added._beside(credential)}
        for reading in readings.distinct(reported):
            path = known.get(signed_parts(reading))
            if path is None or path not in added.known:
                added = added._with(KnownPath.of(reading, credential, by_person=by_person))
            elif by_person and not path.by_person:
                kept = tuple(replace(one, by_person=True) if one == path else one for one in added.known)
                added = replace(added, known=kept)
        return added if len(added.known) > 1 or self.known or by_person else self

    def tried(self, credential: Credential, among: Iterable[Credential]) -> "KnownPaths":
        """Return the paths after the readings `among` them did not verify."""
        if self.verified:
            return self
        failed = {signed_parts(one) for one in among}
        kept = [
            replace(path, tried=path.tried or signed_parts(one) in failed) for path, one in self._beside(credential)
        ]
        while sum(path.tried for path in kept) > MOST_TRIED:
            strangers = (path for path in kept if path.tried and not path.by_person)
            kept.remove(next(strangers, None) or next(path for path in kept if path.tried))
        return replace(self, known=tuple(kept), dropped=self.dropped + len(self.known) - len(kept))

    def of_verified(self, reading: Credential, credential: Credential) -> "KnownPaths":
        """Return the paths after a reading of the record's `credential` was verified, and is its credential now."""
        known = self.known
        if reading.parameters != credential.parameters:
            known = tuple(replace(one, parameters=one.parameters or credential.parameters) for one in known)
        return replace(self, known=known, verified=True)

    def _beside(self, credential: Credential) -> Iterator[tuple[KnownPath, Credential]]:
        return zip(self.known, _read(self.known, credential), strict=True)

    def _with(self, new: KnownPath) -> "KnownPaths":
        """Return the paths with another one; without it where it does not fit."""
        kept = list(self.known)
        while not _fits([*kept, new]):
            leaving = _leaving(kept, new)
            if leaving is None:
                return self
            kept.remove(leaving)
        return replace(self, known=(*kept, new), dropped=self.dropped + len(self.known) - len(kept))


def split(reported: Iterable[Credential], credential: Credential | None) -> Iterator[Part]:
    """Yield readings of `credential` in parts that fit into a text column of Table Storage, or a queue message."""
    paths: list[str | None] = []
    respelled: list[Reading] = []
    size = 0
    for one in reported:
        is_respelled = credential is not None and one.parameters != credential.parameters
        length = len(msgspec.json.encode(Reading.of(one) if is_respelled else one.path)) + 1
        if size and size + length > _LARGEST:
            yield Part(tuple(paths), tuple(respelled))
            paths, respelled, size = [], [], 0
        if is_respelled:
            respelled.append(Reading.of(one))
        else:
            paths.append(one.path)
        size += length
    if size:
        yield Part(tuple(paths), tuple(respelled))


def path_id(credential: Credential | None) -> str:
    """Return a short text that names a reading of a credential among those of its record; empty without one.

    It is of what was signed: a container is named alike by the URL of each blob in it.
    """
    if credential is None:
        return ""
    return hashlib.sha256(msgspec.json.encode(signed_parts(credential))).hexdigest()[:_ID]


def _read(known: Iterable[KnownPath], credential: Credential) -> Iterator[Credential]:
    return (replace(credential, path=one.path, parameters=one.parameters or credential.parameters) for one in known)


def _fits(paths: list[KnownPath]) -> bool:
    if len(paths) > MOST or sum(path.tried for path in paths) > MOST_TRIED:
        return False
    return len(msgspec.json.encode(paths)) <= _LARGEST


def _leaving(kept: list[KnownPath], new: KnownPath) -> KnownPath | None:
    """Return which path gives way to `new`, the oldest of its sort; None where none may."""
    strangers = [one for one in kept if not one.by_person]
    ranks: list[list[KnownPath]] = [[one for one in strangers if one.tried]]
    if new.by_person:
        ranks += [strangers, [one for one in kept if one.tried]]
    return next((rank[0] for rank in ranks if rank), None)
