"""Paths that a full record can't hold: they are tried, and undo no approval."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

from shared.containment.repeated_reports import RepeatedReports
from shared.domain.known_paths import MOST, KnownPaths
from shared.errors import Blocked
from tests.support import samples
from tests.support.samples import NOW


def test_approval_of_a_refused_action_outlives_a_flood_of_paths() -> None:
    credential = samples.leak(samples.delegation_sas())
    many = (replace(credential, path=f"models/{number}") for number in range(2 * MOST))
    paths = KnownPaths().with_report(credential, many, by_person=False)
    finding = samples.finding(samples.delegation_sas())
    record = samples.revocation(finding=finding, paths=paths, approval=samples.approval("d" * 64))
    refused = record.blocked(Blocked("No right."), now=NOW)
    store = SimpleNamespace(clock=lambda: NOW + timedelta(seconds=5))
    repeats = RepeatedReports(store, dedup=None, rechecks=None)  # type: ignore[arg-type]
    another = finding.read_as(replace(credential, path="models/one more"))

    again = repeats._with_left_out(refused, another)

    assert again is not None
    assert (again.approval, again.refusal) == (refused.approval, refused.refusal)
