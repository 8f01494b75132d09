"""Which entry of Azure's logs made a change, and which ones do not show it.

Sources: MicrosoftDocs/azure-monitor-docs, "Azure Activity Log event schema" (caller, claims, requestbody); REST:
Storage Accounts - Regenerate Key (`keyName`); Azure/azure-rest-api-specs, storage: keyCreationTime, and
signedIdentifiers of FileShareProperties and TableProperties, which containers and queues do not have.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.cloud.activity_log import Activity, ActivityEvent
from shared.cloud.policy_log import PolicyWrite
from shared.domain.account import AccountFacts
from shared.domain.changed_by import ChangedBy, Log, Unknown
from shared.domain.target import PolicyTarget
from shared.errors import Blocked, TransientFailure
from shared.followup.investigation.changed_by import WhoChanged
from shared.sas import Service
from tests.support import samples
from tests.support.samples import ACCOUNT_ID, NOW

US = "81ee9332-c35d-4c3e-9f21-3f7f99e80623"
OTHER = "1f21f8fc-2f07-4d06-b01b-c510fc4ef197"
REGENERATE = "Microsoft.Storage/storageAccounts/regenerateKey/action"
SHARE_WRITE = "Microsoft.Storage/storageAccounts/fileServices/shares/write"
CREATED = NOW - timedelta(hours=2)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
CONTAINER, SHARE = (PolicyTarget(service, "models", "partners") for service in (Service.BLOB, Service.FILE))
Request = Mapping[str, Any] | None
KEY1, KEY2 = {"keyName": "key1"}, {"keyName": "key2"}


def event(caller: str, at: datetime | None = CREATED, request: Request = None, **changed: Any) -> ActivityEvent:
    return ActivityEvent(
        **{"operation": REGENERATE, "status": "Succeeded", "at": at, "caller": caller, "request": request} | changed
    )


class Logs:
    """Both logs, and what was asked of the activity log."""

    def __init__(
        self,
        *events: ActivityEvent,
        writes: tuple[PolicyWrite, ...] | None = (),
        complete: bool = True,
        arm: Exception | None = None,
        storage: Exception | None = None,
    ) -> None:
        self.activity = Activity(events, complete)
        self.lines = writes
        self.arm, self.storage = arm, storage
        self.asked: list[tuple[str, datetime, datetime | None]] = []

    async def of(
        self, account: AccountFacts, resource: str, *, since: datetime, until: datetime | None = None
    ) -> Activity:
        self.asked.append((resource, since, until))
        if self.arm is not None:
            raise self.arm
        return self.activity

    async def writes(
        self, account: AccountFacts, target: PolicyTarget, *, since: datetime
    ) -> tuple[PolicyWrite, ...] | None:
        if self.storage is not None:
            raise self.storage
        return self.lines


async def principal() -> str:
    return US


def lookup(logs: Logs) -> WhoChanged:
    return WhoChanged(logs, logs, principal, clock=lambda: NOW)  # type: ignore[arg-type]


async def of_key(logs: Logs, *, created: datetime | None = CREATED) -> ChangedBy:
    times = {"key1": created} if created is not None else {}
    account = replace(samples.account(), keys_created=times)
    return await lookup(logs).of_key(account, "key1", since=NOW - timedelta(days=1), until=NOW)


async def test_rotation_is_the_event_beside_the_keys_creation_time() -> None:
    early, late = (event("other@contoso.com", CREATED + by) for by in (-HOUR, HOUR))

    changed = await of_key(
        Logs(
            early,
            event("rob@contoso.com", CREATED + SECOND, object_id=OTHER, address="203.0.113.7", correlation_id="c"),
            late,
        )
    )

    assert changed == ChangedBy(
        log=Log.ACTIVITY, at=CREATED + SECOND, who="rob@contoso.com", address="203.0.113.7", correlation_id="c"
    )


async def test_only_the_time_around_the_creation_is_queried() -> None:
    logs = Logs()
    await of_key(logs)

    tolerance = timedelta(minutes=2)
    assert logs.asked == [(ACCOUNT_ID, CREATED - tolerance, CREATED + tolerance)]


async def test_request_distinguishes_two_rotations() -> None:
    both = (event("rob@contoso.com", request=KEY1), event("eve@contoso.com", CREATED + SECOND, KEY2))

    assert (await of_key(Logs(*both))).who == "rob@contoso.com"


async def test_last_rotation_of_the_key_counts() -> None:
    both = (event("rob@contoso.com", CREATED, KEY1), event("eve@contoso.com", CREATED + SECOND, KEY1))

    assert (await of_key(Logs(*reversed(both)))).who == "eve@contoso.com"


@pytest.mark.parametrize(
    "events",
    [
        (),
        (event("rob@contoso.com", request=KEY2),),
        (event("rob@contoso.com", status="Failed"),),
        (event("rob@contoso.com", status="Started", request=KEY1),),
        (event("rob@contoso.com", operation="Microsoft.Storage/storageAccounts/listKeys/action"),),
        (event("rob@contoso.com", at=None),),
        (event("rob@contoso.com", CREATED - HOUR),),
    ],
    ids=["nothing", "other key", "failed", "started", "other operation", "no time", "earlier"],
)
async def test_entry_that_does_not_fit_names_nobody(events: tuple[ActivityEvent, ...]) -> None:
    changed = await of_key(Logs(*events))

    assert (changed.who, changed.unknown) == ("", Unknown.NOT_FOUND)


async def test_two_callers_at_that_time_are_not_guessed_between() -> None:
    two = (event("rob@contoso.com"), event("eve@contoso.com"))

    assert (await of_key(Logs(*two))).unknown is Unknown.AMBIGUOUS
    assert (await of_key(Logs(*two[:1], *two[:1]))).who == "rob@contoso.com"


@pytest.mark.parametrize("created", [None, NOW - timedelta(days=400)])
async def test_without_a_creation_time_only_a_request_that_names_the_key_counts(created: datetime | None) -> None:
    """A key made before 2021 has none, and a record's account may have been read before the rotation."""
    named = await of_key(Logs(event("rob@contoso.com", request=KEY1)), created=created)
    unnamed = await of_key(Logs(event("rob@contoso.com")), created=created)

    assert (named.who, unnamed.unknown) == ("rob@contoso.com", Unknown.AMBIGUOUS)


