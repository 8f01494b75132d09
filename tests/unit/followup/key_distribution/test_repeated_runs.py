"""Key distribution that runs again, or on several hosts at once, writes one version."""

import asyncio
from typing import Any

import pytest
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.keyvault.secrets.aio import SecretClient

from local.tenant.model.vault import Vault
from shared.cloud import key_vault
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.execution import KeyDistributionOutcome
from shared.followup import key_distribution
from shared.followup.key_distribution import KeyDistributor
from tests.support.key_vaults import (
    ID,
    NAME,
    NEW,
    OLD,
    REPLACED,
    THIRD,
    Arm,
    FaultyTransport,
    account,
    distributor_for,
    execution,
    put,
    shown,
    versions,
)


async def test_second_run_writes_nothing_and_says_so(distributor: KeyDistributor, vault: Vault, arm: Arm) -> None:
    put(vault)
    await distributor.run(execution(), account())
    before = shown(vault)

    again = await distributor.run(execution(), account())

    assert shown(vault) == before == REPLACED
    assert (again.outcome, again.said, arm.asked) == (
        KeyDistributionOutcome.DONE,
        f"{ID} holds the new key2 in version {versions(vault)[1].version}; none of the 0 enabled "
        "older versions that were checked holds the old key.",
        1,
    )


async def test_old_version_that_was_left_enabled_is_disabled(distributor: KeyDistributor, vault: Vault) -> None:
    old = put(vault)
    put(vault, NEW)

    done = await distributor.run(execution(), account())

    assert shown(vault) == REPLACED
    assert done.outcome is KeyDistributionOutcome.DONE
    assert done.said.endswith(f"; version {old.version} with the old key is disabled.")


async def test_of_the_older_versions_only_those_with_the_old_key_are_disabled(
    distributor: KeyDistributor, vault: Vault
) -> None:
    put(vault, THIRD, age=4)
    put(vault, OLD, age=3)
    put(vault, "something else", age=2)
    put(vault, OLD, age=1, enabled=False)
    put(vault, NEW)

    await distributor.run(execution(), account())

    assert [version.enabled for version in versions(vault)] == [True, False, True, False, True]


async def test_versions_newer_than_the_new_key_are_not_checked(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault, NEW)

    def meanwhile(request: HttpRequest) -> None:
        if "/versions" in request.url and len(versions(vault)) == 1:
            put(vault, OLD, age=-60)

    wire.before = meanwhile
    await distributor.run(execution(), account())

    assert shown(vault) == [(NEW, True), (OLD, True)]


async def test_only_a_few_newest_versions_are_checked(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    for age in range(100, 60, -1):
        put(vault, THIRD, age=age)
    put(vault, OLD, age=1)
    put(vault, NEW)

    await distributor.run(execution(), account())

    assert shown(vault)[-2:] == REPLACED
    assert wire.count("GET") == 1 + 2 + key_distribution._MOST_READ  # the current one, two pages, and the older ones


async def test_list_of_versions_ends_somewhere(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "_MOST_LISTED", 25)
    for age in range(100, 0, -1):
        put(vault, THIRD, age=age)
    put(vault, NEW)

    await distributor.run(execution(), account())

    assert sum("/versions" in line for line in wire.lines) == 1


async def test_older_version_that_somebody_disables_meanwhile_is_done(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    old = put(vault)
    put(vault, NEW)

    def meanwhile(request: HttpRequest) -> None:
        if old.version in request.url:
            old.enabled = False

    wire.before = meanwhile

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert wire.count("PATCH") == 0


async def test_runs_side_by_side_write_one_version(
    distributor: KeyDistributor, vault: Vault, wire: FaultyTransport
) -> None:
    put(vault)
    send, writing, go = wire.send, asyncio.Event(), asyncio.Event()

    async def held(request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        if request.method == "PUT":
            writing.set()
            await go.wait()
        return await send(request, **options)

    wire.send = held  # type: ignore[method-assign]
    first = asyncio.create_task(distributor.run(execution(), account()))
    await writing.wait()
    second = asyncio.create_task(distributor.run(execution(), account(ID.replace(NAME, NAME.upper()))))
    for _ in range(200):  # all the turns that it would need to come to a write of its own
        await asyncio.sleep(0)
    go.set()

    assert {(await run).outcome for run in (first, second)} == {KeyDistributionOutcome.DONE}
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 1


async def test_what_another_host_wrote_while_arm_was_asked_is_not_written_again(
    distributor: KeyDistributor, vault: Vault, arm: Arm, wire: FaultyTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault)
    listing = arm.keys

    async def slow(asked: AccountFacts) -> dict[str, AccountKey]:
        put(vault, NEW)
        return await listing(asked)

    monkeypatch.setattr(distributor, "_keys", slow)

    assert (await distributor.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 0


async def test_hosts_that_write_at_the_same_moment_leave_the_new_key_and_no_old_one(
    client: SecretClient, vault: Vault, arm: Arm, wire: FaultyTransport
) -> None:
    put(vault)
    writing = asyncio.Barrier(2)
    send = wire.send

    async def together(request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        if request.method == "PUT":
            await writing.wait()
        return await send(request, **options)

    wire.send = together  # type: ignore[method-assign]
    hosts = [distributor_for(client, arm) for _ in range(2)]

    done = await asyncio.gather(*(host.run(execution(), account()) for host in hosts))

    assert {result.outcome for result in done} == {KeyDistributionOutcome.DONE}
    assert shown(vault) == [(OLD, False), (NEW, True), (NEW, True)]
