"""The access-control list of a table or a file share, through ARM; ARM has none for containers and queues.

Source: ARM, "Table - Get, Update" and "File Shares - Get, Update" (2026-09-01), property signedIdentifiers.
"""

from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import FileShare, Table

from shared.actions.acl.data_plane import AccessControlList
from shared.actions.acl.policies import MalformedPolicies, Policies, from_arm, to_arm
from shared.cloud.arm_write import answered, once
from shared.cloud.errors import translate_errors
from shared.domain.account import AccountFacts
from shared.domain.target import PolicyTarget
from shared.errors import TransientFailure
from shared.sas import Service

SERVICES = frozenset({Service.TABLE, Service.FILE})
_UPDATE_TIMEOUT = 15.0  # seconds


class ArmAcl:
    """The list of `target`. `correlation_id` names the calls in the activity log."""

    def __init__(
        self, client: StorageManagementClient, account: AccountFacts, target: PolicyTarget, *, correlation_id: str
    ) -> None:
        self.notes = ["It was changed through ARM, since the data plane can't be reached."]
        self._client = client
        self._path = (account.resource_group, account.name, target.resource)
        self._is_table = target.service is Service.TABLE
        self._name = f"{target.service}/{target.resource} of {account.name}"
        self._correlation_id = correlation_id

    async def read(self) -> AccessControlList:
        """Return the list. Raises NotFound, TransientFailure or Blocked."""
        doing = f"Reading the access policies of {self._name} through ARM"
        resource = self._client.table if self._is_table else self._client.file_shares
        with translate_errors(doing):
            found = await resource.get(*self._path, headers={"x-ms-correlation-request-id": self._correlation_id})
        try:
            return AccessControlList(from_arm(found.get("properties")))
        except MalformedPolicies as error:
            raise TransientFailure(f"{doing} failed: {error}.") from None

    async def write(self, read: AccessControlList, policies: Policies) -> None:  # noqa: ARG002 -- ARM has no condition
        """Put `policies` in the place of those there are. Raises as `read` does.

        ARM knows no condition: what others wrote since the list was read is lost.
        """
        doing = f"Changing the access policies of {self._name} through ARM"
        body = {"properties": {"signedIdentifiers": to_arm(policies, permission_required=self._is_table)}}
        async with answered(doing, within=_UPDATE_TIMEOUT):
            if self._is_table:
                await self._client.table.update(*self._path, Table(body), **once(self._correlation_id))
            else:
                await self._client.file_shares.update(*self._path, FileShare(body), **once(self._correlation_id))
