"""The longest record that can come about is saved: a text column of Table Storage holds 32 K characters."""

import json
from dataclasses import fields, replace
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest

from shared.actions.registry import ACTION_SPECS, Actions
from shared.cloud.history_copy import LONGEST
from shared.domain.account import TAGS, AccountFacts, PolicyState
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.approval import Approval, EvidenceCheck, EvidenceOutcome, ReadAlert, Rejection
from shared.domain.caller import Caller
from shared.domain.changed_by import Unknown
from shared.domain.decision import plan as plans
from shared.domain.elsewhere import MOST as MOST_ELSEWHERE
from shared.domain.elsewhere import Elsewhere
from shared.domain.execution import (
    Execution,
    KeyDistribution,
    KeyDistributionOutcome,
    Liveness,
    LockedDown,
    Outcome,
    Verification,
)
from shared.domain.known_paths import MOST, KnownPaths
from shared.domain.named_alerts import MOST_LEFT_OUT, MOST_WAITING, NamedAlerts
from shared.domain.refusal import Refusal
from shared.domain.revocation import (
    Change,
    ClosedAlert,
    Filed,
    ForeignChange,
    Notification,
    Owner,
    Revocation,
    Sighting,
    StepLease,
)
from shared.domain.signer import Signer
from shared.domain.states import STATE_OF, Reason, State
from shared.domain.target import KEY_NAMES, ActionKind, Lockdown, PolicyTarget
from shared.domain.text import RichText
from shared.domain.usage import Client, Touched, Usage
from shared.persistence.revocation_entity import from_snapshot, snapshot
from shared.sas import Service
from tests.support import samples
from tests.support.driver import Driver
from tests.support.jobs import job
from tests.support.samples import NOW

NAME, GUID, DIGEST = "a" * 24, "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33", "f" * 64
LATER = NOW + timedelta(microseconds=123456)
ALERT = AlertReference(AlertSource.AZURE_DEVOPS, f"{'o' * 50}/{'\U0001d5e3' * 64}/{'\U0001d5e5' * 64}", "9" * 19)
LAST = Change(State.UNRESOLVED, LATER, Reason.LOCKDOWN_UNDONE, revivals=9)
PEOPLE = tuple(f"{number}{'o' * 60}@contoso.com" for number in range(6))
STATES: tuple[tuple[State, Reason | None], ...] = (
    *((state, None) for state in State if state is not State.RECEIVED),
    *((STATE_OF[reason], reason) for reason in Reason),
)


def network_rules() -> str:
    """As many rules as are kept of an account: 6000 characters."""
    rules = [{"action": "Allow", "value": f"203.0.{number // 250}.{number % 250}"} for number in range(400)]
    while len(json.dumps(rules, separators=(",", ":"))) > 5900:
        rules.pop()
    return json.dumps({"bypass": "None", "defaultAction": "Allow", "ipRules": rules}, separators=(",", ":"))


def account() -> AccountFacts:
    hosts = {service: f"{NAME}-secondary.z55.{service}.storage.azure.net" for service in samples.SERVICES}
    return AccountFacts(
        id=f"/subscriptions/{GUID}/resourceGroups/{'g' * 90}/providers/Microsoft.Storage/storageAccounts/{NAME}",
        name=NAME,
        subscription=GUID,
        resource_group="g" * 90,
        tags=dict.fromkeys((*TAGS, "sasquash-owner", "owner", "team"), '"' * 256),
        endpoints={service: f"https://{host}/" for service, host in hosts.items()},
        secondary_endpoints={service: f"https://{host}/" for service, host in hosts.items()},
        network_rules=network_rules(),
    )


def known_paths() -> KnownPaths:
    """As many paths as a record keeps, of the longest that all fit; each character is two in JSON."""
    credential = samples.leak(samples.blob_sas())
    paths = (f"models/{number:02}".ljust(140, '"') for number in range(2 * MOST))
    return KnownPaths().with_report(credential, (replace(credential, path=path) for path in paths), by_person=True)