@pytest.mark.parametrize(
    ("request_body", "who"),
    [
        ({"KEYNAME": "Key1"}, "rob@contoso.com"),
        ({"keyName": "key2", "keyname": "key1"}, "rob@contoso.com"),
        ({"keyName": 1}, "rob@contoso.com"),
        ({"KeyName": "key2"}, ""),
    ],
)
async def test_request_counts_only_if_it_is_clear(request_body: Request, who: str) -> None:
    assert (await of_key(Logs(event("rob@contoso.com", request=request_body)))).who == who


@pytest.mark.parametrize("ours", [event(US), event("sasquash", object_id=US)])
async def test_own_rotation_is_known_by_the_identity_in_its_token(ours: ActivityEvent) -> None:
    changed = await of_key(Logs(ours))

    assert (changed.ours, "Sasquash itself" in str(changed.said("key1 was regenerated"))) == (True, True)


async def test_correlation_id_makes_nobody_sasquash() -> None:
    """Anybody can send the id of an execution: the mail has it."""
    assert not (await of_key(Logs(event("eve@contoso.com", correlation_id=US)))).ours


async def test_long_log_names_nobody() -> None:
    """A flood of events could push the rotation out of what is read."""
    changed = await of_key(Logs(event("rob@contoso.com"), complete=False))

    assert (changed.unknown, changed.detail) == (Unknown.NOT_READABLE, "It has more events than the app reads.")


async def test_missing_right_is_the_reason_and_no_error() -> None:
    changed = await of_key(Logs(arm=Blocked("403: the app's identity lacks the right.")))

    assert (changed.unknown, changed.detail) == (Unknown.NOT_READABLE, "403: the app's identity lacks the right.")


@pytest.mark.parametrize("logs", [Logs(arm=TransientFailure("503")), Logs(storage=TransientFailure("503"))])
async def test_transient_failure_passes_up(logs: Logs) -> None:
    if logs.arm is not None:
        with pytest.raises(TransientFailure):
            await of_key(logs)
    with pytest.raises(TransientFailure):
        await of_policy(logs, SHARE)


async def test_log_is_not_asked_for_what_it_does_not_keep() -> None:
    """ "Activity log in Azure Monitor": events are kept for 90 days."""
    logs = Logs()
    old = NOW - timedelta(days=200)
    await lookup(logs).of_key(samples.account(), "key1", since=old, until=NOW)
    await lookup(logs).of_policy(samples.account(), SHARE, since=old)

    assert [since for _, since, _ in logs.asked] == [NOW - timedelta(days=89)] * 2


def line(key: str = "key1", at: datetime = CREATED, **changed: Any) -> PolicyWrite:
    fields = {"requester": "", "application": "", "address": "203.0.113.7", "request_id": "r"}
    return PolicyWrite(**{"at": at, "key_name": key} | fields | changed)


async def of_policy(logs: Logs, target: PolicyTarget = CONTAINER, **options: Any) -> ChangedBy:
    return await lookup(logs).of_policy(samples.account(), target, since=NOW - timedelta(days=1), **options)


