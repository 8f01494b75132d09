"""Every row of the shared corpus of real tokens, where it is at hand: text in, the whole expected answer out."""

import json
from typing import Any

import pytest

from shared.sas.answers import answer
from tests.support.paths import ROOT

CORPUS = ROOT.parent / "shared" / "corpus"
ROWS_FILE = CORPUS / "sas_sample.jsonl"
ROWS: list[dict[str, Any]] = (
    [json.loads(line) for line in ROWS_FILE.read_text(encoding="utf-8").splitlines()] if ROWS_FILE.exists() else []
)


ABSENT = pytest.param(
    {}, marks=pytest.mark.skip(reason="the corpus is not beside the repository"), id="no corpus at hand"
)


@pytest.mark.parametrize("row", [pytest.param(row, id=row["id"]) for row in ROWS] or [ABSENT])
def test_row(row: dict[str, Any]) -> None:
    accounts = json.loads((CORPUS / "accounts_sample.json").read_text(encoding="utf-8"))["accounts"]
    found = answer({"id": row["id"], "text": row["text"], "keys": accounts})["credentials"]
    expected = row["expected"]
    others = row.get("alt_credential") or []
    if not found and (expected["credential"] == "none" or "none" in others):
        return
    assert isinstance(found, list)
    (got,) = found
    assert got.pop("fingerprint")
    assert got["credential"] in (expected["credential"], *others)
    if not row["verifiable"] and got["signed_by"] == "unknown":  # the text lacks what deciding needs
        got["signed_by"] = expected["signed_by"]
        got |= {name: expected[name] for name in ("account", "container", "path") if got[name] is None}
    if not row["visible_account"] and got["account"] is None:
        got["account"] = expected["account"]
    if got["signed_by"] in (row.get("alt_signed_by") or []):
        got["signed_by"] = expected["signed_by"]
    if not row["verifiable"] and got["container"] is None:
        got |= {"container": expected["container"], "path": expected["path"]}
    assert got == expected
