"""Who regenerated a key, and who wrote stored access policies, as far as Azure's logs show it.

A caller who is named has to explain the change: only an entry that fits alone names one. Correlation ids prove
nothing, because a caller chooses them: the app's calls to ARM are known by the identity in their token, which Azure
verified, and its requests on the data plane, which a key signs, by their id and their time together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.cloud.activity_log import KEPT, Activity, ActivityEvent, ActivityLog
from shared.cloud.policy_log import PolicyLog, PolicyWrite
from shared.domain.account import AccountFacts
from shared.domain.changed_by import ChangedBy, Log, Unknown
from shared.domain.execution import Execution
from shared.domain.target import PolicyTarget
from shared.errors import Blocked
from shared.sas import Service

_REGENERATE = "Microsoft.Storage/storageAccounts/regenerateKey/action"
# Operations of ARM that can set stored access policies, and the resource's path below the account's id (storage
# resource provider: File Shares and Table have signedIdentifiers; Blob Containers and Queue do not).
_WRITES = {
    Service.FILE: ("Microsoft.Storage/storageAccounts/fileServices/shares/write", "fileServices/default/shares"),
    Service.TABLE: ("Microsoft.Storage/storageAccounts/tableServices/tables/write", "tableServices/default/tables"),
}
# How far an entry may be from the time that is known of the same call: by the clocks of two services.
_TOLERANCE = timedelta(minutes=2)
_TOO_MANY = "It has more events than the app reads."


@dataclass(frozen=True, slots=True)
class WhoChanged:
    """Looks up who changed a key or a policy. `principal` is the object id of the app's identity."""

    activity: ActivityLog
    policies: PolicyLog
    principal: Callable[[], Awaitable[str]]
    _: KW_ONLY
    clock: Callable[[], datetime]

    async def of_key(self, account: AccountFacts, key_name: str, *, since: datetime, until: datetime) -> ChangedBy:
        """Return who regenerated the key between then. Raises TransientFailure.

        The key's creation time in `account` counts if it is in that time: the event beside it is the rotation.
        Without one, an event counts only if the log has its request, which names the key.
        """
        created = account.keys_created.get(key_name)
        if created is not None and since - _TOLERANCE <= created <= until + _TOLERANCE:
            since, until = created - _TOLERANCE, created + _TOLERANCE
        else:
            created = None
        log = await self._activity(account, account.id, since=since, until=until)
        if isinstance(log, ChangedBy):
            return log
        found = [each for each in log.succeeded(_REGENERATE) if each.at is not None and since <= each.at <= until]
        named = [each for each in found if _key_name(each) == key_name]
        unnamed = [each for each in found if _key_name(each) is None]
        if named:
            return _by_arm(_last(named), await self.principal())
        if not unnamed:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.NOT_FOUND)
        if created is None or len({(each.caller, each.object_id) for each in unnamed}) > 1:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.AMBIGUOUS)
        return _by_arm(_last(unnamed), await self.principal())

    async def of_operation(self, account: AccountFacts, operation: str, *, since: datetime) -> ChangedBy:
        """Return who ran an operation of ARM on the account last since then, but for the app.

        Several callers are ambiguous: the log need not have their requests. Raises TransientFailure.
        """
        log = await self._activity(account, account.id, since=since)
        if isinstance(log, ChangedBy):
            return log
        principal = await self.principal()
        events = [each for each in log.succeeded(operation) if each.at is not None and each.at >= since]
        others = [each for each in events if not _by_arm(each, principal).ours]
        if not others:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.NOT_FOUND)
        if len({(each.caller, each.object_id) for each in others}) > 1:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.AMBIGUOUS)
        return _by_arm(_last(others), principal)

    async def _activity(
        self, account: AccountFacts, resource: str, *, since: datetime, until: datetime | None = None
    ) -> Activity | ChangedBy:
        """Return the events of a resource; where they can't all be read, one of nobody that says why."""
        try:
            log = await self.activity.of(account, resource, since=max(since, self.clock() - KEPT), until=until)
        except Blocked as error:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.NOT_READABLE, detail=str(error))
        if not log.complete:
            return ChangedBy.nobody(Log.ACTIVITY, Unknown.NOT_READABLE, detail=_TOO_MANY)
        return log

    async def of_policy(
        self, account: AccountFacts, target: PolicyTarget, *, since: datetime, own: Sequence[Execution] = ()
    ) -> ChangedBy:
        """Return who wrote the policies of the target's resource last, but for the app. Raises TransientFailure.

        `own` are the app's executions since then. A write replaces all policies of the resource, and the logs do
        not show which one it changed.
        """
        in_logs, by_arm = await asyncio.gather(
            self._in_logs(account, target, since=since, own=own), self._by_arm(account, target, since=since)
        )
        known = [each for each in (*in_logs, *by_arm) if each.unknown is None]
        unknown = next((each for each in (*in_logs, *by_arm) if each.unknown is not None), None)
        if not known:
            return unknown or ChangedBy.nobody(Log.STORAGE, Unknown.NOT_FOUND)
        last = max(known, key=lambda each: each.at or since)
        return last if unknown is None else last.but_for(unknown)

    async def _in_logs(
        self, account: AccountFacts, target: PolicyTarget, *, since: datetime, own: Sequence[Execution]
    ) -> tuple[ChangedBy, ...]:
        """Return the writes on the data plane, or one that says why they are unknown."""
        try:
            writes = await self.policies.writes(account, target, since=since)
        except Blocked as error:
            return (ChangedBy.nobody(Log.STORAGE, Unknown.NOT_READABLE, detail=str(error)),)
        if writes is None:
            return (ChangedBy.nobody(Log.STORAGE, Unknown.NO_LOGS),)
        return tuple(_on_data_plane(each) for each in writes if not _is_ours(each, own))

    async def _by_arm(self, account: AccountFacts, target: PolicyTarget, *, since: datetime) -> tuple[ChangedBy, ...]:
        """Return the writes through ARM, or one that says why they are unknown."""
        if target.service not in _WRITES:
            return ()
        operation, path = _WRITES[target.service]
        resource = f"{account.id}/{path}/{target.resource}"
        log = await self._activity(account, resource, since=since)
        if isinstance(log, ChangedBy):
            return (log,)
        principal = await self.principal()
        found = (_by_arm(each, principal) for each in log.succeeded(operation) if _may_set_policies(each.request))
        return tuple(each for each in found if each.at is not None and each.at >= since and not each.ours)


