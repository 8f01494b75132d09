"""What docs/sources.md says is so: the rules for scanners, and the sources that `make report` accepts."""

import json
import re

import pytest
import yaml

from local.reporters import reports
from shared.domain.states import STATE_OF, Reason, State
from shared.intake import rules
from shared.sources import trufflehog
from shared.sources.entries import Text
from tests.support.paths import ROOT

PAGE = (ROOT / "docs/sources.md").read_text()
SIGNATURE = "sig=" + "A" * 42 + "%2B%3D"
LEAKS = {
    "an account SAS": f"https://robustmodels.blob.core.windows.net/?sv=2022-11-02&ss=b&srt=sco&sp=rl&{SIGNATURE}&se=2027-01-01",
    "a SAS of a policy": f"https://robustmodels.queue.core.windows.net/jobs?sv=2022-11-02&si=partners&{SIGNATURE}",
    "a file share": f"https://robustmodels.file.core.windows.net/share/a.txt?sv=2022-11-02&sr=f&{SIGNATURE}&sp=r",
    "a signature at the beginning": f"https://robustmodels.table.core.windows.net/models?{SIGNATURE}&tn=models&sp=r",
}


@pytest.mark.parametrize("name", LEAKS)
def test_detector_for_trufflehog_matches_the_whole_token_with_its_account(name: str) -> None:
    """TruffleHog's CustomRegex detector reports in `Raw` what the pattern matched (pkg/custom_detectors)."""
    [made] = yaml.safe_load(rules.trufflehog())["detectors"]
    [pattern] = made["regex"].values()
    found = re.search(pattern, f'url = "{LEAKS[name]}" # for partners\n')
    assert found is not None
    [entry] = trufflehog.read(json.dumps({"DetectorName": "CustomRegex", "Raw": found[0], "RawV2": ""}).encode())

    assert isinstance(entry, Text)
    assert LEAKS[name] in entry.text


def test_page_names_the_rules_of_each_scanner() -> None:
    assert set(re.findall(r"shared\.intake rules (\w+)", PAGE)) == set(rules.RENDERERS)


def test_page_lists_the_sources_that_make_report_accepts() -> None:
    text = PAGE.partition("## Try it")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([a-z-]+)`", text)) - {"make"}

    assert listed == set(reports.SOURCES)


@pytest.mark.parametrize("page", ["docs/operations.md", "infra/modules/alerts.bicep"])
def test_a_message_that_failed_repeatedly_is_a_failed_record(page: str) -> None:
    text = (ROOT / page).read_text()
    [line] = [line for line in text.splitlines() if "failed five times on one message" in line]

    assert {STATE_OF[reason] for reason in (Reason.CRASHED, Reason.UNREAD)} == {State.FAILED}
    assert "failed and says so" in line or "record is `failed`" in line
