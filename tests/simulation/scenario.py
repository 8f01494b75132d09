"""What happens in one run, decided by a seed: accounts, leaks, who reports them how often, what people do."""

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
)

from shared.domain.alert import AlertEvidence
from shared.domain.finding import Finding, in_text
from tests.simulation.loop import EPOCH

OWNERS = ("model-owner@contoso.com", "storage-team@contoso.com")
_REPORTED_WITHIN = 120.0  # seconds
_KEYS = ("key1", "key2")
_FAR = EPOCH + timedelta(days=400)


class Kind(StrEnum):
    """What leaks. All but SMALL and FORGED are revoked without asking."""

    ACCOUNT_SAS = "account SAS"
    BLOB_SAS = "service SAS"
    KEY = "account key"
    SMALL = "small SAS"  # asks a person
    FORGED = "forged SAS"


class Decision(StrEnum):
    """What people do about a plan that waits."""

    NOTHING = "nothing"
    APPROVE = "approve"
    REJECT = "reject"
    BOTH = "both"  # two people at once


@dataclass(frozen=True)
class PlannedAccount:
    """A storage account. `locked_until`: a ReadOnly lock lies on it so long, in seconds; 0: none does."""

    name: str
    owner: str
    keys: dict[str, str]
    locked_until: float


@dataclass(frozen=True)
class PlannedLeak:
    """A leak. `key_name` is what signed it, None for a forged one; `times` are when it is published, in seconds.

    `misreports` are reports of it with a wrong path, and when they are published: before, with or after the others.
    """

    kind: Kind
    account: str
    key_name: str | None
    text: str
    finding: Finding
    times: tuple[float, ...]
    misreports: tuple[tuple[float, Finding], ...] = ()

    @property
    def reports(self) -> tuple[tuple[float, Finding], ...]:
        """Everything that is published about it, and when."""
        return (*((at, self.finding) for at in self.times), *self.misreports)


class Approver(StrEnum):
    """Who approves an order: people, or an application."""

    ADA = "ada"
    BOB = "bob"
    APP = "app"


@dataclass(frozen=True)
class PlannedOrder:
    """An order that no person gave: evidence that is published at `at`. `approvers` approve it, one after another."""

    account: str
    key_name: str
    finding: Finding
    at: float
    approvers: tuple[Approver, ...]

    @property
    def people(self) -> int:
        """How many people approve it."""
        return len(set(self.approvers) - {Approver.APP})


@dataclass(frozen=True)
class Scenario:
    """One run. `settings` are the app's, without prefix; `quiet_graph` is until when Graph answers nothing."""

    accounts: tuple[PlannedAccount, ...]
    leaks: tuple[PlannedLeak, ...]
    orders: tuple[PlannedOrder, ...]
    settings: dict[str, str]
    decision: Decision
    decided_at: float
    faults_until: float
    graph_down_until: float
    hosts: int


def plan(rng: random.Random, *, new_key_of: random.Random, orders_of: random.Random) -> Scenario:
    """Return a scenario. `new_key_of` makes the keys, `orders_of` the orders."""
    accounts = tuple(_account(rng, new_key_of, number) for number in range(rng.choice((1, 1, 1, 1, 1, 2))))
    leaks = [_leak(rng, new_key_of, rng.choice(accounts), number) for number in range(rng.choice((1, 1, 1, 1, 2, 3)))]
    down = rng.random() < 0.05
    return Scenario(
        accounts=accounts,
        leaks=tuple(leaks),
        orders=tuple(_orders(orders_of, accounts)),
        settings={
            "mode": rng.choices(("auto", "approve"), (9, 1))[0],
            "approval_hours": "1",
            "at_deadline": rng.choice(("escalate", "revoke")),
            "rotations_a_day": "2",
        },
        decision=rng.choice(tuple(Decision)),
        decided_at=rng.uniform(150.0, 700.0),
        faults_until=rng.choice((150.0, 300.0, 600.0)),
        graph_down_until=7200.0 if down else 0.0,
        hosts=rng.choice((1, 2, 2, 2)),
    )


