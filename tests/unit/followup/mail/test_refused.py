"""What Azure keeps refusing is grouped by account and cause, and what nobody confirmed stays apart."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.revocation import Change, Owner, Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.followup.mail.refused import MOST_GROUPS, SHOWN, RefusedGroups
from tests.support import samples
from tests.support.refused import BLOCKED, refused
from tests.support.samples import NOW

DAY = timedelta(days=1)


def counts(*records: Revocation) -> dict[tuple[str, str], int]:
    groups = RefusedGroups.of(records, now=NOW)
    assert groups.unconfirmed == []
    return {(group.account, group.cause): group.total for group in groups.confirmed}


def other_account(record: Revocation, name: str) -> Revocation:
    return replace(record, account=replace(samples.account(), name=name))


def unscheduled(record: Revocation) -> Revocation:
    """The record as an earlier version left it: it says neither since when it is refused, nor what comes next."""
    return replace(record, refusal=None, changes=(Change(State.FAILED, NOW - 2 * DAY, BLOCKED),))


def test_leaks_are_grouped_by_account_and_cause() -> None:
    found = counts(
        *(refused(number) for number in range(3)),
        refused(3, cause="a policy"),
        other_account(refused(4), "other"),
    )

    assert found == {("robustmodels", "a lock"): 3, ("robustmodels", "a policy"): 1, ("other", "a lock"): 1}


def test_group_has_the_same_id_every_day() -> None:
    first, second, other = (
        RefusedGroups.of([record], now=NOW).confirmed[0].id
        for record in (refused(1), refused(2, since=NOW - 9 * DAY), refused(1, cause="a policy"))
    )

    assert (first == second, first == other) == (True, False)


@pytest.mark.parametrize(
    ("record", "is_reminded"),
    [
        (refused(since=NOW - timedelta(hours=19)), False),
        (refused(since=NOW - timedelta(hours=21)), True),
        (unscheduled(refused()), True),
        (replace(refused(), reason=Reason.STILL_ALIVE), False),
        (replace(refused(), state=State.RECEIVED, reason=None), False),
        (refused(text=samples.account_sas(life=timedelta(minutes=-1))), False),
        (refused(order=True), True),
        (refused(order=True, next_at=None), False),
        (refused(next_at=None), True),
    ],
    ids=[
        *("people just heard", "a day", "earlier version", "another reason", "being tried", "expired", "order"),
        *("order that is not tried again", "leak that is not tried again"),
    ],
)
def test_people_are_reminded_of_what_is_refused_for_a_day_and_still_matters(
    record: Revocation, *, is_reminded: bool
) -> None:
    assert bool(RefusedGroups.of([record], now=NOW).confirmed) is is_reminded


def test_leak_that_nobody_confirmed_is_in_no_group_of_a_confirmed_one() -> None:
    made_up = replace(refused(1), key_name=None, plan=None, owners=(Owner("eve@contoso.com", None, "a tag"),))
    groups = RefusedGroups.of([refused(2), made_up], now=NOW)

    assert [group.total for group in groups.confirmed] == [1]
    assert [group.total for group in groups.unconfirmed] == [1]


def test_group_says_since_when_until_when_and_what_the_newest_needs() -> None:
    old = replace(
        refused(1, since=NOW - 9 * DAY, next_at=NOW + DAY), changes=(Change(State.FAILED, NOW - DAY, BLOCKED),)
    )
    new = refused(2, since=NOW - 2 * DAY, next_at=NOW + 2 * DAY, detail="Remove the lock 'x'.")
    [group] = RefusedGroups.of([new, old], now=NOW).confirmed

    assert (group.since, group.next_at) == (NOW - 9 * DAY, NOW + DAY)
    assert (group.newest, group.detail) == (new.fingerprint, "Remove the lock 'x'.")


def test_owners_of_all_records_are_addressed_once() -> None:
    owners = [(Owner(name, None, "a tag"),) for name in ("ada@contoso.com", "Ada@contoso.com", "bob@contoso.com")]
    [group] = RefusedGroups.of([replace(refused(n), owners=of) for n, of in enumerate(owners)], now=NOW).confirmed

    assert list(group.owners) == ["ada@contoso.com", "bob@contoso.com"]


def test_commands_are_of_each_target_once() -> None:
    records = [replace(refused(n), plan=samples.plan(target=key)) for n, key in enumerate(("key1", "key2", "key1"))]
    [group] = RefusedGroups.of(records, now=NOW).confirmed

    assert [str(command).partition("--key ")[2][:4] for command in group.commands] == ["key1", "key2"]


def test_action_without_a_safe_command_has_none() -> None:
    plan = replace(samples.plan(), action=ActionKind.STORED_POLICY, target="not a policy")
    [group] = RefusedGroups.of([replace(refused(), plan=plan)], now=NOW).confirmed

    assert group.commands == {}


def test_flood_is_counted_and_the_worst_are_kept() -> None:
    mild = [refused(number, text=samples.blob_sas(life=DAY)) for number in range(60)]
    severe = refused(99)
    [group] = RefusedGroups.of([*mild, severe], now=NOW).confirmed

    assert (group.total, len(group.worst), group.worst[0].fingerprint) == (61, SHOWN, severe.fingerprint)


def test_accounts_without_number_are_counted_and_not_kept() -> None:
    groups = RefusedGroups.of(
        [other_account(refused(n), f"account{n}") for n in range(MOST_GROUPS + 2)]
        + [
            replace(other_account(refused(n), f"account{n}"), key_name=None, plan=None)
            for n in range(MOST_GROUPS + 3)
        ],
        now=NOW,
    )

    assert (len(groups.confirmed), groups.confirmed_beyond) == (MOST_GROUPS, 2)
    assert (len(groups.unconfirmed), groups.unconfirmed_beyond) == (MOST_GROUPS, 3)


def test_cause_of_an_earlier_version_is_what_the_record_says() -> None:
    record = replace(unscheduled(refused()), detail="403, the lock. " * 100)
    [group] = RefusedGroups.of([record], now=NOW).confirmed

    assert group.cause == record.detail[:300]
