"""An account, its keys, tokens made by the published client libraries, and records of leaks, for the pure tests."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from azure.data.tables import generate_table_sas
from azure.storage.blob import (
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas

from shared.domain.account import AccountFacts, PolicyReading, PolicyState, Via
from shared.domain.alert import AlertEvidence, AlertReference, AlertSource
from shared.domain.approval import Approval
from shared.domain.caller import Caller
from shared.domain.execution import Execution, Liveness, Plan, VerificationToken
from shared.domain.finding import Finding, Order
from shared.domain.revocation import Revocation
from shared.domain.signer import Signer
from shared.domain.target import ActionKind, PolicyTarget
from shared.sas import Credential, Service, extract, key_sha256, mint_read_token
from shared.settings import Settings

NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
ACCOUNT = "robustmodels"
SUBSCRIPTION = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
ACCOUNT_ID = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/research/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
)
TENANT = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"
SERVICES = (Service.BLOB, Service.FILE, Service.QUEUE, Service.TABLE)

ENVIRONMENT = {
    "SASQUASH_MODE": "auto",
    "SASQUASH_SUBSCRIPTIONS": SUBSCRIPTION,
    "SASQUASH_STORAGE__tableServiceUri": "https://sasquashstate.table.core.windows.net",
    "SASQUASH_STORAGE__queueServiceUri": "https://sasquashstate.queue.core.windows.net",
    "SASQUASH_STORAGE__blobServiceUri": "https://sasquashstate.blob.core.windows.net",
    "SASQUASH_TOPIC_ENDPOINT": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
    "SASQUASH_TENANT_ID": TENANT,
    "SASQUASH_API_AUDIENCES": "d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57,api://d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57",
    "SASQUASH_SECURITY_MAILBOX": "security@contoso.com",
    "SASQUASH_MAIL_SENDER": "sasquash@contoso.com",
    "SASQUASH_MAIL_DOMAINS": "contoso.com",
    "SASQUASH_INCIDENT_SITE": "contoso.sharepoint.com,5f0c7a1e,1c9b2b7d",
    "SASQUASH_INCIDENT_LIST": "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35",
}
WITHOUT_TRACES = {"APPLICATIONINSIGHTS_CONNECTION_STRING": ""}  # their exporter has sockets of its own


def key(seed: str) -> str:
    """A storage account key: 64 bytes in base64, the same for the same seed."""
    return base64.b64encode(hashlib.sha512(seed.encode()).digest()).decode()


KEYS = {"key1": key("key1"), "key2": key("key2")}


@cache
def settings(**changed: str) -> Settings:
    """Return complete settings; `changed` are settings without prefix, such as `mode="observe"`.

    They are frozen, so one object serves all tests.
    """
    return Settings.read(ENVIRONMENT | {f"SASQUASH_{name.upper()}": text for name, text in changed.items()})


def account(*, tags: Mapping[str, str] | None = None, secondary: bool = False) -> AccountFacts:
    """Return the account as in ARM; with `secondary`, also with the endpoints of its read-only copy."""
    suffixes = {service: f"{service}.core.windows.net/" for service in SERVICES}
    copies = {service: end for service, end in suffixes.items() if service is not Service.FILE}
    return AccountFacts(
        id=ACCOUNT_ID,
        name=ACCOUNT,
        subscription=SUBSCRIPTION,
        resource_group="research",
        tags=dict(tags or {}),
        endpoints={service: f"https://{ACCOUNT}.{end}" for service, end in suffixes.items()},
        secondary_endpoints={s: f"https://{ACCOUNT}-secondary.{end}" for s, end in copies.items()}
        if secondary
        else {},
    )


def leak(text: str) -> Credential:
    """The one credential in `text`."""
    [credential] = extract(text)
    return credential


def account_sas(*, key_name: str = "key2", permissions: str = "rwdl", life: timedelta = timedelta(days=9000)) -> str:
    """A URL with an account SAS for all four services, made by azure-storage-blob."""
    token = generate_account_sas(
        ACCOUNT,
        KEYS[key_name],
        "sco",
        permissions,
        NOW + life,
        services="bfqt",
    )
    return f"https://{ACCOUNT}.blob.core.windows.net/models/resnet.ckpt?{token}"


def blob_sas(*, key_name: str = "key1", permissions: str = "r", life: timedelta = timedelta(hours=1)) -> str:
    """A URL with a service SAS for one blob, made by azure-storage-blob."""
    token = generate_blob_sas(
        ACCOUNT,
        "models",
        "resnet.ckpt",
        account_key=KEYS[key_name],
        permission=permissions,
        expiry=NOW + life,
    )
    return f"https://{ACCOUNT}.blob.core.windows.net/models/resnet.ckpt?{token}"


def file_sas(*, key_name: str = "key1") -> str:
    """A URL with a service SAS for one file, made by azure-storage-file-share."""
    token = generate_file_sas(
        ACCOUNT, "share", ["a.txt"], KEYS[key_name], permission="r", expiry=NOW + timedelta(hours=1)
    )
    return f"https://{ACCOUNT}.file.core.windows.net/share/a.txt?{token}"


def queue_sas(*, key_name: str = "key1") -> str:
    """A URL with a service SAS for one queue, made by azure-storage-queue."""
    token = generate_queue_sas(ACCOUNT, "jobs", KEYS[key_name], permission="r", expiry=NOW + timedelta(hours=1))
    return f"https://{ACCOUNT}.queue.core.windows.net/jobs/messages?{token}"


def table_sas(*, key_name: str = "key1") -> str:
    """A URL with a service SAS for one table, made by azure-data-tables."""
    from azure.core.credentials import AzureNamedKeyCredential

    signer = AzureNamedKeyCredential(ACCOUNT, KEYS[key_name])
    token = generate_table_sas(signer, "People", permission="r", expiry=NOW + timedelta(hours=1))
    return f"https://{ACCOUNT}.table.core.windows.net/People?{token}"


def policy_sas(
    *,
    key_name: str = "key1",
    service: Service = Service.BLOB,
    permissions: str | None = None,
    life: timedelta | None = None,
    policy: str = "partners",
) -> str:
    """A URL with a service SAS that names a stored access policy, made by the published client of `service`."""
    from azure.core.credentials import AzureNamedKeyCredential

    rest: dict[str, Any] = {"policy_id": policy, "permission": permissions, "expiry": life and NOW + life}
    signer = KEYS[key_name]
    match service:
        case Service.BLOB:
            path, token = "models", generate_container_sas(ACCOUNT, "models", account_key=signer, **rest)
        case Service.QUEUE:
            path, token = "jobs/messages", generate_queue_sas(ACCOUNT, "jobs", signer, **rest)
        case Service.FILE:
            path, token = "share", generate_share_sas(ACCOUNT, "share", signer, **rest)
        case _:
            path, token = "People", generate_table_sas(AzureNamedKeyCredential(ACCOUNT, signer), "People", **rest)
    return f"https://{ACCOUNT}.{service}.core.windows.net/{path}?{token}"


def delegation_sas(
    *,
    permissions: str = "r",
    life: timedelta = timedelta(hours=1),
    tenant: str = TENANT,
    start: str = "2026-11-20T00:00:00Z",
    expiry: str = "2026-11-27T00:00:00Z",
) -> str:
    """A URL with a user delegation SAS, made by azure-storage-blob; `start` and `expiry` are its key's."""
    delegated = UserDelegationKey()  # type: ignore[no-untyped-call]
    delegated.signed_oid, delegated.signed_tid = SUBSCRIPTION, tenant
    delegated.signed_start, delegated.signed_expiry = start, expiry
    delegated.signed_service, delegated.signed_version = "b", "2022-11-02"
    delegated.value = key("delegation")
    token = generate_blob_sas(
        ACCOUNT,
        "models",
        "resnet.ckpt",
        user_delegation_key=delegated,
        permission=permissions,
        expiry=NOW + life,
    )
    return f"https://{ACCOUNT}.blob.core.windows.net/models/resnet.ckpt?{token}"


