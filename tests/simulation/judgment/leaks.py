"""Leaks: none is lost, none is left valid without a person who knows, and no record overclaims."""

from collections.abc import Iterator

from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from tests.simulation.judgment.case import Case, seconds, waits_for_a_person
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.leaks import Kind, PlannedLeak
from tests.simulation.refusals import OWN_STORAGE, Place

_ENDS = frozenset(set(State) - {State.RECEIVED, State.CONTAINED})
_REVOKED = (State.PROVEN, State.CLOSED, State.CONTAINED)
_OVER = (Reason.COVERED, Reason.NO_KEY_MATCHES, Reason.EXPIRED)
_MAYBE_OPEN = frozenset({Kind.SMALL, Kind.FORGED})
_REFUSED = {Reason.BLOCKED: Rule.RETRIED, Reason.NOT_COVERED: Rule.VANISHED}
_STAYED = 900.0  # seconds that a refusal lasted, before people must have been notified
_NOTIFIED_WITHIN = 2 * 3600.0


def violations(case: Case) -> Iterator[Violation]:
    """Yield what is wrong about the leaks."""
    for leak in case.scenario.leaks:
        record = case.record_of(leak)
        if record is None:
            yield Violation(Rule.LEAKS, f"the {leak.name} has no record: it is lost")
            continue
        if leak.misreports and len(case.deciding_on(leak)) > 1 and not case.scenario.holds_foreign_rows:
            yield Violation(Rule.ONE_RECORD, f"several records decide on the {leak.name}")
        if record.state not in _ENDS:
            yield Violation(Rule.LEAKS, f"the {leak.name} is still {record.state}: {record.detail}")
        yield from _valid(case, leak, record)
        yield from _refused(case, leak, record)
        yield from _by_hand(case, leak, record)


def _valid(case: Case, leak: PlannedLeak, record: Revocation) -> Iterator[Violation]:
    """Judge a leak that works."""
    if not case.is_alive(leak) or leak.kind is Kind.FORGED:
        return
    rule = _put_back(case, leak, record) or Rule.LEAKS
    if record.state in _REVOKED and not _is_kept_out(record):
        yield Violation(rule, f"the {leak.name} works, and its record says {record.state}")
    if record.reason in _OVER:
        yield Violation(rule, f"the {leak.name} works, and its record says {record.reason}")
    if leak.kind not in _MAYBE_OPEN and not waits_for_a_person(record):
        if case.has_refusals and record.reason in _REFUSED:
            rule = _REFUSED[record.reason]
        yield Violation(rule, f"the {leak.name} works still: {record.state} ({record.reason}): {record.detail}")


def _put_back(case: Case, leak: PlannedLeak, record: Revocation) -> Rule | None:
    """Return the rule about a policy that was put back, None for other leaks."""
    policy = leak.policy
    if policy is None or not case.world.put_back[leak.account, policy.key, policy.id]:
        return None
    ended = any(change.state is State.CONTAINED for change in record.changes) or record.reason is Reason.COVERED
    return Rule.PUT_BACK_REVOKED if ended else Rule.PUT_BACK


def _is_kept_out(record: Revocation) -> bool:
    """Whether the record says that the leak is no more than kept out."""
    return record.execution is not None and not record.execution.revokes


def _refused(case: Case, leak: PlannedLeak, record: Revocation) -> Iterator[Violation]:
    """Judge what refusals have done to the record."""
    if record.reason is Reason.BLOCKED:
        yield Violation(
            Rule.RETRIED, f"the {leak.name} is still {record.state}, and nothing is refused: {record.detail}"
        )
    blocked = [seconds(one.at) for one in record.changes if one.reason is Reason.BLOCKED]
    places = {one.place for one in case.scenario.refusals}
    if blocked and places and places <= OWN_STORAGE and not case.world.acts["account locked"]:
        yield Violation(Rule.OWN_STORAGE, f"an error of our own storage ended the {leak.name}")
    if not blocked or case.scenario.refuses(Place.GRAPH, Place.MAIL, *OWN_STORAGE) or case.scenario.graph_down_until:
        return
    later = [seconds(one.at) for one in record.changes if seconds(one.at) > blocked[0]]
    if later and later[0] - blocked[0] < _STAYED:
        return
    until = blocked[0] + _NOTIFIED_WITHIN
    summaries = [mail for mail in case.cloud.mails if mail.subject.startswith("[SUMMARY]")]
    sent = [seconds(mail.sent_at) for mail in (*case.mails_about(record), *summaries)]
    if not any(blocked[0] - 5 < at < until for at in sent):
        yield Violation(Rule.NOTIFIED_OF_REFUSALS, f"nobody was notified that the {leak.name} is blocked")


def _by_hand(case: Case, leak: PlannedLeak, record: Revocation) -> Iterator[Violation]:
    """Judge a leak that a person has revoked after it was verified who signed it: there was a mail that says so.

    Of one whose keys could not even be listed before nobody knows it.
    """
    if leak.key_name is None or record.reason not in (Reason.NO_KEY_MATCHES, Reason.BLOCKED):
        return
    made = case.by_hand(leak.account, leak.key_name)
    verified = (mail for mail in case.mails_about(record) if "Signature verified" in mail.body)
    if made and any(seconds(mail.sent_at) < made[0].at for mail in verified):
        yield Violation(Rule.BY_HAND, f"the {leak.name} was revoked by hand, and its record says {record.reason}")
