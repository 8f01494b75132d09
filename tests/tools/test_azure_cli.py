"""Every Azure CLI command that the product writes into mails and docs, run by the real CLI against the local cloud.

What a command did is checked in the cloud's model.
"""

from collections.abc import Iterable

import pytest
from azure.storage.blob import PublicAccess
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.cloud.cloud import LocalCloud
from local.storage import file_service
from local.tenant.model import AccessPolicy, Account, SignedIdentifier
from shared.actions.registry import ACTION_SPECS
from shared.actions.stored_policy import list_policies_command
from shared.domain.target import ActionKind, PolicyTarget
from shared.domain.text import Code, RichText
from shared.followup.briefing.commands import issue_instead, list_versions, make_private, undelete
from shared.followup.briefing.recommendations import hardening
from shared.sas import Service
from tests.support import samples
from tests.support.azure_cli import AzureCli, CliError
from tests.support.cloud_clients import browser, new_account, options
from tests.support.paths import ROOT

RESOURCES = {Service.BLOB: "models", Service.QUEUE: "jobs", Service.TABLE: "Orders", Service.FILE: "homes"}
POLICIES = ("partners", "customers = 1")  # the second one needs quotes
EXPIRY, ENDED = "2051-01-01T00:00:00Z", "2000-01-01T00:00:00Z"


@pytest.fixture
async def account(cloud: LocalCloud) -> Account:
    """An account in a resource group whose name needs quotes in a shell."""
    made = await new_account(cloud)
    made.resource_group = "models(eu)"
    return made


def by_hand(action: ActionKind, account: Account, target: str) -> Code:
    command = ACTION_SPECS[action].by_hand(account.id, target)
    assert command is not None
    return command


def commands_in(text: RichText) -> list[str]:
    """The commands in a text that people read."""
    return [part.code for part in text.parts if isinstance(part, Code) and part.code.startswith("az ")]


def completed(command: str, account: Account) -> str:
    """A command of a text, which leaves it to the reader to name the account."""
    return f"{command} --resource-group '{account.resource_group}' --name {account.name}"


def blobs(cloud: LocalCloud, account: Account) -> BlobServiceClient:
    url = f"https://{account.name}.blob.core.windows.net"
    return BlobServiceClient(url, credential=account.keys["key1"], **options(cloud))


async def container(cloud: LocalCloud, account: Account, *, public: PublicAccess | None = None) -> None:
    async with blobs(cloud, account) as service:
        await service.create_container("models", public_access=public)


async def policies(cloud: LocalCloud, account: Account, service: Service) -> None:
    """Create a container, queue, table or share with two stored access policies."""
    resource = RESOURCES[service]
    if service is Service.BLOB:
        await container(cloud, account, public=PublicAccess.BLOB)
    elif service is Service.QUEUE:
        url = f"https://{account.name}.queue.core.windows.net"
        async with QueueServiceClient(url, credential=account.keys["key1"], **options(cloud)) as queues:
            await queues.create_queue(resource)
    elif service is Service.TABLE:
        assert cloud.model.tables is not None
        await cloud.model.tables.create_table(account.name, resource)
    else:
        file_service.create(account, resource)
    policy = AccessPolicy(expiry=EXPIRY, permission="r")
    account.policies[(service, key_of(service))] = tuple(SignedIdentifier(name, policy) for name in POLICIES)


def key_of(service: Service) -> str:
    return RESOURCES[service].lower() if service is Service.TABLE else RESOURCES[service]


def ends(account: Account, service: Service) -> dict[str, str | None]:
    """The end of each policy, as it was written."""
    identifiers: Iterable[SignedIdentifier] = account.policies[(service, key_of(service))]
    return {each.id: each.policy and each.policy.expiry for each in identifiers}


async def public_access(cloud: LocalCloud, account: Account) -> str | None:
    assert cloud.model.tables is not None
    return (await cloud.model.tables.containers(account.name))["models"]


# Of the actions, as the mails have them


@pytest.mark.parametrize(("target", "other"), [("key1", "key2"), ("key2", "key1")])
async def test_command_regenerates_the_one_key(
    azure_cli: AzureCli, account: Account, target: str, other: str
) -> None:
    before = dict(account.keys)
    await azure_cli.run(by_hand(ActionKind.ACCOUNT_KEY, account, target))

    assert [key for key, _ in account.rotations] == [target]
    assert account.keys[target] != before[target]
    assert account.keys[other] == before[other]


