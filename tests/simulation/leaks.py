"""What leaks in a run, and how it is reported."""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ResourceTypes,
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.queue import generate_queue_sas

from local.tenant.model import AccessPolicy, DelegationKey, SignedIdentifier
from shared.domain.finding import Finding
from shared.domain.report import in_text
from tests.simulation.accounts import KEYS, PlannedAccount, new_key
from tests.simulation.loop import EPOCH

REPORTED_WITHIN = 120.0  # seconds
_FAR = EPOCH + timedelta(days=400)
_URL = "https://github.com/contoso/x/README.md"
_RESOURCES = {"blob": "models", "queue": "jobs", "table": "runs"}
_LEAKED, _UNLEAKED = "partners", "suppliers"


class Kind(StrEnum):
    """What leaks. All but SMALL, FORGED and DELEGATION are revoked without asking."""

    ACCOUNT_SAS = "account SAS"
    BLOB_SAS = "service SAS"
    KEY = "account key"
    SMALL = "small SAS"  # asks a person
    FORGED = "forged SAS"
    POLICY = "SAS of a policy"
    DELEGATION = "user delegation SAS"


BY_KEY = frozenset({Kind.ACCOUNT_SAS, Kind.BLOB_SAS, Kind.KEY, Kind.SMALL})
"""Kinds that only another key revokes."""


@dataclass(frozen=True)
class PlannedPolicy:
    """A stored access policy. `missing`: its tokens leak while it does not exist."""

    service: str
    resource: str
    id: str
    start: AccessPolicy
    missing: bool

    @property
    def key(self) -> tuple[str, str]:
        """The key of its list in the model of the account."""
        return self.service, self.resource

    @property
    def identifier(self) -> SignedIdentifier:
        """It, as it is before anything happens."""
        return SignedIdentifier(self.id, self.start)


@dataclass(frozen=True)
class PlannedLeak:
    """A leak. `key_name` is what signed it, None for a forged one; `times` are when it is published, in seconds.

    `misreports` are reports of it with a wrong path, and when they are published: before, with or after the others.
    `raw`: its reports bring the token itself. `undelivered`: Event Grid has given up on its reports.
    """

    kind: Kind
    account: str
    key_name: str | None
    text: str
    finding: Finding
    times: tuple[float, ...]
    misreports: tuple[tuple[float, Finding], ...] = ()
    policy: PlannedPolicy | None = None
    delegation: DelegationKey | None = None
    raw: bool = False
    undelivered: bool = False

    @property
    def name(self) -> str:
        """What it is called in a violation."""
        return f"{self.kind} of {self.account}/{self.policy.id if self.policy else self.key_name}"

    @property
    def reports(self) -> tuple[tuple[float, dict[str, Any]], ...]:
        """Everything that is published about it, and when."""
        if self.undelivered:
            return ()
        wrong = ((at, finding.to_data()) for at, finding in self.misreports)
        return (*((at, self.data) for at in self.times), *wrong)

    @property
    def data(self) -> dict[str, Any]:
        """The data of an event that reports it."""
        if not self.raw:
            return self.finding.to_data()
        return {"secret": self.text, "source": "github", "url": _URL, "detected_at": EPOCH.isoformat()}


def leak(
    rng: random.Random, new_key_of: random.Random, account: PlannedAccount, number: int, kind: Kind | None = None
) -> PlannedLeak:
    """Return a leak of the account, of a kind that only another key revokes, or a forged one."""
    usual = (Kind.ACCOUNT_SAS, Kind.BLOB_SAS, Kind.KEY, Kind.SMALL, Kind.FORGED)
    kind = kind or rng.choices(usual, (5, 3, 1, 1, 1))[0]
    name = rng.choices(KEYS, (3, 1))[0]
    key = new_key(new_key_of) if kind is Kind.FORGED else account.keys[name]
    made = PlannedLeak(
        kind=kind,
        account=account.name,
        key_name=None if kind is Kind.FORGED else name,
        text=(text := _text(kind, account.name, key, number)),
        finding=_finding(text),
        times=_times(rng, account),
    )
    return _misreported(made, random.Random(text)) if kind in (Kind.BLOB_SAS, Kind.SMALL) else made


def of_policy(
    rng: random.Random, account: PlannedAccount, number: int, *, shared: PlannedPolicy | None
) -> PlannedLeak:
    """Return a leak that names a stored access policy: `shared`, or one of its own on a resource of its own."""
    policy = shared or _policy(rng, number)
    name = KEYS[number % 2] if shared is not None else rng.choices(KEYS, (3, 1))[0]
    until = None if policy.start.expiry else _FAR + timedelta(days=number)
    text = _policy_text(policy, account.name, account.keys[name], until)
    return PlannedLeak(
        kind=Kind.POLICY,
        account=account.name,
        key_name=name,
        text=text,
        finding=_finding(text),
        times=_times(rng, account),
        policy=policy,
    )


