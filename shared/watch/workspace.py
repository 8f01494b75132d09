"""The logs of one workspace, and the keys of the accounts in it, as the signed-in identity."""

from collections.abc import Callable, Mapping

from azure.mgmt.storage.aio import StorageManagementClient

from shared.cloud.account_keys import listed_keys
from shared.cloud.accounts import AccountRef
from shared.cloud.sas_log import SasLog
from shared.domain.account import AccountKey
from shared.domain.logged_sas import LoggedSas, LoggedTokens
from shared.errors import Blocked
from shared.watch.service import Found


class Workspace:
    """The accounts that log to a workspace. It is queried once, for all pages of a list."""

    def __init__(self, log: SasLog, workspace: str, *, client_for: Callable[[str], StorageManagementClient]) -> None:
        """`workspace` is the id of the workspace, a GUID; `client_for` takes a subscription."""
        self._log = log
        self._workspace = workspace
        self._client_for = client_for
        self._found: LoggedTokens | None = None

    async def tokens(self, *, account: str | None, days: int) -> Found:
        """Return the tokens in use, of all accounts or one. Raises TransientFailure or Blocked."""
        if self._found is None:
            self._found = await self._log.of_workspace(self._workspace, days=days)
        chosen = tuple(token for token in self._found.tokens if account in (None, token.account))
        return Found((LoggedTokens(chosen, self._found.unidentified, is_cut=self._found.is_cut),))

    async def keys(self, account: str) -> Mapping[str, AccountKey]:
        """Return the keys of an account that the workspace names. Raises TransientFailure or Blocked."""
        tokens: tuple[LoggedSas, ...] = self._found.tokens if self._found is not None else ()
        ids = (token.resource_id for token in tokens if token.account == account)
        ref = next((AccountRef.of(each) for each in ids if each is not None), None)
        if ref is None:
            raise Blocked("The logs do not say which resource it is: its keys are not listed.")
        return await listed_keys(self._client_for(ref.subscription), ref)
