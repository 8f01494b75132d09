"""Reports that real scanners wrote about one small repository: what each holds is attributed, and nothing else.

gitleaks 8.30.1, Trivy 0.74.0, TruffleHog 3.97.0, kingfisher 2.14.0, detect-secrets 1.5.0, DevSkim 1.0.103, secretlint
12.0.0 (with two patterns for its rule `secretlint-rule-pattern`: it has no rule for Azure), ggshield 1.56.1 (whose
service had a stand-in, with two patterns), Nosey Parker 0.25.0-dev (commit 2e6e7f3; its SARIF without the list of its
rules). The repository, its keys and the reports are in `reports/`; the accounts
and keys are made up.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.api.intake.registry import TEXT_READERS
from shared.domain.finding import Finding
from shared.intake.files import Files
from shared.sas import verify
from shared.sources.parsing import Item, items_of, joined
from shared.sources.surroundings import with_surroundings
from tests.support.paths import ROOT

REPORTS = ROOT / "tests" / "unit" / "sources" / "reports"
TRUTH = json.loads((REPORTS / "truth.json").read_text(encoding="utf-8"))
EXPECTED = {(leak["credential"], leak["account"], leak["signed_by"]) for leak in TRUTH["expected"]}

type Proven = set[tuple[str, str, str]]


def items(report: str, source: str, *, root: str | None) -> tuple[tuple[Item, ...], tuple[Finding, ...]]:
    entries = TEXT_READERS[source]((REPORTS / report).read_bytes())
    if root is not None:
        entries = with_surroundings(entries, Files(str(REPORTS / root)).around)
    return joined(items_of(entries, source=source, now=datetime.now(UTC)))


def signed(finding: Finding, keys: dict[str, Any]) -> tuple[str, str, str] | None:
    """Return the kind, the account and the key of the reading that a key signed."""
    for reading in finding.everywhere:
        account = reading.account or ""
        result = verify(reading, account=account, keys=keys[account]) if account in keys else None
        if result is not None and result.key is not None:
            return reading.kind.value, account, result.key
    return None


@pytest.mark.parametrize(
    ("report", "source", "alone", "with_files"),
    [
        ("gitleaks.json", "gitleaks", 0, 11),
        ("gitleaks.sarif", "sarif", 0, 11),
        ("trivy.json", "trivy", 0, 15),
        ("trivy.sarif", "sarif", 0, 15),
        ("trufflehog.jsonl", "trufflehog", 11, 11),
        ("trufflehog-filesystem.jsonl", "trufflehog", 17, 18),
        ("kingfisher.json", "kingfisher", 4, 10),
        ("kingfisher.jsonl", "kingfisher", 4, 10),
        ("kingfisher.sarif", "sarif", 4, 10),
        ("detect-secrets.json", "detect-secrets", 0, 12),
        ("ggshield.json", "ggshield", 0, 23),
        ("ggshield-shown.json", "ggshield", 10, 23),
        ("noseyparker.json", "noseyparker", 9, 9),
        ("noseyparker-git.jsonl", "noseyparker", 3, 3),
        ("noseyparker.sarif", "sarif", 9, 9),
        ("secretlint.json", "secretlint", 25, 25),
    ],
)
def test_leaks_of_a_report_are_attributed_and_nothing_else_is_found(
    report: str, source: str, alone: int, with_files: int
) -> None:
    _, bare = items(report, source, root=None)
    _, found = items(report, source, root="repo")

    assert len({signed(finding, TRUTH["keys"]) for finding in bare} - {None}) == alone
    proven = {signed(finding, TRUTH["keys"]) for finding in found}
    assert None not in proven, "a finding that no key signed"
    assert len(proven) == with_files == len(found)
    assert proven <= EXPECTED


@pytest.mark.parametrize("report", ["trivy.json", "detect-secrets.json", "ggshield.json"])
def test_report_that_masks_its_secrets_says_so_without_the_files(report: str) -> None:
    source = report.removesuffix(".json")
    found, findings = items(report, source, root=None)

    assert findings == ()
    assert {item.reason for item in found} == {"redacted"}


def test_devskim_shows_a_signature_alone_and_its_file_has_the_rest() -> None:
    keys = json.loads((REPORTS / "devskim" / "truth.json").read_text(encoding="utf-8"))["keys"]
    _, found = items("devskim/report.sarif", "sarif", root="devskim")

    kinds = sorted(proven[0] for finding in found if (proven := signed(finding, keys)) is not None)
    assert kinds == ["account_key", "account_sas", "service_sas", "service_sas"]


def test_trufflehog_names_the_file_its_line_and_its_commit() -> None:
    entries = list(TEXT_READERS["trufflehog"]((REPORTS / "trufflehog.jsonl").read_bytes()))

    assert getattr(entries[0], "url", None) == "file:///src/repo/.github/workflows/sas.yml:5@aae019122bb5"


def test_noseyparker_names_the_repository_the_file_its_line_and_the_commit() -> None:
    entries = list(TEXT_READERS["noseyparker"]((REPORTS / "noseyparker-git.jsonl").read_bytes()))

    assert getattr(entries[0], "url", None) == "g/repo/config/appsettings.json:3@d43f6d5b1957"
