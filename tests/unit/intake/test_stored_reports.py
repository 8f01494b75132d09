"""Reports that real scanners wrote with the rules that `python -m shared.intake rules` prints.

gitleaks 8.30.1, betterleaks 2.0.0-rc.4 and TruffleHog 3.97.0 over 16 files of tests/support/leaking_repository.py:

    gitleaks git -c rules.toml -f json -r gitleaks.json
    betterleaks git . -c rules.toml --silent -o betterleaks.json
    trufflehog git file:///src/repo --config rules.yaml --include-detectors CustomRegex --json > trufflehog.jsonl

`truth.json` says what leaks in them. tests/tools/test_scanners.py runs the scanners on all files.
"""

import json

import pytest

from tests.support.credential_maker import Planted
from tests.support.judged_reports import judged
from tests.support.paths import ROOT

REPORTS = ROOT / "tests" / "unit" / "intake" / "reports"
TRUTH = json.loads((REPORTS / "truth.json").read_text(encoding="utf-8"))
PLANTED = [Planted(**one) for one in TRUTH["planted"]]
SCANNERS = {"gitleaks": "gitleaks.json", "betterleaks": "betterleaks.json", "trufflehog": "trufflehog.jsonl"}


@pytest.mark.parametrize("scanner", SCANNERS)
def test_each_leak_of_the_report_is_attributed_by_signature(scanner: str) -> None:
    report = (REPORTS / SCANNERS[scanner]).read_bytes()

    assert judged(scanner, report, PLANTED, TRUTH["keys"]).missing == ()


@pytest.mark.parametrize("scanner", ["gitleaks", "betterleaks"])
def test_nothing_else_is_read_from_the_report(scanner: str) -> None:
    report = (REPORTS / SCANNERS[scanner]).read_bytes()

    assert judged(scanner, report, PLANTED, TRUTH["keys"]).unproven == ()
