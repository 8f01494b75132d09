"""Least privilege, shown: what the app is granted is what it uses when everything that it does is done once.

Each service of the local cloud notes the right by which it let a request in. A right that nothing here uses would be
one too many; one that is missing fails the way that needs it.
"""

import re
from collections.abc import Awaitable, Callable

import pytest

from local.monitor.insights import PUBLISHER
from local.tenant.model import MANAGEMENT_GROUP, SUBSCRIPTION_ID, Group, Identity, RoleAssignment
from shared.domain.alert import AlertReference
from shared.domain.states import State
from shared.domain.target import Lockdown
from shared.persistence.queues import Message
from tests.integration import test_incident_sinks, test_key_distribution, test_lockdown
from tests.support import reported_alerts, shares, user_delegation
from tests.support.bicep import ROOT, roles
from tests.support.deployment import Deployment
from tests.support.driver import OWNER, Clock, Driver, found, raw_report, report
from tests.support.leaks import account_sas
from tests.support.policy_resources import PLACES

DOCS = ROOT / "docs/rights.md"
DELEGATOR, JOIN = (
    "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action",
    "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action",
)
# How the page and the roles call what the local cloud calls by another name.
NAMES = {
    "Storage Blob Delegator@*": DELEGATOR,
    "EventGrid/events/send": "EventGrid Data Sender",
    "Azure DevOps/advsec.read": "read alerts",
    "Azure DevOps/advsec.manage": "manage and dismiss alerts",
    "Azure DevOps/code.read": "*Read* on their code",
    "Mail.Send": "Application Mail.Send",
    # Of one workspace: a role that is there already.
    "Microsoft.SecurityInsights/incidents/read": "Microsoft Sentinel Responder",
    "Microsoft.SecurityInsights/incidents/write": "Microsoft Sentinel Responder",
}


async def key_of_an_account(driver: Driver) -> None:
    """A leak that ends with its key: revoked, proven, filed, mailed to its owner and announced."""
    account = await driver.account(tags={"sasquash-owner": OWNER})
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).state is State.CLOSED


async def management_group(driver: Driver) -> None:
    """The subscriptions below a management group."""
    app = driver.app(management_group=MANAGEMENT_GROUP)
    assert await app.connections.subscriptions.monitored() == (SUBSCRIPTION_ID,)


async def usage(driver: Driver) -> None:
    """A leak on an account whose logs tell who used it."""
    account = await driver.account()
    account.logged["blob"] = ("StorageRead",)
    finding = found(account_sas(account.name, account.keys["key1"]))
    await driver.app().fast_path.ingest.receive(report(finding))
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    assert (await driver.record(finding.fingerprint)).usage is not None


async def incidents_elsewhere(driver: Driver) -> None:
    """Incidents in the Defender portal, and in Sentinel."""
    for sink in ("defender", "sentinel"):
        account = await driver.account()
        await test_incident_sinks.followed(driver, account, sink)
        assert len(test_incident_sinks.mine(driver, account, sink)) == 1


