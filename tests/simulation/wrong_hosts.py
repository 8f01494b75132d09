"""Leaks whose reports pair the secret with other accounts, as scanners do with all addresses of a file."""

import random
from collections.abc import Sequence
from dataclasses import replace

from shared.domain.finding import Finding
from shared.sas import Credential
from tests.simulation.accounts import PlannedAccount
from tests.simulation.leaks import BY_KEY, PlannedLeak

_STRANGERS = ("elsewhere0", "elsewhere1")  # accounts of nobody that Sasquash monitors


def paired(leak: PlannedLeak, accounts: Sequence[PlannedAccount]) -> PlannedLeak:
    """Return the leak as reported at other hosts, too: all in one report, or each in a report of its own."""
    credential = leak.finding.credential
    if leak.kind not in BY_KEY or credential is None:
        return leak
    rng = random.Random(f"{leak.text}/hosts")
    names = [one.name for one in accounts if one.name != leak.account]
    others = rng.sample([*names, *_STRANGERS], rng.choice((1, 1, 2)))
    wrong = [replace(credential, host=f"{name}.blob.core.windows.net") for name in others]
    if rng.random() < 0.5:
        return replace(leak, finding=_together(leak.finding, wrong, rng))
    first = leak.times[0]
    moments = (first - rng.uniform(0.5, 60.0), first, first + rng.uniform(0.0, 5.0), first + rng.uniform(20.0, 90.0))
    apart = ((max(rng.choice(moments), 0.0), _at(leak.finding, one)) for one in wrong)
    return replace(leak, misreports=(*leak.misreports, *apart))


def _together(finding: Finding, wrong: Sequence[Credential], rng: random.Random) -> Finding:
    """Return one report with all hosts, in any order."""
    all_hosts = [*finding.everywhere, *wrong]
    rng.shuffle(all_hosts)
    return _at(finding, all_hosts[0]).with_readings(all_hosts)


def _at(finding: Finding, credential: Credential) -> Finding:
    """Return the report of a leak at another host alone."""
    return replace(finding, fingerprint=credential.fingerprint, credential=credential, candidates=())
