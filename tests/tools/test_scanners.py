"""Real scanners, each if it is on the PATH, over a repository in which 51 leaks are.

With the rules that `python -m shared.intake rules` prints they report all of them, and the stored reports say what
the scanners say today. gitleaks 8.30.1, betterleaks 2.0.0-rc.4, TruffleHog 3.97.0, kingfisher 2.14.0.
"""

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.intake.rules import RENDERERS
from tests.support.credential_maker import Maker, Repository
from tests.support.judged_reports import found_in, judged
from tests.support.leaking_repository import commit, repository
from tests.support.paired_report import FILE, Pair, file_of, report_of
from tests.support.scanned_repository import FOLDER, SCANS, Scan, stored
from tests.tools.conftest import Tool

NAMES = ("gitleaks", "betterleaks", "trufflehog")
RULES = {
    "gitleaks": "-c {rules}",
    "betterleaks": "-c {rules}",
    "trufflehog": "--config {rules} --include-detectors CustomRegex",
}
COMMANDS = {
    ("gitleaks", "git"): "git {folder} --no-banner --exit-code 0 -f json -r {report}",
    ("gitleaks", "files"): "dir {folder} --no-banner --exit-code 0 -f json -r {report}",
    ("betterleaks", "git"): "git {folder} --no-banner --exit-code 0 --silent -o {report}",
    ("betterleaks", "files"): "fs {folder} --no-banner --exit-code 0 --silent -o {report}",
    ("trufflehog", "git"): "git file://{folder} --no-verification --no-update --json",
    ("trufflehog", "files"): "filesystem {folder} --no-verification --no-update --json",
    ("kingfisher", "git"): "scan {folder} --format json --no-validate --no-update-check --output {report}",
}
ENDED = {"kingfisher": {0, 200}}  # 200: it found something (docs/USAGE.md, "Exit Codes")


@pytest.fixture(scope="module")
def leaking() -> Repository:
    return repository()


@pytest.fixture(scope="module")
def folder(leaking: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repository")
    commit(leaking, made)
    return made


def scanned(tool: Tool, scanner: str, what: str, folder: Path, place: Path, *, shipped: bool = True) -> bytes:
    """Return the report of a scanner, with the shipped rules or with its own."""
    rules, report = place / "rules", place / "report.json"
    command = COMMANDS[scanner, what]
    if shipped:
        rules.write_text(RENDERERS[scanner](), encoding="utf-8")
        command = f"{command} {RULES[scanner]}"
    words = [word.format(folder=folder, rules=rules, report=report) for word in command.split()]
    arguments: Sequence[str] = (tool.path, *words)
    done = subprocess.run(arguments, cwd=place, capture_output=True, timeout=300, check=False)
    said = f"{scanner} ended with {done.returncode}: {done.stderr[-2000:].decode()}"
    assert done.returncode in ENDED.get(scanner, {0}), said
    return report.read_bytes() if report.exists() else done.stdout


@pytest.mark.parametrize("what", ["git", "files"])
@pytest.mark.parametrize("scanner", NAMES, indirect=True)
def test_scanner_with_these_rules_reports_every_leak_with_its_account(
    scanner: tuple[str, Tool], what: str, leaking: Repository, folder: Path, tmp_path: Path
) -> None:
    name, tool = scanner
    result = judged(name, scanned(tool, name, what, folder, tmp_path), leaking.planted, leaking.keys)

    assert len(leaking.planted) == 51
    assert result.missing == ()
    # TruffleHog decodes the key of a Kubernetes secret, and not the account's name beside it, which is short.
    encoded = {base64.b64encode(account.encode()).decode().rstrip("=").lower() for account in leaking.keys}
    assert set(result.unproven) <= (encoded if name == "trufflehog" else set())


@pytest.mark.parametrize("scanner", NAMES, indirect=True)
def test_scanner_finds_nothing_in_a_harmless_file(
    scanner: tuple[str, Tool], leaking: Repository, tmp_path: Path
) -> None:
    name, tool = scanner
    harmless = tmp_path / "repository"
    harmless.mkdir()
    commit(
        Repository({path: leaking.files[path] for path in ("package-lock.json", "src/signature.js")}, (), {}),
        harmless,
    )
    report = scanned(tool, name, "git", harmless, tmp_path)

    assert b"azure-storage-credential" not in report


def places(scanner: str, report: bytes, folder: str) -> set[tuple[object, str]]:
    """Return the secrets of a report with the places in which it found them, below the folder."""
    return {
        (finding.secret, (finding.url or "").rpartition(f"{folder}/")[2]) for finding in found_in(scanner, report)
    }


@pytest.mark.parametrize(
    ("scanner", "scan"), [(s.scanner, s) for s in SCANS], indirect=["scanner"], ids=[s.name for s in SCANS]
)
def test_stored_report_has_the_secrets_and_places_of_todays(
    scanner: tuple[str, Tool], scan: Scan, tmp_path: Path
) -> None:
    name, tool = scanner
    folder = tmp_path / "repository"
    folder.mkdir()
    commit(stored(), folder)
    today = scanned(tool, name, "git", folder, tmp_path, shipped=scan.rules == "shipped")

    assert places(name, scan.body, FOLDER) == places(name, today, str(folder))


def pairs_of(report: bytes) -> set[tuple[object, str]]:
    return {(finding.credential, finding.url or "") for finding in found_in("trufflehog", report)}


@pytest.mark.parametrize("how_many", [2, 30])
@pytest.mark.parametrize("scanner", ["trufflehog"], indirect=True)
def test_made_report_of_pairs_has_those_of_trufflehog(
    scanner: tuple[str, Tool], how_many: int, tmp_path: Path
) -> None:
    _, tool = scanner
    file = tmp_path / FILE
    file.parent.mkdir()
    strings = connection_strings(how_many)
    file.write_text(file_of(strings), encoding="utf-8")
    command = ["filesystem", FILE, "--no-verification", "--no-update", "--json"]
    done = subprocess.run([tool.path, *command], cwd=tmp_path, capture_output=True, timeout=300, check=True)

    made = report_of(strings)
    assert len(made.splitlines()) == len(done.stdout.splitlines()) == how_many**2
    assert pairs_of(made) == pairs_of(done.stdout)


def connection_strings(how_many: int) -> list[Pair]:
    maker = Maker("two")
    return [(name, maker.keys[name]["key1"]) for name in [maker.account() for _ in range(how_many)]]
