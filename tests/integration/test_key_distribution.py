"""Key distribution against the local cloud: real sockets, the challenge, lost answers, and crashes in between."""

import asyncio
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from local.network.faults import Effect
from local.tenant.model import KEY_VAULT, Account
from local.tenant.model.vault import SecretVersion
from shared.domain.account import AccountFacts
from shared.domain.execution import Execution, KeyDistribution, KeyDistributionOutcome
from shared.domain.target import ActionKind
from shared.errors import Blocked, TransientFailure
from shared.sas import key_sha256
from tests.support.driver import Crashed, Driver, Lifetime

_NUMBERS = itertools.count(1)


@dataclass
class Rotated:
    """An account whose key1 was regenerated, and the secret from which its consumers fetch the key."""

    driver: Driver
    account: Account
    name: str
    old: str

    @property
    def new(self) -> str:
        return self.account.keys["key1"]

    @property
    def versions(self) -> list[SecretVersion]:
        return self.driver.cloud.model.vaults[KEY_VAULT].secrets[self.name].versions

    @property
    def shown(self) -> list[tuple[str, bool]]:
        """Value and enabled of each version, the oldest first."""
        return [(version.value, version.enabled) for version in self.versions]

    @property
    def replaced(self) -> list[tuple[str, bool]]:
        return [(self.old, False), (self.new, True)]

    def writes(self) -> int:
        return len(self.driver.requests(f"PUT https://{KEY_VAULT}.vault.azure.net/secrets/{self.name}"))

    async def key_distribution(self, life: Lifetime | None = None) -> KeyDistribution:
        """What a host of its own makes of it."""
        execution = Execution(
            action=ActionKind.ACCOUNT_KEY,
            target="key1",
            at=datetime.now(UTC),
            old_sha256=key_sha256(self.old),
            new_sha256=key_sha256(self.new),
            confirmed_by="answer",
            correlation_id=None,
        )
        facts = AccountFacts(
            id=self.account.id,
            name=self.account.name,
            subscription=self.account.id.split("/")[2],
            resource_group=self.account.resource_group,
            tags=self.account.tags,
            endpoints={},
            secondary_endpoints={},
        )
        return await self.driver.app(life).background.key_distribution.run(execution, facts)


async def rotate(driver: Driver) -> Rotated:
    name = f"distributed-{next(_NUMBERS)}"
    account = await driver.account(tags={"sasquash-key-vault": f"https://{KEY_VAULT}.vault.azure.net/secrets/{name}"})
    rotated = Rotated(driver, account, name, account.keys["key1"])
    driver.cloud.model.vaults[KEY_VAULT].add(name, SecretVersion(rotated.old))
    await driver.cloud.model.regenerate(account, "key1")
    return rotated


@pytest.fixture
async def rotated(driver: Driver) -> Rotated:
    return await rotate(driver)


async def test_secret_has_the_new_key_and_its_old_version_is_disabled(rotated: Rotated) -> None:
    done = await rotated.key_distribution()
    assert (done.outcome, rotated.shown) == (KeyDistributionOutcome.DONE, rotated.replaced)


async def test_client_that_knows_no_challenge_yet_is_challenged(driver: Driver, rotated: Rotated) -> None:
    from azure.keyvault.secrets._shared.http_challenge_cache import clear

    clear()
    await rotated.key_distribution()
    statuses = [r.status for r in driver.requests(f"/secrets/{rotated.name}")]
    assert statuses == [401, 200, 200, 200, 200]


@pytest.mark.parametrize("carried_out", [False, True])
async def test_crash_at_any_call_is_completed_by_the_next_run(driver: Driver, carried_out: bool) -> None:
    number = 0
    while True:
        number += 1
        rotated = await rotate(driver)
        life = Lifetime(ends_at=number, carried_out=carried_out)
        try:
            await rotated.key_distribution(life)
        except Crashed:
            done = await rotated.key_distribution()
            assert done.outcome is KeyDistributionOutcome.DONE, f"crashed at call {number}"
        assert rotated.shown == rotated.replaced, f"crashed at call {number}"
        assert rotated.writes() == 1, f"crashed at call {number}"
        if not life.ended:
            break
    assert number > 5


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_write_whose_answer_is_lost_is_not_repeated(driver: Driver, rotated: Rotated, effect: Effect) -> None:
    driver.fault("PUT https://sasquash-vault.", effect, after=True)
    assert (await rotated.key_distribution()).outcome is KeyDistributionOutcome.DONE
    assert (rotated.shown, rotated.writes()) == (rotated.replaced, 1)


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
async def test_write_that_never_arrived_is_left_to_the_next_run(
    driver: Driver, rotated: Rotated, effect: Effect
) -> None:
    driver.fault("PUT https://sasquash-vault.", effect)
    with pytest.raises(TransientFailure):
        await rotated.key_distribution()
    assert rotated.shown == [(rotated.old, True)]
    assert (await rotated.key_distribution()).outcome is KeyDistributionOutcome.DONE
    assert rotated.shown == rotated.replaced


@pytest.mark.parametrize("effect", [Effect.STATUS, Effect.RESET])
@pytest.mark.parametrize("call", ["GET", "PATCH"])
async def test_what_may_be_repeated_is(driver: Driver, rotated: Rotated, call: str, effect: Effect) -> None:
    driver.fault(f"{call} https://sasquash-vault.", effect, times=2)
    assert (await rotated.key_distribution()).outcome is KeyDistributionOutcome.DONE
    assert rotated.shown == rotated.replaced


async def test_second_host_finds_the_work_done(rotated: Rotated) -> None:
    await rotated.key_distribution()
    assert (await rotated.key_distribution()).outcome is KeyDistributionOutcome.DONE
    assert (rotated.shown, rotated.writes()) == (rotated.replaced, 1)


async def test_host_overtaken_before_its_second_read_writes_nothing(rotated: Rotated) -> None:
    life = Lifetime(stops_at="/listKeys")
    slow = asyncio.create_task(rotated.key_distribution(life))
    await life.stopped.wait()
    await rotated.key_distribution()
    life.go.set()
    assert (await slow).outcome is KeyDistributionOutcome.DONE
    assert (rotated.shown, rotated.writes()) == (rotated.replaced, 1)


async def test_closed_vault_needs_a_person(driver: Driver, rotated: Rotated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver.cloud.model.vaults[KEY_VAULT], "closed", True)
    with pytest.raises(Blocked, match="closed to the network"):
        await rotated.key_distribution()
    assert rotated.shown == [(rotated.old, True)]


async def test_key_rotated_again_is_distributed_as_it_is_now(driver: Driver, rotated: Rotated) -> None:
    life = Lifetime(stops_at="/listKeys")
    running = asyncio.create_task(rotated.key_distribution(life))
    await life.stopped.wait()
    await driver.cloud.model.regenerate(rotated.account, "key1")
    life.go.set()
    assert (await running).outcome is KeyDistributionOutcome.DONE
    assert rotated.shown == [(rotated.old, False), (rotated.account.keys["key1"], True)]
