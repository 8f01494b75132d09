"""Who changed a key or a stored access policy, according to Azure's logs, or why that is unknown."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from shared.domain.text import Foreign, RichText, utc

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST = 100  # characters of a name that are shown
_LONGEST_DETAIL = 500


class Log(StrEnum):
    """Where it is recorded: the activity log has calls of Azure Resource Manager, the storage logs the data plane."""

    ACTIVITY = "activity log"
    STORAGE = "storage logs"


class Unknown(StrEnum):
    """Why it is unknown."""

    NOT_READABLE = "not_readable"  # Azure refuses, above all where a right is missing
    NOT_FOUND = "not_found"  # no such change is in the log, or not yet
    NO_LOGS = "no_logs"  # the account logs no writes
    AMBIGUOUS = "ambiguous"  # several changes fit


_BECAUSE = {
    Unknown.NOT_READABLE: "The {log} could not be read.",
    Unknown.NOT_FOUND: "Nothing in the {log} fits. Azure's logs lag by some minutes.",
    Unknown.NO_LOGS: "The account does not log writes. docs/operations.md has the command that turns logging on.",
    Unknown.AMBIGUOUS: "Several entries of the {log} fit.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedBy:
    """Who made a change. Either `at` says when, or `unknown` says why nothing is known.

    All texts are hostile. `who` is the caller's principal name or id, `application` the client id of their program,
    both by a token that Azure verified; `key_name` is the account's key that signed, where nobody is named.
    `correlation_id` is what the caller called it: anybody can send the id of another change. `ours`: the app's own
    identity made it. `detail` is English, a sentence or two, or empty.
    """

    log: Log
    at: datetime | None = None
    who: str = ""
    application: str = ""
    key_name: str = ""
    address: str = ""
    correlation_id: str = ""
    ours: bool = False
    unknown: Unknown | None = None
    detail: str = ""

    @classmethod
    def nobody(cls, log: Log, unknown: Unknown, *, detail: str = "") -> Self:
        """Return that it is unknown, and why."""
        return cls(log=log, unknown=unknown, detail=detail)

    def but_for(self, other: "ChangedBy") -> Self:
        """Return it with the reason why a later change may be missing: that `other` is unknown."""
        return replace(self, detail=f"A later change may be missing. {other.why}")

    @property
    def why(self) -> str:
        """Why it is unknown, in one or two sentences; empty where it is known."""
        if self.unknown is None:
            return ""
        return f"{_BECAUSE[self.unknown].format(log=self.log)} {Foreign(self.detail, limit=_LONGEST_DETAIL)}".rstrip()

    def said(self, what: str) -> RichText:
        """Return a few sentences. `what` is ours and starts them: "key1 was regenerated"."""
        if self.unknown is not None or self.at is None:
            return RichText.of(f"{what}. By whom is unknown. {self.why}")
        address = f" from {Foreign(self.address, limit=_LONGEST)}" if self.address and not self.ours else ""
        by = f"{what} by {self._name}{address}, at {utc(self.at)}, according to the {self.log}."
        return RichText.of(f"{by} {Foreign(self.detail, limit=_LONGEST_DETAIL)}".rstrip())

    @property
    def _name(self) -> str:
        if self.ours:
            return "Sasquash itself"
        if not self.who:
            key = Foreign(self.key_name, limit=_LONGEST)
            return f"a client that has {key}" if self.key_name else "an unknown caller"
        if not _GUID.fullmatch(self.who):
            return str(Foreign(self.who, limit=_LONGEST))
        application = f" (application {Foreign(self.application, limit=_LONGEST)})" if self.application else ""
        return f"the principal {self.who}{application}"