async def owner_by_rights(driver: Driver) -> None:
    """Owners of an account whose tags say nothing: a group on it, and whom Defender is to tell."""
    account, model = await driver.account(), driver.cloud.model
    app = driver.app()
    ref = await app.fast_path.accounts.find(f"{account.name}.blob.core.windows.net", account.name)
    assert ref is not None
    group = Group("11111111-1111-4111-8111-111111111111")
    model.groups[group.object_id] = group
    assignment = RoleAssignment(group.object_id, "Group", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", account.id)
    model.role_assignments.append(assignment)
    await app.background.ownership.of(await app.fast_path.accounts.facts(ref))
    model.role_assignments.remove(assignment)
    del model.groups[group.object_id]


async def policies_behind_a_firewall(driver: Driver) -> None:
    """A share's policy and a table's, which are ended through ARM."""
    account = await driver.account()
    await shares.under_policies(driver, account, "partners")
    place = PLACES["table"](Deployment(driver.cloud), account, "models")
    await place.make()
    account.properties["publicNetworkAccess"] = "Disabled"
    for text in (shares.leak(account), place.url(policy="partners")):
        await driver.app().fast_path.ingest.receive(report(found(text)))
        driver.cool_down()
        assert (await driver.record(found(text).fingerprint)).state is State.CONTAINED


async def delegation_keys(driver: Driver) -> None:
    """A token of user delegation; its issuer may be a person or an app."""
    account = await driver.account()
    leaked = await user_delegation.url(driver, account)
    await driver.app().fast_path.ingest.receive(raw_report(leaked))
    driver.cool_down()
    await driver.app().background.follow_up.run(Message(found(leaked).fingerprint))
    record = await driver.record(found(leaked).fingerprint)
    assert record.state is State.CLOSED, record.verification
    app = driver.cloud.model.identities["reporter"]
    assert await driver.app().connections.principal_exists(app.object_id)


async def lockdown(driver: Driver) -> None:
    account = await test_lockdown.open_account(driver)
    await test_lockdown.contained(driver, account, Lockdown.SHARED_KEY)
    assert test_lockdown.is_locked(account, Lockdown.SHARED_KEY)


async def alerts(driver: Driver) -> None:
    """Alerts of other tools: read, and closed in the end."""
    account = await driver.account()
    leak, named = account_sas(account.name, account.keys["key1"]), []
    for source in ("defender", "azure-devops"):
        posted = reported_alerts.made(driver, account, source=source, text=leak)
        answer = await driver.app().http.intake.receive(reported_alerts.request(posted))
        assert answer.status_code == 202
        named.append(AlertReference.from_json(driver.cloud.model.events[-1]["data"]["alert"]))
    finding = found(leak)
    await driver.app().fast_path.ingest.receive(report(finding))
    revoked = await driver.record(finding.fingerprint)
    for alert in named:
        assert (await driver.app().background.alert_closer.close(alert, revoked)).closed


async def key_distribution(driver: Driver) -> None:
    """A new key, put where its consumers fetch it."""
    await (await test_key_distribution.rotate(driver)).key_distribution()


async def what_the_platform_gave_up_on(driver: Driver) -> None:
    await driver.app().background.dead_letters.collect()


async def readiness(driver: Driver) -> None:
    await driver.account()
    await driver.app().background.readiness.run()


async def history(driver: Driver) -> None:
    """Lines of histories, copied to the workspace and compared with the copy."""
    background = driver.app().background
    assert background.history_copier is not None
    await background.history_copier.run()
    await background.history_checks.run()


WAYS: tuple[Callable[[Driver], Awaitable[None]], ...] = (
    key_of_an_account,
    usage,
    incidents_elsewhere,
    owner_by_rights,
    policies_behind_a_firewall,
    delegation_keys,
    lockdown,
    alerts,
    key_distribution,
    what_the_platform_gave_up_on,
    readiness,
    history,
    management_group,
)


@pytest.fixture
def responder(driver: Driver) -> Identity:
    made = driver.cloud.model.identities["responder"]
    made.used.clear()
    return made


async def test_what_is_granted_is_what_is_used(driver: Driver, responder: Identity) -> None:
    for way in WAYS:
        driver.clock = Clock()  # the last way moved it on, and Azure's stands still
        await way(driver)

    # The exporter of traces has sockets of its own: tests/e2e/test_traces.py shows that it uses this one.
    assert responder.used | {PUBLISHER} == responder.rights

    used = {NAMES.get(right, right.partition("@")[0]) for right in responder.used}
    granted = {action for role in roles() for action in role["actions"]}
    assert {right for right in used if right.startswith("Microsoft.")} == granted - {JOIN}  # Azure itself asks for it
    page = DOCS.read_text().replace("`…/", "`Microsoft.Storage/storageAccounts/")
    page = re.sub(r"storageAccounts/(tables|shares)/", lambda m: f"storageAccounts/{m[1][:-1]}Services/{m[1]}/", page)
    page = page.replace("shareServices", "fileServices")
    assert [right for right in used if right not in page] == []


def test_every_line_of_the_page_names_code_that_is_there() -> None:
    lines = DOCS.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and line != "| Right | On | For |"]
    named = {row: re.findall(r"`(shared/[\w/]+\.py)`", row) for row in rows}

    assert [path for paths in named.values() for path in paths if not (ROOT / path).is_file()] == []
    assert [row for row, paths in named.items() if not paths] == []
