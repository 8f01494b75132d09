"""Who owns an account: the nearest answer, with the rights that there are, against the stand-ins of ARM and Graph."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.cloud.cloud import LocalCloud
from local.tenant.model import SUBSCRIPTION_ID, Account, Group, RoleAssignment, User
from shared.followup.owners.parsing import Owners
from tests.support.driver import OWNER, Driver

CONTRIBUTOR, KEYS, ALL = (
    "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
)
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/driven"
TEAM, INNER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
APP = "33333333-3333-4333-8333-333333333333"


@pytest.fixture(autouse=True)
def tenant(cloud: LocalCloud) -> Iterator[None]:
    """Nobody owns anything, before and after."""
    yield
    model = cloud.model
    for kept in (model.role_assignments, model.scope_tags, model.groups, model.app_owners):
        kept.clear()
    model.security_contact = ""


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account()


async def owners(driver: Driver, account: Account, **settings: str) -> Owners:
    app = driver.app(**settings)
    ref = await app.fast_path.accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    return await app.background.ownership.of(await app.fast_path.accounts.facts(ref))


def addresses(found: Owners) -> list[tuple[str, str]]:
    return [(owner.address, owner.found_by) for owner in found.people]


def user(driver: Driver, address: str) -> User:
    return driver.cloud.model.users[address]


def assign(driver: Driver, who: str, scope: str, *, role: str = ALL, kind: str = "User") -> None:
    principal = user(driver, who).object_id if "@" in who else who
    driver.cloud.model.role_assignments.append(RoleAssignment(principal, kind, role, scope))


async def test_tags_of_the_account_come_before_all_else(driver: Driver, account: Account) -> None:
    account.tags["owner"] = OWNER
    driver.cloud.model.scope_tags[GROUP.lower()] = {"owner": "storage-team@contoso.com"}

    assert addresses(await owners(driver, account)) == [(OWNER, "tag owner on the account")]
    assert driver.requests("roleAssignments") == []


@pytest.mark.parametrize(("scope", "on"), [(GROUP, "its resource group"), (SUBSCRIPTION, "its subscription")])
async def test_tags_of_what_it_lies_in_count_where_its_own_say_nothing(
    driver: Driver, account: Account, scope: str, on: str
) -> None:
    account.tags["owner"] = "somebody@elsewhere.com"
    driver.cloud.model.scope_tags[scope.lower()] = {"Owner": OWNER}

    found = await owners(driver, account)

    assert addresses(found) == [(OWNER, f"tag owner on {on}")]
    assert any('tag "owner" on the account' in reason for reason in found.rejected)


async def test_who_has_rights_nearest_to_the_account_owns_it(driver: Driver, account: Account) -> None:
    assign(driver, "storage-team@contoso.com", SUBSCRIPTION)
    assign(driver, "approver@contoso.com", account.id, role=CONTRIBUTOR)
    assign(driver, OWNER, account.id, role=KEYS)

    assert addresses(await owners(driver, account)) == [
        (OWNER, "Storage Account Contributor of the account"),
        ("approver@contoso.com", "Contributor of the account"),
    ]


@pytest.mark.parametrize(
    ("scope", "role"),
    [(GROUP, READER), ("/providers/Microsoft.Management/managementGroups/contoso", ALL), ("/", ALL)],
    ids=["a reader", "of a management group", "of everything"],
)
async def test_who_only_reads_or_administers_all_does_not(
    driver: Driver, account: Account, scope: str, role: str
) -> None:
    assign(driver, OWNER, scope, role=role)

    assert addresses(await owners(driver, account)) == []


async def test_members_of_nested_groups_are_notified_even_in_a_loop(driver: Driver, account: Account) -> None:
    groups = driver.cloud.model.groups
    groups[TEAM] = Group(TEAM, users=(user(driver, OWNER).object_id,), groups=(INNER,))
    groups[INNER] = Group(INNER, users=(user(driver, "storage-team@contoso.com").object_id,), groups=(TEAM,))
    assign(driver, TEAM, GROUP, kind="Group")

    by = "in a group that is Owner of its resource group"
    assert addresses(await owners(driver, account)) == [(OWNER, by), ("storage-team@contoso.com", by)]


async def test_huge_group_is_not_notified_and_the_record_says_so(driver: Driver, account: Account) -> None:
    users = driver.cloud.model.users
    crowd = {f"u{n}@contoso.com": replace(user(driver, OWNER), object_id=f"u{n}") for n in range(26)}
    users |= crowd
    driver.cloud.model.groups[TEAM] = Group(TEAM, users=tuple(each.object_id for each in crowd.values()))
    assign(driver, TEAM, GROUP, kind="Group")
    try:
        found = await owners(driver, account)
    finally:
        for address in crowd:
            del users[address]

    assert found.people == ()
    assert found.rejected == ("in a group that is Owner of its resource group: the group has more than 25 members",)


async def test_guests_and_people_without_a_mailbox_are_not_notified(driver: Driver, account: Account) -> None:
    assign(driver, "gil_fabrikam.com#ext#@contoso.onmicrosoft.com", account.id)
    driver.cloud.model.security_contact = "sec@contoso.com"

    found = await owners(driver, account)

    assert [owner.address for owner in found.people] == ["sec@contoso.com"]
    assert any("fabrikam" in reason for reason in found.rejected)


@pytest.mark.parametrize(("setting", "notified"), [("on", [OWNER]), ("off", [])])
async def test_owners_of_an_app_are_notified_if_the_settings_say_so(
    driver: Driver, account: Account, setting: str, notified: list[str]
) -> None:
    driver.cloud.model.app_owners[APP] = (user(driver, OWNER).object_id,)
    assign(driver, APP, GROUP, kind="ServicePrincipal")

    found = await owners(driver, account, owners_of_apps=setting)

    assert [owner.address for owner in found.people] == notified


async def test_the_security_contact_is_the_last_resort(driver: Driver, account: Account) -> None:
    driver.cloud.model.security_contact = "soc@contoso.com;x@elsewhere.com"

    found = await owners(driver, account)

    assert addresses(found) == [("soc@contoso.com", "security contact of its subscription")]
    assert len(found.rejected) == 1


@pytest.mark.parametrize(
    ("call", "status"),
    [("/resourceGroups/driven?", 403), ("roleAssignments", 403), ("roleAssignments", 503), ("securityContacts", 500)],
)
async def test_what_can_not_be_asked_is_passed_by(driver: Driver, account: Account, call: str, status: int) -> None:
    driver.fault(call, status=status, times=9)
    driver.cloud.model.scope_tags[SUBSCRIPTION.lower()] = {"owner": OWNER}

    assert [owner.address for owner in (await owners(driver, account)).people] == [OWNER]


async def test_an_account_that_nobody_owns_has_none(driver: Driver, account: Account) -> None:
    assert await owners(driver, account) == Owners((), ())