def elsewhere() -> Elsewhere:
    """As many readings at other hosts as a record keeps, of the longest that all fit."""
    credential = samples.leak(samples.blob_sas())
    hosts = (f"{'h' * 20}{number:04}.z55.blob.storage.azure.net" for number in range(3 * MOST_ELSEWHERE))
    return Elsewhere().with_report(credential, (replace(credential, host=host, path='"' * 140) for host in hosts))


def longest_named_alerts() -> NamedAlerts:
    """As many alerts as a record keeps, with the longest names."""
    alerts = [replace(ALERT, alert=f"1{number:018}") for number in range(1, 400)]
    named = NamedAlerts().with_settled(alerts, now=LATER)
    for number in range(400, 600):
        named = named.with_alert(replace(ALERT, alert=f"1{number:018}"))
    assert len(named.left_out) == MOST_LEFT_OUT
    assert named.has_settled(alerts[-1])
    return named


def executed(actions: Actions, action: ActionKind) -> tuple[str, Execution]:
    """A target of the action, and an execution with the longest texts."""
    target = {
        ActionKind.ACCOUNT_KEY: KEY_NAMES[0],
        ActionKind.STORED_POLICY: str(PolicyTarget(Service.BLOB, "c" * 63, '"' * 64)),
        ActionKind.DELEGATION_KEY: "all",
        ActionKind.LOCKDOWN: Lockdown.NETWORK.value,
        ActionKind.SAS_EXPIRATION_BLOCK: "3650.00:00:00",
    }[action]
    tokens = () if action is ActionKind.LOCKDOWN else tuple(samples.execution().verification_tokens) * 4
    notes = ("It was changed, and this is what a person should know about that." * 3,) * 3
    return target, Execution(action, target, LATER, DIGEST, DIGEST, "listing", GUID, tokens, notes)


def way_back(actions: Actions, facts: AccountFacts) -> LockedDown:
    plan = replace(samples.plan(), action=ActionKind.LOCKDOWN, target=Lockdown.NETWORK)
    lockdown = actions.lockdown.way_back(job(plan, facts))
    assert lockdown is not None
    return lockdown


