"""What a scanner's report leads to: which planted credentials it proves, and what else it reports."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.api.intake.registry import TEXT_READERS
from shared.domain.finding import Finding, merged
from shared.sas import Kind, verify
from shared.sources.entries import Entry, Text
from shared.sources.parsing import items_of
from tests.support.credential_maker import Keys, Planted

_NOW = datetime(2026, 12, 1, tzinfo=UTC)

type Secret = tuple[str, str | None, str]
"""The account, the key that verifies (None for a user delegation SAS), the hash of the secret."""


@dataclass(frozen=True)
class Judged:
    """`missing`: the files whose planted credentials no finding proves. `unproven`: the accounts of other findings.

    No key verifies those: they would be records that people have to check.
    """

    missing: tuple[str, ...]
    unproven: tuple[str, ...]


def judged(scanner: str, body: bytes, planted: Iterable[Planted], keys: Keys) -> Judged:
    """Read the report as `python -m shared.intake` does, and verify each finding with the keys of its account."""
    read = TEXT_READERS.get(scanner, _betterleaks)
    items = items_of(read(body), source=scanner, now=_NOW)
    findings = {finding: _proven(finding, keys) for finding in merged(f for item in items for f in item.findings)}
    found = set(findings.values())
    missing = [one.file for one in planted if (one.account, one.key, one.secret_sha256) not in found]
    unproven = [
        str(finding.credential and finding.credential.account) for finding, by in findings.items() if by is None
    ]
    return Judged(tuple(missing), tuple(unproven))


def _proven(finding: Finding, keys: Keys) -> Secret | None:
    for reading in finding.readings:
        account = reading.account or ""
        key = verify(reading, account=account, keys=keys.get(account, {})).key
        if key is not None or (reading.kind is Kind.USER_DELEGATION_SAS and account in keys):
            return account, key, reading.signature_sha256 or reading.key_sha256 or ""
    return None


def _betterleaks(body: bytes) -> Iterator[Entry]:
    """The matches of a report of betterleaks 2.0, for which there is no source yet."""
    for finding in json.loads(body)["findings"]:
        yield Text(finding["match"]["full"], url=finding["location"]["path"], detected_at=None)
