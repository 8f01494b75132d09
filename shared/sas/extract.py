"""Finds every credential in a text, in any context, and no text that only resembles one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .classify import moment
from .connections import find_connections
from .credential import Credential
from .hosts import EMULATOR_ACCOUNT
from .keys import EMULATOR_KEY_SHA256, find_keys
from .kinds import Kind
from .leak import Leak
from .mentions import Mentions
from .normalize import views
from .signature import Address, signed_address
from .tokens import find_tokens

MOST_OTHERS = 64
"""How many other readings of a token are kept, the first ones in the text."""

# Every credential holds one of these: a signature, or the characters of a key.
_PROMISING = re.compile(r"sig=[A-Za-z0-9+/%]{43}|(?<![A-Za-z0-9+/%])[A-Za-z0-9+/%]{86}")


@dataclass(slots=True)
class _Found:
    at: float  # 0 to 1: how far into the text
    leak: Leak
    readings: dict[Address, Credential] = field(default_factory=dict)  # of the same token, by what they verify

    def __post_init__(self) -> None:
        self.readings[signed_address(self.credential)] = self.credential

    @property
    def credential(self) -> Credential:
        return self.leak.credential

    def add(self, reading: Credential) -> None:
        """Keep another reading of the token. All of it but the address is the same."""
        if len(self.readings) <= MOST_OTHERS and reading.fingerprint == self.credential.fingerprint:
            self.readings.setdefault(signed_address(reading), reading)

    def read_as(self, leak: Leak) -> "_Found":
        """Return the same leak, read more completely; this reading of it is kept beside."""
        found = _Found(self.at, leak)
        for reading in self.readings.values():
            found.add(reading)
        return found

    def whole(self) -> Leak:
        """Return the leak with its other readings."""
        others = (each for each in self.readings.values() if each is not self.credential)
        return replace(self.leak, others=tuple(others))


def extract(text: str, *, emulator: bool = False) -> tuple[Credential, ...]:
    """Return the credentials in `text`: those of `extract_leaks`, without their secrets."""
    return tuple(leak.credential for leak in extract_leaks(text, emulator=emulator))


def extract_leaks(text: str, *, emulator: bool = False) -> tuple[Leak, ...]:
    """Return the leaks in `text`, each once, in order of appearance.

    A token whose text does not say where it belongs gets the host of the one account that the text names, if it names
    just one. A token that stands at several addresses of one host is one leak with several readings. What belongs to
    the storage emulator, whose key is public, is left out unless `emulator` asks for it.
    Linear in the length of `text`; never raises.
    """
    found: list[_Found] = []
    for view in views(_without_half_characters(text)):
        _merge(found, list(_find(view)))
    return tuple(
        each.whole()
        for each in sorted(found, key=lambda each: each.at)
        if emulator or not _is_emulators(each.credential)
    )


def _find(view: str) -> Iterator[_Found]:
    if not _PROMISING.search(view):
        return
    connections = list(find_connections(view))
    mentions = Mentions.in_text(view)
    length = len(view) or 1
    for finder in (find_tokens, find_keys):
        for at, leak in finder(view, connections, mentions):
            yield _Found(at / length, leak)


def _merge(found: list[_Found], later: list[_Found]) -> None:
    """Add what a later reading of the text found.

    One secret in several readings is one leak, seen whole in one of them and cut or glued in others; in one reading,
    the same signature with other parameters is an altered copy, and a leak of its own.
    """
    earlier = {each.credential.c3id: index for index, each in enumerate(found)}
    here: dict[str, _Found] = {}
    for each in later:
        index = earlier.get(each.credential.c3id)
        first = here.setdefault(each.credential.fingerprint, each)
        if index is None:
            if first is each:
                found.append(each)
            else:
                first.add(each.credential)
        elif first is each and _says_more(each.credential, found[index].credential):
            found[index] = found[index].read_as(each.leak)
        else:
            found[index].add(each.credential)


def _says_more(credential: Credential, other: Credential) -> bool:
    """Whether `credential` is the same leak as `other`, read more completely."""
    if credential.kind is Kind.ACCOUNT_KEY:
        return other.host is None and credential.host is not None
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
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