async def test_last_write_on_the_data_plane_is_named() -> None:
    logs = Logs(writes=(line("key1", CREATED - HOUR), line("key2"), line("key1", CREATED - SECOND)))

    assert await of_policy(logs) == ChangedBy(
        log=Log.STORAGE, at=CREATED, key_name="key2", address="203.0.113.7", correlation_id="r"
    )


async def test_write_with_a_token_names_its_requester() -> None:
    changed = await of_policy(Logs(writes=(line("", requester="rob@contoso.com", application=OTHER),)))

    assert (changed.who, changed.application, changed.key_name) == ("rob@contoso.com", OTHER, "")


async def test_containers_and_queues_are_not_looked_up_in_the_activity_log() -> None:
    """ARM can't set their policies: a write of a container changes its public access or metadata."""
    logs = Logs(event("rob@contoso.com", operation="Microsoft.Storage/storageAccounts/blobServices/containers/write"))

    changed = await of_policy(logs)

    assert (changed.log, changed.unknown, logs.asked) == (Log.STORAGE, Unknown.NOT_FOUND, [])


POLICIES: Request = {"properties": {"signedIdentifiers": []}}


@pytest.mark.parametrize(
    ("request_body", "named"),
    [
        (None, True),
        (POLICIES, True),
        ({"Properties": {"SignedIdentifiers": []}}, True),
        ({"properties": {"shareQuota": 5}}, False),
        ({"properties": None}, True),
        ({"properties": {}, "Properties": {"signedIdentifiers": []}}, True),
    ],
)
async def test_write_of_a_share_through_arm_counts_if_it_may_have_set_policies(
    request_body: Request, *, named: bool
) -> None:
    logs = Logs(event("rob@contoso.com", operation=SHARE_WRITE, request=request_body))

    changed = await of_policy(logs, SHARE)

    assert (changed.who, changed.unknown) == (("rob@contoso.com", None) if named else ("", Unknown.NOT_FOUND))
    assert [resource for resource, _, _ in logs.asked] == [f"{ACCOUNT_ID}/fileServices/default/shares/models"]


async def test_later_of_both_logs_is_named() -> None:
    arm = event("rob@contoso.com", CREATED, operation=SHARE_WRITE)

    later = await of_policy(Logs(arm, writes=(line(at=CREATED + SECOND),)), SHARE)
    earlier = await of_policy(Logs(arm, writes=(line(at=CREATED - SECOND),)), SHARE)

    assert (later.log, earlier.log) == (Log.STORAGE, Log.ACTIVITY)


async def test_write_through_arm_is_named_with_what_is_missing() -> None:
    arm = event("rob@contoso.com", CREATED, operation=SHARE_WRITE)

    changed = await of_policy(Logs(arm, writes=None), SHARE)

    assert (changed.who, changed.unknown) == ("rob@contoso.com", None)
    assert changed.detail.startswith("A later change may be missing. The account does not log writes.")


@pytest.mark.parametrize(
    ("logs", "unknown"),
    [
        (Logs(), Unknown.NOT_FOUND),
        (Logs(writes=None), Unknown.NO_LOGS),
        (Logs(storage=Blocked("403")), Unknown.NOT_READABLE),
        (Logs(arm=Blocked("403")), Unknown.NOT_READABLE),
        (Logs(complete=False), Unknown.NOT_READABLE),
    ],
)
async def test_reason_is_that_of_the_log_that_is_missing(logs: Logs, unknown: Unknown) -> None:
    assert (await of_policy(logs, SHARE)).unknown is unknown


async def test_own_writes_are_not_named() -> None:
    execution = replace(samples.execution(), at=CREATED, correlation_id="r")
    arm = event(US, operation=SHARE_WRITE)

    assert (await of_policy(Logs(writes=(line(),)), own=[execution])).unknown is Unknown.NOT_FOUND
    assert (await of_policy(Logs(arm), SHARE)).unknown is Unknown.NOT_FOUND
    assert (await of_policy(Logs(writes=(line(request_id="q"),)), own=[execution])).key_name == "key1"


async def test_request_id_of_an_execution_is_no_alibi_later() -> None:
    """It is in the mail: the one who puts the policy back may send it."""
    execution = replace(samples.execution(), at=CREATED - HOUR, correlation_id="r")
    nameless = replace(execution, at=CREATED, correlation_id=None)

    assert (await of_policy(Logs(writes=(line(),)), own=[execution])).key_name == "key1"
    assert (await of_policy(Logs(writes=(line(request_id=""),)), own=[nameless])).key_name == "key1"
