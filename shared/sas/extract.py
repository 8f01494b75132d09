"""Finds every credential in a text, in any context, and no text that only resembles one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .anchors import Anchors, Window
from .classify import moment
from .connections import find_connections
from .credential import Credential
from .hosts import EMULATOR_ACCOUNT
from .keys import EMULATOR_KEY_SHA256, find_keys
from .kinds import Kind
from .leak import MOST_OTHERS, Leak, Sighting
from .normalize import views
from .places import Places
from .signature import SignedParts, signed_parts
from .tokens import find_tokens

type _Meaning = tuple[SignedParts, str | None]
"""What the result of a verification depends on: what was signed, and the host for its cloud."""


@dataclass(slots=True)
class _Found:
    at: float
    leak: Leak
    whole: bool
    readings: dict[_Meaning, Credential] = field(default_factory=dict)  # of the same secret

    @classmethod
    def of(cls, sighting: Sighting, at: float) -> "_Found":
        found = cls(at, sighting.leak, sighting.whole)
        for reading in (sighting.leak.credential, *sighting.leak.others):
            found.add(reading)
        return found

    @property
    def digest(self) -> str:
        """The hash of the signature or the key."""
        return self.credential.signature_sha256 or self.credential.key_sha256 or ""

    @property
    def placed(self) -> bool:
        """Whether its address is known."""
        credential = self.credential
        if credential.account is None or credential.kind in (Kind.ACCOUNT_KEY, Kind.ACCOUNT_SAS):
            return credential.host is not None
        return signed_parts(credential)[1] is not None and not signed_parts(credential)[3]

    @property
    def credential(self) -> Credential:
        return self.leak.credential

    def add(self, reading: Credential) -> None:
        """Keep another reading of the secret."""
        if len(self.readings) <= MOST_OTHERS:
            host = None if reading.account else reading.host
            self.readings.setdefault((signed_parts(reading), host), reading)

    def join(self, other: "_Found") -> None:
        """Keep the readings of another sighting of the secret, but for those of a cut token."""
        names = [name for name, _ in self.credential.parameters]
        for reading in other.readings.values():
            if [name for name, _ in reading.parameters] == names:
                self.add(reading)
        self.whole = self.whole or other.whole

    def read_as(self, other: "_Found") -> "_Found":
        """Return the same leak, read more completely; this reading of it is kept beside."""
        found = replace(other, at=self.at, readings=dict(other.readings))
        found.join(self)
        return found

    def result(self) -> Leak:
        """Return the leak with its other readings."""
        others = (each for each in self.readings.values() if each != self.credential)
        return replace(self.leak, others=tuple(others)[:MOST_OTHERS])


def extract(text: str, *, emulator: bool = False) -> tuple[Credential, ...]:
    """Return the credentials in `text`: those of `extract_leaks`, without their secrets."""
    return tuple(leak.credential for leak in extract_leaks(text, emulator=emulator))


def extract_leaks(text: str, *, emulator: bool = False) -> tuple[Leak, ...]:
    """Return the leaks in `text`, each once, in order of appearance.

    A token whose text does not say where it belongs gets the host of the account that the text gives it, if it gives
    it one. What else the text allows are other readings of the leak, the likeliest first. What belongs to the storage
    emulator, whose key is public, is left out unless `emulator` asks for it.
    Linear in the length of `text`; never raises.
    """
    return tuple(leak for _, leak in located_leaks(text, emulator=emulator))


def located_leaks(text: str, *, emulator: bool = False) -> tuple[tuple[int, Leak], ...]:
    """Return the leaks in `text`, each with the offset of its secret."""
    if "\0" in text:
        # UTF-16 that was read as bytes. The offsets are still right for the lines, which is what they are for.
        text = text.replace("\0", "")
    text = _without_half_characters(text)
    anchors = Anchors.in_text(text)
    found: dict[str, list[_Found]] = {}
    for first, last in anchors.groups():
        window = anchors.window(first, last)
        here = _read(text, window)
        if not here or not all(each.placed for each in here):
            wide = anchors.window(first, last, wide=True)
            if wide != window and _names_account(text[wide.start : wide.end]):
                here = _read(text, wide)
        _merge_windows(found, here)
    return tuple(
        (anchors.nearest(each.at), each.result())
        for each in sorted(_without_unattributed_copies(found.values()), key=lambda each: each.at)
        if emulator or not _is_emulators(each.credential)
    )


def _read(text: str, window: Window) -> list[_Found]:
    """Return what a window of `text` holds, in as many of its readings as it needs."""
    part = text[window.start : window.end]
    found: list[_Found] = []
    for view in views(part):
        here = list(_find(view, window, whole_text=len(part) == len(text)))
        _merge(found, here)
        if sum(each.whole for each in here) >= window.anchors:
            break
    return found


def _find(view: str, window: Window, *, whole_text: bool) -> Iterator[_Found]:
    connections = list(find_connections(view))
    places = Places(view)
    length = len(view) or 1
    sightings = [
        *find_tokens(view, connections, places),
        *find_keys(view, connections, places, alone=whole_text),
    ]
    for sighting in sightings:
        yield _Found.of(sighting, window.start + sighting.at / length * (window.end - window.start))


def _merge(found: list[_Found], later: list[_Found]) -> None:
    """Add what a later reading of the text found.

    One secret in several readings is one leak, seen whole in one of them and cut or glued in others; in one reading,
    the same signature with other parameters is an altered copy, and a leak of its own.
    """
    earlier = {each.digest: index for index, each in enumerate(found)}
    here: dict[str, _Found] = {}
    for each in later:
        index = earlier.get(each.digest)
        first = here.setdefault(each.credential.fingerprint, each)
        if index is None:
            if first is each:
                found.append(each)
            else:
                first.join(each)
        elif first is each and _says_more(each.credential, found[index].credential):
            found[index] = found[index].read_as(each)
        else:
            found[index].join(each)


def _merge_windows(found: dict[str, list[_Found]], later: list[_Found]) -> None:
    """Add what another window of the text holds: a window may begin or end inside of a token that another one has."""
    for each in later:
        same = found.setdefault(each.digest, [])
        known = next((one for one in same if _is_same(each, one)), None)
        if known is not None:
            known.join(each)
        else:
            same.append(each)


def _is_same(one: _Found, other: _Found) -> bool:
    """Whether `one` is `other`, or a part of it: each of its parameters is the other's, and it has fewer."""
    if one.credential.fingerprint == other.credential.fingerprint:
        return True
    return set(one.credential.parameters) < set(other.credential.parameters)


