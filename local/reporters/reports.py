"""Signed reports as each source posts them to the intake: for `make report`, the control port, and tests.

Where a source keeps alerts, the alert is created in its stand-in. Payloads follow the schemas of the tools, which
`shared/sources` names.
"""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.entra.service import Entra
from local.reporters import azure_devops, github
from local.tenant.model import API_ID_URI, Cloud
from local.tenant.senders import (
    AZURE_DEVOPS_PROJECT,
    GITHUB_INSTALLATION,
    GITHUB_OWNER,
    SIGNING,
    AzureDevOpsAlert,
    DefenderAlert,
    GitHubAlert,
)
from shared.domain.report import REPORTED
from shared.sas import Kind, Leak, extract_leaks, verify

SOURCES = ("github", "azure-devops", "defender", *SIGNING)
REPOSITORY = f"{GITHUB_OWNER}/robust-models"
_URL = f"https://github.com/{REPOSITORY}/blob/main/README.md"

_FILE = "# Models\n\nHave fun with them.\n\n{}\n\nAnd cite us.\n"

type _Json = Any


class NothingToReport(ValueError):
    """The text contains nothing that the source could report, or there is no such source."""


@dataclass(frozen=True)
class Posted:
    """A request to POST /api/intake/{source}."""

    source: str
    headers: dict[str, str]
    body: bytes


def make(cloud: Cloud, entra: Entra, *, source: str, text: str) -> Posted:
    """Return the report of `source` about `text`, which contains one credential. Raises NothingToReport."""
    if source not in SOURCES:
        raise NothingToReport(f"source must be one of {', '.join(SOURCES)}")
    leaks = extract_leaks(text)
    if not leaks:
        raise NothingToReport("text contains no credential of Azure Storage")
    match source:
        case "github":
            return signed_by_github(cloud, github_alert(cloud, text, leaks[0]))
        case "azure-devops":
            return _of_azure_devops(cloud, text, leaks[0])
        case "defender":
            return _of_defender(cloud, entra, leaks[0])
        case _:
            return signed(cloud, source, json.dumps(PAYLOADS[source](text)).encode())


def github_alert(cloud: Cloud, text: str, leak: Leak) -> GitHubAlert:
    """Create a secret scanning alert. For a SAS its secret is only the query; the file contains the whole URL."""
    is_key = leak.credential.kind is Kind.ACCOUNT_KEY
    alert = GitHubAlert(
        repository=REPOSITORY,
        number=len(cloud.alerts.github) + 1,
        secret_type="azure_storage_account_key" if is_key else "azure_sas_token",
        secret=_secret_in(text, leak),
        file=_FILE.format(text),
        line=5,
    )
    cloud.alerts.github.append(alert)
    return alert


def _secret_in(text: str, leak: Leak) -> str:
    """Return what a tool reports of a text: of a SAS only the query."""
    if leak.credential.kind is Kind.ACCOUNT_KEY:
        return text
    return text[text.index("?") + 1 :].split(maxsplit=1)[0].rstrip("\"')>.,")


