"""Responses of records: as docs/openapi.yaml describes them, without secrets."""

import json
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from shared.api.revocations import rendering
from shared.domain.approval import Approval
from shared.domain.caller import Caller
from shared.domain.execution import (
    KeyDistribution,
    KeyDistributionOutcome,
    Liveness,
    LockedDown,
    Outcome,
    Verification,
)
from shared.domain.finding import Finding, Order
from shared.domain.revocation import Filed, Notification, Owner, Revocation, Sighting
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind, Lockdown
from shared.domain.usage import Client, Touched, Usage
from shared.errors import Blocked
from shared.sas import Service, key_sha256
from tests.support import other_services, samples
from tests.support.openapi import described
from tests.support.samples import NOW

ADA = Caller("ada@contoso.com", "cd7dbcdd-c57c-427e-9fc2-0f70fd4e1bca", is_person=True)
RAVN = Caller("ravn@contoso.com", "f8e50806-86c7-4607-84e9-50394e5b33e6", is_person=True)


def full() -> Revocation:
    """A record in which everything has happened."""
    token = samples.verification_token(Service.BLOB, accepted_before=True)
    record = replace(
        samples.revocation(),
        finding=replace(samples.finding(), reported_by=RAVN, reason="Found on GitHub"),
        account=samples.account(),
        key_name="key2",
        key_sha256=key_sha256(samples.KEYS["key2"]),
        attributed_at=NOW,
        decided_by="rule write-or-delete",
        plan=samples.plan(),
        deadline=NOW + timedelta(hours=4),
        approval=Approval(ADA, NOW, "d" * 64, "The owner agrees"),
        liveness=Liveness(NOW, True, "Azure accepts it."),
        usage=Usage(
            NOW,
            90,
            first=NOW,
            last=NOW,
            objects=(Touched("/models/m.ckpt", 2, 1),),
            clients=(Client("203.0.113.9", "curl", 2),),
            others=(Client("198.51.100.1", "billing", 3),),
        ),
        execution=samples.execution(token),
        verification=Verification(Outcome.PROVEN, NOW, ("blob: refused 3 times.",)),
        key_distribution=KeyDistribution(
            KeyDistributionOutcome.DONE, NOW, "It is there.", "https://v.vault.azure.net/secrets/s"
        ),
        lockdown=LockedDown(Lockdown.SHARED_KEY, NOW, '{"allowSharedKeyAccess": true}', '{"a": {}}', NOW),
        filed=Filed("7", State.PROVEN),
        owners=(Owner("owner@contoso.com", None, "tag sasquash-owner"),),
        owners_rejected=("someone@example.com: not a domain of ours",),
        notifications=(Notification(State.PROVEN, ("owner@contoso.com",), NOW),),
        sightings=(Sighting("scanner", None, NOW),),
    )
    return record.reach(State.CLOSED, now=NOW, detail="Nothing is open.")


def order() -> Revocation:
    ordered = Order("robustmodels", ActionKind.LOCKDOWN, "network")
    return Revocation.of(Finding("ab" * 32, None, "responder", None, NOW, ordered, RAVN, "Both keys leaked"), now=NOW)


RECORDS = {
    "full": full(),
    "fresh": Revocation.of(samples.finding(), now=NOW),
    "key": Revocation.of(samples.finding(samples.connection_string()), now=NOW),
    "policy": Revocation.of(samples.finding(samples.policy_sas()), now=NOW),
    "delegation": Revocation.of(samples.finding(samples.delegation_sas()), now=NOW),
    "queue": Revocation.of(samples.finding(samples.queue_sas()), now=NOW),
    "other": Revocation.of(Finding("cd" * 32, None, "scanner", None, NOW, other=other_services.COSMOS_KEY), now=NOW),
    "unreadable": Revocation.of(Finding("ab" * 32, None, "scanner", None, NOW), now=NOW),
    "order": order(),
    "locked": replace(order(), lockdown=LockedDown(Lockdown.NETWORK, NOW, "{}")),
    "ended": samples.revocation().end(Reason.NO_KEY_MATCHES, now=NOW, detail="No key of it matches."),
    "refused": samples.revocation().blocked(Blocked("403: no right.", cause="403"), now=NOW),
    "by others": samples.revocation(execution=samples.execution(confirmed_by="others")),
    "unchanged": samples.revocation(),
}


def shown(record: Revocation) -> dict[str, object]:
    text = msgspec.json.encode(rendering.whole(record, now=NOW))
    value: dict[str, object] = json.loads(text)
    return value


@pytest.mark.parametrize("name", RECORDS)
def test_response_matches_the_openapi_schema(name: str) -> None:
    record = RECORDS[name]

    described("Revocation", shown(record))
    described("Summary", json.loads(msgspec.json.encode(rendering.summary(record, now=NOW))))


def test_response_has_no_verification_token() -> None:
    token = samples.verification_token(Service.BLOB)
    text = json.dumps(shown(samples.revocation(execution=samples.execution(token))))

    assert token.query not in text
    assert "sig=" not in text
    assert token.url not in text


def test_response_has_no_key_and_no_signature() -> None:
    for leaked in (samples.account_sas(), samples.connection_string()):
        text = json.dumps(shown(Revocation.of(samples.finding(leaked), now=NOW)))

        assert samples.KEYS["key1"] not in text
        assert leaked.partition("sig=")[2][:20] not in text or "sig=" not in leaked


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ("fresh", "account_sas"),
        ("key", "account_key"),
        ("order", "order"),
        ("other", "other_service"),
        ("unreadable", "unreadable_report"),
    ],
)
def test_kind_is_that_of_the_credential_or_of_the_record(record: str, kind: str) -> None:
    assert rendering.summary(RECORDS[record], now=NOW).kind == kind


@pytest.mark.parametrize(
    ("record", "account"),
    [
        (samples.revocation(account=replace(samples.account(), name="asarmhasit")), "asarmhasit"),
        (samples.revocation(), "robustmodels"),
        (order(), "robustmodels"),
        (RECORDS["unreadable"], None),
    ],
)
def test_account_name_is_the_best_known_one(record: Revocation, account: str | None) -> None:
    assert rendering.summary(record, now=NOW).account == account


def test_changed_at_is_the_time_of_the_state() -> None:
    later = NOW + timedelta(hours=1)

    assert rendering.summary(samples.revocation(), now=NOW).changed_at == NOW
    assert (
        rendering.summary(samples.revocation().reach(State.CLOSED, now=later, detail=""), now=NOW).changed_at == later
    )


def test_refusal_says_when_the_action_is_tried_again_and_only_while_it_is() -> None:
    refused = RECORDS["refused"]
    next_at = "2026-11-21T10:01:00Z"
    assert shown(refused)["refusal"] == {"cause": "403", "since": "2026-11-21T10:00:00Z", "next_at": next_at}
    assert shown(refused.end(Reason.EXPIRED, now=NOW, detail=""))["refusal"] is None


def test_lockdown_has_arm_properties() -> None:
    assert shown(RECORDS["full"])["lockdown"] == {
        "action": "lockdown",
        "kind": "shared_key",
        "at": "2026-11-21T10:00:00Z",
        "before": {"allowSharedKeyAccess": True},
        "after": {"a": {}},
        "undone_at": "2026-11-21T10:00:00Z",
    }
    locked = rendering.whole(RECORDS["locked"], now=NOW).lockdown
    assert locked is not None
    assert locked.after is None
