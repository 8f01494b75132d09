"""`make report SOURCE=github`: reports a leak to the running local cloud as a source does, and shows the outcome.

Creates an account and an account SAS for it, posts the signed payload of the source, and follows the record.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from local.reporters import reports

_OWNER = "model-owner@contoso.com"
_TIMEOUT = 60.0  # seconds
_PAUSE = 0.2
_SETTLED = ("closed", "awaiting_approval", "unresolved", "failed", "dismissed", "observed")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make report", description="Report a leak to the local cloud as a source")
    parser.add_argument("source", choices=reports.SOURCES)
    source = parser.parse_args().source
    control, api = os.environ["SASQUASH_CONTROL"], os.environ["SASQUASH_API"]
    with httpx.Client(trust_env=False, timeout=30) as http:
        account = _new_account(http, control)
        text = _leak(account)
        print(f"Leaked: an account SAS of {account['name']}, signed by key2, valid for a year.")
        report = _good(http.post(f"{control}/reports", json={"source": source, "text": text}))
        print(f"Reported to {api}/intake/{source} as {source} does.")
        answer = _good(http.post(f"{api}/intake/{source}", content=report["body"], headers=report["headers"]))
        print(f"Response: {json.dumps(answer['items'])}")
        return _watch(http, api, control, source, account["name"])


def _new_account(http: httpx.Client, control: str) -> dict[str, Any]:
    name = f"reported{int(time.time() * 1000) % 10**9}"
    return _good(http.post(f"{control}/accounts", json={"name": name, "tags": {"sasquash-owner": _OWNER}}))


def _leak(account: dict[str, Any]) -> str:
    query = generate_account_sas(
        account["name"],
        account["key2"],
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, list=True),
        expiry=datetime.now(UTC) + timedelta(days=365),
    )
    return f"https://{account['name']}.blob.core.windows.net/models/resnet152.ckpt?{query}"


def _watch(http: httpx.Client, api: str, control: str, source: str, account: str) -> int:
    """Print each state of the record; return 0 once it is settled, 1 if it is not within the timeout."""
    began, shown = time.monotonic(), ""
    for record in _records(http, api, account):
        if record["state"] != shown:
            shown = record["state"]
            print(f"  {time.monotonic() - began:5.1f} s  {shown}: {record['detail']}")
        if shown in _SETTLED:
            _show_end(http, control, api, source, record)
            return 0
    print(f"No record of {account} was settled within {_TIMEOUT:.0f} s.", file=sys.stderr)
    return 1


def _records(http: httpx.Client, api: str, account: str) -> Iterator[dict[str, Any]]:
    """Poll the record of the account until the timeout."""
    headers = {"Authorization": f"Bearer {os.environ['SASQUASH_TOKEN_READER']}"}
    until = time.monotonic() + _TIMEOUT
    while time.monotonic() < until:
        page = _good(http.get(f"{api}/revocations", params={"account": account}, headers=headers))
        yield from page["revocations"]
        time.sleep(_PAUSE)  # another process makes it happen


def _show_end(http: httpx.Client, control: str, api: str, source: str, record: dict[str, Any]) -> None:
    kept = [alert for alert in _good(http.get(f"{control}/state"))["sources"] if alert["source"] == source]
    for alert in kept[-1:]:
        words = ", ".join(str(alert[name]) for name in ("state", "resolution", "comment") if alert[name])
        print(f"Alert at the source ({alert['source']} alert {alert['alert']}): {words}")
    if record["state"] == "awaiting_approval":
        print(f"Requires approval: POST {api}/revocations/{record['id']}/approve (docs/responders.md).")


def _good(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_error:
        raise SystemExit(f"{answer.request.url} answered {answer.status_code}: {answer.text[:500]}")
    body: dict[str, Any] = answer.json()
    return body


if __name__ == "__main__":
    raise SystemExit(main())
