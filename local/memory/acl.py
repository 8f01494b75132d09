"""Get and Set ACL of containers, queues and tables in memory, and user delegation keys.

Source: REST, "Get Container ACL", "Set Container ACL" and the like for queues and tables, "Get User Delegation Key".
Policies are in the model of the account, where ARM has them, too.
"""

from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime

from local.memory.errors import ServiceError
from local.memory.exchange import Answer, Request
from local.storage import access_policies, delegation
from local.storage.access import StorageRequest
from local.storage.acl import require_shared_key
from local.storage.errors import Refusal
from local.storage.sas.admission import policy_key
from local.tenant.model import Account, Identity, SignedIdentifier

_XML = {"content-type": "application/xml"}
_MISSING = {"blob": "ContainerNotFound", "queue": "QueueNotFound", "table": "TableNotFound"}


class AccessControlLists:
    """The lists of every account. `now` is the clock; `exists` says whether an account has such a resource."""

    def __init__(self, now: Callable[[], datetime], exists: Callable[[str, str, str], bool]) -> None:
        self._now = now
        self._exists = exists
        self._changed: dict[tuple[str, str, str], datetime] = {}

    def answer(self, request: Request, asked: StorageRequest, account: Account, resource: str) -> Answer:
        """Answer Get or Set ACL. Raises Refusal or ServiceError."""
        require_shared_key(asked)
        service = asked.host.service
        if not self._exists(account.name, service, resource):
            raise ServiceError(404, _MISSING[service], "The specified resource does not exist.")
        key = policy_key(service, resource)
        if request.method == "GET":
            headers = _XML | self._stamps(account, key)
            return Answer(200, headers, access_policies.render(account.policies.get(key, ())))
        self._require_unmodified(request, account, key)
        self.write(account, key, access_policies.parse(request.body, service))
        return Answer(200 if service == "blob" else 204, self._stamps(account, key))

    def write(self, account: Account, key: tuple[str, str], policies: tuple[SignedIdentifier, ...]) -> None:
        """Replace the list of a resource."""
        account.policies[key] = policies
        self._changed[account.name, *key] = self._now().replace(microsecond=0)

    def _stamps(self, account: Account, key: tuple[str, str]) -> dict[str, str]:
        """Return Date, and of a container Last-Modified: other services have none for their lists."""
        stamps = {"date": _http_date(self._now())}
        if key[0] == "blob":
            stamps["last-modified"] = _http_date(self._last_change(account, key))
        return stamps

    def _last_change(self, account: Account, key: tuple[str, str]) -> datetime:
        return self._changed.get((account.name, *key), account.created_at.replace(microsecond=0))

    def _require_unmodified(self, request: Request, account: Account, key: tuple[str, str]) -> None:
        since = request.headers.get("if-unmodified-since")
        if key[0] == "blob" and since and self._last_change(account, key) > parsedate_to_datetime(since):
            raise ServiceError(412, "ConditionNotMet", "The condition specified was not met.")


def delegation_key(request: Request, asked: StorageRequest, account: Account, identity: Identity | None) -> Answer:
    """Answer Get User Delegation Key. Raises Refusal."""
    if identity is None or request.method != "POST":
        raise Refusal("AuthenticationFailed", "Only authentication scheme Bearer is supported")
    version = request.headers.get("x-ms-version", "")
    key = delegation.issue(account, identity, request.body, service=asked.host.service, version=version)
    return Answer(200, _XML, delegation.render(key))


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)
