"""Incidents and mails: one of each for each state, and to whom."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.simulation.features import Feature
from tests.simulation.judgment.case import Case, seconds
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.refusals import Place

_NO_INCIDENT = frozenset({State.DISMISSED})


def violations(case: Case) -> Iterator[Violation]:
    """Yield what people were not notified of, or twice."""
    yield from _incidents(case)
    yield from _repeated(case)
    yield from _verified(case)
    yield from _owners(case)


def _incidents(case: Case) -> Iterator[Violation]:
    filed = Counter(str(incident.fields.get("FindingId")) for incident in case.cloud.incidents)
    for fingerprint, count in filed.items():
        if count > 1:
            yield Violation(Rule.INCIDENTS, f"record {fingerprint[:12]} has {count} incidents")
    for record in case.records.values():
        shared = record.filed is not None and record.filed.shared
        name = record.filed.item_id if record.filed is not None and shared else record.fingerprint
        if record.state not in _NO_INCIDENT and name not in filed:
            yield Violation(Rule.INCIDENTS, f"record {record.fingerprint[:12]} ({record.state}) has no incident")
        if shared and record.execution is not None:
            text = f"record {record.fingerprint[:12]} was acted on, and has no incident of its own"
            yield Violation(Rule.INCIDENTS, text)


def _repeated(case: Case) -> Iterator[Violation]:
    excused = case.world.network.excused_mails
    subjects = Counter(mail.subject for mail in case.cloud.mails if not mail.subject.startswith("[SUMMARY]"))
    allowed: Counter[str] = Counter()
    for record in case.records.values():
        allowed[_secret_id(record)] += _occasions(record)
    for record in case.records.values():
        if record.reason is Reason.UNDELIVERED:  # each dead letter that is counted is news, for the hourly mail
            hours = {int(seconds(mail.sent_at) // 3600) for mail in case.mails_about(record)}
            allowed[_secret_id(record)] = max(allowed[_secret_id(record)], len(hours))
    repeated = 0
    for subject, count in subjects.items():
        again = max(allowed[subject.rpartition("[")[2].rstrip("]")], 1)
        repeated += max(count - again, 0)
    if repeated > excused:
        rule = Rule.MAILS_BY_OTHER_CLOCKS if Feature.CLOCKS in case.scenario.features else Rule.MAILS
        yield Violation(rule, f"{repeated} mails repeated another, of which {excused} are excused: {dict(subjects)}")


def _secret_id(record: Revocation) -> str:
    credential = record.finding.credential
    return credential.c3id if credential is not None else record.fingerprint[:20]


def _occasions(record: Revocation) -> int:
    """Return how often one subject is news: each request for approval, each execution, each reason of a state.

    A refusal is news whenever its cause is another than that of the refusal before.
    """
    states = Counter(change.state for change in record.changes)
    reasons = Counter(state for state, _ in {(change.state, change.reason) for change in record.changes})
    causes = [change.cause for change in record.changes if change.reason is Reason.BLOCKED]
    refusals = sum(cause != before for before, cause in pairwise(["", *causes]))
    return max(states[State.AWAITING_APPROVAL], states[State.CONTAINED], refusals, *reasons.values())


def _verified(case: Case) -> Iterator[Violation]:
    for record in case.records.values():
        execution = record.execution
        if execution is None or record.finding.credential is None or not execution.revokes:
            continue
        if record.state not in (State.PROVEN, State.CLOSED):
            continue
        if not any("verified revoked" in mail.subject and mail.to for mail in case.mails_about(record)):
            text = f"nobody was notified that the leak of record {record.fingerprint[:12]} is verified revoked"
            yield Violation(Rule.MAILS, text)


def _owners(case: Case) -> Iterator[Violation]:
    """The account's owner gets a mail that names the key, once it was rotated."""
    if case.scenario.refuses(Place.GRAPH):  # nobody can be looked up: the security mailbox gets it
        return
    owners = {planned.name: planned.owner for planned in case.scenario.accounts}
    for record in case.records.values():
        execution, account = record.execution, record.account_name
        if execution is None or execution.action is not ActionKind.ACCOUNT_KEY or account not in owners:
            continue
        informed = (
            mail
            for mail in case.cloud.mails
            if owners[account] in mail.to
            and account in mail.subject
            and execution.target in mail.body
            and seconds(mail.sent_at) > seconds(execution.at) - 10
        )
        if next(informed, None) is None:
            text = f"the owner of {account} was not notified that {execution.target} was rotated"
            yield Violation(Rule.OWNERS, text)