def connection_string(*, key_name: str = "key1") -> str:
    """Return a connection string, which leaks a whole key."""
    return (
        f"DefaultEndpointsProtocol=https;AccountName={ACCOUNT};AccountKey={KEYS[key_name]};"
        "EndpointSuffix=core.windows.net"
    )


def plan(*, target: str = "key2") -> Plan:
    """Return a plan to regenerate `target` as it is in KEYS."""
    return Plan(
        action=ActionKind.ACCOUNT_KEY,
        account_id=ACCOUNT_ID,
        target=target,
        version=key_sha256(KEYS[target]),
        reason=f"The leaked token was signed by {target}.",
        steps=(f"Regenerate {target}.",),
        impact=(f"Every client that uses {target}.",),
        digest="d" * 64,
    )


def verification_token(
    service: Service = Service.BLOB, *, life: timedelta = timedelta(minutes=30), accepted_before: bool | None = None
) -> VerificationToken:
    """Return a verification token as minted by the product, for an object that does not exist."""
    path = {
        Service.BLOB: "sasquashproof1/none",
        Service.FILE: "sasquashproof1/none",
        Service.QUEUE: "sasquashproof1/messages?peekonly=true",
        Service.TABLE: "sasquashproof1()",
    }[service]
    resource = path if service in (Service.BLOB, Service.FILE) else "sasquashproof1"
    query = mint_read_token(
        service=service, account=ACCOUNT, resource=resource, starts=NOW, expires=NOW + life, key=KEYS["key2"]
    )
    return VerificationToken(service, f"{account().endpoints[service]}{path}", query, NOW + life, accepted_before)


