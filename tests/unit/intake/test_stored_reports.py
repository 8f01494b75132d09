"""What `python -m shared.intake` makes of the reports of real scanners (tests/support/scanned_repository.py).

tests/e2e/test_scanned_repository.py publishes it.
"""

import pytest

from shared.intake.files import Files
from tests.support.credential_maker import Repository
from tests.support.judged_reports import judged, piped
from tests.support.scanned_repository import SCANS, Scan, stored, write

SHIPPED = [scan for scan in SCANS if scan.rules == "shipped"]
BUILT_IN = [scan for scan in SCANS if scan.rules == "built_in"]
each = pytest.mark.parametrize("scan", SCANS, ids=lambda scan: scan.name)


@pytest.fixture(scope="module")
def repository() -> Repository:
    return stored()


@pytest.fixture(scope="module")
def files(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("repository")
    write(repository, folder)
    return Files(str(folder))


@pytest.mark.parametrize("scan", SHIPPED, ids=lambda scan: scan.name)
def test_each_leak_of_the_repository_is_attributed_with_the_shipped_rules_without_its_files(
    scan: Scan, repository: Repository
) -> None:
    result = judged(scan.scanner, scan.body, repository.planted, repository.keys)

    assert len(repository.planted) == 51
    assert (result.missing, result.unproven) == ((), ())


@each
def test_each_secret_of_the_report_is_attributed_with_the_files_and_nothing_else_is_found(
    scan: Scan, repository: Repository, files: Files
) -> None:
    _, findings = piped(scan.scanner, scan.body, files=files)

    assert judged(scan.scanner, scan.body, (), repository.keys, files=files).unproven == ()
    assert len({finding.secret for finding in findings}) == len(findings) == scan.secrets


def test_scanners_with_the_shipped_rules_and_the_built_in_ones_come_to_the_same_leaks(files: Files) -> None:
    """Else tests/e2e/test_scanned_repository.py, whose scanners report the same accounts, would show one of them."""
    [best] = [scan for scan in SHIPPED if scan.scanner == "gitleaks"]
    _, findings = piped(best.scanner, best.body)
    known = {finding.secret: finding.credential for finding in findings}

    for scan in SCANS:
        _, findings = piped(scan.scanner, scan.body, files=None if scan.rules == "shipped" else files)
        assert {f.secret: f.credential for f in findings}.items() <= known.items(), scan.name
