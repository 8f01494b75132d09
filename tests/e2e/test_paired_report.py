"""Thirty connection strings in one file, of which TruffleHog reports 900 pairs of a key and an account."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.report import in_text
from shared.domain.revocation import Revocation
from tests.support.deployment import Deployment, is_closed
from tests.support.judged_reports import piped
from tests.support.leaking_files.writers import connection
from tests.support.paired_report import Pair, report_of

HOW_MANY = 30
_OF_AN_ACCOUNT = re.compile(r"https://management\.azure\.com/.*/storageAccounts/(\w+)(?:/(\w+))?")


@dataclass(frozen=True)
class Reported:
    """What thirty leaks led to. `calls` counts the calls of ARM by account and operation."""

    pairs: int
    findings: tuple[Finding, ...]
    records: tuple[Revocation, ...]
    rotations: list[list[str]]
    new: set[str]
    calls: Counter[tuple[str, str]]

    def called(self, operation: str) -> int:
        """Return how often an operation was called, for all accounts."""
        return sum(count for (_, name), count in self.calls.items() if name == operation)


async def reported(
    deployment: Deployment, accounts: list[Account], found: Iterable[Finding], *, source: str, pairs: int
) -> Reported:
    """Publish findings in one go, and wait for their records."""
    findings, model = tuple(found), deployment.cloud.model
    before, since = await deployment.fingerprints(), model.requests[-1].sequence
    await deployment.publish_found(findings, source=source)
    records = await deployment.all_settled((one.fingerprint for one in findings), until=is_closed)
    own = {account.name for account in accounts}
    calls = Counter(
        (match[1], match[2] or "")
        for request in model.requests
        if request.sequence > since and (match := _OF_AN_ACCOUNT.match(request.url)) and match[1] in own
    )
    return Reported(
        pairs,
        findings,
        tuple(records[one.fingerprint] for one in findings),
        [deployment.rotations(account) for account in accounts],
        await deployment.fingerprints() - before,
        calls,
    )


async def thirty(deployment: Deployment) -> tuple[list[Account], list[Pair]]:
    accounts = [await deployment.account() for _ in range(HOW_MANY)]
    return accounts, [(account.name, account.keys["key1"]) for account in accounts]


@pytest.fixture(scope="module")
async def plain(deployment: Deployment) -> Reported:
    """Thirty connection strings, each reported alone."""
    accounts, strings = await thirty(deployment)
    found = [
        each.finding
        for string in strings
        for each in in_text(connection(*string), source="plain", url=None, detected_at=datetime.now(UTC))
    ]
    return await reported(deployment, accounts, found, source="plain", pairs=HOW_MANY)


@pytest.fixture(scope="module")
async def paired(deployment: Deployment) -> Reported:
    """Thirty other ones, as TruffleHog reports them."""
    accounts, strings = await thirty(deployment)
    items, found = piped("trufflehog", report_of(strings))
    return await reported(deployment, accounts, found, source="trufflehog", pairs=len(items))


def test_nine_hundred_pairs_are_thirty_records_and_thirty_rotations(paired: Reported) -> None:
    assert (paired.pairs, len(paired.findings), len(paired.records)) == (900, HOW_MANY, HOW_MANY)
    assert paired.new == {record.fingerprint for record in paired.records}
    assert paired.rotations == [["key1"]] * HOW_MANY
    assert paired.called("regenerateKey") == HOW_MANY


def test_pairs_take_the_calls_that_as_many_single_reports_take(paired: Reported, plain: Reported) -> None:
    """The keys of each account are listed a few more times, to see whose a key is: not once for each pair."""
    assert plain.rotations == [["key1"]] * HOW_MANY
    others = {operation for _, operation in (paired.calls | plain.calls)} - {"listKeys", ""}
    assert {name: paired.called(name) for name in others} == {name: plain.called(name) for name in others}
    assert paired.called("listKeys") <= plain.called("listKeys") + 4 * HOW_MANY