async def test_command_prints_the_new_key(azure_cli: AzureCli, account: Account) -> None:
    command = ACTION_SPECS[ActionKind.ACCOUNT_KEY].afterwards(account.id, "key2")

    assert command is not None
    assert await azure_cli.run(command) == account.keys["key2"]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("service", RESOURCES)
async def test_command_ends_the_one_policy(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account, service: Service, policy: str
) -> None:
    await policies(cloud, account, service)
    target = PolicyTarget(service, RESOURCES[service], policy)
    await azure_cli.run(by_hand(ActionKind.STORED_POLICY, account, str(target)))

    after = ends(account, service)
    assert after.pop(policy, "").startswith(ENDED[:10])
    assert [end[:10] if end else end for end in after.values()] == [EXPIRY[:10]]
    if service is Service.BLOB:
        assert await public_access(cloud, account) == "Blob"  # Set Container ACL without its header removes it


@pytest.mark.parametrize("service", RESOURCES)
async def test_command_lists_the_policies(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account, service: Service
) -> None:
    await policies(cloud, account, service)
    command = list_policies_command(account.id, PolicyTarget(service, RESOURCES[service], "partners"))

    assert command is not None
    listed = await azure_cli.run(command)
    assert all(name in listed for name in POLICIES)


async def test_command_revokes_user_delegation_tokens(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account
) -> None:
    url = await issued(azure_cli, cloud, account)
    async with browser(cloud) as http:
        before = await http.get(url)
        await azure_cli.run(by_hand(ActionKind.DELEGATION_KEY, account, ""))
        after = await http.get(url)

    assert (before.status_code, after.status_code) == (200, 403)


# Of the advice in the mails


async def issued(azure_cli: AzureCli, cloud: LocalCloud, account: Account) -> str:
    """The URL that the command for a safer token prints."""
    await container(cloud, account)
    async with blobs(cloud, account) as service:
        await service.get_blob_client("models", "a b/model.ckpt").upload_blob(b"weights")
    command = issue_instead(account.id, "models", "a b/model.ckpt")
    assert command is not None
    return (await azure_cli.run(command)).strip('"')


async def test_command_for_a_safer_token_issues_one_that_reads_one_blob(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account
) -> None:
    url = await issued(azure_cli, cloud, account)
    async with browser(cloud) as http:
        read = await http.get(url)
        written = await http.put(url, headers={"x-ms-blob-type": "BlockBlob"}, content=b"x")
        elsewhere = await http.get(url.replace("model.ckpt", "other.ckpt"))

    assert (read.content, written.status_code, elsewhere.status_code) == (b"weights", 403, 403)


async def test_command_makes_a_container_private(azure_cli: AzureCli, cloud: LocalCloud, account: Account) -> None:
    await policies(cloud, account, Service.BLOB)
    await azure_cli.run(str(make_private(account.name, "models")))

    assert await public_access(cloud, account) == "None"
    assert ends(account, Service.BLOB) == dict.fromkeys(POLICIES, EXPIRY)


async def test_command_lists_versions_of_a_blob(azure_cli: AzureCli, cloud: LocalCloud, account: Account) -> None:
    """Azurite has no versions: only the request is checked."""
    await container(cloud, account)
    command = str(list_versions(account.name)).replace("CONTAINER", "models").replace("BLOB", "model")
    await azure_cli.run(command)

    assert any("include=versions" in url and "prefix=model" in url for url in requests(cloud, account))


async def test_command_restores_a_deleted_blob(azure_cli: AzureCli, cloud: LocalCloud, account: Account) -> None:
    """Azurite has no soft delete: only the request is checked."""
    await container(cloud, account)
    command = str(undelete(account.name)).replace("CONTAINER", "models").replace("BLOB", "model.ckpt")
    with pytest.raises(CliError):
        await azure_cli.run(command)

    assert any("/models/model.ckpt?comp=undelete" in url for url in requests(cloud, account))


def requests(cloud: LocalCloud, account: Account) -> list[str]:
    return [request.url for request in cloud.model.requests if f"//{account.name}.blob" in request.url]


