"""Whether an alert of another tool is about what a record revoked. Pure.

An event names any alert that it wants, so a named alert is closed only for its own leak: its service says what it is
about, and all of that is the record's. Everything else stays open, and the record says why
(docs/decisions/0046-an-alert-is-closed-only-for-its-own-leak.md).
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from shared.domain.alert import AlertEvidence
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.domain.target import ActionKind
from shared.sas import Credential, extract

_LONGEST = 64 * 1024  # characters of a secret: far more than any that storage takes


class Doubt(StrEnum):
    """Why an alert is not closed. Each completes "… was left open: "."""

    HIDDEN = "its service does not show its secret"
    UNREADABLE = "its secret is not a credential that Sasquash can read"
    ANOTHER_LEAK = "its secret is not the one of this leak"
    MORE_LEAKS = "it has more secrets than the one of this leak"
    ANOTHER_ACCOUNT = "its secret is for another account, or for one that it does not name"
    NOTHING_TO_COMPARE = "this record has no secret that could be compared with the alert's"
    UNNAMED_KEY = "its service does not say which account and key it is about"
    ANOTHER_KEY = "it is about another account, key or token than this record"
    USED_LATER = "its token was seen in use after the revocation"
    ANOTHER_ALERT = "the service answered with another alert"


@dataclass(frozen=True, slots=True)
class SecretOfAlert:
    """One secret of an alert, as its service shows it: the text that contains it, or only its correlating id.

    `text` is the secret itself: it is kept in memory only, and out of every repr and log.
    """

    text: str | None
    _: KW_ONLY
    c3id: str | None = None

    def __repr__(self) -> str:
        return f"SecretOfAlert({'a secret' if self.text else 'no secret'}, c3id={self.c3id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What a record revoked, for comparison with an alert.

    `credential` is None for evidence of an alert and for orders. `is_bound`: the credential is known to be of
    `account`, by its signature or by Azure's acceptance of the token. `key` is the account's key that was
    regenerated, or that had been before, `until` when; None where it was not the key that ended the leak.
    `needs_token`: it is not this record's own execution that ended the key, so that only the same token counts.
    """

    credential: Credential | None
    is_bound: bool
    account: str | None
    key: str | None
    until: datetime | None
    needs_token: bool

    @classmethod
    def of(cls, revocation: Revocation) -> Self:
        """Return what the alerts of `revocation` are held against. It has been revoked, or was covered."""
        finding, execution = revocation.finding, revocation.execution
        key, until, needs_token = None, None, False
        if execution is not None:
            if execution.action is ActionKind.ACCOUNT_KEY:
                key, until = execution.target, execution.at
        elif revocation.reason is Reason.COVERED and finding.evidence is not None:
            key, until = finding.evidence.key, finding.evidence.seen_at
        elif revocation.reason is Reason.COVERED:
            key, until, needs_token = revocation.key_name, revocation.attributed_at, True
        return cls(
            credential=finding.credential,
            is_bound=revocation.key_name is not None or revocation.accepted,
            account=revocation.account_name,
            key=key,
            until=until,
            needs_token=needs_token,
        )

    def doubt_of_secrets(self, secrets: Sequence[SecretOfAlert]) -> Doubt | None:
        """Return why an alert with these secrets is not about the record's leak alone; None if it is."""
        if self.credential is None:
            return Doubt.NOTHING_TO_COMPARE
        if not secrets:
            return Doubt.HIDDEN
        doubts = [self._doubt_of(self.credential, secret) for secret in secrets]
        if None in doubts and any(doubt is not None for doubt in doubts):
            return Doubt.MORE_LEAKS
        return next((doubt for doubt in doubts if doubt is not None), None)

    def doubt_of_tokens(self, tokens: Iterable[AlertEvidence]) -> Doubt | None:
        """Return why an alert about these tokens, which it does not show, is not closed; None if it is."""
        known = list(tokens)
        if not known:
            return Doubt.UNNAMED_KEY
        return next((doubt for token in known if (doubt := self._doubt_of_token(token)) is not None), None)

    def _doubt_of(self, own: Credential, secret: SecretOfAlert) -> Doubt | None:
        if not secret.text:
            if secret.c3id is None:
                return Doubt.HIDDEN
            return None if self.is_bound and _same(secret.c3id, own.c3id) else Doubt.ANOTHER_LEAK
        found = extract(secret.text) if len(secret.text) <= _LONGEST else ()
        if not found:
            return Doubt.UNREADABLE
        same = [one for one in found if _same(_digest(one), _digest(own))]
        if not same:
            return Doubt.ANOTHER_LEAK
        if len(same) < len(found):
            return Doubt.MORE_LEAKS
        return None if all(self._is_ours(one) for one in same) else Doubt.ANOTHER_ACCOUNT

    def _is_ours(self, found: Credential) -> bool:
        """Whether what has the record's signature or key is for its account. A copy without a host may be."""
        if found.account is None:
            return self.is_bound
        return self.account is not None and found.account == self.account.lower()

    def _doubt_of_token(self, token: AlertEvidence) -> Doubt | None:
        if self.key is None or self.until is None or (token.account, token.key) != (self.account, self.key):
            return Doubt.ANOTHER_KEY
        if self.needs_token and not _same(token.signature_sha256 or "", self._signature):
            return Doubt.ANOTHER_KEY
        return Doubt.USED_LATER if token.seen_at > self.until else None

    @property
    def _signature(self) -> str:
        return (self.credential.signature_sha256 if self.credential is not None else None) or "none"


@dataclass(frozen=True, slots=True)
class Closing:
    """How an attempt to close an alert ended: `said` is one English sentence; not `closed`: it was left open."""

    said: str
    closed: bool


def left_open(alert: object, doubt: Doubt) -> Closing:
    """Return that `alert` was left open because of `doubt`."""
    return Closing(f"{alert} was left open: {doubt}.", closed=False)


def _digest(credential: Credential) -> str:
    return credential.key_sha256 or credential.signature_sha256 or ""


def _same(one: str, other: str) -> bool:
    """Compare in constant time: one of the two is of a secret that the caller may not know."""
    return hmac.compare_digest(one.encode(errors="surrogatepass"), other.encode(errors="surrogatepass"))
