"""Finds the storage account of a leaked host, and reads its properties from ARM.

Resource Graph is fast and lags by minutes; ARM's lists are slow and current. So Resource Graph is queried first, and
ARM only after a miss. Both return what the app's identity may read: "not found" means no more than that.

Anybody can report tokens of accounts that do not exist. So names that are wanted at the same time are one query, and
a list of ARM answers for a minute. What it does not have is asked of Resource Graph alone meanwhile, at most once a
second: an account may have just been made.

Accounts rarely move, so an inventory by name, read in the background, saves the next revocation this query. A stale
entry does no harm: ARM returns 404, and the account is queried again.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.models import StorageAccount

from shared.cloud.arm import json_of
from shared.cloud.coalescing import Batched, Snapshot
from shared.cloud.errors import from_account, translate_errors
from shared.cloud.subscriptions import Subscriptions
from shared.domain import sas_period
from shared.domain.account import TAGS, AccountFacts, SasPolicy
from shared.errors import Blocked, SasquashError, Throttled
from shared.sas import Service

_log = logging.getLogger(__name__)

_RESOURCE_GRAPH = "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01"
_LABEL = re.compile(r"[a-z0-9]{3,24}")
_HOST = re.compile(r"[a-z0-9.-]{1,253}")
_ID = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[^/]{1,90})"
    r"/providers/Microsoft\.Storage/storageAccounts/(?P<name>[a-z0-9]{3,24})",
    re.IGNORECASE,
)
MAY_BE_REPEATED = frozenset({"POST"})  # for ARM's reads by POST, which azure-core does not repeat by itself
_KNOWN_FOR = timedelta(minutes=10)
_MISSED_FOR = timedelta(minutes=1)  # well under the time to the second lookup of a leak (containment.lookup)
_TOGETHER = 100  # names in one query
_AFTER_A_MISS = 1.0  # seconds between two queries, in the minute after an account was not found
_INVENTORY_FOR = timedelta(days=1)
_INVENTORY_EVERY = timedelta(minutes=10)
_INVENTORY_SECONDS = 5.0  # a caller may have an event to acknowledge
_PAGE = 1000  # rows, the most that Resource Graph gives at once
_MOST_PAGES = 20  # an account takes a kilobyte of memory
_SERVICES = {service: service.value for service in (Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE)}
# An account may have 800 network rules, 90 K of text; a record's column holds 32 K, and a lockdown's has them thrice.
_LONGEST_RULES = 6000
_LONGEST_SAS_POLICY = 1000  # characters; four members of a few words


@dataclass(frozen=True, slots=True)
class AccountRef:
    """A storage account in ARM. `hosts` are all its host names, in lower case."""

    id: str
    name: str
    subscription: str
    resource_group: str
    hosts: frozenset[str]

    @classmethod
    def of(cls, account_id: str, *, hosts: Iterable[str] = ()) -> "AccountRef | None":
        """Return the account with this id; None where it is none of an account."""
        match = _ID.fullmatch(account_id)
        if match is None:
            return None
        return cls(
            id=account_id,
            name=match["name"].lower(),
            subscription=match["subscription"].lower(),
            resource_group=match["group"],
            hosts=frozenset(hosts),
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An account to find: a leaked host, and the name that it spells, None for a custom domain."""

    host: str
    account: str | None


type _Index = Mapping[str, AccountRef]  # by name, and by each host name


@dataclass(frozen=True, slots=True)
class Access:
    """Which ways into an account are open, as `AccountFacts` has it."""

    shared_key: bool
    public_network: str
    network_rules: str

    @classmethod
    def of(cls, account: StorageAccount) -> "Access":
        """Read ARM's answer, in which what is missing is open (REST: Storage Accounts - Get Properties)."""
        properties: Mapping[str, Any] = account.as_dict().get("properties") or {}
        return cls(
            shared_key=properties.get("allowSharedKeyAccess") is not False,
            public_network=properties.get("publicNetworkAccess") or "Enabled",
            network_rules=json.dumps(properties.get("networkAcls") or {}, sort_keys=True, separators=(",", ":")),
        )


def sas_policy_of(account: StorageAccount) -> SasPolicy | None:
    """Return the SAS expiration policy in ARM's answer; None where the account has none (ARM: SasPolicy)."""
    properties: Mapping[str, Any] = account.as_dict().get("properties") or {}
    policy = properties.get("sasPolicy")
    if not isinstance(policy, Mapping):
        return None
    must_be_bound = policy.get("requireUserBoundUserDelegationSas") is True
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"))
    return SasPolicy(
        period=sas_period.parse(policy.get("sasExpirationPeriod")),
        blocks=policy.get("expirationAction") == "Block",
        blocks_unbound=must_be_bound and policy.get("requireUserBoundUserDelegationSasAction") == "Block",
        text=text if len(text) <= _LONGEST_SAS_POLICY else "",
    )


