"""Finds every credential in a text, in any context, and no text that only resembles one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .classify import moment
from .connections import find_connections
from .credential import Credential
from .hosts import EMULATOR_ACCOUNT
from .keys import EMULATOR_KEY_SHA256, find_keys
from .kinds import Kind
from .leak import Leak
from .mentions import Mentions
from .normalize import views
from .tokens import find_tokens

# Every credential holds one of these: a signature, or the characters of a key.
_PROMISING = re.compile(r"sig=[A-Za-z0-9+/%]{43}|(?<![A-Za-z0-9+/%])[A-Za-z0-9+/%]{86}")


@dataclass(frozen=True, slots=True)
class _Found:
    at: float  # 0 to 1: how far into the text
    leak: Leak

    @property
    def credential(self) -> Credential:
        return self.leak.credential


def extract(text: str, *, emulator: bool = False) -> tuple[Credential, ...]:
    """Return the credentials in `text`: those of `extract_leaks`, without their secrets."""
    return tuple(leak.credential for leak in extract_leaks(text, emulator=emulator))


def extract_leaks(text: str, *, emulator: bool = False) -> tuple[Leak, ...]:
    """Return the leaks in `text`, each once, in order of appearance.

    A token whose text does not say where it belongs gets the host of the one account that the text names, if it names
    just one. What belongs to the storage emulator, whose key is public, is left out unless `emulator` asks for it.
    Linear in the length of `text`; never raises.
    """
    found: list[_Found] = []
    for view in views(_without_half_characters(text)):
        _merge(found, list(_find(view)))
    return tuple(
        each.leak
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
    fingerprints = set()
    for each in later:
        credential = each.credential
        if credential.fingerprint in fingerprints:
            continue
        fingerprints.add(credential.fingerprint)
        index = earlier.get(credential.c3id)
        if index is None:
            found.append(each)
        elif _says_more(credential, found[index].credential):
            found[index] = _Found(found[index].at, each.leak)


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