def _key_name(event: ActivityEvent) -> str | None:
    """Return the key that the request names (REST: Storage Accounts - Regenerate Key), None if that is unknown."""
    names = [value for name, value in (event.request or {}).items() if name.lower() == "keyname"]
    return names[0].lower() if len(names) == 1 and isinstance(names[0], str) else None


def _may_set_policies(request: Mapping[str, Any] | None) -> bool:
    """Whether a write of a share or table changed its policies, or may have: the log need not have its request."""
    properties = [value for name, value in (request or {}).items() if name.lower() == "properties"]
    known = len(properties) == 1 and isinstance(properties[0], dict)
    return not known or any(name.lower() == "signedidentifiers" for name in properties[0])


def _is_ours(write: PolicyWrite, own: Iterable[Execution]) -> bool:
    """Whether the app made it: anybody can send the id of an execution, once a mail has named it."""
    return any(
        write.request_id == each.correlation_id and abs(write.at - each.at) <= _TOLERANCE
        for each in own
        if each.correlation_id is not None
    )


def _last(events: Iterable[ActivityEvent]) -> ActivityEvent:
    return max(events, key=lambda each: each.at.timestamp() if each.at is not None else 0)


def _by_arm(event: ActivityEvent, principal: str) -> ChangedBy:
    return ChangedBy(
        log=Log.ACTIVITY,
        at=event.at,
        who=event.caller or event.object_id,
        application=event.application,
        address=event.address,
        correlation_id=event.correlation_id,
        ours=bool(principal) and principal in (event.object_id, event.caller.lower()),
    )


def _on_data_plane(write: PolicyWrite) -> ChangedBy:
    return ChangedBy(
        log=Log.STORAGE,
        at=write.at,
        who=write.requester,
        application=write.application,
        key_name=write.key_name,
        address=write.address,
        correlation_id=write.request_id,
    )
