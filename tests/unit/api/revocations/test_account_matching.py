"""Unattributed tokens and keys are matched with the accounts that their report names only."""

import asyncio
import re
from dataclasses import dataclass, field

import pytest

from shared.api.revocations import account_matching as module
from shared.api.revocations.account_matching import AccountMatcher
from shared.cloud.accounts import AccountRef
from shared.domain import report as findings
from shared.domain.account import AccountKey
from shared.domain.azure_clouds import CLOUDS, CloudName
from shared.domain.finding import Reported
from shared.errors import Blocked, SasquashError, TransientFailure
from tests.support import samples
from tests.support.samples import ACCOUNT, KEYS, NOW

OTHER = "contosoweb"
HOST = f"{ACCOUNT}.blob.core.windows.net"


@dataclass
class Tenant:
    """Accounts and their keys; `broken` can't be read, `silent` never answers. Notes what it is asked for."""

    keys: dict[str, dict[str, str]]
    broken: dict[str, SasquashError] = field(default_factory=dict)
    silent: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def find(self, host: str, account: str | None) -> AccountRef | None:
        self.asked.append((host, account))
        if account not in self.keys:
            return None
        return AccountRef(f"/{account}", account, samples.SUBSCRIPTION, "research", frozenset({host}))

    async def list_keys(self, ref: AccountRef) -> dict[str, AccountKey]:
        self.listed.append(ref.name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if ref.name == self.silent:
            await asyncio.Event().wait()
        if ref.name in self.broken:
            raise self.broken[ref.name]
        return {name: AccountKey(value, None) for name, value in self.keys[ref.name].items()}

    def matcher(self) -> AccountMatcher:
        return AccountMatcher(self, self.list_keys, cloud=CLOUDS[CloudName.PUBLIC])  # type: ignore[arg-type]


@pytest.fixture
def tenant() -> Tenant:
    return Tenant({OTHER: {"key1": samples.key("a"), "key2": samples.key("b")}, ACCOUNT: KEYS})


def in_text(text: str) -> tuple[Reported, ...]:
    return findings.in_text(text, source="responder", url=None, detected_at=NOW)


def bare(url: str) -> str:
    return url.partition("?")[2]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (bare(samples.account_sas()), HOST),
        (bare(samples.table_sas()), f"{ACCOUNT}.table.core.windows.net"),
        (f"AccountKey={KEYS['key2']}", HOST),
    ],
    ids=["account SAS", "table SAS", "key"],
)
async def test_unattributed_credential_gets_the_host_of_the_account_that_signed_it(
    tenant: Tenant, text: str, host: str
) -> None:
    [placed] = await tenant.matcher().attribute(in_text(text), (OTHER, ACCOUNT))
    credential = placed.reported.finding.credential
    assert credential is not None
    assert (credential.host, credential.account) == (host, ACCOUNT)
    assert placed.reported.finding.fingerprint == credential.fingerprint
    assert re.search(rf"key[12] of {ACCOUNT}", placed.note)


async def test_attributed_credential_equals_one_reported_with_its_host(tenant: Tenant) -> None:
    [placed] = await tenant.matcher().attribute(in_text(bare(samples.account_sas())), (ACCOUNT,))
    whole = samples.account_sas().replace("models/resnet.ckpt", "")
    [with_host] = in_text(whole)
    assert placed.reported.finding.fingerprint == with_host.finding.fingerprint
    assert placed.reported.token == with_host.token


async def test_credential_without_a_matching_key_stays_unattributed_with_a_note(tenant: Tenant) -> None:
    found = in_text(bare(samples.account_sas()))
    [placed] = await tenant.matcher().attribute(found, (OTHER,))
    assert placed.reported == found[0]
    assert placed.note == f"No key of the accounts that the report names signed it ({OTHER})."


async def test_service_sas_without_its_container_stays_unattributed(tenant: Tenant) -> None:
    found = in_text(bare(samples.blob_sas()))
    [placed] = await tenant.matcher().attribute(found, (ACCOUNT,))
    assert placed.reported == found[0]
    assert "can't be verified" in placed.note


