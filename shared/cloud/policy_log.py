"""Reads the storage logs of an account for writes of stored access policies over the data plane.

They leave no event in the activity log. Fields: "StorageBlobLogs" and the like (Azure Monitor Logs reference):
RequesterUpn, RequesterObjectId and RequesterAppId are of OAuth, CallerIpAddress has a port. For Shared Key,
AuthenticationHash starts with the name of the key ("Azure Storage monitoring data reference").
"""

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from azure.monitor.query.aio import LogsQueryClient

from shared.cloud import log_queries
from shared.cloud.arm_write import answered
from shared.cloud.log_rows import TIMEOUT, KnowsLogs, Row, moment, rows, text
from shared.domain.account import AccountFacts
from shared.domain.target import PolicyTarget
from shared.domain.usage import covers_writes

_KEY = re.compile(r"(key[12])\(", re.IGNORECASE)
_PORT = re.compile(r"(?P<address>[^:]*|\[.*\]):\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWrite:
    """A write that was served. Its texts are harmless, and may be empty.

    `requester` is the principal name or object id of a token, `application` the client id in it; without a token,
    `key_name` is the key that signed. `request_id` is what the client called its request.
    """

    at: datetime
    requester: str
    application: str
    key_name: str
    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """Finds the writes of the policies of one container, queue, table or share."""

    client: LogsQueryClient
    _: KW_ONLY
    logged: KnowsLogs
    clock: Callable[[], datetime]

    async def writes(
        self, account: AccountFacts, target: PolicyTarget, *, since: datetime
    ) -> tuple[PolicyWrite, ...] | None:
        """Return the writes since then, the latest first; None where the account does not log them.

        Raises TransientFailure or Blocked.
        """
        if not covers_writes(await self.logged(account, target.service)):
            return None
        async with answered(f"Querying the logs of {account.name}", within=TIMEOUT):
            kql = log_queries.policy_writes(target)
            found = await rows(self.client, account, kql, since=since, until=self.clock())
        writes = (_write(row) for row in found)
        return tuple(each for each in writes if each is not None and each.at >= since)


def _write(row: Row) -> PolicyWrite | None:
    at = moment(row, "TimeGenerated")
    if at is None:
        return None
    key = _KEY.match(text(row, "AuthenticationHash"))
    address = text(row, "CallerIpAddress")
    without_port = _PORT.fullmatch(address)
    return PolicyWrite(
        at=at,
        requester=text(row, "RequesterUpn") or text(row, "RequesterObjectId"),
        application=text(row, "RequesterAppId"),
        key_name=key[1].lower() if key is not None else "",
        address=without_port["address"] if without_port is not None else address,
        request_id=text(row, "ClientRequestId"),
    )