async def test_commands_against_long_lived_tokens_change_only_what_they_name(
    azure_cli: AzureCli, account: Account
) -> None:
    before = dict(account.properties)
    record = samples.revocation(account=samples.account(), execution=samples.execution())
    period, shared_key = commands_in(hardening(record)[0])
    await azure_cli.run(completed(period, account))
    policy = account.properties["sasPolicy"]
    await azure_cli.run(completed(shared_key, account))

    assert policy == {"sasExpirationPeriod": "7.00:00:00", "expirationAction": "Log"}
    assert account.properties["allowSharedKeyAccess"] is False
    assert account.properties["networkAcls"]["defaultAction"] == before["networkAcls"]["defaultAction"]
    assert account.tags == {}


async def test_command_after_a_key_that_stays_accepted_disallows_shared_key(
    azure_cli: AzureCli, account: Account
) -> None:
    [command] = commands_in(ACTION_SPECS[ActionKind.ACCOUNT_KEY].still_accepted_text)
    await azure_cli.run(completed(command, account))

    assert account.properties["allowSharedKeyAccess"] is False


async def test_command_locks_the_network(azure_cli: AzureCli, account: Account) -> None:
    """shared/actions/lockdown_settings.py names it for an account with too many rules: those stay."""
    rules = [{"value": "203.0.113.7", "action": "Allow"}]
    account.properties["networkAcls"] = {"bypass": "Logging, Metrics", "defaultAction": "Allow", "ipRules": rules}
    await azure_cli.run(completed("az storage account update --default-action Deny", account))

    after = account.properties["networkAcls"]
    assert (after["defaultAction"], after["ipRules"]) == ("Deny", rules)
    assert {part.strip() for part in after["bypass"].split(",")} == {"Logging", "Metrics"}


# Of the docs


def documented(page: str = "responders.md", section: str = "## By hand") -> list[str]:
    """The commands of the first block of a section, each on one line."""
    text = (ROOT / "docs" / page).read_text()
    block = text.split(section, 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return block.replace("\\\n", " ").strip().splitlines()


@pytest.mark.parametrize(
    ("group", "service"), [("queue", Service.QUEUE), ("table", Service.TABLE), ("share", Service.FILE)]
)
async def test_documented_command_ends_a_policy_of_another_service_with_the_documented_changes(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account, group: str, service: Service
) -> None:
    await policies(cloud, account, service)
    [command] = [each for each in documented() if " policy " in each]
    changed = command.replace("container", group).replace("--auth-mode key", "").replace("models", RESOURCES[service])
    await azure_cli.run(changed.replace("<account>", account.name))

    assert (ends(account, service)["partners"] or "").startswith(ENDED[:10])


async def test_documented_commands_revoke_each_kind_of_credential(
    azure_cli: AzureCli, cloud: LocalCloud, account: Account
) -> None:
    await policies(cloud, account, Service.BLOB)
    commands = documented()
    for command in commands:
        named = command.replace("<group>", f"'{account.resource_group}'").replace("<account>", account.name)
        await azure_cli.run(named)

    assert len(commands) == 4
    assert [key for key, _ in account.rotations] == ["key2"]
    assert (ends(account, Service.BLOB)["partners"] or "").startswith(ENDED[:10])
    assert account.delegation_keys_revoked_at is not None
    assert account.properties["allowSharedKeyAccess"] is False


async def test_documented_command_turns_logging_on(azure_cli: AzureCli, cloud: LocalCloud, account: Account) -> None:
    """The local cloud only reads diagnostic settings: that the request arrives there is checked."""
    [command] = documented("operations.md", "| `log` |")
    workspace = f"{account.id.partition('/providers/')[0]}/providers/Microsoft.OperationalInsights/workspaces/contoso"
    named = command.replace("<workspace id>", f"'{workspace}'").replace("<account id>", f"'{account.id}'")
    with pytest.raises(CliError, match="InvalidResourceType"):
        await azure_cli.run(named)

    path = f"/{account.name}/blobServices/default/providers/microsoft.insights/diagnosticSettings/usage"
    assert any(path.lower() in request.url.lower() for request in cloud.model.requests if request.method == "PUT")
