"""Texts in which real clients' tokens leak: a row each, with what is to be found in it.

C: after public bug reports. N, J, G: tokens by Microsoft's clients for .NET and Java, and by those for Go, Rust and
Terraform, in what such programs write. The accounts and their keys are made up.
"""

import json
from typing import Any

import pytest

from shared.sas.answers import answer
from tests.support.paths import ROOT

HERE = ROOT / "tests" / "unit" / "sas" / "texts"
ROWS = [json.loads(line) for line in (HERE / "texts.jsonl").read_text(encoding="utf-8").splitlines()]
ACCOUNTS = json.loads((HERE / "accounts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", [pytest.param(row, id=row["id"]) for row in ROWS])
def test_text_is_read_right(row: dict[str, Any]) -> None:
    keys = {account: ACCOUNTS[account] for account in row["accounts"]}
    found = answer({"text": row["text"], "keys": keys})["credentials"]
    assert isinstance(found, list)

    asked = [{name: got[name] for name in expected} for got, expected in zip(found, row["expected"], strict=True)]
    assert asked == row["expected"]
