"""Azure Resource Graph: answers the product's query, for some accounts or for all, and refuses every other query.

Request and answer: learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources. `=~` and `in~`
compare without regard to case (learn.microsoft.com/kusto/query/in-operator). An
unknown query is refused as invalid: a change of the product's query must be repeated here, on purpose.
"""

import base64
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from local.arm import storage_accounts
from local.arm.protocol import ArmError, Call, read_json
from local.tenant.model import SUBSCRIPTION_ID, Account, now

VERSIONS = ("2021-03-01", "2022-10-01", "2024-04-01")

_LABEL = re.compile(r"[a-z0-9]{3,24}")
_HOST = re.compile(r"[a-z0-9.-]+")
_MEMBERS = frozenset({"subscriptions", "query", "options"})
_OPTIONS = frozenset({"resultFormat", "allowPartialScopes", "$top", "$skip", "$skipToken"})
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LARGEST_PAGE = 1000

_QUERY = """
resources
| where type =~ 'microsoft.storage/storageaccounts'
| where {condition}
| project id, customDomain = tostring(properties.customDomain.name),
  primaryEndpoints = properties.primaryEndpoints, secondaryEndpoints = properties.secondaryEndpoints
"""


def _normalize(query: str) -> str:
    """Collapse white space, which KQL ignores around operators."""
    return re.sub(r"\s*(=~|=|\||,|\(|\))\s*", r"\1", " ".join(query.split()))


def _pattern(condition: str) -> re.Pattern[str]:
    whole = re.escape(_normalize(_QUERY.format(condition=condition)))
    literal = "'[^']*'"
    for group in ("names", "hosts"):
        any_of = rf"(?P<{group}>=~{literal}| ?in~\({literal}(,{literal})*\))"
        whole = whole.replace(rf"\ {group.upper()}", any_of).replace(group.upper(), any_of)
    return re.compile(whole.replace(r"\ or\ ", r" ?or\ "))


_BY_DOMAIN = "tostring(properties.customDomain.name) HOSTS"
_PATTERNS = (_pattern(f"name NAMES or {_BY_DOMAIN}"), _pattern(_BY_DOMAIN))
_ALL = _normalize(_QUERY.replace("| where {condition}", ""))


@dataclass(frozen=True)
class _Search:
    """The literals of the product's query, in lower case: `=~` and `in~` ignore case."""

    names: frozenset[str]
    hosts: frozenset[str] | None  # None: all accounts

    @classmethod
    def parse(cls, query: str) -> "_Search":
        if _normalize(query) == _ALL:
            return cls(names=frozenset(), hosts=None)
        for pattern in _PATTERNS:
            match = pattern.fullmatch(_normalize(query))
            if match is None:
                continue
            found = match.groupdict()
            names, hosts = (_literals(found.get(group)) for group in ("names", "hosts"))
            if all(map(_LABEL.fullmatch, names)) and all(map(_HOST.fullmatch, hosts)):
                return cls(names=names, hosts=hosts)
        raise _bad_request(
            "InvalidQuery",
            "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and "
            "fix the error before retrying.",
        )

    def finds(self, account: Account) -> bool:
        if self.hosts is None:
            return True
        return account.name in self.names or _custom_domain(account).lower() in self.hosts


def _literals(text: str | None) -> frozenset[str]:
    return frozenset(re.findall(r"'([^']*)'", text or ""))


