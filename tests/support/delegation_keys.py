"""The user delegation keys action on the sample account, and its clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.delegation_key import DelegationKeyAction
from shared.actions.liveness import LivenessCheck
from shared.actions.user_delegation import UserDelegation
from shared.actions.verification import Verifier
from shared.domain.execution import Execution, VerificationToken
from shared.domain.target import DELEGATION_KEYS, ActionKind
from tests.support import samples
from tests.support.asgi import Credential
from tests.support.delegation_plane import DelegationPlane
from tests.support.jobs import job
from tests.support.samples import ACCOUNT, TENANT

CORRELATION_ID = "11111111-2222-4333-8444-555555555555"
NAME = "sasquashproof1111111122224333/none"
HOST = f"{ACCOUNT}.blob.core.windows.net"
PLAN = replace(samples.plan(), action=ActionKind.DELEGATION_KEY, target=DELEGATION_KEYS, version="")
JOB = job(PLAN)


class Clock:
    """The real time, as the stand-ins have it, and what a test has moved it on by."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def make(
    client: StorageManagementClient, plane: DelegationPlane, credential: Credential, clock: Clock
) -> DelegationKeyAction:
    async def principal_exists(object_id: str) -> bool:
        return True

    return DelegationKeyAction(
        lambda _: client,
        Verifier(plane.connect, clock=clock, new_id=lambda: CORRELATION_ID),
        delegation=UserDelegation(credential, plane.connect),
        liveness=LivenessCheck(
            plane.connect,
            principal_exists=principal_exists,
            tenant_id=TENANT,
            clock=clock,
            new_id=lambda: CORRELATION_ID,
        ),
        clock=clock,
        new_id=lambda: CORRELATION_ID,
    )


async def execution(action: DelegationKeyAction, *tokens: VerificationToken) -> Execution:
    return (await action.execute(JOB, tokens)).execution


async def executed(action: DelegationKeyAction) -> Execution:
    return await execution(action, *await action.mint(JOB))
