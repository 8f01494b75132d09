"""What stays exposed after a leaked credential was revoked, and what can be restored.

A public container can be read without a SAS by anyone who knows the leaked URL, and an attacker may have opened more.
All but the path and the policies is read from ARM.
REST: Blob Containers - List, Blob Services - Get Service Properties (Microsoft.Storage).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.cloud.activity_log import KEPT, ActivityEvent, ActivityLog
from shared.cloud.arm import ArmReader
from shared.cloud.data_plane import Transport
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.text import Code, Foreign, RichText, utc
from shared.errors import Blocked
from shared.followup.briefing.commands import list_versions, make_private, undelete
from shared.followup.investigation.anonymous_access import anonymous_access
from shared.followup.investigation.other_policies import OtherPolicies
from shared.sas import Service

_STORAGE = "api-version=2025-01-01"
_CONTAINER = re.compile(r"[a-z0-9$](?:-?[a-z0-9]){2,62}")
_EARLIER = timedelta(days=1)  # a leak is found after it happened
_NAMED = 5
# Operations that open an account, or its data, to more people; ours among them is known by its caller.
_OPENS = re.compile(
    r"Microsoft\.Storage/storageAccounts/(?:write|blobServices/write|blobServices/containers/(?:write|setAcl/action))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ResidualExposure:
    """Checks an account after its leak was revoked."""

    arm: ArmReader
    activity: ActivityLog
    other_policies: OtherPolicies
    new_transport: Callable[[], Transport]
    _: KW_ONLY
    clock: Callable[[], datetime]

    async def of(self, revocation: Revocation, account: AccountFacts) -> tuple[RichText, ...]:
        """Return what stays exposed, in one or two English sentences each, and what could not be checked.

        Raises TransientFailure.
        """
        found = await asyncio.gather(
            anonymous_access(self.new_transport, revocation, account),
            self._guarded(self._public(revocation, account), "public containers"),
            self._guarded(self.other_policies.of(revocation, account), "other stored access policies"),
            self._guarded(self._blob_service(account), "restore options"),
            self._guarded(self._opened(revocation, account), "changes to the account"),
        )
        return tuple(line for lines in found for line in lines)

    async def _guarded(self, check: Awaitable[tuple[RichText, ...]], what: str) -> tuple[RichText, ...]:
        try:
            return await check
        except Blocked as error:
            return (RichText.of(f"Not checked: {what}. {error}"),)

    async def _public(self, revocation: Revocation, account: AccountFacts) -> tuple[RichText, ...]:
        """Return which containers are public, the leaked one first."""
        if Service.BLOB not in account.endpoints:
            return ()
        path = f"{account.id}/blobServices/default/containers?{_STORAGE}"
        public: dict[str, str] = {}
        has_website = False
        async for row in self.arm.rows(account.subscription, path, doing=f"Listing the containers of {account.name}"):
            level = str((row.get("properties") or {}).get("publicAccess") or "None")
            name = str(row.get("name") or "")
            has_website = has_website or name == "$web"
            if level != "None" and _CONTAINER.fullmatch(name):
                public[name] = level
        leaked = revocation.finding.credential.container if revocation.finding.credential is not None else None
        order = sorted(public, key=lambda name: (name != leaked, name))
        lines = [RichText.of(_WEBSITE)] if has_website else []
        lines += [
            _opened_to_all(account, name, _MAY[public[name]]) for name in order[:_NAMED] if public[name] in _MAY
        ]
        if len(order) > _NAMED:
            lines.append(RichText.of(f"{len(order) - _NAMED} more containers of {account.name} are public."))
        return tuple(lines)

    async def _blob_service(self, account: AccountFacts) -> tuple[RichText, ...]:
        """Return whether overwritten or deleted data can be restored, and whether CORS allows every website."""
        if Service.BLOB not in account.endpoints:
            return ()
        path = f"{account.id}/blobServices/default?{_STORAGE}"
        service = await self.arm.one(account.subscription, path, doing=f"Reading the blob service of {account.name}")
        properties: Mapping[str, Any] = service.get("properties") or {}
        lines = [_restoring(account, properties)]
        rules = (properties.get("cors") or {}).get("corsRules") or []
        if any("*" in (rule.get("allowedOrigins") or ()) for rule in rules):
            lines.append(RichText.of(_CORS))
        return tuple(lines)

    async def _opened(self, revocation: Revocation, account: AccountFacts) -> tuple[RichText, ...]:
        """Return who changed the account or its containers since shortly before the leak was found."""
        since = max(revocation.finding.detected_at - _EARLIER, self.clock() - KEPT)
        log = await self.activity.of(account, account.id, since=since)
        changes = [_change(each) for each in log.events if each.succeeded and _OPENS.fullmatch(each.operation)]
        unread = () if log.complete else (RichText.of(_MORE_EVENTS),)
        if not changes:
            return unread
        more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
        listed = "; ".join(changes[:_NAMED])
        return (RichText.of(f"Changes to the account since the leak: {listed}{more}. Check each one."), *unread)


_WEBSITE = (
    "The account has a $web container. If static website hosting is on, anyone can read its content. Check that "
    "nothing was added."
)
_CORS = (
    "CORS of the blob service allows every website, so any website can read public data through its visitors' "
    "browsers."
)
_MORE_EVENTS = "Not checked: all changes to the account. Its activity log has more events than are read."
_MAY = {"Container": "list and read it", "Blob": "read each blob whose name is known"}


def _opened_to_all(account: AccountFacts, container: str, may: str) -> RichText:
    return RichText.of(
        f"Container {container} is public: anyone can {may} without a token. To make it private: ",
        make_private(account.name, container),
        ".",
    )


def _restoring(account: AccountFacts, properties: Mapping[str, Any]) -> RichText:
    kept = properties.get("deleteRetentionPolicy") or {}
    ways: list[tuple[str | Code, ...]] = []
    if properties.get("isVersioningEnabled") is True:
        ways.append(
            (
                "earlier versions are kept (",
                list_versions(account.name),
                " lists them; copy an earlier version over the current one)",
            )
        )
    if kept.get("enabled") is True:
        days = int(kept.get("days") or 0)
        ways.append((f"deleted blobs are kept for {days} days (", undelete(account.name), ")"))
    if not ways:
        return RichText.of("Overwritten or deleted data cannot be restored: versioning and soft delete are off.")
    listed = ways[0] if len(ways) == 1 else (*ways[0], ", and ", *ways[1])
    return RichText.of("Overwritten or deleted data can be restored: ", *listed, ".")


def _change(event: ActivityEvent) -> str:
    when = utc(event.at) if event.at is not None else "an unknown time"
    caller = Foreign(event.caller or "an unknown caller", limit=100)
    return f"{event.operation.removeprefix('Microsoft.Storage/')} by {caller} at {when}"
