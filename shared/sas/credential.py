"""The credential without its secret: everything about a leak except what makes it usable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from . import fingerprint as identity
from .classify import Resource, kind_of, moment, resource_of
from .hosts import Location, is_host, locate
from .kinds import (
    ALL_SERVICES,
    SERVICE_LETTERS,
    SNAPSHOT_TIME,
    TOKEN_PARAMETERS,
    Kind,
    ResourceKind,
    Service,
)

_KNOWN_PARAMETERS = TOKEN_PARAMETERS | set(SNAPSHOT_TIME.values())
_FIELDS = {"kind", "host", "path", "parameters", "signature_sha256", "key_sha256"}
_DIGEST = re.compile(r"[0-9a-f]{64}")
# A line feed would let one string-to-sign be read as another, and anything below space forge a log line.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST = 4096
_LONGEST_TOGETHER = 8192  # more than any URL that Azure takes; a record must hold it


class InvalidCredential(ValueError):
    """What was given is no credential; the message names the field and the rule, never the value."""


@dataclass(frozen=True)  # without slots: what follows from the fields is kept
class Credential:
    """A leak without its secret. Raises InvalidCredential when its parts don't make a credential.

    `host` is as leaked, in lower case and without a port; `path` percent-decoded, as leaked, without a leading "/",
    None when the text had none. `parameters` are the token's, decoded and sorted by name, without `sig`, and the
    URL's `snapshot` or `versionid` where the signature covers it. `signature_sha256` is set for a SAS, `key_sha256`
    for a key (`fingerprint.py`). A key whose text gave an account's name but no endpoint has the host
    `<account>.blob.<suffix>`.
    """

    kind: Kind
    host: str | None
    path: str | None
    parameters: tuple[tuple[str, str], ...]
    signature_sha256: str | None
    key_sha256: str | None

    def __post_init__(self) -> None:
        if self.host is not None and not is_host(self.host):
            raise InvalidCredential("host: not a host name in lower case without a port")
        if self.path is not None and (not self.path or not is_plain(self.path)):
            raise InvalidCredential(f"path: not 1 to {_LONGEST} characters without control characters")
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)) or not _KNOWN_PARAMETERS.issuperset(names):
            raise InvalidCredential("parameters: a name is unknown, repeated, out of order, or secret")
        if not all(is_plain(value) for _, value in self.parameters):
            raise InvalidCredential(f"parameters: a value is over {_LONGEST} characters or holds a control character")
        if sum(len(value) for _, value in self.parameters) > _LONGEST_TOGETHER:
            raise InvalidCredential(f"parameters: over {_LONGEST_TOGETHER} characters together")
        if self.kind is Kind.ACCOUNT_KEY:
            if self.parameters or self.signature_sha256 is not None or not _is_digest(self.key_sha256):
                raise InvalidCredential("key_sha256: an account key has exactly this digest, and no parameters")
            return
        if self.key_sha256 is not None or not _is_digest(self.signature_sha256):
            raise InvalidCredential("signature_sha256: a SAS has exactly this digest, 64 lower-case hex characters")
        if kind_of(self._by_name, host=self.host) is not self.kind:
            raise InvalidCredential("kind: does not agree with the parameters")

    def parameter(self, name: str) -> str | None:
        """Return the decoded value of a parameter, None when the token has none."""
        return self._by_name.get(name)

    @property
    def account(self) -> str | None:
        """The account's name as the host spells it; None for a custom domain or a token without a host."""
        return self._located.account

    @property
    def secondary(self) -> bool:
        """Whether it leaked with the host of the account's read-only copy."""
        return self._located.secondary

    @property
    def service(self) -> Service | None:
        """The service that it gives access to, MULTIPLE for several; None for a key."""
        return self._resource.service

    @property
    def services(self) -> frozenset[Service]:
        """Every service that it gives access to: an account SAS by its `ss`, a key to all four."""
        if self.kind is Kind.ACCOUNT_KEY:
            return ALL_SERVICES
        if self.kind is Kind.ACCOUNT_SAS:
            return frozenset(SERVICE_LETTERS[letter] for letter in self.parameter("ss") or "")
        service = self._resource.service
        return frozenset({service}) if service else frozenset()

    @property
    def resource_kind(self) -> ResourceKind | None:
        """What kind of resource is signed."""
        return self._resource.kind

    @property
    def resource_types(self) -> str | None:
        """The levels that an account SAS gives access to (`srt`): s service, c container, o object."""
        return self.parameter("srt")

    @property
    def container(self) -> str | None:
        """The signed container, share, queue or table; None for a whole account, or where the text lacks it."""
        return self._resource.container

    @property
    def resource_path(self) -> str | None:
        """The signed path inside the container or share; None where the whole container is signed."""
        return self._resource.path

    @property
    def policy(self) -> str | None:
        """The stored access policy's id (`si`); None for kinds that know no policies."""
        return self.parameter("si") if self.kind is Kind.POLICY_SAS else None

    @property
    def permissions(self) -> str | None:
        """`sp` unchanged; None where a stored access policy has it."""
        return self.parameter("sp")

    @property
    def version(self) -> str | None:
        """The storage service version (`sv`), YYYY-MM-DD; None only for tokens from before 2012-02-12."""
        return self.parameter("sv")

    @property
    def starts(self) -> datetime | None:
        """`st` in UTC; None when missing or malformed."""
        return moment(self.parameter("st"))

    @property
    def expires(self) -> datetime | None:
        """`se` in UTC; None when missing (a stored policy may have it) or malformed."""
        return moment(self.parameter("se"))

    @property
    def ends(self) -> datetime | None:
        """When it expires, in UTC: `se`, or the earlier expiry of the delegation key that signed it."""
        key_ends = moment(self.parameter("ske")) if self.kind is Kind.USER_DELEGATION_SAS else None
        return min((end for end in (self.expires, key_ends) if end is not None), default=None)

    @property
    def protocols(self) -> str | None:
        """`spr` unchanged: "https" or "https,http"; missing means both."""
        return self._restriction("spr")

    @property
    def ip_range(self) -> str | None:
        """`sip` unchanged; missing means from anywhere."""
        return self._restriction("sip")

    @cached_property
    def fingerprint(self) -> str:
        """The leak's identity, 64 hex characters: the same for every report of it."""
        return identity.fingerprint(kind=self.kind, host=self.host, parameters=self.parameters, digest=self._digest)

    @property
    def c3id(self) -> str:
        """The id that people see, 20 characters; the same for every text in which this signature or key leaked."""
        return identity.c3id(self._digest)

    def to_json(self) -> dict[str, object]:
        """Return the wire form, `credential` in an event's data."""
        digest = "key_sha256" if self.kind is Kind.ACCOUNT_KEY else "signature_sha256"
        return {
            "kind": self.kind.value,
            "host": self.host,
            "path": self.path,
            "parameters": dict(self.parameters),
            digest: self._digest,
        }

    @classmethod
    def from_json(cls, data: object) -> "Credential":
        """Read the wire form, which is untrusted. Raises InvalidCredential."""
        if not isinstance(data, Mapping) or not data.keys() <= _FIELDS:
            raise InvalidCredential("credential: not an object, or one with a field that is not in the contract")
        try:
            kind = Kind(_text_or_none(data, "kind") or "")
        except ValueError:
            raise InvalidCredential("kind: not one of the known kinds") from None
        parameters = data.get("parameters", {})
        if not isinstance(parameters, Mapping) or not all(
            isinstance(part, str) for pair in parameters.items() for part in pair
        ):
            raise InvalidCredential("parameters: not an object of texts")
        return cls(
            kind=kind,
            host=_text_or_none(data, "host"),
            path=_text_or_none(data, "path"),
            parameters=tuple(sorted(parameters.items())),
            signature_sha256=_text_or_none(data, "signature_sha256"),
            key_sha256=_text_or_none(data, "key_sha256"),
        )

    def _restriction(self, name: str) -> str | None:
        """Return a parameter that versions before 2015-04-05 neither signed nor heeded."""
        return self.parameter(name) if (self.version or "") >= "2015-04-05" else None

    @property
    def _digest(self) -> str:
        digest = self.key_sha256 if self.kind is Kind.ACCOUNT_KEY else self.signature_sha256
        return digest or ""

    @cached_property
    def _located(self) -> Location:
        return locate(self.host, self.path)

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return dict(self.parameters)

    @cached_property
    def _resource(self) -> Resource:
        return resource_of(self.kind, self._by_name, host=self.host, path=self.path)


def is_plain(text: str) -> bool:
    """Whether `text` may stand in a credential: of bounded length, without control characters or half characters."""
    return len(text) <= _LONGEST and _CONTROL.search(text) is None


def _is_digest(text: str | None) -> bool:
    return text is not None and _DIGEST.fullmatch(text) is not None


def _text_or_none(data: Mapping[object, object], name: str) -> str | None:
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidCredential(f"{name}: not a text")
    return value
