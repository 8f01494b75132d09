"""Owners of an account: by its tags, its resource group's and subscription's, role assignments, Defender's contact.

The nearest answer counts: an owner of the whole subscription is often the platform team, and not the user of the key.
How each person was found is recorded. A lookup that fails is skipped: a late mail is worse than one to fewer people.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.cloud.arm import ArmReader
from shared.domain.account import AccountFacts
from shared.domain.person import Person
from shared.errors import SasquashError
from shared.followup.owners.parsing import Directory, Owners, from_tags, of_people, resolve, together
from shared.settings import Settings

_log = logging.getLogger(__name__)

# "Azure built-in roles" that can read the account's keys. Best first.
_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
}
_MOST_MEMBERS = 25  # of a group; a larger one is no team
_MOST_PRINCIPALS = 10


@dataclass(frozen=True, slots=True)
class Assignment:
    """A role assignment: `scope` is "the account", "its resource group" or "its subscription"."""

    principal: str
    kind: str  # "User" | "Group" | "ServicePrincipal" | …
    role: str
    scope: str

    @property
    def found_by(self) -> str:
        return f"{self.role} of {self.scope}"


class Ownership:
    """Finds owners, the nearest first."""

    def __init__(self, arm: ArmReader, directory: Directory, *, settings: Settings) -> None:
        self._arm = arm
        self._directory = directory
        self._tag_names = settings.owner_tags
        self._domains = settings.mail_domains
        self._asks_apps = settings.owners_of_apps

    async def of(self, account: AccountFacts) -> Owners:
        """Return the owners of an account, and why others were rejected. Raises nothing that we know."""
        ways: tuple[Callable[[AccountFacts], Awaitable[Owners]], ...] = (
            self._tags,
            self._tags_of_group,
            self._tags_of_subscription,
            self._assigned,
            self._security_contact,
        )
        before = Owners((), ())
        for way in ways:
            try:
                found = together(before, await way(account))
            except SasquashError as error:
                _log.warning("A lookup of the owners of %s failed (%s): %s", account.name, error.code, error)
                continue
            if found.people:
                return found
            before = found
        return before

    async def _tags(self, account: AccountFacts) -> Owners:
        return await self._named(account.tags, on="the account")

    async def _tags_of_group(self, account: AccountFacts) -> Owners:
        path = f"{_group(account)}?api-version=2021-04-01"
        group = await self._arm.one(account.subscription, path, doing="Reading the tags of its resource group")
        return await self._named(group.get("tags") or {}, on="its resource group")

    async def _tags_of_subscription(self, account: AccountFacts) -> Owners:
        path = f"{_subscription(account)}?api-version=2022-12-01"
        subscription = await self._arm.one(account.subscription, path, doing="Reading the tags of its subscription")
        return await self._named(subscription.get("tags") or {}, on="its subscription")

    async def _named(self, tags: Mapping[str, str], *, on: str) -> Owners:
        named = from_tags(tags, tag_names=self._tag_names, domains=self._domains, on=on)
        return await resolve(named, self._directory, domains=self._domains)

    async def _assigned(self, account: AccountFacts) -> Owners:
        """Return the people with a role, at the nearest scope with a mailbox."""
        path = (
            f"{account.id}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()"
        )
        rows = self._arm.rows(account.subscription, path, doing="Listing its role assignments")
        assigned = [found async for row in rows if (found := _assignment(row, account)) is not None]
        rejected = Owners((), ())
        for scope in ("the account", "its resource group", "its subscription"):
            here = sorted((each for each in assigned if each.scope == scope), key=lambda each: _rank(each.role))
            people = await asyncio.gather(*(self._people(each) for each in here[:_MOST_PRINCIPALS]))
            rejected = together(rejected, *people)
            if rejected.people:
                return rejected
        return rejected

    async def _people(self, assignment: Assignment) -> Owners:
        """Return the people of an assignment: a user, a group's members, an app's owners if the settings allow it."""
        principal, found_by = assignment.principal, assignment.found_by
        people: tuple[Person, ...] | None = ()
        match assignment.kind:
            case "User":
                person = await self._directory.user(principal)
                people = (person,) if person is not None else ()
            case "Group":
                found_by = f"in a group that is {found_by}"
                people = await self._directory.members(principal, most=_MOST_MEMBERS)
            case "ServicePrincipal" if self._asks_apps:
                found_by = f"owner of an app that is {found_by}"
                people = await self._directory.owners_of_app(principal, most=_MOST_MEMBERS)
        if people is None:
            return Owners((), (f"{found_by}: the group has more than {_MOST_MEMBERS} members",))
        return of_people(people, found_by=found_by, domains=self._domains)

    async def _security_contact(self, account: AccountFacts) -> Owners:
        """Return the security contact of the subscription in Microsoft Defender for Cloud."""
        path = (
            f"{_subscription(account)}/providers/Microsoft.Security/securityContacts/default"
            "?api-version=2023-12-01-preview"
        )
        contact = await self._arm.one(account.subscription, path, doing="Reading the security contact")
        emails = str((contact.get("properties") or {}).get("emails") or "")
        people = [Person(None, address.strip()) for address in emails.split(";") if address.strip()]
        return of_people(people, found_by="security contact of its subscription", domains=self._domains)


def _group(account: AccountFacts) -> str:
    return account.id.partition("/providers/")[0]


def _subscription(account: AccountFacts) -> str:
    return f"/subscriptions/{account.subscription}"


def _assignment(row: Mapping[str, Any], account: AccountFacts) -> Assignment | None:
    """Return an assignment of one of the roles; None above the subscription."""
    properties = row.get("properties") or {}
    scopes = {
        account.id.lower(): "the account",
        _group(account).lower(): "its resource group",
        _subscription(account).lower(): "its subscription",
    }
    scope = scopes.get(str(properties.get("scope", "")).lower())
    role = _ROLES.get(str(properties.get("roleDefinitionId", "")).rpartition("/")[2].lower())
    if scope is None or role is None:
        return None
    return Assignment(str(properties.get("principalId", "")), str(properties.get("principalType", "")), role, scope)


def _rank(role: str) -> int:
    return list(_ROLES.values()).index(role)
