"""Kingfisher: its JSON report, or its JSON lines (`--format json` or `jsonl`). Its SARIF is read as SARIF.

github.com/mongodb/kingfisher, src/reporter.rs: `rule`, and in `finding` `snippet`, `path`, `line`,
`dependent_captures.AZURE_STORAGE_ACCOUNT_NAME`, and where it was asked for git metadata. A line with the counts of
the scan follows the findings.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shared.sources.entries import Entry, Invalid, Text, list_of, object_of, text_of
from shared.sources.json_lines import decoded, values_of
from shared.sources.scanner_place import Place, where

_ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
_VERIFIED = "Active Credential"  # src/reporter.rs, validation_status
_IS_OF_THE_SCAN = {"audit", "rules_applied"}  # lines beside those of the findings


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each finding. Raises InvalidPayload where `body` is not UTF-8."""
    for value in values_of(decoded(body)):
        yield from _of_line(value)


def _of_line(value: object) -> Iterator[Entry]:
    if isinstance(value, Invalid):
        yield value
    elif not isinstance(value, Mapping):
        yield Invalid("The line is not a JSON object.")
    elif isinstance(value.get("findings"), list):
        yield from (_entry(finding) for finding in list_of(value, "findings"))
    elif "finding" in value:
        yield _entry(value)
    elif not _IS_OF_THE_SCAN & value.keys():
        yield Invalid("The line is neither a finding nor the counts of the scan.")


def _entry(item: object) -> Entry:
    if not isinstance(item, Mapping):
        return Invalid("The finding is not an object.")
    finding = object_of(item, "finding")
    snippet = text_of(finding, "snippet")
    if snippet is None:
        return Invalid("`finding.snippet` is missing or not a string.")
    account = text_of(object_of(finding, "dependent_captures"), _ACCOUNT)
    text = f"AccountName={account};AccountKey={snippet}" if account else _labeled(item, snippet)
    place = _place(finding)
    verified = text_of(object_of(finding, "validation"), "status") == _VERIFIED
    return Text(text, url=where(place, file=text_of(finding, "path")), place=place, verified=verified)


def _labeled(item: Mapping[str, Any], snippet: str) -> str:
    """Return what was found with the name that the rule gives it: a key alone could be any service's."""
    rule = text_of(object_of(item, "rule"), "id") or ""
    return f"AccountKey={snippet}" if "azure-storage-account-key" in rule else snippet


def _place(finding: Mapping[str, Any]) -> Place | None:
    commit = text_of(object_of(object_of(finding, "git_metadata"), "commit"), "id")
    return Place.of(finding.get("path"), finding.get("line"), commit=commit)
