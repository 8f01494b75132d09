"""A SAS in use, rated like a leak. Pure.

What clients requested is hostile text. What is shown of a token comes from its parameters, which are validated
(`shared.sas.Credential`), and its URL is put together from them: it has no signature, and every part is encoded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from shared.domain.logged_sas import LoggedSas
from shared.redaction import redact
from shared.sas import Credential, Kind, Severity, assess, credentials_of_logged_url

_MOST_READINGS = 130  # of one token: its URLs, each read in several ways
_LONGEST_URL = 2048


@dataclass(frozen=True, slots=True)
class Use:
    """A token with its use. `credential` is the likeliest reading of its URLs."""

    logged: LoggedSas
    credential: Credential

    @property
    def id(self) -> str:
        """The account, and the SHA-256 of the signature: anybody can try one account's token on another."""
        return f"{self.logged.account}.{self.logged.signature_sha256}"

    @property
    def has_key(self) -> bool:
        """Whether an account key signed it. Azure does not disclose the key of a user delegation SAS."""
        return self.credential.kind is not Kind.USER_DELEGATION_SAS

    def readings(self) -> tuple[Credential, ...]:
        """Return what its URLs may mean, the likeliest first."""
        return tuple(dict.fromkeys(_readings(self.logged)))[:_MOST_READINGS]


def use_of(logged: LoggedSas) -> Use | None:
    """Return the use of a logged token; None where none of its URLs has a SAS of the account."""
    likeliest = next(_readings(logged), None)
    return Use(logged, likeliest) if likeliest is not None else None


def _readings(logged: LoggedSas) -> Iterator[Credential]:
    for url in logged.urls:
        yield from credentials_of_logged_url(url, account=logged.account, signature_sha256=logged.signature_sha256)


def ordered(uses: Iterable[Use], *, now: datetime) -> list[Use]:
    """Return the uses, the worst first: accepted before refused, then by severity and by their end, the latest first.

    What Azure never accepted says of itself what it wants to, and comes last.
    """
    return sorted(uses, key=lambda use: _order(use, now))


def _order(use: Use, now: datetime) -> tuple[bool, int, float, str]:
    severity = tuple(Severity).index(assess(use.credential, now=now).severity)
    end = use.credential.ends
    return not use.logged.accepted, -severity, -end.timestamp() if end is not None else float("-inf"), use.id


def resource_of(credential: Credential) -> str | None:
    """Return the signed container, share, queue or table, with the path in it; None for a whole account."""
    parts = (credential.container, credential.resource_path)
    return "/".join(part for part in parts if part) or None


def url_of(credential: Credential) -> str:
    """Return the URL of a token without its signature, at most 2048 characters."""
    query = "&".join(f"{name}={quote(value, safe=':,')}" for name, value in credential.parameters)
    return redact(f"https://{credential.host}/{quote(credential.path or '')}?{query}")[:_LONGEST_URL]