def _without_unattributed_copies(found: Iterable[list[_Found]]) -> Iterator[_Found]:
    """Leave out a leak without an address that stands elsewhere in the text with one."""
    for same in found:
        placed = [each for each in same if each.credential.host is not None]
        for each in same:
            twin = next((one for one in placed if one.credential.parameters == each.credential.parameters), None)
            if each.credential.host is None and twin is not None:
                twin.join(each)
                twin.at = min(twin.at, each.at)
            else:
                yield each


def _names_account(text: str) -> bool:
    """Whether a text may name an account: only then is more of it read."""
    return ".core." in text or ".storage.azure.net" in text or "account" in text.lower()


def _says_more(credential: Credential, other: Credential) -> bool:
    """Whether `credential` is the same leak as `other`, read more completely."""
    if credential.kind is Kind.ACCOUNT_KEY:
        return other.host is None and credential.host is not None
    if None not in (credential.host, other.host) and credential.account != other.account:
        return len(credential.parameters) > len(other.parameters)
    more, less = _completeness(credential), _completeness(other)
    if more == less and credential.host == other.host:
        return len(credential.path or "") > len(other.path or "")
    return more > less


def _completeness(credential: Credential) -> tuple[int, int, int, int]:
    dates = [moment(credential.parameter(name)) for name in ("st", "se") if credential.parameter(name) is not None]
    return (
        -dates.count(None),
        credential.host is not None,
        len(credential.parameters),
        credential.path is not None,
    )


def _is_emulators(credential: Credential) -> bool:
    return credential.account == EMULATOR_ACCOUNT or credential.key_sha256 == EMULATOR_KEY_SHA256


def _without_half_characters(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
