"""A repository in which 51 credentials leak, and what real scanners reported about it, as it is stored.

`python -m tests.support.leaking_repository /src/repo --store repository.json` made it, and in that folder wrote:

    gitleaks 8.30.1:        gitleaks git . -f json -r gitleaks.json
    betterleaks 2.0.0-rc.4: betterleaks git . --silent -o betterleaks.json
    TruffleHog 3.97.0:      trufflehog git file:///src/repo --no-verification --json > trufflehog.jsonl
    kingfisher 2.14.0:      kingfisher scan . --format json --no-validate --output kingfisher.json

These are in `built_in/`, with each tool's own rules. Those in `shipped/` are with the rules that
`python -m shared.intake rules` prints: `-c rules.toml`, or `--config rules.yaml --include-detectors CustomRegex`. The
arguments in kingfisher's report were cut to those above. tests/tools/test_scanners.py compares the reports with
today's.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.support.credential_maker import Planted, Repository
from tests.support.paths import ROOT

REPORTS = ROOT / "tests" / "unit" / "intake" / "reports"
FOLDER = "/src/repo"  # where the scanners ran: a report may name it


@dataclass(frozen=True)
class Scan:
    """A stored report. `secrets` is the number of planted credentials that it reports."""

    scanner: str
    rules: str
    secrets: int

    @property
    def name(self) -> str:
        return f"{self.scanner}, {self.rules.replace('_', '-')} rules"

    @property
    def body(self) -> bytes:
        ending = "jsonl" if self.scanner == "trufflehog" else "json"
        return (REPORTS / self.rules / f"{self.scanner}.{ending}").read_bytes()


SCANS = (
    Scan("gitleaks", "built_in", 22),
    Scan("betterleaks", "built_in", 23),
    Scan("trufflehog", "built_in", 27),
    Scan("kingfisher", "built_in", 11),
    Scan("gitleaks", "shipped", 51),
    Scan("betterleaks", "shipped", 51),
    Scan("trufflehog", "shipped", 51),
)


def stored() -> Repository:
    """Return the repository that the scanners read."""
    held = json.loads((REPORTS / "repository.json").read_text(encoding="utf-8"))
    return Repository(held["files"], tuple(Planted(**one) for one in held["planted"]), held["keys"])


def write(repository: Repository, folder: Path) -> None:
    """Write its files."""
    for path, text in repository.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
