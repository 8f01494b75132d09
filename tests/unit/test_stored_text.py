"""What a record keeps of text from outside, in sentences of ours, is harmless before it is stored.

So is what leaves by a channel that renders nothing: the history, events, queries, the API.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given

from shared.actions.registry import ACTION_SPECS
from shared.actions.verification import read_answer
from shared.cloud.errors import from_status
from shared.domain import alert, readiness, transitions
from shared.domain.account import AccountKey
from shared.domain.approval import Approval, AtDeadline, Rejection
from shared.domain.caller import Caller
from shared.domain.decision.attribution import attribute
from shared.domain.decision.planner import Proposals
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import LockedDown
from shared.domain.finding import Order
from shared.domain.person import Person
from shared.domain.readiness import Actions, Denial, Lock
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind, Lockdown, PolicyTarget
from shared.domain.text import LONGEST
from shared.domain.usage import Usage
from shared.errors import Blocked
from shared.followup.briefing.usage import summary, used
from shared.followup.owners.parsing import from_tags, of_people
from shared.persistence.revocations import Ledger
from tests.support import samples
from tests.support.foreign_text import ATTACKS, attacks, policy_id
from tests.support.harmless import check_text
from tests.support.samples import ACCOUNT, KEYS, NOW

AWAITING = samples.revocation(key_name="key2", plan=samples.plan(), deadline=NOW + timedelta(hours=4)).reach(
    State.AWAITING_APPROVAL, now=NOW, detail="A person decides."
)
LOCKED = LockedDown(Lockdown.SHARED_KEY, NOW, "{}", "{}", undone_at=NOW)


def proposals() -> Proposals:
    snapshot = Snapshot(
        account=samples.account(),
        keys={name: AccountKey(value, NOW) for name, value in KEYS.items()},
        waiting=(),
        executions=(),
        at=NOW,
        policies={str(samples.POLICY): samples.reading()},
    )
    return Proposals(snapshot, samples.settings().decision_policy(ACTION_SPECS), NOW)


def ordered(text: str) -> list[str]:
    proposal = proposals().of_order(Order(ACCOUNT, ActionKind.ACCOUNT_KEY, "key1"), by=Caller(text, "1"), reason=text)
    assert proposal.plan is not None
    return [proposal.verdict.detail, proposal.plan.reason]


def alerted(text: str) -> list[str]:
    title = alert.cleaned(alert.cleaned(text)) or "x"
    proposal = proposals().of_evidence(samples.evidence(title=title))
    assert proposal.plan is not None
    return [proposal.verdict.detail, proposal.plan.reason]


def policy(text: str) -> list[str]:
    target = PolicyTarget(samples.POLICY.service, samples.POLICY.resource, policy_id(text))
    spec = ACTION_SPECS[ActionKind.STORED_POLICY]
    account = samples.account()
    steps, impact = spec.steps(account, str(target)), spec.impact(account, str(target))
    leak = samples.leak(samples.policy_sas(policy=policy_id(text).replace("&", " ")))
    verdict = attribute(leak, account=ACCOUNT, keys=KEYS)
    execution = replace(samples.execution(), action=ActionKind.STORED_POLICY, target=str(target))
    return [
        target.title,
        *steps,
        *impact,
        spec.done(str(target), ACCOUNT),
        spec.used(str(target)),
        *map(str, spec.recovery(samples.revocation(), execution)),
        verdict.detail,
    ]


def decided(text: str) -> list[str]:
    by = Caller(text, "00000000-0000-4000-8000-00000000000b", is_person=True)
    approval, rejection = Approval(by, NOW, samples.plan().digest, text), Rejection(by, NOW, text)
    once = replace(AWAITING, key_name=None, first_approval=approval, deadline=NOW)
    severe = transitions.rejected(AWAITING, rejection)
    failed = samples.revocation().reach(State.FAILED, now=NOW, detail="")
    locked = replace(failed, lockdown=LOCKED)
    return [
        transitions.approved(AWAITING, approval, second_person=True).detail,
        transitions.approved(replace(AWAITING, key_name=None), approval, second_person=True).detail,
        severe.detail,
        transitions.rejected(replace(AWAITING, key_name=None), rejection).detail,
        *(
            over.detail
            for one in (once, replace(severe, deadline=NOW))
            if (over := transitions.overdue(one, now=NOW, setting=AtDeadline.REVOKE))
        ),
        transitions.reconsidered(failed, by=by, reason=text, now=NOW, is_approver=True).detail,
        transitions.retried(failed, by=str(by), reason=text, now=NOW).detail,
        transitions.unlocked(locked, LOCKED, by=str(by), reason=text, now=NOW).detail,
    ]


def tags(text: str) -> list[str]:
    named = from_tags({"sasquash-owner": text}, tag_names=("sasquash-owner",), domains={"contoso.com"})
    found = of_people(
        [Person(text, "ada@contoso.com"), Person("Eve", text)],
        found_by="Owner of the account",
        domains={"contoso.com"},
    )
    return [*named.rejected, *found.rejected, *(person.name or "" for person in found.people)]


def governed(text: str) -> list[str]:
    lock = Lock(samples.ACCOUNT_ID, "ReadOnly", text)
    denial = Denial(text, samples.ACCOUNT_ID, (Actions(("*",)),), frozenset({readiness.EVERYONE}), frozenset())
    troubles = [
        *readiness.of_locks(samples.ACCOUNT_ID, [lock]),
        *readiness.of_denials(
            samples.ACCOUNT_ID,
            [denial],
            principal="me",
            required=["Microsoft.Storage/storageAccounts/listKeys/action"],
        ),
    ]
    assert len(troubles) == 2
    return [trouble.said for trouble in troubles]


def logged(text: str) -> list[str]:
    unknown = Usage(NOW, unknown=str(from_status(403, text, doing="Querying the logs", retry_after=None)))
    return [summary(unknown), *used(unknown, samples.revocation())]


SENTENCES: dict[str, Callable[[str], list[str]]] = {
    "an order and its reason": ordered,
    "an alert's title": alerted,
    "a policy's id": policy,
    "people's names and reasons": decided,
    "tags and names in the directory": tags,
    "locks and deny assignments": governed,
    "error codes of Azure": lambda text: [
        str(from_status(status, text, doing="Listing the keys", retry_after=None)) for status in (404, 409, 429, 500)
    ],
    "error codes of the data plane": lambda text: [read_answer(403, text).said, read_answer(409, text).said],
    "why use is unknown": logged,
    "an exception in a record's detail": lambda text: [
        samples.revocation().reach(State.FAILED, now=NOW, detail=str(Blocked(text))).detail
    ],
}


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("source", SENTENCES)
def test_attack_is_harmless_in_a_sentence_that_is_stored(source: str, text: str) -> None:
    for sentence in SENTENCES[source](text):
        check_text(sentence)


@given(text=attacks())
@pytest.mark.parametrize("source", SENTENCES)
def test_no_text_from_outside_is_stored_as_it_is(source: str, text: str) -> None:
    for sentence in SENTENCES[source](text):
        check_text(sentence)


def test_detail_of_any_length_is_stored_within_its_limit() -> None:
    assert len(samples.revocation().reach(State.FAILED, now=NOW, detail="x" * 20_000).detail) == LONGEST


class Tables:
    """The tables of a ledger, which take what is written."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    async def submit_transaction(self, writes: list[tuple[str, dict[str, Any], object]]) -> list[dict[str, str]]:
        self.entries += [json.loads(entity["Entry"]) for _, entity, _ in writes if "Entry" in entity]
        return [{"etag": "1"} for _ in writes]

    async def note(self, _: Revocation) -> None:
        """Take a row of the index."""


@pytest.mark.parametrize("text", ATTACKS)
async def test_attack_is_harmless_in_the_history(text: str) -> None:
    tables = Tables()
    ledger = Ledger(cast(Any, tables), cast(Any, tables), clock=lambda: NOW, new_id=lambda: "1")
    finding = replace(samples.finding(), source=text, reason=text, reported_by=Caller(text, "1"))
    liveness = replace(samples.liveness(), said=text)

    await ledger.claim(finding)
    await ledger.save(
        replace(samples.revocation(), liveness=liveness).reach(State.FAILED, now=NOW, detail=text),
        what=text,
        who=text,
    )

    assert len(tables.entries) == 2
    for entry in tables.entries:
        check_text(f"{entry['who']} {entry['what']} {entry['evidence']}")
