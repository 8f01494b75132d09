"""The account key action of a test, and one execution of it."""

from azure.mgmt.storage.aio import StorageManagementClient

from shared.actions.account_key import AccountKeyAction
from shared.actions.verification import Verifier
from shared.domain.execution import Execution, VerificationToken
from shared.domain.retired_keys import RetiredKeys
from tests.support import samples
from tests.support.jobs import job
from tests.support.samples import NOW

NEVER = 10  # seconds after which a test that waits for what does not come fails instead of hanging
REGENERATE = "/regenerateKey"
CORRELATION_ID = "11111111-2222-4333-8444-555555555555"


def made(client: StorageManagementClient, verifier: Verifier) -> AccountKeyAction:
    retired = RetiredKeys(clock=lambda: NOW)
    return AccountKeyAction(
        lambda _: client, verifier, retired=retired, clock=lambda: NOW, new_id=lambda: CORRELATION_ID
    )


async def execution(action: AccountKeyAction, *tokens: VerificationToken, target: str = "key2") -> Execution:
    return (await action.execute(job(samples.plan(target=target)), tokens)).execution
