"""Records as rows, also those that an earlier version wrote."""

import json
from dataclasses import replace
from datetime import timedelta

from azure.data.tables import TableEntity

from shared.domain.approval import Approval, EvidenceCheck, EvidenceOutcome, Rejection
from shared.domain.caller import Caller
from shared.domain.decision.people import quorum_of
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import ActionKind
from shared.persistence.revocation_entity import from_entity, to_entity
from tests.support import samples
from tests.support.samples import NOW, PERSON

_NEW_COLUMNS = ("FirstApproval", "Rejections", "EvidenceCheck")
_NEW_FIELDS = ("first_approval", "rejections", "evidence_check", "reported_again_at")


def waiting(**changed: object) -> Revocation:
    record = samples.revocation(
        finding=samples.ordered(ActionKind.ACCOUNT_KEY, "key2"),
        plan=samples.plan(),
        deadline=NOW + timedelta(hours=4),
    )
    return replace(record.reach(State.AWAITING_APPROVAL, now=NOW, detail="Asked."), **changed)  # type: ignore[arg-type]


def stored(row: dict[str, object]) -> Revocation:
    entity = TableEntity(row)
    entity._metadata = {"etag": "1"}
    return from_entity(entity)


def of_an_earlier_version(record: Revocation) -> dict[str, object]:
    """The row of a record as version 0.2 wrote it."""
    row = {name: value for name, value in to_entity(record, NOW).items() if name not in _NEW_COLUMNS}
    kept = json.loads(str(row["Record"]))
    finding = json.loads(str(row["Finding"]))
    for name in _NEW_FIELDS:
        kept.pop(name)
    for part in (finding["reported_by"], (kept["approval"] or {}).get("by")):
        if part is not None:
            part.pop("is_person")
    finding.pop("submitted_by")
    return row | {"Record": json.dumps(kept), "Finding": json.dumps(finding)}


def test_people_s_decisions_are_read_back() -> None:
    record = waiting(
        first_approval=samples.approval("d" * 64),
        rejections=(Rejection(PERSON, NOW, "No."),),
        evidence_check=EvidenceCheck(EvidenceOutcome.DIFFERS, NOW, "It says something else."),
        reported_again_at=NOW,
    )

    read = stored(to_entity(record, NOW))

    assert (read.first_approval, read.rejections) == (record.first_approval, record.rejections)
    assert (read.evidence_check, read.reported_again_at) == (record.evidence_check, NOW)


def test_record_of_an_earlier_version_is_read_and_its_author_counts_as_no_person() -> None:
    """Whether the author was an application is not known: the order takes two approvers then."""
    read = stored(of_an_earlier_version(waiting(approval=samples.approval("d" * 64))))

    assert read.finding.reported_by == Caller(PERSON.name, PERSON.object_id, is_person=False)
    assert read.approval == Approval(replace(PERSON, is_person=False), NOW, "d" * 64, "It is ours.")
    assert (read.first_approval, read.rejections, read.evidence_check) == (None, (), None)
    assert (read.finding.submitted_by, quorum_of(read).approvers) == (None, 2)
