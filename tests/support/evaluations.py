"""Evaluates findings in given snapshots of the sample account."""

from dataclasses import replace
from datetime import timedelta

from shared.actions.registry import ACTION_SPECS
from shared.domain.account import AccountKey, PolicyReading
from shared.domain.approval import Approval
from shared.domain.decision.evaluation import Evaluation, Known, evaluate
from shared.domain.decision.snapshot import PastExecution, Snapshot
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKey, RetiredKeys
from tests.support import samples
from tests.support.samples import KEYS, NOW

MINUTE = timedelta(minutes=1)
UNKNOWN = Known()
NEW_KEYS = {"key1": samples.key("new1"), "key2": samples.key("new2")}


def snapshot(
    *executions: PastExecution,
    keys: dict[str, str] = KEYS,
    readings: tuple[PolicyReading, ...] = (),
    tags: dict[str, str] | None = None,
) -> Snapshot:
    """Return what was read of the sample account under the lock."""
    listed = {name: AccountKey(value, NOW) for name, value in keys.items()}
    policies = {str(reading.target): reading for reading in readings}
    return Snapshot(samples.account(tags=tags), listed, (), executions, NOW, policies)


def evaluated(
    finding: Finding | str,
    in_scene: Snapshot,
    *retired: RetiredKey,
    known: Known = UNKNOWN,
    mode: str = "auto",
) -> Evaluation:
    """Evaluate a finding, or the leak in a text, with the sample settings in this mode. `retired` were its keys."""
    kept = RetiredKeys(clock=lambda: NOW)
    for key in retired:
        kept.add(samples.account().name, key)
    return evaluate(
        samples.finding(finding) if isinstance(finding, str) else finding,
        in_scene,
        known=known,
        retired=kept,
        policy=samples.settings(mode=mode).decision_policy(ACTION_SPECS),
        now=NOW,
    )


def another(digest: str, name: str = "bob") -> Approval:
    """The approval of a person who gave no order."""
    return Approval(replace(samples.PERSON, object_id=name), NOW, digest, "Yes.")
