"""Leaked secrets, keys, values of vaults and access tokens are written and returned nowhere."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.data.tables.aio import TableServiceClient
from azure.eventgrid import EventGridEvent
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.tenant.model import KEY_VAULT, STATE_ACCOUNT, Account
from shared.domain import report as findings
from shared.domain.execution import KeyDistributionOutcome
from shared.domain.states import State
from tests.e2e.test_smallest_action import delegated
from tests.support.api_calls import APPROVER, READER, RESPONDER, call, order
from tests.support.deployment import Deployment, Developer, forms
from tests.support.leaks import LEAKS, account_sas
from tests.support.policy_resources import Container

CALLERS = ("SASQUASH_TOKEN_READER", "SASQUASH_TOKEN_RESPONDER", "SASQUASH_TOKEN_APPROVER")


@dataclass
class Run:
    """What a test does, the secrets that it uses for it, by what they are, and all that it gets to see meanwhile."""

    deployment: Deployment
    secrets: dict[str, set[bytes]] = field(default_factory=dict)
    seen: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in CALLERS:
            token = self.deployment.cloud.environment[name]
            self.secrets[name] = {part.encode() for part in (token, *token.split(".")[1:])}

    async def account(self, **tags: str) -> Account:
        account = await self.deployment.account(**tags)
        self.keys_of(account, "old")
        return account

    def keys_of(self, account: Account, when: str) -> None:
        """Search for the current keys of the account."""
        self.secrets |= {f"{when} {name} of {account.name}": forms(key) for name, key in account.keys.items()}

    def leak(self, text: str) -> str:
        """Search for the signature in `text`, if there is one."""
        if "sig=" in text:
            signature = text.partition("sig=")[2].partition("&")[0].rstrip("'\"}.")
            self.secrets[f"signature {len(self.secrets)}"] = forms(signature)
        return text

    async def call(self, who: str, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await call(self.deployment, who, method, path, body)
        self.seen.append((f"answer to {method} {path}", f"{answer.headers}{answer.text}".encode()))
        return answer

    async def report(self, text: str, **more: object) -> str:
        """Report over HTTP, after a dry run, and read the record; return its id."""
        body = {"text": self.leak(text), "reason": f"It was {text}", "url": f"https://wiki/{text}", "wait": 60} | more
        await self.call(RESPONDER, "POST", "/revocations", body | {"dry_run": True})
        [record] = (await self.call(RESPONDER, "POST", "/revocations", body)).json()["revocations"]
        await self.deployment.settled(record["id"])
        await self.call(READER, "GET", f"/revocations/{record['id']}")
        await self.queues()
        return str(record["id"])

    async def queues(self) -> None:
        """Collect the current messages of the queues, which are short-lived."""
        self.seen += [place async for place in _queues(self.deployment)]

    async def found(self) -> list[str]:
        """The secrets that were seen, and where."""
        written = self.seen + [place async for place in _everything(self.deployment)]
        return [
            f"{name} in {place}"
            for place, content in written
            for name, secret in self.secrets.items()
            if any(form in content for form in secret)
        ]


async def test_secrets_in_events_are_written_nowhere(deployment: Deployment) -> None:
    run = Run(deployment)
    for leak in LEAKS:
        account = await run.account()
        for fingerprint in await deployment.report(run.leak(leak(account.name, account.keys["key2"]))):
            record = await deployment.settled(fingerprint)
            assert record.state is State.CLOSED, record.detail
        await run.queues()
        run.keys_of(account, "new")

    assert any(
        place.startswith("table revocations") for place, _ in [place async for place in _everything(deployment)]
    )
    assert await run.found() == []


async def test_secrets_over_http_are_written_and_returned_nowhere(deployment: Deployment) -> None:
    run = Run(deployment)
    account = await run.account()
    for leaked in (account_sas(account.name, account.keys["key2"]), f"{account.name}: key1={account.keys['key1']}"):
        await run.report(leaked)
        run.keys_of(account, "new")
    text = run.leak(account_sas(account.name, account.keys["key1"]))
    for body in (
        {"text": [text], "reason": "x"},
        {"text": "nothing", "reason": "x", text: 1},
        {"text": "nothing", "reason": "x", "accounts": [text]},
        {"account": account.name, "action": text, "target": text, "reason": text},
    ):
        assert (await run.call(APPROVER, "POST", "/revocations", body)).status_code == 400
    assert (await run.call(READER, "POST", f"/revocations/{'ab' * 32}/retry", {"reason": text})).status_code == 403
    assert (await run.call(READER, "GET", f"/revocations?state={text[-40:]}")).status_code == 400

    assert await run.found() == []


async def test_secrets_of_policies_and_delegation_keys_are_written_nowhere(deployment: Deployment) -> None:
    run = Run(deployment)
    place = Container(deployment, await run.account(), "models")
    await place.make()
    for leaked in (place.url(policy="partners"), await delegated(deployment, place)):
        await run.report(leaked)
    [fingerprint] = await deployment.report(run.leak(place.url(policy="suppliers")))
    await deployment.settled(fingerprint)
    sent = run.leak(await delegated(deployment, place))
    await deployment.publish(_raw_event(sent))  # Event Grid itself has it then, and is left out of the search
    [reported] = findings.in_text(sent, source="test", url=None, detected_at=place.account.created_at)
    await deployment.settled(reported.finding.fingerprint)
    await run.queues()

    assert await run.found() == []


async def test_distributed_key_is_written_to_its_vault_only(deployment: Deployment) -> None:
    run = Run(deployment)
    secret = f"https://{KEY_VAULT}.vault.azure.net/secrets/shop-key"
    account = await run.account(**{"sasquash-key-vault": secret})
    await _control(deployment, "/secrets", {"vault": KEY_VAULT, "name": "shop-key", "value": account.keys["key2"]})

    fingerprint = await run.report(account_sas(account.name, account.keys["key2"]))
    record = await deployment.settled(fingerprint, until=lambda r: r.key_distribution is not None)
    run.keys_of(account, "new")
    await deployment.settled(fingerprint, until=lambda r: r.filed is not None and r.filed.state is State.CLOSED)

    assert record.key_distribution is not None
    assert (record.key_distribution.outcome, record.key_distribution.secret) == (KeyDistributionOutcome.DONE, secret)
    versions = deployment.cloud.model.vaults[KEY_VAULT].secrets["shop-key"].versions
    assert versions[-1].value == account.keys["key2"]
    assert await run.found() == []


async def test_access_tokens_of_people_are_written_nowhere(deployment: Deployment) -> None:
    run = Run(deployment)
    account = await run.account()
    second = deployment.cloud.environment["SASQUASH_TOKEN_SECOND_APPROVER"]
    run.secrets["second approver"] = {part.encode() for part in (second, second.split(".")[2])}
    one, two = [await order(deployment, account.name, "account_key", key) for key in ("key1", "key2")]
    body = {"digest": one["plan"]["digest"], "reason": f"Bearer {second[-450:]}"}

    for who in (APPROVER, second[:-5], "x" * 20_000, f"{second} {second}"):
        answer = await run.call(who, "POST", f"/revocations/{one['id']}/approve", body)
        assert answer.status_code in (401, 403)
    approved = await run.call(second, "POST", f"/revocations/{one['id']}/approve", body)
    rejected = await run.call(second, "POST", f"/revocations/{two['id']}/reject", {"reason": body["reason"]})
    await deployment.settled(one["id"], until=lambda r: r.filed is not None and r.filed.state is State.CLOSED)
    run.keys_of(account, "new")

    assert (approved.status_code, rejected.status_code) == (200, 200)
    assert await run.found() == []


def _raw_event(secret: str) -> EventGridEvent:
    data = {"secret": secret, "source": "test"}
    return EventGridEvent(subject="tests", event_type=findings.REPORTED, data=data, data_version="1")


async def _control(deployment: Deployment, path: str, body: dict[str, str]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"http://127.0.0.1:{deployment.cloud.control_port}{path}", json=body)
    assert answer.status_code == 201, answer.text


async def _everything(deployment: Deployment) -> AsyncIterator[tuple[str, bytes]]:
    model = deployment.cloud.model
    for name, content in await asyncio.to_thread(_files, deployment.cloud.folder):
        yield name, content
    for name, things in (
        ("incidents", [incident.fields for incident in model.incidents]),
        ("mails", [[mail.subject, mail.body, mail.to] for mail in model.mails]),
        ("events", [event for event in model.events if not _is_raw(event)]),
        ("dead letters", model.dead_letters),
        ("requests", [request.url for request in model.requests]),
    ):
        yield name, json.dumps(things, default=str).encode()
    async for place in _storage(deployment):
        yield place


def _is_raw(event: dict[str, Any]) -> bool:
    """Whether it is a raw report that a test published."""
    return "secret" in (event.get("data") or {})


def _files(folder: Path) -> list[tuple[str, bytes]]:
    return [(f"file {file.name}", file.read_bytes()) for file in sorted(folder.rglob("*")) if file.is_file()]


async def _storage(deployment: Deployment) -> AsyncIterator[tuple[str, bytes]]:
    who = Developer(deployment.cloud)
    async with TableServiceClient(_endpoint("table"), credential=who, **deployment.options) as tables:
        async for table in tables.list_tables():
            async for row in tables.get_table_client(table.name).list_entities():
                yield f"table {table.name} {row['RowKey']}", json.dumps(dict(row), default=str).encode()
    async for place in _queues(deployment):
        yield place
    async with BlobServiceClient(_endpoint("blob"), credential=who, **deployment.options) as blobs:
        async for container in blobs.list_containers():
            client = blobs.get_container_client(container.name)
            async for blob in client.list_blobs():
                download = await client.download_blob(blob.name)
                yield f"blob {container.name}/{blob.name}", await download.readall()


async def _queues(deployment: Deployment) -> AsyncIterator[tuple[str, bytes]]:
    async with QueueServiceClient(
        _endpoint("queue"), credential=Developer(deployment.cloud), **deployment.options
    ) as queues:
        async for queue in queues.list_queues():
            for message in await queues.get_queue_client(queue.name).peek_messages(32):
                yield f"queue {queue.name}", str(message.content).encode()


def _endpoint(service: str) -> str:
    return f"https://{STATE_ACCOUNT}.{service}.core.windows.net"
