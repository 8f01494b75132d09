"""The queries of infra/: valid KQL by Microsoft's own language service, and about what the code really writes."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from shared.cloud.errors import from_status
from shared.domain.states import State
from shared.followup import traces
from shared.followup.traces import Milestone
from shared.operations import drill, history_check, history_copier, poison_messages, readiness
from tests.support import samples
from tests.support.bicep import INFRA, ROOT
from tests.support.functions import OTHERS
from tests.support.samples import NOW

QUERIES = sorted(INFRA.rglob("*.kql"), key=lambda path: path.name)
# Azure Monitor Logs reference, tables AppRequests, AppDependencies, AppTraces, AppExceptions: the columns in use.
COMMON = "TimeGenerated: datetime, OperationId: string, ParentId: string, AppRoleName: string, Properties: dynamic"
TIMED = f"{COMMON}, Id: string, Name: string, Success: bool, DurationMs: real"
TABLES = {
    "AppRequests": f"({TIMED})",
    "AppDependencies": f"({TIMED}, DependencyType: string)",
    "AppTraces": f"({COMMON}, Message: string, SeverityLevel: int)",
    "AppExceptions": f"({COMMON}, OuterMessage: string, SeverityLevel: int)",
}


def checked(queries: dict[str, str]) -> dict[str, list[str]]:
    """The findings of the language service about each query."""
    done = subprocess.run(
        ["node", Path(__file__).with_name("check_kql.js")],
        input=json.dumps({"tables": TABLES, "queries": queries}),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_every_query_is_valid() -> None:
    texts = {path.name: path.read_text() for path in QUERIES}

    assert checked(texts) == {name: [] for name in texts}


def test_invalid_query_is_detected() -> None:
    [problem] = checked({"broken": "AppTraces | where Mesage has 'x'"})["broken"]

    assert "Mesage" in problem


def loaded(file: str) -> set[str]:
    """The queries that a Bicep file loads."""
    text = (INFRA / file).read_text()
    return set(re.findall(r"loadTextContent\('\.\./((?:queries|workbook)/[\w-]+\.kql)'\)", text))


def test_every_query_is_used_by_a_rule_or_the_workbook() -> None:
    asked = loaded("modules/alerts.bicep") | loaded("modules/workbook.bicep")

    assert asked == {str(path.relative_to(INFRA)) for path in QUERIES}


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_reads_attributes_that_spans_have(path: Path) -> None:
    text = path.read_text()
    has = traces._attributes(samples.revocation(), Milestone("contained", NOW, NOW))
    names = {
        name
        for group in re.findall(r"Name (?:==|in|!=) ?\(?([^)\n]+?)\)?(?: and|$|\n| \))", text)
        for name in re.findall(r'"(\w+)"', group)
    }
    known = set(State) | {traces._ROOT, traces._MAIL} | {name for name, _ in OTHERS}

    assert set(re.findall(r"sasquash\.\w+", text)) <= set(has)
    assert names <= known


def test_poisoned_messages_query_matches_the_functions_of_poison_queues() -> None:
    [suffix] = re.findall(r'endswith "(\w+)"', (INFRA / "queries/poison-messages.kql").read_text())

    assert {name for name, _ in OTHERS if name.endswith(suffix)} == {
        "contain_poison",
        "follow_up_poison",
        "intake_poison",
        "findings_poison",
    }


def test_log_of_poison_queues_is_what_the_rule_parses() -> None:
    """A queue's own metric has no dimension for its name, and `contain` is never empty while a retry waits."""
    query = (INFRA / "queries/poison-queues.kql").read_text()
    [(before, between)] = re.findall(r'parse Message with "([^"]+)" Queue "([^"]+)" Messages:long', query)

    assert poison_messages.NOT_EMPTY.startswith(f"{before}%s{between}%d")
    assert re.findall(r'startswith "([^"]+)"', query) == [before]


def test_rule_of_poison_queues_counts_the_checks_of_the_timer() -> None:
    """Six checks are half an hour: two attempts of a message that was put back."""
    query = (INFRA / "queries/poison-queues.kql").read_text()
    rule = (INFRA / "modules/alerts.bicep").read_text().partition("name: 'poison-queue'")[2].partition("}")[0]

    assert dict(OTHERS)["collect_dead_letters"]["schedule"] == "30 */5 * * * *"
    assert ("bin(TimeGenerated, 5m)" in query, "Checks >= 6" in query) == (True, True)
    assert ("reach: 'PT1H'" in rule, "severity: 1" in rule) == (True, True)


def test_refusal_contains_the_text_of_the_rule() -> None:
    [phrase] = re.findall(r'has "([^"]+)"', (INFRA / "queries/refusals.kql").read_text())

    assert [phrase in str(from_status(status, None, doing="X", retry_after=None)) for status in (401, 403, 500)] == [
        True,
        True,
        False,
    ]


def test_log_messages_start_with_the_text_of_the_rules() -> None:
    [not_ready] = re.findall(r'startswith "([^"]+)"', (INFRA / "queries/not-ready.kql").read_text())
    [failed] = re.findall(r'startswith "([^"]+)"', (INFRA / "queries/failed-drills.kql").read_text())

    assert readiness.NOT_READY.startswith(not_ready)
    assert drill.FAILED.startswith(failed)


def test_telemetry_of_the_rules_is_not_sampled() -> None:
    logging = json.loads((ROOT / "host.json").read_text())["logging"]

    assert logging["applicationInsights"]["samplingSettings"]["excludedTypes"] == "Request;Exception;Trace"


def test_alerts_about_histories_read_the_lines_that_are_logged() -> None:
    [broken] = re.findall(r'startswith "([^"]+)"', (INFRA / "queries/broken-histories.kql").read_text())
    [late] = re.findall(r'startswith "([^"]+)"', (INFRA / "queries/late-copies.kql").read_text())

    assert history_check.BROKEN.startswith(broken)
    assert " of record %s. docs/" in history_check.BROKEN
    assert history_copier.LATE.startswith(late)
