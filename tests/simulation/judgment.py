"""What must be true after every run, judged from the services' own state."""

from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from local.tenant.model import Cloud
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from tests.simulation.scenario import Kind, PlannedLeak, Scenario

_ENDS = frozenset(set(State) - {State.RECEIVED, State.CONTAINED})
_NO_INCIDENT = frozenset({State.DISMISSED})
_MAYBE_OPEN = frozenset({Kind.SMALL, Kind.FORGED})


def violations(
    cloud: Cloud,
    scenario: Scenario,
    records: Mapping[str, Revocation],
    *,
    excused_mails: int,
) -> list[str]:
    """Return in words all that is not as it must be; `records` are by fingerprint."""
    return [
        *_rotations(cloud, scenario, records),
        *_second_keys(cloud, scenario, records),
        *_orders(scenario, records),
        *_leaks(cloud, scenario, records),
        *_incidents(cloud, records),
        *_mails(cloud, records, excused_mails),
    ]


def _rotations(cloud: Cloud, scenario: Scenario, records: Mapping[str, Revocation]) -> Iterable[str]:
    leaked = {(leak.account, leak.key_name) for leak in scenario.leaks if leak.key_name is not None}
    leaked |= {(order.account, order.key_name) for order in scenario.orders}
    for planned in scenario.accounts:
        times = Counter(key for key, _ in cloud.accounts[planned.name].rotations)
        for key, count in times.items():
            if (planned.name, key) not in leaked:
                yield f"{key} of {planned.name} was rotated, and it had signed no leak"
            executions = [
                r
                for r in records.values()
                if r.execution is not None and r.account_name == planned.name and r.execution.target == key
            ]
            # A token may have been seen with the new key: then people order its rotation again.
            ordered = sum(record.finding.order is not None for record in executions)
            if count - ordered > 1:
                yield f"{key} of {planned.name} was rotated {count} times"
            if len(executions) != count:
                yield f"{len(executions)} records hold the rotation of {key} of {planned.name}"
        for record in records.values():
            recorded = record.execution is not None and record.account_name == planned.name
            if recorded and record.execution is not None and record.execution.target not in times:
                yield f"record {record.fingerprint[:12]} holds a rotation that never happened"


def _second_keys(cloud: Cloud, scenario: Scenario, records: Mapping[str, Revocation]) -> Iterable[str]:
    """The second key of an account within a day requires approval, whatever else has happened."""
    for planned in scenario.accounts:
        if len({key for key, _ in cloud.accounts[planned.name].rotations}) < 2:
            continue
        executed = [r for r in records.values() if r.execution is not None and r.account_name == planned.name]
        if not any(r.approval is not None and r.approval.by is not None for r in executed):
            yield f"both keys of {planned.name} were rotated, and nobody had approved"


def _orders(scenario: Scenario, records: Mapping[str, Revocation]) -> Iterable[str]:
    """An order acts with two people in all, and never with fewer."""
    for order in scenario.orders:
        name, record = f"order for {order.key_name} of {order.account}", records.get(order.finding.fingerprint)
        if record is None:
            yield f"the {name} has no record: it is lost"
            continue
        if record.state not in _ENDS:
            yield f"the {name} is still {record.state}: {record.detail}"
        if record.execution is None:
            continue
        people = {one.by.object_id for one in record.approvals if one.by is not None and one.by.is_person}
        if len(people) < 2 or order.people < 2:
            yield f"the {name} was run, and {min(len(people), order.people)} people had approved it"


def _leaks(cloud: Cloud, scenario: Scenario, records: Mapping[str, Revocation]) -> Iterable[str]:
    for leak in scenario.leaks:
        name = f"{leak.kind} of {leak.account}/{leak.key_name}"
        record = records.get(leak.finding.fingerprint)
        if record is None:
            yield f"the {name} has no record: it is lost"
            continue
        if record.state not in _ENDS:
            yield f"the {name} is still {record.state}: {record.detail}"
        alive = leak.key_name is not None and _is_alive(cloud, scenario, leak)
        if alive and record.state in (State.PROVEN, State.CLOSED, State.CONTAINED):
            yield f"the {name} works, and its record says {record.state}"
        if alive and record.reason in (Reason.COVERED, Reason.NO_KEY_MATCHES, Reason.EXPIRED):
            yield f"the {name} works, and its record says {record.reason}"
        if alive and leak.kind not in _MAYBE_OPEN and not _waits_for_a_person(record, scenario):
            yield f"the {name} works still: {record.state} ({record.reason}): {record.detail}"


