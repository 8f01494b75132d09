"""What a scanner's report leads to: which planted credentials it proves, and what else it reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.api.intake.registry import TEXT_READERS
from shared.domain.finding import Finding
from shared.intake.files import Files
from shared.sas import Kind, verify
from shared.sources.parsing import Item, items_of, joined
from shared.sources.surroundings import with_surroundings
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


def piped(scanner: str, body: bytes, *, files: Files | None = None) -> tuple[tuple[Item, ...], tuple[Finding, ...]]:
    """Return the items of a report, and what `python -m shared.intake` publishes of it; `files`: with `--root`."""
    entries = TEXT_READERS[scanner](body)
    if files is not None:
        entries = with_surroundings(entries, files.around)
    return joined(items_of(entries, source=scanner, now=_NOW))


def found_in(scanner: str, body: bytes) -> tuple[Finding, ...]:
    """Return the findings of each item of a report, not joined: with the address and place that the item has."""
    items = items_of(TEXT_READERS[scanner](body), source=scanner, now=_NOW)
    return tuple(finding for item in items for finding in item.findings)


def judged(
    scanner: str, body: bytes, planted: Iterable[Planted], keys: Keys, *, files: Files | None = None
) -> Judged:
    """Verify each finding of a report with the keys of its account."""
    _, published = piped(scanner, body, files=files)
    findings = {finding: _proven(finding, keys) for finding in published}
    found = set(findings.values())
    missing = [one.file for one in planted if (one.account, one.key, one.secret_sha256) not in found]
    unproven = [
        str(finding.credential and finding.credential.account) for finding, by in findings.items() if by is None
    ]
    return Judged(tuple(missing), tuple(unproven))


def _proven(finding: Finding, keys: Keys) -> Secret | None:
    for reading in finding.everywhere:
        account = reading.account or ""
        key = verify(reading, account=account, keys=keys.get(account, {})).key
        if key is not None or (reading.kind is Kind.USER_DELEGATION_SAS and account in keys):
            return account, key, reading.signature_sha256 or reading.key_sha256 or ""
    return None
