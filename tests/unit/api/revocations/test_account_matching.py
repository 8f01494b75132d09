"""Whose a loose token or key is: tried under the accounts that its report names, and nowhere else."""

import asyncio
import re
from dataclasses import dataclass, field

import pytest

from shared.api.revocations import account_matching as module
from shared.api.revocations.account_matching import AccountMatcher
from shared.cloud.accounts import AccountRef
from shared.domain import finding as findings
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


def loose(url: str) -> str:
    return url.partition("?")[2]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (loose(samples.account_sas()), HOST),
        (loose(samples.table_sas()), f"{ACCOUNT}.table.core.windows.net"),
        (f"AccountKey={KEYS['key2']}", HOST),
    ],
    ids=["account SAS", "table SAS", "key"],
)
async def test_loose_credential_gets_the_host_of_the_account_whose_key_fits(
    tenant: Tenant, text: str, host: str
) -> None:
    [placed] = await tenant.matcher().attribute(in_text(text), (OTHER, ACCOUNT))
    credential = placed.reported.finding.credential
    assert credential is not None
    assert (credential.host, credential.account) == (host, ACCOUNT)
    assert placed.reported.finding.fingerprint == credential.fingerprint
    assert re.search(rf"key[12] of {ACCOUNT}", placed.note)


async def test_placed_credential_is_that_of_a_report_with_the_host(tenant: Tenant) -> None:
    [placed] = await tenant.matcher().attribute(in_text(loose(samples.account_sas())), (ACCOUNT,))
    whole = samples.account_sas().replace("models/resnet.ckpt", "")
    [with_host] = in_text(whole)
    assert placed.reported.finding.fingerprint == with_host.finding.fingerprint
    assert placed.reported.token == with_host.token


async def test_credential_that_no_key_fits_stays_loose_and_says_so(tenant: Tenant) -> None:
    found = in_text(loose(samples.account_sas()))
    [placed] = await tenant.matcher().attribute(found, (OTHER,))
    assert placed.reported == found[0]
    assert placed.note == f"No key of the accounts that the report names signed it ({OTHER})."


async def test_service_sas_whose_container_the_text_lost_stays_loose(tenant: Tenant) -> None:
    found = in_text(loose(samples.blob_sas()))
    [placed] = await tenant.matcher().attribute(found, (ACCOUNT,))
    assert placed.reported == found[0]
    assert "can't be verified" in placed.note


@pytest.mark.parametrize("failure", [TransientFailure("The list hangs."), Blocked("A right is missing.")])
async def test_account_that_can_t_be_read_stops_no_other(tenant: Tenant, failure: SasquashError) -> None:
    tenant.broken[OTHER] = failure
    [placed] = await tenant.matcher().attribute(in_text(loose(samples.account_sas())), (OTHER, ACCOUNT))
    assert placed.reported.finding.credential is not None
    assert placed.reported.finding.credential.host == HOST


async def test_account_that_could_not_be_tried_is_told_of(tenant: Tenant) -> None:
    tenant.broken[OTHER] = Blocked("A right is missing.")
    [placed] = await tenant.matcher().attribute(in_text(loose(samples.account_sas())), (OTHER, "nobodys"))
    assert f"{OTHER} could not be read: A right is missing." in placed.note
    assert "nobodys is not an account in a monitored subscription" in placed.note
    assert "none could be read" in placed.note


async def test_account_that_never_answers_keeps_nobody_waiting(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    tenant.silent = OTHER
    found = in_text(loose(samples.account_sas()))
    [placed] = await tenant.matcher().attribute(found, (OTHER, ACCOUNT))
    [not_placed] = await tenant.matcher().attribute(found, (OTHER,))
    assert f"key2 of {ACCOUNT}" in placed.note
    assert f"{OTHER} could not be read in time." in not_placed.note


@pytest.mark.parametrize(
    "text",
    [samples.account_sas(), samples.connection_string(), loose(samples.delegation_sas()), "nothing"],
    ids=["with a host", "connection string", "user delegation SAS", "nothing"],
)
async def test_nothing_is_asked_for_what_keys_can_t_tell(tenant: Tenant, text: str) -> None:
    found = in_text(text)
    placed = await tenant.matcher().attribute(found, (OTHER, ACCOUNT))
    assert tuple(one.reported for one in placed) == found
    assert (tenant.asked, [one.note for one in placed if one.note]) == ([], [])


async def test_no_account_is_tried_that_the_report_does_not_name(tenant: Tenant) -> None:
    rooms = tenant.matcher()
    await rooms.attribute(in_text(loose(samples.account_sas())), ())
    assert tenant.asked == []
    await rooms.attribute(in_text(loose(samples.account_sas())), (ACCOUNT, ACCOUNT))
    assert tenant.asked == [(HOST, ACCOUNT)]


async def test_keys_of_an_account_are_listed_once_for_all_that_is_loose(tenant: Tenant) -> None:
    text = "\n".join((loose(samples.account_sas()), f"AccountKey={KEYS['key1']}", loose(samples.table_sas())))
    found = in_text(text)
    placed = await tenant.matcher().attribute(found, (ACCOUNT,))
    assert len(found) == 3
    assert all(one.note for one in placed)
    assert tenant.listed == [ACCOUNT]


async def test_few_accounts_are_asked_side_by_side() -> None:
    tenant = Tenant({f"account{n}": {"key1": samples.key(str(n))} for n in range(50)})
    await tenant.matcher().attribute(in_text(loose(samples.account_sas())), tuple(tenant.keys))
    assert (len(tenant.listed), 1 < tenant.most_at_once <= 8) == (50, True)


async def test_note_holds_nothing_that_could_be_used(tenant: Tenant) -> None:
    text = loose(samples.account_sas())
    signature = re.search(r"sig=([^&]+)", text)
    assert signature is not None
    for names in ((OTHER,), (ACCOUNT,)):
        [placed] = await tenant.matcher().attribute(in_text(text), names)
        assert signature[1] not in repr(placed)
        assert all(key not in repr(placed) for key in KEYS.values())


async def test_note_is_short_whatever_fails(tenant: Tenant) -> None:
    names = tuple(f"account{n}" for n in range(50))
    tenant = Tenant({name: {} for name in names}, broken={name: Blocked("No. " * 100) for name in names})
    [placed] = await tenant.matcher().attribute(in_text(loose(samples.account_sas())), names)
    assert len(placed.note) <= 2000
