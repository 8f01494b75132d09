"""TruffleHog's report of a file with several connection strings: it pairs each key with each account.

TruffleHog 3.97.0 wrote `two_connection_strings.jsonl` of the file that `file_of` makes of two accounts:
`trufflehog filesystem src/.env --no-verification --json`. The line of a pair is that of its key. A report of thirty
has 900 pairs and 900 kB; it is made here from the first row of that one. tests/tools/test_scanners.py compares it
with TruffleHog's own.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.support.leaking_files.writers import connection
from tests.support.scanned_repository import REPORTS

type Pair = tuple[str, str]
"""The name of an account, and a key of it."""

OF_TWO = REPORTS / "two_connection_strings.jsonl"
FILE = "src/.env"


def file_of(pairs: Iterable[Pair]) -> str:
    """Return the text of a file with the connection string of each account, one on a line."""
    return "".join(f"STORAGE_{number}={connection(*pair)}\n" for number, pair in enumerate(pairs))


def report_of(pairs: Sequence[Pair]) -> bytes:
    """Return TruffleHog's report about that file: the pairs of a key stand together, the right one nowhere first."""
    return b"".join(
        json.dumps(_row(key, line=line, account=account)).encode() + b"\n"
        for line, (_, key) in enumerate(pairs, start=1)
        for account, _ in (*pairs[line:], *pairs[:line])
    )


def _row(key: str, *, line: int, account: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(OF_TWO.read_text(encoding="utf-8").splitlines()[0])
    row["SourceMetadata"]["Data"]["Filesystem"]["line"] = line
    row["Raw"] = key
    row["RawV2"] = json.dumps({"accountName": account, "accountKey": key}, separators=(",", ":"))
    row["ExtraData"]["Account_name"] = account
    row["SecretParts"] = {"account_key": key, "account_name": account}
    return row