def _policy(rng: random.Random, number: int) -> PlannedPolicy:
    service = rng.choices(tuple(_RESOURCES), (7, 1, 2))[0]
    end = (EPOCH + timedelta(days=rng.choice((10, 400)), seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    permission = {"blob": rng.choice(("rw", "rl")), "queue": "rp", "table": "ra"}[service]
    start = AccessPolicy(None, None if rng.random() < 0.3 else end, permission)  # the end may be the token's
    return PlannedPolicy(service, f"{_RESOURCES[service]}{number}", _LEAKED, start, rng.random() < 0.25)


def unleaked() -> SignedIdentifier:
    """Return a policy beside those that leak: nothing may change it."""
    return SignedIdentifier(_UNLEAKED, AccessPolicy(None, "2028-01-01", "r"))


def of_delegation(rng: random.Random, account: PlannedAccount, issuer: str, tenant: str, number: int) -> PlannedLeak:
    """Return a leaked user delegation SAS of `issuer`'s."""
    start, end = EPOCH - timedelta(hours=1 + number), EPOCH + timedelta(days=6)
    key = DelegationKey(
        object_id=issuer,
        tenant_id=tenant,
        start=_seconds(start),
        expiry=_seconds(end),
        service="b",
        version="2020-12-06",
        value=new_key(rng)[:44],
        issued_at=start,
    )
    signing: Any = UserDelegationKey()  # type: ignore[no-untyped-call]
    signing.signed_oid, signing.signed_tid = issuer, tenant
    signing.signed_start, signing.signed_expiry = key.start, key.expiry
    signing.signed_service, signing.signed_version, signing.value = key.service, key.version, key.value
    token = generate_blob_sas(
        account.name,
        "models",
        "resnet.ckpt",
        user_delegation_key=signing,
        permission=BlobSasPermissions(read=True, write=rng.random() < 0.5),
        expiry=end - timedelta(hours=number),
    )
    text = f"https://{account.name}.blob.core.windows.net/models/resnet.ckpt?{token}"
    return PlannedLeak(
        kind=Kind.DELEGATION,
        account=account.name,
        key_name=None,
        text=text,
        finding=_finding(text),
        times=_times(rng, account),
        delegation=key,
        raw=rng.random() < 0.5,
    )


def _times(rng: random.Random, account: PlannedAccount) -> tuple[float, ...]:
    times = [rng.uniform(0.0, REPORTED_WITHIN) for _ in range(rng.choice((1, 1, 2, 3)))]
    if account.locked_until and rng.random() < 0.5:  # the leak is reported again once the lock is gone
        times.append(account.locked_until + 75.0)
    return tuple(sorted(times))


def _finding(text: str) -> Finding:
    [reported] = in_text(text, source="github", url=_URL, detected_at=EPOCH)
    return reported.finding


def _misreported(made: PlannedLeak, rng: random.Random) -> PlannedLeak:
    """Return the leak as it is reported with wrong paths: first, at once, later, or within one report."""
    credential = made.finding.credential
    if credential is None or rng.random() < 0.3:
        return made
    wrong = [replace(credential, path=path) for path in ("models/another.ckpt", "elsewhere/a/b", None)]
    if rng.random() < 0.3:  # no report has the right path alone, or first
        several = made.finding.with_readings([credential, *wrong]).read_as(rng.choice(wrong))
        return replace(made, finding=several)
    first = made.times[0]
    moments = (first - rng.uniform(0.5, 60.0), first, first + rng.uniform(0.0, 5.0), first + rng.uniform(20.0, 90.0))
    finding = replace(made.finding, source="stranger")
    misreports = [
        (max(rng.choice(moments), 0.0), replace(finding, credential=rng.choice(wrong)))
        for _ in range(rng.choice((1, 1, 2, 4)))
    ]
    return replace(made, misreports=tuple(misreports))


def _text(kind: Kind, account: str, key: str, number: int) -> str:
    host, expiry = f"https://{account}.blob.core.windows.net", _FAR + timedelta(days=number)
    if kind is Kind.KEY:
        return f'storage_account = "{account}"\naccount_key = "{key}"\n'
    if kind in (Kind.ACCOUNT_SAS, Kind.FORGED):
        everything, full = ResourceTypes(service=True, container=True, object=True), AccountSasPermissions(write=True)
        return f"{host}/?{generate_account_sas(account, key, everything, full, expiry)}"
    small = kind is Kind.SMALL
    token = generate_blob_sas(
        account,
        "models",
        "resnet.ckpt",
        account_key=key,
        permission=BlobSasPermissions(read=True, write=not small),
        expiry=EPOCH + timedelta(hours=20, minutes=number) if small else expiry,
    )
    return f"{host}/models/resnet.ckpt?{token}"


def _policy_text(policy: PlannedPolicy, account: str, key: str, expiry: datetime | None) -> str:
    host = f"https://{account}.{policy.service}.core.windows.net/{policy.resource}"
    match policy.service:
        case "blob":
            token = generate_container_sas(account, policy.resource, key, policy_id=policy.id, expiry=expiry)
        case "queue":
            token = generate_queue_sas(account, policy.resource, key, policy_id=policy.id, expiry=expiry)
        case _:
            signer = AzureNamedKeyCredential(account, key)
            token = generate_table_sas(signer, policy.resource, policy_id=policy.id, expiry=expiry)
    return f"{host}?{token}"


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