def execution(*tokens: VerificationToken, at: datetime = NOW, confirmed_by: str = "answer") -> Execution:
    """Return an execution that regenerated key2."""
    return Execution(
        action=ActionKind.ACCOUNT_KEY,
        target="key2",
        at=at,
        old_sha256=key_sha256(KEYS["key2"]),
        new_sha256=key_sha256(key("new")),
        confirmed_by=confirmed_by,
        correlation_id="11111111-2222-4333-8444-555555555555" if confirmed_by == "answer" else None,
        verification_tokens=tokens,
    )


def finding(text: str | None = None) -> Finding:
    """Return a finding on GitHub, of an account SAS or of the credential in `text`."""
    credential = leak(text or account_sas())
    detected_at = NOW - timedelta(seconds=20)
    return Finding(
        credential.fingerprint, credential, "github", "https://github.com/contoso/x/README.md", detected_at
    )


def revocation(**changed: Any) -> Revocation:
    """Return a new record, with some fields changed."""
    return replace(Revocation(finding(), NOW), **changed)


POLICY = PolicyTarget(Service.BLOB, "models", "partners")
"""The policy of `policy_sas`."""

PERSON = Caller("ada@contoso.com", "0d7a1b52-77c5-4d6e-8f57-3a1f0c9e2b41", is_person=True)


def reading(
    state: PolicyState = PolicyState.LIVE,
    *,
    target: PolicyTarget = POLICY,
    version: str = "a" * 64,
    permissions: str | None = None,
    expires: datetime | None = None,
) -> PolicyReading:
    """Return the state of a stored access policy."""
    detail = "The account's firewall lets nobody in." if state is PolicyState.UNREACHABLE else ""
    return PolicyReading(target, state, version, Via.DATA_PLANE, permissions, expires, detail)


def liveness(alive: bool | None = True) -> Liveness:
    """Return Azure's response to the leaked token."""
    said = {True: "Azure accepted it.", False: "Azure refused it.", None: "Nobody answered."}[alive]
    return Liveness(NOW, alive, said)


def approval(digest: str) -> Approval:
    """Return an approval of the plan with this digest."""
    return Approval(PERSON, NOW, digest, "It is ours.")


def new_key(number: int) -> str:
    """Return an account key: another one for each number."""
    return base64.b64encode(hashlib.sha512(str(number).encode()).digest()).decode()


SIGNER = Signer("key2", key_sha256(KEYS["key2"]), NOW)
"""The attribution of a leak that key2 signed."""

ALERT = AlertReference(AlertSource.GITHUB, "contoso/x", "42")


def evidence(*, key: str = "key2", seen_at: datetime = NOW, **changed: Any) -> AlertEvidence:
    """Return the evidence in an alert about a token signed by `key`."""
    given: dict[str, Any] = {
        "account": ACCOUNT,
        "key": key,
        "title": "Unusual SAS token",
        "seen_at": seen_at,
        "signature_sha256": "ab" * 32,
        "permissions": ("Read", "List"),
    }
    return AlertEvidence(**(given | changed))


def alerted(**changed: Any) -> Finding:
    """Return the finding of such an alert."""
    alert = AlertReference(AlertSource.DEFENDER, "", "dc1")
    return Finding.of_evidence(evidence(**changed), source="defender", url=None, detected_at=NOW, alert=alert)


def ordered(action: ActionKind, target: str) -> Finding:
    """Return the finding of an order, without a leak."""
    order = Order(ACCOUNT, action, target)
    return Finding(
        "0" * 64, None, "responder", None, NOW, order=order, reported_by=PERSON, reason="The laptop is gone"
    )