def signed_by_github(cloud: Cloud, alert: GitHubAlert, *, action: str = "created") -> Posted:
    """Return a delivery of the webhook `secret_scanning_alert`."""
    owner, _, name = alert.repository.partition("/")
    payload = {
        "action": action,
        "alert": github.webhook_alert(alert),
        "repository": {"id": 257423561, "name": name, "full_name": alert.repository, "private": False},
        "organization": {"login": owner, "id": 30846345},
        "installation": {"id": GITHUB_INSTALLATION, "node_id": "MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9uNDcxMQ=="},
        "sender": {"login": "github", "id": 9919, "type": "Organization"},
    }
    body = json.dumps(payload).encode()
    signature = hmac.new(cloud.senders.github_secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Event": "secret_scanning_alert",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return Posted("github", headers, body)


def signed(cloud: Cloud, source: str, body: bytes) -> Posted:
    """Return `body` signed by Standard Webhooks."""
    name, time = f"msg_{uuid.uuid4().hex}", str(int(datetime.now(UTC).timestamp()))
    key = base64.b64decode(cloud.senders.webhook_secret.removeprefix("whsec_"))
    signature = hmac.new(key, b".".join((name.encode(), time.encode(), body)), hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": time,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
    return Posted(source, headers, body)


def _of_azure_devops(cloud: Cloud, text: str, leak: Leak) -> Posted:
    """Return a service hook (hooks 7.2: Event). It names the repository by its URL, and capitalizes its enums.

    As with GitHub, the secret of a SAS is only the query; the file contains the whole URL.
    """
    number = len(cloud.alerts.azure_devops) + 1
    alert = AzureDevOpsAlert(number, _secret_in(text, leak), file=_FILE.format(text), line=5, commit=f"{number:040x}")
    cloud.alerts.azure_devops.append(alert)
    payload = {
        "id": str(uuid.uuid4()),
        "eventType": "ms.vss-alerts.alert-created-event",
        "publisherId": "advsec",
        "message": {"text": "A new secret alert was found."},
        "resource": {
            "alertId": alert.number,
            "alertType": "Secret",
            "repositoryUrl": azure_devops.repository_url(),
            "gitRef": "refs/heads/main",
            "state": "Active",
            "severity": "Critical",
        },
        "resourceVersion": "1.0",
        "resourceContainers": {"project": {"id": AZURE_DEVOPS_PROJECT, "baseUrl": "https://dev.azure.com/contoso/"}},
        "createdDate": datetime.now(UTC).isoformat(),
    }
    pair = f"sasquash:{cloud.senders.azure_devops_password}".encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return Posted("azure-devops", headers, json.dumps(payload).encode())


def _of_defender(cloud: Cloud, entra: Entra, leak: Leak) -> Posted:
    """Return what a workflow automation of Defender for Cloud posts. It contains nothing of the token."""
    account = cloud.accounts.get(leak.credential.account or "")
    if account is None:
        raise NothingToReport("the storage account of the text does not exist here")
    key = verify(leak.credential, account=account.name, keys=account.keys).key
    alert = DefenderAlert(
        id=f"dc{uuid.uuid4()}",
        provider_id=f"2518{len(cloud.alerts.defender):015}_{uuid.uuid4()}",
        account_id=account.id,
        signed_with=f"Key {2 if key == 'key2' else 1}",
        signature_sha256=leak.credential.signature_sha256 or "",
    )
    cloud.alerts.defender.append(alert)
    payload = {
        "VendorName": "Microsoft",
        "AlertType": "Storage.Blob_AccountSas.UnusualExternalAccess",
        "ProductName": "Microsoft Defender for Cloud",
        "SystemAlertId": alert.provider_id,
        "AlertDisplayName": "Unusual SAS token was used to access an Azure storage account from a public IP address",
        "Severity": "Low",
        "Status": "New",
        "TimeGenerated": alert.created_at.isoformat(),
        "CompromisedEntity": account.name,
        "AzureResourceId": account.id,
        "Entities": [],
        "ExtendedProperties": {},
    }
    token = entra.mint(cloud.identities["reporter"], audience=API_ID_URI)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return Posted("defender", headers, json.dumps(payload).encode())


def _trufflehog(text: str) -> _Json:
    return {
        "SourceMetadata": {"Data": {"Github": {"link": f"{_URL}#L5", "repository": REPOSITORY, "line": 5}}},
        "SourceID": 1,
        "SourceType": 7,
        "SourceName": "trufflehog - github",
        "DetectorType": 975,
        "DetectorName": "AzureSasToken",
        "DecoderName": "PLAIN",
        "Verified": False,
        "Raw": text.partition("?")[0],
        "RawV2": text.replace("?", "", 1),
        "Redacted": "",
        "ExtraData": None,
        "StructuredData": None,
    }


def _gitleaks(text: str) -> _Json:
    return [
        {
            "RuleID": "generic-api-key",
            "Description": "Detected a Generic API Key",
            "StartLine": 5,
            "EndLine": 5,
            "StartColumn": 1,
            "EndColumn": 1 + len(text),
            "Match": f'url = "{text}"',
            "Secret": text,
            "File": "README.md",
            "SymlinkFile": "",
            "Commit": "36a93e952c04f1d7e9e09a02303c2b6f5153cda5",
            "Link": _URL,
            "Entropy": 5.1,
            "Author": "",
            "Email": "",
            "Date": "2026-11-20T10:00:00Z",
            "Message": "",
            "Tags": [],
            "Fingerprint": "README.md:generic-api-key:5",
        }
    ]


def _noseyparker(text: str) -> _Json:
    span = {"start": {"line": 5, "column": 0}, "end": {"line": 5, "column": len(text) - 1}}
    rule = {"rule_name": "Azure SAS", "rule_text_id": "contoso.azure.1", "rule_structural_id": "6081f1aa"}
    match = {
        **rule,
        "provenance": [{"kind": "file", "path": "README.md"}],
        "blob_id": "fba046509dc93ea42e3be8bf0f8bd181ae3ddb20",
        "blob_metadata": {"id": "fba046509dc93ea42e3be8bf0f8bd181ae3ddb20", "num_bytes": 46 + len(text)},
        "location": {"offset_span": {"start": 31, "end": 31 + len(text)}, "source_span": span},
        "groups": [base64.b64encode(text.encode()).decode()],
        "snippet": {"before": "# Models\n\nHave fun with them.\n\n", "matching": text, "after": "\n\nAnd cite us.\n"},
    }
    return [{**rule, "finding_id": "43ee76ab", "groups": match["groups"], "num_matches": 1, "matches": [match]}]


def _sarif(text: str) -> _Json:
    region = {"startLine": 5, "snippet": {"text": text}}
    place = {"artifactLocation": {"uri": "README.md"}, "region": region}
    result = {
        "ruleId": "azure-sas",
        "message": {"text": "A shared access signature was found."},
        "locations": [{"physicalLocation": place}],
    }
    run = {
        "tool": {"driver": {"name": "any scanner"}},
        "results": [result],
        "versionControlProvenance": [{"repositoryUri": f"https://github.com/{REPOSITORY}"}],
    }
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _cloudevents(text: str) -> _Json:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "type": REPORTED,
        "source": "/scanners/own",
        "data": {"secret": text, "source": "own scanner", "url": _URL, "detected_at": datetime.now(UTC).isoformat()},
    }


def _generic(text: str) -> _Json:
    return {"findings": [{"text": text, "url": _URL, "detected_at": datetime.now(UTC).isoformat()}]}


PAYLOADS: dict[str, Callable[[str], _Json]] = {
    "cloudevents": _cloudevents,
    "gitleaks": _gitleaks,
    "noseyparker": _noseyparker,
    "sarif": _sarif,
    "trufflehog": _trufflehog,
    "wiz": _generic,
}
"""Payloads of the sources that sign by Standard Webhooks."""