async def query(call: Call) -> Response:
    """Run the product's query over the given subscriptions, for the accounts that the caller may read."""
    if not call.identity.may("Microsoft.ResourceGraph/resources/read"):
        raise ArmError(
            403,
            "AccessDenied",
            _support_text(),
            details=[
                (
                    "AccessDenied",
                    "Access is denied to the requested resource. The user might not have enough permission.",
                )
            ],
        )
    body = await read_json(call.request)
    _reject_unknown(body, _MEMBERS)
    _require_subscriptions(body.get("subscriptions"))
    options = body.get("options", {})
    if not isinstance(options, dict):
        raise _bad_request("InvalidQueryOptions", "The options must be an object.")
    _reject_unknown(options, _OPTIONS)
    if options.get("resultFormat", "objectArray") != "objectArray":
        raise _bad_request("InvalidQueryOptions", "Only the result format objectArray is supported.")
    text = body.get("query")
    if not isinstance(text, str) or not text.strip():
        raise _bad_request("MissingQuery", "The query is required.")
    search = _Search.parse(text)
    skip = _number(options, "$skip", low=0, high=None, default=0)
    top = _number(options, "$top", low=1, high=_LARGEST_PAGE, default=_LARGEST_PAGE)
    readable: Iterable[Account] = ()
    if call.identity.may("Microsoft.Storage/storageAccounts/read"):
        readable = call.cloud.accounts.values()
    rows = [_row(account) for account in readable if search.finds(account)]
    if "$skipToken" in options:
        skip = _offset(options["$skipToken"])
    page = rows[skip : skip + top]
    more = {"$skipToken": _skip_token(skip + top)} if skip + top < len(rows) else {}
    return JSONResponse(
        {
            "totalRecords": len(rows),
            "count": len(page),
            "data": page,
            "facets": [],
            "resultTruncated": "false",
            **more,
        }
    )


def _skip_token(offset: int) -> str:
    return base64.b64encode(f"ew0K:{offset}".encode()).decode()


def _offset(token: object) -> int:
    """Return the offset in a skip token. Raises ArmError (400)."""
    try:
        mark, _, offset = base64.b64decode(str(token), validate=True).decode().partition(":")
        if mark == "ew0K":
            return int(offset)
    except ValueError:
        pass
    raise _bad_request("InvalidQueryOptions", "The skip token is invalid.")


def _row(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "customDomain": _custom_domain(account),
        "primaryEndpoints": storage_accounts.endpoints(account, secondary=False),
        "secondaryEndpoints": storage_accounts.endpoints(account, secondary=True),
    }


def _custom_domain(account: Account) -> str:
    """Return the custom domain; an empty text without one, as `tostring()` does."""
    name = account.properties.get("customDomain", {}).get("name")
    return name if isinstance(name, str) else ""


def _require_subscriptions(subscriptions: object) -> None:
    """Validate the subscriptions of a query. Without any, the whole tenant is searched: one subscription."""
    if subscriptions is None or subscriptions == []:
        return
    if not isinstance(subscriptions, list) or not all(
        isinstance(subscription, str) and _GUID.fullmatch(subscription) for subscription in subscriptions
    ):
        raise _bad_request(
            "SubscriptionsContainInvalidGuids",
            f"Subscription ids have to be valid GUIDs. Given: '{subscriptions}'.",
        )
    if SUBSCRIPTION_ID not in {subscription.lower() for subscription in subscriptions}:
        raise _bad_request(
            "NoValidSubscriptionsInQueryRequest",
            "There must be at least one subscription that is eligible to contain resources. "
            f"Given: '{', '.join(subscriptions)}'.",
        )


def _number(options: dict[str, Any], name: str, *, low: int, high: int | None, default: int) -> int:
    value = options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value > high):
        raise _bad_request("InvalidQueryOptions", f"The option {name} is out of range.")
    return value


def _reject_unknown(members: dict[str, Any], known: frozenset[str]) -> None:
    for member in members:
        if member not in known:
            raise _bad_request("InvalidPayload", f"Could not find member '{member}'.")


def _bad_request(code: str, message: str) -> ArmError:
    return ArmError(400, "BadRequest", _support_text(), details=[(code, message)])


def _support_text() -> str:
    return (
        f"Please provide below info when asking for support: timestamp = {now().isoformat()}, "
        f"correlationId = {uuid.uuid4()}."
    )