def longest(actions: Actions, action: ActionKind, record: Revocation) -> Revocation:
    facts = account()
    target, execution = executed(actions, action)
    before = way_back(actions, facts)
    return replace(
        record,
        state=State.UNRESOLVED,
        reason=Reason.LOCKDOWN_UNDONE,
        detail="What happened, to what, and what to do. " * 50,
        account=facts,
        key_name="key1",
        key_sha256=DIGEST,
        attributed_at=LATER,
        policy=replace(
            samples.reading(PolicyState.UNREACHABLE, target=PolicyTarget(Service.BLOB, "c" * 63, '"' * 64)),
            permissions="racwdxltmeop",
            expires=LATER,
            detail="Why it can't be reached, and what to do. " * 12,
        ),
        decided_by="of this and that " * 25,
        plan=plans.make(facts, ACTION_SPECS[action], target, version=DIGEST, reason="because " * 60),
        deadline=LATER,
        execution=execution,
        verification=Verification(
            Outcome.STILL_ALIVE, LATER, ("What was seen at one endpoint, in a sentence. " * 6,) * 9
        ),
        filed=Filed(GUID, State.UNRESOLVED, Reason.LOCKDOWN_UNDONE, change=LAST, confirmed_at=LATER),
        notifications=tuple(
            Notification(state, PEOPLE, LATER, reason, change=LAST, again=LATER, confirmed_at=LATER)
            for state, reason in STATES
        ),
        announced=tuple(Change(state, LATER, reason, revivals=9, cause="ab" * 6) for state, reason in STATES * 2),
        leases=tuple(
            StepLease(step, LATER) for step in ("key distribution", "event", "incident", "mail", "closing of alerts")
        ),
        owners=tuple(Owner(address, "n" * 100, "tag sasquash-owner on the account") for address in PEOPLE[:5]),
        owners_rejected=('tag "sasquash-owner": ' + "x" * 150,) * 10,
        sightings=tuple(Sighting("s" * 100, "🦍" * 200, LATER, ALERT) for _ in range(20)),
        closed_alerts=tuple(ClosedAlert(ALERT, LATER, "🦍" * 500, closed=False) for _ in range(20)),
        named_alerts=longest_named_alerts(),
        changes=(LAST,) * 30,
        liveness=Liveness(LATER, None, "Azure's answer does not tell whether it lives. " * 8, '"' * 4096),
        paths=known_paths(),
        elsewhere=elsewhere(),
        logs_searched_at=LATER,
        duplicate_of=DIGEST,
        first_approval=Approval(Caller("n" * 200, GUID), LATER, DIGEST, "🦍" * 500),
        approval=Approval(Caller("n" * 200, GUID), LATER, DIGEST, "🦍" * 500),
        rejections=(Rejection(Caller("n" * 200, GUID), LATER, "🦍" * 500),) * 2,
        evidence_check=EvidenceCheck(
            EvidenceOutcome.UNCHECKED,
            LATER,
            "What its service says about it. " * 80,
            (ReadAlert(ALERT, EvidenceOutcome.UNCHECKED),) * (21 + MOST_WAITING),
        ),
        reported_again_at=LATER,
        undone=replace(execution, verification_tokens=()),
        changed_by=ForeignChange(LAST, LATER, RichText.of("It was changed by somebody. " * 40), Unknown.NOT_FOUND),
        refusal=Refusal('"' * 300, LATER, LATER, ("ab" * 6,) * 8),
        signer=Signer("key1", DIGEST, LATER, str(PolicyTarget(Service.BLOB, "c" * 63, '"' * 64)), DIGEST),
        key_distribution=KeyDistribution(
            KeyDistributionOutcome.DECLINED, LATER, "What is there is not the old key. " * 8, "https://x" * 30
        ),
        lockdown=replace(before, after=before.before, undone_at=LATER),
        remains=(RichText.of("Container models is public. " * 12),) * 12,
        usage=Usage(
            at=LATER,
            days=90,
            unknown="Why nobody knows. " * 20,
            requests=10**12,
            first=LATER,
            last=LATER,
            objects=(Touched("🦍" * 200, 10**9, 10**9),) * 20,
            clients=(Client("f" * 39, "🦍" * 200, 10**9),) * 10,
            others=(Client("f" * 39, "🦍" * 200, 10**9),) * 10,
        ),
    )


def test_longest_record_has_its_column_of_paths_full() -> None:
    assert 29_000 < len(msgspec.json.encode(known_paths())) < 31_000


def test_longest_record_has_a_column_of_alerts_that_fits() -> None:
    """A text column holds 64 KiB of UTF-16 ("Understanding the Table service data model")."""
    text = msgspec.json.encode(longest_named_alerts()).decode()
    assert 50_000 < len(text.encode("utf-16-le")) < 63_000


@pytest.mark.parametrize("action", list(ActionKind))
async def test_longest_record_is_saved_and_read_back(driver: Driver, action: ActionKind) -> None:
    app = driver.app()
    finding = replace(samples.revocation().finding, fingerprint=sha256(action.encode()).hexdigest())
    received, _ = await app.fast_path.store.revocations.claim(finding)
    record = longest(app.fast_path.actions, action, received)
    stored = (field.name for field in fields(record) if field.compare)
    assert [name for name in stored if getattr(record, name) in (None, (), "")] == []
    saved = await app.fast_path.store.revocations.save(record, what="All that there is to tell.")
    assert await app.fast_path.store.revocations.read(finding.fingerprint) == saved


@pytest.mark.parametrize("action", list(ActionKind))
async def test_longest_record_has_a_snapshot_that_fits_into_a_field_of_the_copy(
    driver: Driver, action: ActionKind
) -> None:
    """ "Azure Monitor service limits", Logs Ingestion API: fields longer than 64 KB are cut, which would end it."""
    record = longest(driver.app().fast_path.actions, action, samples.revocation())

    text = snapshot(record, longest=LONGEST)

    assert 0 < len(text.encode()) <= LONGEST < 64 * 1024
    kept = from_snapshot(text)
    assert (kept.finding, kept.plan, kept.state) == (record.finding, record.plan, record.state)
    assert kept.execution == replace(record.execution, verification_tokens=())  # type: ignore[type-var]
    assert kept.usage is None  # what is left out first
