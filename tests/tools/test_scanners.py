"""Real scanners with the rules that `python -m shared.intake rules` prints, over a repository in which 51 leaks are.

gitleaks 8.30.1, betterleaks 2.0.0-rc.4 and TruffleHog 3.97.0, each if it is on the PATH.
"""

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from shared.intake.rules import RENDERERS
from tests.support.credential_maker import Repository
from tests.support.judged_reports import judged
from tests.support.leaking_repository import commit, repository
from tests.tools.conftest import Tool

NAMES = ("gitleaks", "betterleaks", "trufflehog")
COMMANDS = {
    ("gitleaks", "git"): "git {folder} -c {rules} --no-banner --exit-code 0 -f json -r {report}",
    ("gitleaks", "files"): "dir {folder} -c {rules} --no-banner --exit-code 0 -f json -r {report}",
    ("betterleaks", "git"): "git {folder} -c {rules} --no-banner --exit-code 0 --silent -o {report}",
    ("betterleaks", "files"): "fs {folder} -c {rules} --no-banner --exit-code 0 --silent -o {report}",
    ("trufflehog", "git"): "git file://{folder} --config {rules} --include-detectors CustomRegex --no-update --json",
    (
        "trufflehog",
        "files",
    ): "filesystem {folder} --config {rules} --include-detectors CustomRegex --no-update --json",
}


@pytest.fixture(scope="module")
def leaking() -> Repository:
    return repository()


@pytest.fixture(scope="module")
def folder(leaking: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repository")
    commit(leaking, made)
    return made


def scanned(tool: Tool, scanner: str, what: str, folder: Path, place: Path) -> bytes:
    """Return the report of a scanner."""
    rules, report = place / "rules", place / "report.json"
    rules.write_text(RENDERERS[scanner](), encoding="utf-8")
    words = [word.format(folder=folder, rules=rules, report=report) for word in COMMANDS[scanner, what].split()]
    arguments: Sequence[str] = (tool.path, *words)
    done = subprocess.run(arguments, cwd=place, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{scanner} ended with {done.returncode}: {done.stderr[-2000:].decode()}"
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
