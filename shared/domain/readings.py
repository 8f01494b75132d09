"""Other readings of a leaked secret: the same signature at another address, or with other parameters. Pure.

A service SAS signs the path of its resource, a user delegation SAS too, but the secret is the same wherever it is
written. A scanner may pair it with the wrong link, and a stranger may report it with a wrong path on purpose. And a
text may not say how a value was written: a `+` is a space in one client's tokens and a plus in another's. So a
finding carries every reading that its report allows, and each of them is tried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from shared.redaction import redact
from shared.sas import Credential, InvalidCredential, Kind, SignedParts, signed_parts

MOST = 64  # readings beside the credential
LARGEST = 32 * 1024  # bytes of them together, as JSON

_FIELDS = {"host", "path", "parameters"}


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a secret was read: the fields of a credential that may differ between two readings of one secret."""

    host: str | None
    path: str | None
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, credential: Credential) -> "Reading":
        """Return the reading that `credential` is."""
        return cls(credential.host, credential.path, credential.parameters)

    def applied_to(self, credential: Credential) -> Credential:
        """Return the secret of `credential`, read in this way. Raises InvalidCredential."""
        return Credential(
            kind=credential.kind,
            host=self.host,
            path=self.path,
            parameters=self.parameters,
            signature_sha256=credential.signature_sha256,
            key_sha256=credential.key_sha256,
        )

    def of_same_kind(self, credential: Credential) -> Credential | None:
        """Return the secret of `credential`, read in this way; None where it would be of another kind."""
        try:
            return self.applied_to(credential)
        except InvalidCredential:
            return None

    def to_json(self, credential: Credential) -> dict[str, object]:
        """Return the wire form, beside that of `credential`: what is the same is left out."""
        data: dict[str, object] = {"path": self.path}
        if self.host != credential.host:
            data["host"] = self.host
        if self.parameters != credential.parameters:
            data["parameters"] = dict(self.parameters)
        return data


def parse(data: object, credential: Credential) -> tuple[tuple[Reading, ...], int]:
    """Return the readings in `data`, which is untrusted, and how many of its items are none.

    An item that is malformed, too much, or contains what looks like a secret is left out: the finding counts
    without it.
    """
    items = data if isinstance(data, list) else [None]
    parsed = (_parse(item, credential) for item in items[:MOST])
    kept = bounded((reading for reading in parsed if reading is not None), credential)
    return kept, len(items) - len(kept)


def bounded(readings: Iterable[Reading], credential: Credential) -> tuple[Reading, ...]:
    """Return the first of `readings`, as many as a finding may carry."""
    kept: list[Reading] = []
    left = LARGEST
    for reading in readings:
        left -= len(msgspec.json.encode(reading.to_json(credential))) + 1
        if left < 0 or len(kept) == MOST:
            break
        kept.append(reading)
    return tuple(kept)


def distinct(credentials: Iterable[Credential]) -> tuple[Credential, ...]:
    """Return the readings of one secret that are not verified alike, in their order."""
    first: dict[SignedParts, Credential] = {}
    for credential in credentials:
        first.setdefault(signed_parts(credential), credential)
    return tuple(first.values())


def holds_secret(credential: Credential) -> bool:
    """Whether a field contains what looks like a signature or a key: a publisher may have put a whole URL into it."""
    texts = (credential.path or "", *(f"{name}={value}" for name, value in credential.parameters))
    return any(redact(text) != text for text in texts)


def _parse(item: object, credential: Credential) -> Reading | None:
    """Return the reading in `item`, None where it is none of this secret."""
    if not isinstance(item, Mapping) or "path" not in item or not item.keys() <= _FIELDS:
        return None
    try:
        read = Credential.from_json(credential.to_json() | dict(item))
    except InvalidCredential:
        return None
    is_the_same = credential.kind is Kind.ACCOUNT_KEY and read.host == credential.host  # a key has no path
    return None if is_the_same or holds_secret(read) else Reading.of(read)