def _orders(rng: random.Random, accounts: tuple[PlannedAccount, ...]) -> Iterator[PlannedOrder]:
    """Yield the orders of a run: none in most, and in some made-up evidence for both keys of an account."""
    account = rng.choice(accounts)
    for key_name in rng.sample(_KEYS, rng.choices((0, 1, 2), (6, 3, 2))[0]):
        at = rng.uniform(0.0, _REPORTED_WITHIN)
        seen = AlertEvidence(
            account=account.name,
            key=key_name,
            title="Unusual use of a SAS",
            seen_at=EPOCH + timedelta(seconds=at),
            signature_sha256=f"{rng.getrandbits(256):064x}",
        )
        made = Finding.of_evidence(seen, source="defender", url=None, detected_at=seen.seen_at, alert=None)
        approvers = rng.choice(
            (
                (),
                (Approver.ADA,),
                (Approver.ADA, Approver.ADA),
                (Approver.ADA, Approver.APP),
                (Approver.APP, Approver.BOB),
                (Approver.ADA, Approver.BOB),
                (Approver.BOB, Approver.BOB, Approver.ADA),
            )
        )
        yield PlannedOrder(account.name, key_name, made, at, approvers)


def _account(rng: random.Random, new_key_of: random.Random, number: int) -> PlannedAccount:
    keys = {name: new_key(new_key_of) for name in _KEYS}
    locked_until = rng.uniform(30.0, 240.0) if rng.random() < 0.1 else 0.0
    return PlannedAccount(f"models{number}", rng.choice(OWNERS), keys, locked_until)


def _leak(rng: random.Random, new_key_of: random.Random, account: PlannedAccount, number: int) -> PlannedLeak:
    kind = rng.choices(tuple(Kind), (5, 3, 1, 1, 1))[0]
    name = rng.choices(_KEYS, (3, 1))[0]
    key = new_key(new_key_of) if kind is Kind.FORGED else account.keys[name]
    text = _text(kind, account.name, key, number)
    [reported] = in_text(text, source="github", url="https://github.com/contoso/x/README.md", detected_at=EPOCH)
    times = [rng.uniform(0.0, _REPORTED_WITHIN) for _ in range(rng.choice((1, 1, 2, 3)))]
    if account.locked_until:  # the leak is reported again once the lock is gone
        times.append(account.locked_until + 75.0)
    leak = PlannedLeak(
        kind=kind,
        account=account.name,
        key_name=None if kind is Kind.FORGED else name,
        text=text,
        finding=reported.finding,
        times=tuple(sorted(times)),
    )
    return _misreported(leak, random.Random(text)) if kind in (Kind.BLOB_SAS, Kind.SMALL) else leak


def _misreported(leak: PlannedLeak, rng: random.Random) -> PlannedLeak:
    """Return the leak as it is reported with wrong paths: first, at once, later, or within one report."""
    credential = leak.finding.credential
    if credential is None or rng.random() < 0.3:
        return leak
    wrong = [replace(credential, path=path) for path in ("models/another.ckpt", "elsewhere/a/b", None)]
    if rng.random() < 0.3:  # no report has the right path alone, or first
        several = leak.finding.with_readings([credential, *wrong]).read_as(rng.choice(wrong))
        return replace(leak, finding=several)
    first = leak.times[0]
    moments = (first - rng.uniform(0.5, 60.0), first, first + rng.uniform(0.0, 5.0), first + rng.uniform(20.0, 90.0))
    finding = replace(leak.finding, source="stranger")
    misreports = [
        (max(rng.choice(moments), 0.0), replace(finding, credential=rng.choice(wrong)))
        for _ in range(rng.choice((1, 1, 2, 4)))
    ]
    return replace(leak, misreports=tuple(misreports))


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
        expiry=EPOCH + timedelta(hours=20) if small else expiry,
    )
    return f"{host}/models/resnet.ckpt?{token}"


def new_key(rng: random.Random) -> str:
    """Return a storage account key: 64 bytes in base64."""
    return base64.b64encode(rng.randbytes(64)).decode()
