"""What is stored: the consumers' secret, dead letters, and no credential anywhere."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

from local.cloud.provisioning import DEAD_LETTERS
from local.tenant.model import KEY_VAULT, STATE_ACCOUNT
from shared.domain.states import Reason
from shared.domain.target import ActionKind
from tests.simulation.judgment.case import Case
from tests.simulation.judgment.rules import Rule, Violation
from tests.simulation.leaks import PlannedLeak
from tests.simulation.refusals import Place

_KEPT = "kept/"
_COUNTED = re.compile(r"gave up on (\d+) events")


def violations(case: Case) -> Iterator[Violation]:
    """Yield what is wrong about what is stored."""
    yield from _secrets(case)
    yield from _vaults(case)
    yield from _dead_letters(case)


def _vaults(case: Case) -> Iterator[Violation]:
    for planned in case.scenario.accounts:
        secret = planned.secret
        if secret is None or case.by_hand(planned.name, secret.key_name):
            continue
        executed = case.executed(ActionKind.ACCOUNT_KEY, planned.name)
        known = [one for one in executed if one.execution is not None and one.execution.target == secret.key_name]
        if len(known) < len(case.rotations(planned.name, secret.key_name)):
            continue  # a rotation that no record holds is a violation of its own
        versions = case.cloud.vaults[KEY_VAULT].secrets[secret.name].versions
        now = case.account(planned.name).keys[secret.key_name]
        if versions[-1].value != secret.text(planned.name, now):
            text = f"the secret of {planned.name} does not hold the {secret.key_name} of now"
            yield Violation(Rule.UNNOTED if case.is_unnoted else Rule.VAULTS, text)
        if any(one.enabled for one in versions[:-1]):
            yield Violation(Rule.VAULTS, f"an old version of the secret of {planned.name} is enabled")


def _dead_letters(case: Case) -> Iterator[Violation]:
    letters = case.scenario.letters
    blobs = case.world.storage.blobs(STATE_ACCOUNT).containers[DEAD_LETTERS]
    left = [name for name in blobs if not name.startswith(_KEPT)]
    if left:
        yield Violation(Rule.DEAD_LETTERS, f"{len(left)} dead letters were not taken in")
    lost = [one.name for one in letters if not one.readable and f"{_KEPT}{one.name}" not in blobs]
    if lost:
        yield Violation(Rule.DEAD_LETTERS, f"{len(lost)} dead letters that nobody can read were not kept")
    records = [record for record in case.records.values() if record.reason is Reason.UNDELIVERED]
    counted = sum(int(found[1]) for record in records if (found := _COUNTED.search(record.detail)))
    if counted < len(letters):
        rule = Rule.COUNTED if case.scenario.refuses(Place.TABLES) else Rule.DEAD_LETTERS
        yield Violation(rule, f"records count {counted} of {len(letters)} dead letters")


def _secrets(case: Case) -> Iterator[Violation]:
    """Yield a violation for each secret that stands where it must not."""
    texts = [*_stored(case), *_sent(case)]
    for secret in _leaked(case):
        if any(secret in text for text in texts):
            yield Violation(Rule.SECRETS, "a credential was written down")


def _leaked(case: Case) -> Iterable[str]:
    yield from (secret for leak in case.scenario.leaks for secret in signatures(leak))
    yield from (key for planned in case.scenario.accounts for key in planned.keys.values())


def signatures(leak: PlannedLeak) -> list[str]:
    """Return the secret of a leak in the forms in which it may be written."""
    return parse_qs(urlsplit(leak.text).query).get("sig", [])


def _stored(case: Case) -> Iterable[str]:
    tables = case.world.storage.tables(STATE_ACCOUNT).tables
    for rows in tables.values():
        for held in rows.values():
            yield from (str(entity.properties) for entity in held.values())
    for queue in case.world.storage.queues(STATE_ACCOUNT).queues.values():
        yield from (message.text for message in queue)


def _sent(case: Case) -> Iterable[str]:
    yield from (f"{mail.subject}\n{mail.body}" for mail in case.cloud.mails)
    yield from (str(incident.fields) for incident in case.cloud.incidents)
    yield from (str(event) for event in case.cloud.events)