@pytest.mark.parametrize("failure", [TransientFailure("The list hangs."), Blocked("A right is missing.")])
async def test_unreadable_account_does_not_affect_others(tenant: Tenant, failure: SasquashError) -> None:
    tenant.broken[OTHER] = failure
    [placed] = await tenant.matcher().attribute(in_text(bare(samples.account_sas())), (OTHER, ACCOUNT))
    assert placed.reported.finding.credential is not None
    assert placed.reported.finding.credential.host == HOST


async def test_unreadable_account_is_in_the_note(tenant: Tenant) -> None:
    tenant.broken[OTHER] = Blocked("A right is missing.")
    [placed] = await tenant.matcher().attribute(in_text(bare(samples.account_sas())), (OTHER, "nobodys"))
    assert f"{OTHER} could not be read: A right is missing." in placed.note
    assert "nobodys is not an account in a monitored subscription" in placed.note
    assert "none could be read" in placed.note


async def test_unresponsive_account_times_out(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    tenant.silent = OTHER
    found = in_text(bare(samples.account_sas()))
    [placed] = await tenant.matcher().attribute(found, (OTHER, ACCOUNT))
    [not_placed] = await tenant.matcher().attribute(found, (OTHER,))
    assert f"key2 of {ACCOUNT}" in placed.note
    assert f"{OTHER} could not be read in time." in not_placed.note


@pytest.mark.parametrize(
    "text",
    [samples.account_sas(), samples.connection_string(), bare(samples.delegation_sas()), "nothing"],
    ids=["with a host", "connection string", "user delegation SAS", "nothing"],
)
async def test_no_keys_are_listed_for_credentials_that_keys_can_not_attribute(tenant: Tenant, text: str) -> None:
    found = in_text(text)
    placed = await tenant.matcher().attribute(found, (OTHER, ACCOUNT))
    assert tuple(one.reported for one in placed) == found
    assert (tenant.asked, [one.note for one in placed if one.note]) == ([], [])


async def test_only_named_accounts_are_tried(tenant: Tenant) -> None:
    matcher = tenant.matcher()
    await matcher.attribute(in_text(bare(samples.account_sas())), ())
    assert tenant.asked == []
    await matcher.attribute(in_text(bare(samples.account_sas())), (ACCOUNT, ACCOUNT))
    assert tenant.asked == [(HOST, ACCOUNT)]


async def test_keys_of_an_account_are_listed_once_for_all_credentials(tenant: Tenant) -> None:
    text = "\n".join((bare(samples.account_sas()), f"AccountKey={KEYS['key1']}", bare(samples.table_sas())))
    found = in_text(text)
    placed = await tenant.matcher().attribute(found, (ACCOUNT,))
    assert len(found) == 3
    assert all(one.note for one in placed)
    assert tenant.listed == [ACCOUNT]


async def test_concurrent_listings_are_limited() -> None:
    tenant = Tenant({f"account{n}": {"key1": samples.key(str(n))} for n in range(50)})
    await tenant.matcher().attribute(in_text(bare(samples.account_sas())), tuple(tenant.keys))
    assert (len(tenant.listed), 1 < tenant.most_at_once <= 8) == (50, True)


async def test_note_has_no_secret(tenant: Tenant) -> None:
    text = bare(samples.account_sas())
    signature = re.search(r"sig=([^&]+)", text)
    assert signature is not None
    for names in ((OTHER,), (ACCOUNT,)):
        [placed] = await tenant.matcher().attribute(in_text(text), names)
        assert signature[1] not in repr(placed)
        assert all(key not in repr(placed) for key in KEYS.values())


async def test_length_of_the_note_is_limited(tenant: Tenant) -> None:
    names = tuple(f"account{n}" for n in range(50))
    tenant = Tenant({name: {} for name in names}, broken={name: Blocked("No. " * 100) for name in names})
    [placed] = await tenant.matcher().attribute(in_text(bare(samples.account_sas())), names)
    assert len(placed.note) <= 2000