def _keys_created(account: StorageAccount) -> dict[str, datetime]:
    """Return when each key was made, as far as ARM says (ARM: KeyCreationTime)."""
    times = account.key_creation_time
    known = {} if times is None else {"key1": times.key1, "key2": times.key2}
    return {name: time for name, time in known.items() if isinstance(time, datetime)}


class Accounts:
    """Finds accounts. Hits are cached for ten minutes, misses for one."""

    def __init__(
        self,
        client_for: Callable[[str], StorageManagementClient],
        *,
        subscriptions: Subscriptions,
        tag_names: Iterable[str],
        clock: Callable[[], datetime],
    ) -> None:
        """`tag_names` are tags that count beside `facts.TAGS`; others are not kept."""
        self._client_for = client_for
        self._subscriptions = subscriptions
        self._tag_names = TAGS | {name.lower() for name in tag_names}
        self._clock = clock
        self._known: dict[tuple[str, str | None], tuple[AccountRef, datetime]] = {}
        self._inventory: dict[str, AccountRef] = {}
        self._inventory_at: datetime | None = None
        self._queries = Batched(self._in_resource_graph, most=_TOGETHER)
        self._paced = Batched(self._in_resource_graph, most=_TOGETHER, every=_AFTER_A_MISS)
        self._lists = Snapshot(self._in_arm, fresh_for=_MISSED_FOR, clock=clock)

    async def find(self, host: str, account: str | None) -> AccountRef | None:
        """Return the account that `host` belongs to; None when ARM's lists don't have it either.

        `account` is the name that the host spells, None for a custom domain. Raises TransientFailure or Blocked.
        """
        known = self.known(host, account)
        if known is not None:
            return known
        if not _HOST.fullmatch(host) or (account is not None and not _LABEL.fullmatch(account)):
            return None
        found = await self._search(_Wanted(host, account))
        if found is not None:
            self._known[host, account] = (found, self._clock() + _KNOWN_FOR)
        return found

    async def _search(self, wanted: _Wanted) -> AccountRef | None:
        listed = self._lists.fresh
        if listed is not None:
            return _in(listed, wanted) or await self._paced.get(wanted)
        return await self._queries.get(wanted) or _in(await self._lists.get(), wanted)

    def known(self, host: str, account: str | None) -> AccountRef | None:
        """Return the account if `find` would answer without a query, else None."""
        known = self._known.get((host, account))
        if known is not None and known[1] > self._clock():
            return known[0]
        if account is not None and self._inventory_age() < _INVENTORY_FOR:
            return self._inventory.get(account)
        return None

    def forget(self, ref: AccountRef) -> None:
        """Query the account again next time: its entry is stale."""
        self._known = {key: known for key, known in self._known.items() if known[0] != ref}
        self._inventory.pop(ref.name, None)
        self._lists.forget()

    async def take_inventory(self) -> None:
        """Read the inventory, if the last one is old. A failure is logged: accounts are queried one by one then."""
        if self._inventory_age() < _INVENTORY_EVERY:
            return
        before, self._inventory_at = self._inventory_at, self._clock()  # one at a time
        taken = False
        try:
            async with asyncio.timeout(_INVENTORY_SECONDS):
                self._inventory = {ref.name: ref async for ref in self._every_ref()}
            taken = True
        except (SasquashError, TimeoutError) as error:
            _log.warning("The inventory of storage accounts failed: %s", str(error) or "it took too long.")
        finally:
            if not taken:
                self._inventory_at = before

    async def inventory(self) -> tuple[AccountRef, ...]:
        """Return all monitored accounts, as far as the last inventory has them."""
        await self.take_inventory()
        return tuple(self._inventory.values())

    def _inventory_age(self) -> timedelta:
        return self._clock() - self._inventory_at if self._inventory_at is not None else timedelta.max

    async def _every_ref(self) -> AsyncIterator[AccountRef]:
        place: str | None = None
        for _ in range(_MOST_PAGES):
            answer = await self._query("", doing="Listing the storage accounts in Resource Graph", place=place)
            for row in answer["data"]:
                yield _ref_of_row(row)
            place = answer.get("$skipToken")
            if place is None:
                return

    async def _in_resource_graph(self, wanted: Sequence[_Wanted]) -> Mapping[_Wanted, AccountRef]:
        """Return the accounts according to Resource Graph; none if it throttles, so that ARM is queried.

        Hosts and names are validated: nothing in them has a meaning in KQL.
        """
        names, hosts = [one.account for one in wanted if one.account], [one.host for one in wanted]
        by_name = f"name {_any_of(names)} or " if names else ""
        condition = f" | where {by_name}tostring(properties.customDomain.name) {_any_of(hosts)}"
        what = hosts[0] if len(hosts) == 1 else f"{len(hosts)} host names"
        try:
            answer = await self._query(condition, doing=f"Querying Resource Graph for {what}")
        except Throttled as error:
            _log.warning("Querying ARM for %s: %s", what, error)
            return {}
        index = _index_of(map(_ref_of_row, answer["data"]))
        return {one: ref for one in wanted if (ref := _in(index, one)) is not None}

    async def _query(self, condition: str, *, doing: str, place: str | None = None) -> Mapping[str, Any]:
        """Return a page of accounts, from `place` on (REST: Resource Graph - Resources)."""
        query = (
            f"resources | where type =~ 'microsoft.storage/storageaccounts'{condition}"
            " | project id, customDomain = tostring(properties.customDomain.name),"
            " primaryEndpoints = properties.primaryEndpoints, secondaryEndpoints = properties.secondaryEndpoints"
        )
        options = {"resultFormat": "objectArray", "$top": _PAGE} | ({"$skipToken": place} if place else {})
        subscriptions = await self._subscriptions.monitored()
        body = {"subscriptions": list(subscriptions), "query": query, "options": options}
        request = HttpRequest("POST", _RESOURCE_GRAPH, json=body)
        client = self._client_for(subscriptions[0])
        return await json_of(client, request, doing=doing, retry_on_methods=MAY_BE_REPEATED)

    async def _in_arm(self) -> _Index:
        """Return all accounts, by ARM's lists."""
        subscriptions = await self._subscriptions.monitored()
        return _index_of([ref for each in subscriptions async for ref, _ in self._listed(each)])

    async def _listed(self, subscription: str) -> AsyncIterator[tuple[AccountRef, StorageAccount]]:
        with translate_errors(f"Listing the storage accounts of {subscription}"):
            async for item in self._client_for(subscription).storage_accounts.list():
                domain = item.custom_domain.name if item.custom_domain else None
                ref = _ref(
                    str(item.id),
                    primary=item.primary_endpoints,
                    secondary=item.secondary_endpoints,
                    domain=domain,
                )
                yield ref, item

    async def facts(self, ref: AccountRef | AccountFacts) -> AccountFacts:
        """Return the account's current properties in ARM; tags are never cached (design decision 3)."""
        client = self._client_for(ref.subscription)
        with translate_errors(f"Reading account {ref.name}", meaning=from_account):
            account = await client.storage_accounts.get_properties(ref.resource_group, ref.name)
        return self._facts(ref, account)

    async def every(self, subscription: str) -> AsyncIterator[AccountFacts]:
        """Yield what ARM says of each account of a subscription. Raises TransientFailure or Blocked."""
        async for ref, account in self._listed(subscription):
            yield self._facts(ref, account)

    def _facts(self, ref: AccountRef | AccountFacts, account: StorageAccount) -> AccountFacts:
        access = Access.of(account)
        return AccountFacts(
            id=ref.id,
            name=ref.name,
            subscription=ref.subscription,
            resource_group=ref.resource_group,
            tags={name: value for name, value in (account.tags or {}).items() if self._counts(name)},
            endpoints=_endpoints(account.primary_endpoints),
            secondary_endpoints=_endpoints(account.secondary_endpoints),
            shared_key_access=access.shared_key,
            public_network_access=access.public_network,
            network_rules=access.network_rules if len(access.network_rules) <= _LONGEST_RULES else "",
            sas_policy=sas_policy_of(account),
            keys_created=_keys_created(account),
        )

    def _counts(self, tag_name: str) -> bool:
        """Whether a tag is kept: an account may have fifty, and the record must stay small."""
        return tag_name.lower() in self._tag_names


