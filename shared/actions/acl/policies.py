"""The stored access policies of one container, queue, share or table, as texts. Pure.

An access-control list is replaced as a whole, so everything that is not to change must go back byte for byte: dates
with seven digits or none, fields that are missing, unknown members. The client libraries' models lose some of that;
here each policy is kept as it was read.
Sources: REST, "Define a stored access policy", "Set Container ACL", and the like for queues, shares and tables; ARM,
"Tables" and "File Shares" (property signedIdentifiers).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from shared.domain.account import PolicyState

MOST_POLICIES = 5  # of one resource

# The end that marks a policy as revoked by Sasquash; any end in the past would do. In Azure's own format.
TOMBSTONE_END = "2000-01-01T00:00:00.0000000Z"
_TOMBSTONE_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)

NO_POLICY = hashlib.sha256(b"").hexdigest()
"""The version where there is no policy."""

_IDENTIFIER = ("SignedIdentifiers", "SignedIdentifier")
_ARM_FIELDS = {"start": "startTime", "expiry": "expiryTime", "permissions": "permission"}
_XML_FIELDS = {"Start": "start", "Expiry": "expiry", "Permission": "permissions"}


class MalformedPolicies(ValueError):
    """What Azure answered is not a list of policies. The message repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class SignedIdentifier:
    """One stored access policy. `start`, `expiry` and `permissions` are as written, None where the policy has none.

    `raw` is the text that it was read from, XML or JSON; a new one is written from its fields.
    """

    id: str
    start: str | None = None
    expiry: str | None = None
    permissions: str | None = None
    raw: str = ""

    @property
    def version(self) -> str:
        """The SHA-256 (hex) of all that it says, the same whichever way it was read."""
        said = json.dumps([self.id, self.start, self.expiry, self.permissions])
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def expires(self) -> datetime | None:
        """Its end in UTC; None where it has none, or one that only Azure understands."""
        if self.expiry is None:
            return None
        try:
            moment = datetime.fromisoformat(self.expiry)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def state(self, now: datetime) -> PolicyState:
        """How it stands. An end that is not understood is taken for one to come: the policy may be alive."""
        expires = self.expires
        if expires == _TOMBSTONE_MOMENT:
            return PolicyState.TOMBSTONE
        return PolicyState.EXPIRED if expires is not None and expires <= now else PolicyState.LIVE


type Policies = tuple[SignedIdentifier, ...]


def tombstone(policy: str) -> SignedIdentifier:
    """Return the tombstone of a policy: its id, and an end in the past.

    Nothing else is kept, so that extending its end alone does not re-enable it.
    """
    return SignedIdentifier(policy, expiry=TOMBSTONE_END)


def find(policies: Policies, policy: str) -> SignedIdentifier | None:
    """Return the policy of this id."""
    return next((identifier for identifier in policies if identifier.id == policy), None)


def entombed(policies: Policies, policy: str) -> Policies:
    """Return `policies` with a tombstone in the place of `policy`, or at the end where there was none."""
    if find(policies, policy) is None:
        return (*policies, tombstone(policy))
    return tuple(tombstone(policy) if identifier.id == policy else identifier for identifier in policies)


def without(policies: Policies, policy: str) -> Policies:
    """Return `policies` but for the one of this id."""
    return tuple(identifier for identifier in policies if identifier.id != policy)


def from_xml(body: bytes) -> Policies:
    """Return the policies in an answer of the data plane. Raises MalformedPolicies."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    reader = _Reader(body)
    try:
        reader.parser.Parse(body, True)
        return tuple(reader.found)
    except (expat.ExpatError, UnicodeDecodeError):
        raise MalformedPolicies("the answer is not well-formed XML in UTF-8") from None


def to_xml(policies: Policies) -> bytes:
    """Return the body of a Set ACL request."""
    inner = "".join(identifier.raw or _xml(identifier) for identifier in policies)
    return f'<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers>{inner}</SignedIdentifiers>'.encode()


def from_arm(properties: Mapping[str, Any] | None) -> Policies:
    """Return the policies in ARM's `properties` of a table or file share. Raises MalformedPolicies."""
    try:
        return tuple(_from_arm(item) for item in (properties or {}).get("signedIdentifiers") or ())
    except (TypeError, KeyError, AttributeError):
        raise MalformedPolicies("ARM's signedIdentifiers are not of the documented shape") from None


def to_arm(policies: Policies, *, permission_required: bool) -> list[dict[str, Any]]:
    """Return `signedIdentifiers` for ARM. With `permission_required` (tables), a new policy without any says "r"."""
    return [
        json.loads(identifier.raw) if identifier.raw else _arm(identifier, permission_required=permission_required)
        for identifier in policies
    ]


class _Reader:
    """Finds where each SignedIdentifier begins and ends in `body`, and what its fields say."""

    def __init__(self, body: bytes) -> None:
        self.found: list[SignedIdentifier] = []
        self._body = body
        self._path: list[str] = []
        self._begin = 0
        self._fields: dict[str, str] = {}
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.CharacterDataHandler = self._text
        self.parser.EndElementHandler = self._end

    def _doctype(self, *_: object) -> None:
        raise MalformedPolicies("the answer has a document type, which Azure's have not")

    def _start(self, name: str, _: object) -> None:
        self._path.append(name)
        if self._path[0] != _IDENTIFIER[0]:
            raise MalformedPolicies("the answer is not a SignedIdentifiers document")
        if tuple(self._path) == _IDENTIFIER:
            self._begin, self._fields = self.parser.CurrentByteIndex, {}

    def _text(self, text: str) -> None:
        match self._path[2:]:
            case ["Id"]:
                self._fields["id"] = self._fields.get("id", "") + text
            case ["AccessPolicy", name] if name in _XML_FIELDS:
                field = _XML_FIELDS[name]
                self._fields[field] = self._fields.get(field, "") + text

    def _end(self, _: str) -> None:
        if tuple(self._path) == _IDENTIFIER:
            if "id" not in self._fields:
                raise MalformedPolicies("a policy in the answer has no id")
            end = self._body.index(b">", self.parser.CurrentByteIndex) + 1
            raw = self._body[self._begin : end].decode()
            texts = {field: text.strip() for field, text in self._fields.items() if field != "id" and text.strip()}
            self.found.append(SignedIdentifier(self._fields["id"], **texts, raw=raw))
        self._path.pop()


def _xml(identifier: SignedIdentifier) -> str:
    texts = ((tag, getattr(identifier, field)) for tag, field in _XML_FIELDS.items())
    fields = "".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in texts if text is not None)
    return (
        f"<SignedIdentifier><Id>{escape(identifier.id)}</Id><AccessPolicy>{fields}</AccessPolicy></SignedIdentifier>"
    )


def _from_arm(item: Mapping[str, Any]) -> SignedIdentifier:
    policy = item.get("accessPolicy") or {}
    fields = {field: str(policy[name]) for field, name in _ARM_FIELDS.items() if policy.get(name)}
    return SignedIdentifier(id=str(item["id"]), **fields, raw=json.dumps(_plain(item)))


def _plain(value: Any) -> Any:
    """Return JSON as plain dicts and lists: the SDK's models are mappings too."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _arm(identifier: SignedIdentifier, *, permission_required: bool) -> dict[str, Any]:
    texts = {name: getattr(identifier, field) for field, name in _ARM_FIELDS.items()}
    policy = {name: text for name, text in texts.items() if text is not None}
    if permission_required:
        policy.setdefault("permission", "r")
    return {"id": identifier.id, "accessPolicy": policy}
