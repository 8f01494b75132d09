"""Jobs for containment actions: what the executor hands to one."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from shared.actions.action import Job
from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Plan
from shared.domain.revocation import Revocation
from tests.support import samples
from tests.support.samples import KEYS, NOW


def job(
    plan: Plan,
    account: AccountFacts | None = None,
    *,
    keys: Mapping[str, AccountKey] | None = None,
    policies: Iterable[PolicyReading] = (),
    record: Revocation | None = None,
) -> Job:
    """A job for `plan`, whose leak key1 signed."""
    listed = keys or {name: AccountKey(value, None) for name, value in KEYS.items()}
    readings = {str(reading.target): reading for reading in policies}
    return Job(
        plan=plan,
        snapshot=Snapshot(account or samples.account(), listed, (), (), NOW, readings),
        record=record or samples.revocation(),
        signed_by="key1",
        settled_from=NOW + timedelta(minutes=3),
    )