def _endpoints(endpoints: Mapping[str, Any] | None) -> dict[Service, str]:
    found = {service: (endpoints or {}).get(name) for service, name in _SERVICES.items()}
    return {service: str(url) for service, url in found.items() if url}


def _ref(
    account_id: str,
    *,
    primary: Mapping[str, Any] | None,
    secondary: Mapping[str, Any] | None,
    domain: str | None,
) -> AccountRef:
    urls = [url for group in (primary, secondary) for url in (group or {}).values() if isinstance(url, str)]
    hosts = {(urlsplit(url).hostname or "").lower() for url in urls} | {(domain or "").lower()}
    ref = AccountRef.of(account_id, hosts=hosts - {""})
    if ref is None:
        raise Blocked("Azure returned a storage account with an invalid id. Check it in Azure.")
    return ref


def _any_of(texts: Sequence[str]) -> str:
    """Return the operator of KQL that compares without regard to case, and what with ("in operator")."""
    if len(texts) == 1:
        return f"=~ '{texts[0]}'"
    return f"in~ ({', '.join(f"'{text}'" for text in texts)})"


def _index_of(refs: Iterable[AccountRef]) -> _Index:
    index: dict[str, AccountRef] = {}
    for ref in refs:
        index.setdefault(ref.name, ref)
        for host in ref.hosts:
            index.setdefault(host, ref)
    return index


def _in(index: _Index, wanted: _Wanted) -> AccountRef | None:
    return index.get(wanted.host) or (index.get(wanted.account) if wanted.account is not None else None)


def _ref_of_row(row: Mapping[str, Any]) -> AccountRef:
    return _ref(
        row["id"],
        primary=row.get("primaryEndpoints"),
        secondary=row.get("secondaryEndpoints"),
        domain=row.get("customDomain"),
    )
