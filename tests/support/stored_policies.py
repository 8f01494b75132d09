"""Stored access policies for tests: lists of them as XML, and the calls that the app makes on its action."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from aiohttp import ClientConnectorError, ClientOSError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from shared.actions.action import Job
from shared.actions.stored_policy import StoredPolicyAction
from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.execution import Execution, Plan, VerificationToken
from shared.domain.target import ActionKind, PolicyTarget
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Resource
from tests.support.jobs import job
from tests.support.samples import KEYS, NOW

ID = "11111111-2222-4333-8444-555555555555"
KEY = AccountKey(KEYS["key1"], None)
TAGGED = {"sasquash-policy-removal": "delete"}
RESOURCES = {Service.BLOB: "models", Service.FILE: "share", Service.QUEUE: "jobs", Service.TABLE: "People"}
IN_A_YEAR = NOW + timedelta(days=365)

OTHERS = [
    "<SignedIdentifier><Id>apps</Id><AccessPolicy><Start>2026-01-01</Start>"
    "<Expiry>2027-01-01T10:20:30.1234567Z</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>",
    "<SignedIdentifier><Id>web</Id><AccessPolicy><Permission>r</Permission></AccessPolicy></SignedIdentifier>",
]
LIVE = (
    "<SignedIdentifier><Id>partners</Id><AccessPolicy><Expiry>2027-11-21T10:00:00.0000000Z</Expiry>"
    "<Permission>rwd</Permission></AccessPolicy></SignedIdentifier>"
)
BURIED = (
    "<SignedIdentifier><Id>partners</Id><AccessPolicy><Expiry>2000-01-01T00:00:00.0000000Z</Expiry>"
    "</AccessPolicy></SignedIdentifier>"
)


def written(inner: str, policy: str = "partners") -> str:
    return f"<SignedIdentifier><Id>{policy}</Id><AccessPolicy>{inner}</AccessPolicy></SignedIdentifier>"


def target(service: Service = Service.BLOB) -> PolicyTarget:
    return PolicyTarget(service, RESOURCES[service], "partners")


def acl(plane: AclPlane, service: Service = Service.BLOB) -> list[str]:
    return resource(plane, service).acl


def resource(plane: AclPlane, service: Service = Service.BLOB) -> Resource:
    return plane.resources[f"{service}/{RESOURCES[service]}"]


async def reading(
    action: StoredPolicyAction, service: Service = Service.BLOB, account: AccountFacts | None = None
) -> PolicyReading:
    return await action.read(account or samples.account(), target(service), key=KEY)


def plan_for(read: PolicyReading) -> Plan:
    return replace(samples.plan(), action=ActionKind.STORED_POLICY, target=str(read.target), version=read.version)


def job_for(read: PolicyReading, account: AccountFacts | None = None) -> Job:
    return job(plan_for(read), account, policies=[read])


async def execute(
    action: StoredPolicyAction,
    service: Service = Service.BLOB,
    *,
    account: AccountFacts | None = None,
    read: PolicyReading | None = None,
    tokens: tuple[VerificationToken, ...] = (),
) -> Execution:
    account = account or samples.account()
    read = read or await reading(action, service)
    return (await action.execute(job_for(read, account), tokens)).execution


NO_CONNECTION = ServiceRequestError(
    "refused", error=ClientConnectorError(ConnectionKey("h", 443, True, True, None, None, None), OSError("refused"))
)
RESET = ServiceRequestError("reset", error=ClientOSError(104, "reset"))
CUT = ServiceResponseError("cut")


async def silent(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


async def revoked(action: StoredPolicyAction, service: Service = Service.BLOB) -> Execution:
    read = await reading(action, service)
    tokens = await action.mint(job_for(read))
    return await execute(action, service, read=read, tokens=tokens)