def _is_alive(cloud: Cloud, scenario: Scenario, leak: PlannedLeak) -> bool:
    planned = next(a for a in scenario.accounts if a.name == leak.account)
    return (
        leak.key_name is not None and cloud.accounts[leak.account].keys[leak.key_name] == planned.keys[leak.key_name]
    )


def _waits_for_a_person(record: Revocation, scenario: Scenario) -> bool:
    """Whether a person had, or has, to decide: the mode asks, or it is the account's second key."""
    asked = any(change.state is State.AWAITING_APPROVAL for change in record.changes)
    return asked and record.state in (State.AWAITING_APPROVAL, State.UNRESOLVED, State.DISMISSED)


def _incidents(cloud: Cloud, records: Mapping[str, Revocation]) -> Iterable[str]:
    filed = Counter(str(incident.fields.get("FindingId")) for incident in cloud.incidents)
    for fingerprint, count in filed.items():
        if count > 1:
            yield f"record {fingerprint[:12]} has {count} incidents"
    for record in records.values():
        shared = record.filed is not None and record.filed.shared
        name = record.filed.item_id if record.filed is not None and shared else record.fingerprint
        if record.state not in _NO_INCIDENT and name not in filed:
            yield f"record {record.fingerprint[:12]} ({record.state}) has no incident"
        if shared and record.execution is not None:
            yield f"record {record.fingerprint[:12]} was acted on, and has no incident of its own"


def _mails(cloud: Cloud, records: Mapping[str, Revocation], excused: int) -> Iterable[str]:
    subjects = Counter(mail.subject for mail in cloud.mails if not mail.subject.startswith("[SUMMARY]"))
    asked = Counter(
        record.finding.credential.c3id if record.finding.credential else record.fingerprint[:20]
        for record in records.values()
        for change in record.changes
        if change.state is State.AWAITING_APPROVAL
    )
    repeated = 0
    for subject, count in subjects.items():
        again = max(asked[subject.rpartition("[")[2].rstrip("]")], 1)
        repeated += max(count - again, 0)
    if repeated > excused:
        yield f"{repeated} mails repeated another, of which {excused} are excused: {dict(subjects)}"
    for record in records.values():
        if record.execution is None or record.finding.credential is None:
            continue
        c3id = record.finding.credential.c3id
        verified = (mail for mail in cloud.mails if "verified revoked" in mail.subject and len(mail.to))
        if not any(c3id in mail.subject for mail in verified):
            yield f"nobody was notified that the leak of record {record.fingerprint[:12]} is verified revoked"


def checked(cloud: Cloud, scenario: Scenario, records: Mapping[str, Revocation]) -> Counter[str]:
    """Return how often each invariant was checked."""
    return Counter(
        {
            "no key rotated twice, none but the leaked, the second by a person": len(scenario.accounts),
            "no leak lost, none left valid": len(scenario.leaks),
            "no order run by fewer than two people": len(scenario.orders),
            "one incident a record": len(records),
            "each state notified, and once": len(cloud.mails),
            "no credential written down": len(scenario.leaks) + 2 * len(scenario.accounts),
        }
    )


def written(cloud: Cloud, stored: Iterable[str], secrets: Iterable[str]) -> Iterable[str]:
    """Return which secret stands where it must not: in mails, incidents, events, and all that is stored."""
    texts = [
        *stored,
        *(f"{mail.subject}\n{mail.body}" for mail in cloud.mails),
        *(str(incident.fields) for incident in cloud.incidents),
        *(str(event) for event in cloud.events),
    ]
    for secret in secrets:
        if any(secret in text for text in texts):
            yield "a credential was written down"


def signatures(leak: PlannedLeak) -> list[str]:
    """Return the secret of a leak in the forms in which it may be written."""
    query = parse_qs(urlsplit(leak.text).query)
    return query.get("sig", [])
