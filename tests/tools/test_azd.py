"""`azd up` as an operator runs it: the real azd against the local cloud.

Its hooks run the real Azure CLI where a test takes `azd_with_cli`; elsewhere a program that answers at once, since
each call of the real one takes many seconds.
"""

import base64
import io
import re
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.cloud.cloud import LocalCloud, running
from local.deployments.state import Deployments
from local.network.listener import Listener
from local.reporters import reports
from local.tenant.model import (
    CONSOLE_CLIENT_ID,
    KEY_VAULT,
    MAIL_SENDER,
    SHAREPOINT_LIST,
    SHAREPOINT_SITE,
    SUBSCRIPTION_ID,
    TENANT_DOMAIN,
)
from local.tenant.model.vault import SecretVersion
from local.tenant.senders import GITHUB_APP
from shared.domain import report as findings
from tests.support.azd import Azd, Done, copy_project, signed_in
from tests.support.azure_cli import AzureCli
from tests.support.bicep import functions
from tests.support.deployed_apps import DeployedApps
from tests.support.deployment import Deployment, is_closed
from tests.support.function_host import running_host
from tests.support.leaks import account_sas
from tests.support.patience import PATIENCE
from tests.tools.conftest import Tool

NAMED = {"AZURE_ENV_NAME": "prod"}
GROUP = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/rg-sasquash-prod"
CHOSEN = {"SASQUASH_MODE": "observe", "SASQUASH_SECURITY_MAILBOX": "security@contoso.com"}
AZ = """#!/bin/sh
case "$1 $2" in
    "storage sku") echo Standard_ZRS ;;
    "version --query") echo 2.91.0 ;;
    "account show") echo developer@contoso.com ;;
    "rest --only-show-errors") case "$*" in *Microsoft.Authorization/permissions*) echo '*|' ;; esac ;;
esac
"""


@pytest.fixture(scope="session")
async def azure(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    """A cloud without an app."""
    async with running(folder=tmp_path_factory.mktemp("azure"), hosts=0) as cloud:
        yield cloud


@pytest.fixture(scope="session")
async def healthy() -> AsyncIterator[str]:
    """The address of an app that answers 200 to everything."""

    async def answer(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    listener = Listener(Starlette(routes=[Route("/{path:path}", answer)]))
    await listener.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        await listener.stop()


@pytest.fixture(scope="session")
async def az(azure_cli_program: Path, azure: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> AzureCli:
    """The Azure CLI, signed in there."""
    cli = AzureCli(azure_cli_program, azure, folder=tmp_path_factory.mktemp("az"))
    await cli.sign_in("developer")
    return cli


@pytest.fixture
async def azd(azd_program: Tool, bicep: Tool, azure: LocalCloud, healthy: str, tmp_path: Path) -> AsyncIterator[Azd]:
    """azd with a new project, in a subscription where nothing is deployed. What will be is healthy."""
    azure.deployments.forget()
    azure.model.directory.forget()
    azure.deployments.host_of = lambda _: healthy
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(AZ)
    program.chmod(0o755)
    async with signed_in(azure) as port:
        made = Azd(azd_program.path, azure, folder=tmp_path, sign_in=port, tools=(program.parent,))
        copy_project(made.project)
        yield made


@pytest.fixture
def azd_with_cli(azd: Azd, az: AzureCli) -> Azd:
    """The same, with the real Azure CLI for its hooks."""
    variables = {
        "AZURE_CONFIG_DIR": str(az.folder),
        "AZURE_BICEP_USE_BINARY_FROM_PATH": "true",
        "AZURE_BICEP_CHECK_VERSION": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "no",
    } | {name: value for name, value in az.cloud.environment.items() if name.startswith("IDENTITY_")}
    return replace(azd, tools=(az.program.parent,), variables=variables)


async def new_environment(azd: Azd, values: Mapping[str, str]) -> None:
    """As docs/deploy.md says: a new environment, and its values."""
    assert (await azd.run("env", "new", "prod", "--no-prompt")).code == 0
    for name, value in values.items():
        assert (await azd.run("env", "set", name, value)).code == 0


async def up(azd: Azd, **variables: str) -> Done:
    """`variables` change those of CHOSEN. They are of the shell: each `azd env set` takes seconds."""
    done = await azd.run("up", "--no-prompt", **NAMED | CHOSEN | variables)
    assert done.code == 0, done.text
    return done


def deployed(azd: Azd) -> Deployments:
    return azd.cloud.deployments


def sites(azd: Azd) -> dict[str, dict[str, Any]]:
    """The apps by the service's name."""
    found = deployed(azd).resources.within(GROUP, "Microsoft.Web/sites")
    return {each["tags"]["azd-service-name"]: each for each in found}


def app_settings(azd: Azd, service: str) -> dict[str, str]:
    config = deployed(azd).resources.find(f"{sites(azd)[service]['id']}/config/appsettings")
    assert config is not None
    settings: dict[str, str] = config["properties"]
    return settings


def package(azd: Azd, service: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(deployed(azd).packages[sites(azd)[service]["name"]]))


def event_subscriptions(azd: Azd) -> list[dict[str, Any]]:
    return list(deployed(azd).resources.within(GROUP, "Microsoft.EventGrid/topics/eventSubscriptions"))


def take_hooks_of_windows(azd: Azd) -> None:
    """Have azd run the hooks for Windows, whose shell is there elsewhere, too."""
    file = azd.project / "azure.yaml"
    read = yaml.safe_load(file.read_text())
    for hook in read["hooks"].values():
        hook["posix"] = hook["windows"]
    file.write_text(yaml.safe_dump(read))


# Two apps and one


async def test_documented_steps_take_one_azd_up(azd_with_cli: Azd) -> None:
    """docs/deploy.md, steps 2 to 5 and 8: two apps, with the values of azd's environment, and people can sign in."""
    azd = azd_with_cli
    await new_environment(azd, CHOSEN)
    registered = await azd.script("scripts/create-registration.sh", "prod")
    done = await azd.run("up", "--no-prompt")
    granted = await azd.script("scripts/grant-graph.sh", "prod")
    again = await azd.run("hooks", "run", "postdeploy", "--no-prompt")

    assert (registered.code, done.code, again.code) == (0, 0, 0), registered.text + done.text + again.text
    assert (
        "Not granted: User.ReadBasic.All GroupMember.Read.All." in granted.text
    )  # the developer is no administrator
    assert "Readiness: 0 accounts ready" in again.text
    [application] = azd.cloud.model.directory.applications.values()
    console = f"https://{sites(azd)['responder']['name']}.azurewebsites.net/api/desk"
    assert app_settings(azd, "responder")["SASQUASH_API_AUDIENCES"].startswith(application["appId"])
    assert application["spa"]["redirectUris"] == [console]
    for said in ("Responder: healthy", "Intake: healthy", f"Console: {console}", "Readiness: 0 accounts ready"):
        assert said in done.text
    assert f"api://{application['appId']}" in done.text  # the command for a token
    assert "SASQUASH_RESPONDER_PRINCIPAL_ID=" in done.text  # what an administrator of Entra ID runs
    assert "eyJ" not in done.text  # a token
    assert set(sites(azd)) == set(functions())
    assert package(azd, "intake").namelist() == package(azd, "responder").namelist()
    assert app_settings(azd, "responder")["SASQUASH_MODE"] == "observe"
    [findings] = event_subscriptions(azd)
    assert findings["properties"]["destination"]["properties"]["resourceId"].startswith(sites(azd)["responder"]["id"])


async def test_one_app_with_variables_of_the_shell_alone(azd: Azd) -> None:
    """As .github/workflows/deploy.yml gives them."""
    await up(azd, SASQUASH_SEPARATE_INTAKE="false")

    assert set(sites(azd)) == {"responder"}
    assert len(deployed(azd).packages) == 1


async def test_private_network_delivers_to_the_queue_and_closes_the_responder(azd_with_cli: Azd) -> None:
    azd = azd_with_cli
    await up(azd, SASQUASH_PRIVATE_NETWORK="true")

    [findings] = event_subscriptions(azd)
    assert findings["properties"]["deliveryWithResourceIdentity"]["destination"]["endpointType"] == "StorageQueue"
    access = {name: each["properties"]["publicNetworkAccess"] for name, each in sites(azd).items()}
    assert access == {"responder": "Disabled", "intake": "Enabled"}
    assert app_settings(azd, "responder")["AzureWebJobs.on_finding.Disabled"] == "true"


async def test_network_that_becomes_private_has_one_event_subscription(azd_with_cli: Azd) -> None:
    azd = azd_with_cli
    await up(azd)
    await up(azd, SASQUASH_PRIVATE_NETWORK="true")

    [findings] = event_subscriptions(azd)
    assert "destination" not in findings["properties"]


async def test_responder_of_a_private_network_is_not_deployed_from_outside(azd: Azd) -> None:
    """ "Azure Functions networking options": with it, "you can deploy only from within your virtual network"."""
    deployed(azd).inside = False
    done = await azd.run("up", "--no-prompt", **NAMED | CHOSEN | {"SASQUASH_PRIVATE_NETWORK": "true"})

    assert done.code != 0
    assert "403" in done.text
    assert event_subscriptions(azd) == []


async def test_every_choice_arrives_as_it_was_set(azd: Azd) -> None:
    rules = '[{"name": "all", "when": {}, "then": "approve"}]'
    choices = {
        "SASQUASH_RULES": base64.b64encode(rules.encode()).decode(),
        "SASQUASH_TAG_MODES": "observe,approve",
        "SASQUASH_TAGS": "team=security,cost=42",
        "SASQUASH_ALWAYS_READY": "0",
        "SASQUASH_DRILL": "false",
        "SASQUASH_INTAKE_SENDERS": "wiz=https://kv.vault.azure.net/secrets/wiz",
    }
    await up(azd, **choices)
    settings = app_settings(azd, "responder")
    of_intake = app_settings(azd, "intake")
    scale = sites(azd)["responder"]["properties"]["functionAppConfig"]["scaleAndConcurrency"]

    assert settings["SASQUASH_RULES"] == rules
    assert of_intake["SASQUASH_INTAKE_SENDERS"] == choices["SASQUASH_INTAKE_SENDERS"]
    assert (scale["alwaysReady"], settings["SASQUASH_DRILL_ACCOUNT"]) == ([], "")
    assert sites(azd)["responder"]["tags"]["cost"] == "42"


async def test_second_deployment_changes_only_what_was_changed(azd: Azd) -> None:
    await up(azd)
    before = deployed(azd).resources.ids()
    await up(azd, SASQUASH_MODE="approve")

    added = {each.rpartition("/providers/")[2].partition("/")[0] for each in deployed(azd).resources.ids() - before}
    assert added == {"Microsoft.Authorization"}  # the rights to act
    assert app_settings(azd, "responder")["SASQUASH_MODE"] == "approve"


# What azd asks for, and refuses


@pytest.mark.parametrize("missing", CHOSEN)
async def test_azd_asks_for_what_has_no_default(azd: Azd, missing: str) -> None:
    done = await azd.run("up", "--no-prompt", **NAMED | {n: value for n, value in CHOSEN.items() if n != missing})

    assert done.code != 0
    assert {"SASQUASH_MODE": "mode", "SASQUASH_SECURITY_MAILBOX": "securityMailbox"}[missing] in done.text
    assert deployed(azd).resources.ids() == frozenset()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SASQUASH_MODE", "automatic", "not part of the allowed value"),
        ("SASQUASH_AT_DEADLINE", "later", "not part of the allowed value"),
        (
            "SASQUASH_INCIDENT_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "Put the secret into the key vault",
        ),
    ],
)
async def test_wrong_value_is_refused_before_anything_is_deployed(azd: Azd, name: str, value: str, said: str) -> None:
    done = await azd.run("up", "--no-prompt", **NAMED | CHOSEN | {name: value})

    assert done.code != 0
    assert said in " ".join(done.text.split())
    assert deployed(azd).resources.ids() == frozenset()


# Hooks


@pytest.mark.parametrize("shell", ["sh", "pwsh"])
async def test_region_without_zones_is_named_before_anything_is_deployed(
    azd_with_cli: Azd, shell: str, request: pytest.FixtureRequest
) -> None:
    azd = azd_with_cli
    if shell == "pwsh":
        request.getfixturevalue("pwsh")
        take_hooks_of_windows(azd)
    done = await azd.run("up", "--no-prompt", **NAMED | CHOSEN | {"AZURE_LOCATION": "northcentralus"})

    assert done.code != 0
    assert "azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS" in done.text
    assert deployed(azd).resources.ids() == frozenset()


async def test_region_without_zones_takes_locally_redundant_storage(azd_with_cli: Azd) -> None:
    azd = azd_with_cli
    await up(azd, SASQUASH_STORAGE_REDUNDANCY="Standard_LRS", AZURE_LOCATION="northcentralus")

    assert set(sites(azd)) == set(functions())


@pytest.mark.usefixtures("pwsh")
async def test_hooks_of_windows_deploy_the_same(azd_with_cli: Azd) -> None:
    azd = azd_with_cli
    take_hooks_of_windows(azd)
    await up(azd)

    assert len(event_subscriptions(azd)) == 1


@pytest.mark.parametrize("shell", ["sh", "pwsh"])
async def test_failing_hook_fails_azd(azd_with_cli: Azd, shell: str, request: pytest.FixtureRequest) -> None:
    """Azure refuses the event subscription of a function that is not there."""
    azd = azd_with_cli
    if shell == "pwsh":
        request.getfixturevalue("pwsh")
        take_hooks_of_windows(azd)
    template = azd.project / "infra/event-subscription.bicep"
    template.write_text(template.read_text().replace("functions/on_finding", "functions/on_findings"))
    done = await azd.run("up", "--no-prompt", **NAMED | CHOSEN)

    assert done.code != 0
    assert "Destination endpoint not found" in done.text
    assert event_subscriptions(azd) == []


# Preview, package, removal


async def test_preview_shows_what_would_be_created_and_creates_nothing(azd: Azd) -> None:
    done = await azd.run("provision", "--preview", "--no-prompt", **NAMED | CHOSEN)

    assert done.code == 0, done.text
    created = re.findall(r"Create\s*:[^:]+:\s*(\S+)", done.text)
    assert {name.partition("-")[0] for name in created} >= {"rg", "log", "appi", "func"}
    assert deployed(azd).resources.ids() == frozenset()


async def test_package_has_nothing_of_a_used_checkout(azd: Azd) -> None:
    """`azd restore` leaves an environment of Python, 90 MB, named after the folder."""
    left = azd.project / "sasquash_env"
    (left / "lib").mkdir(parents=True)
    (left / "lib/big.py").write_text("x = 1\n")
    for name in (".venv/lib/a.py", "node_modules/a/b.js", ".local/env", ".azure/test/.env", "__pycache__/a.pyc"):
        (azd.project / name).parent.mkdir(parents=True, exist_ok=True)
        (azd.project / name).write_text("secret")
    await up(azd)

    names = {name.partition("/")[0] for name in package(azd, "responder").namelist()}
    assert names == {"function_app.py", "host.json", "requirements.txt", "shared", "LICENSE"}


SECRETS = "https://sasquash-vault.vault.azure.net/secrets"
REPORTED = {
    "SASQUASH_MODE": "auto",
    "SASQUASH_MAIL_SENDER": MAIL_SENDER,
    "SASQUASH_MAIL_DOMAINS": TENANT_DOMAIN,
    "SASQUASH_INCIDENT_SITE": SHAREPOINT_SITE,
    "SASQUASH_INCIDENT_LIST": SHAREPOINT_LIST,
    "SASQUASH_GITHUB_APP": GITHUB_APP,
    "SASQUASH_GITHUB_PRIVATE_KEY": f"{SECRETS}/github-key",
    "SASQUASH_GITHUB_WEBHOOK_SECRET": f"{SECRETS}/github-webhook",
    "SASQUASH_API_CLIENT_ID": CONSOLE_CLIENT_ID,
    "SASQUASH_DRILL": "false",  # the local cloud has no account for it
}


def store_secrets(cloud: LocalCloud) -> None:
    """What an operator puts into the vault (docs/deploy.md)."""
    values = cloud.model.senders.settings()
    vault = cloud.model.vaults[KEY_VAULT]
    vault.add("github-key", SecretVersion(values["SASQUASH_GITHUB_PRIVATE_KEY"]))
    vault.add("github-webhook", SecretVersion(values["SASQUASH_GITHUB_WEBHOOK_SECRET"]))


async def test_uploaded_packages_start_and_revoke_a_leak_with_what_was_deployed(
    azd_with_cli: Azd, tmp_path: Path
) -> None:
    """All app settings, roles, tables, queues and containers are those of the deployment (`DeployedApps`)."""
    azd = azd_with_cli
    await up(azd, **REPORTED)
    for service in sites(azd):
        package(azd, service).extractall(tmp_path / service)
    apps = DeployedApps(deployed(azd), GROUP)

    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(
            running(folder=tmp_path / "cloud", hosts=0, own_storage=apps.own_storage())
        )
        await cloud.add_intake()
        apps.grant(cloud.model)
        store_secrets(cloud)
        hosts = {}
        for service in ("responder", "intake"):
            variables = dict(cloud.platform[service]) | apps.settings(service, cloud.model)
            host = running_host(tmp_path / service, tmp_path / f"{service}.log", variables)
            hosts[service] = await stack.enter_async_context(host)
        if event_subscriptions(azd):
            await cloud.event_grid.deliver_to((hosts["responder"].url,), cloud.system_key)
        client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=PATIENCE))
        health = [(await client.get(f"{host.url}/api/health")).text for host in hosts.values()]

        deployment = Deployment(cloud)
        account = await deployment.account()
        leak = account_sas(account.name, account.keys["key2"])
        posted = reports.make(cloud.model, cloud.entra, source="github", text=leak)
        url = f"{hosts['intake'].url}/api/intake/github"
        answer = await client.post(url, content=posted.body, headers=posted.headers)
        assert (health, answer.status_code) == (['{"status":"ok"}'] * 2, 202), hosts["intake"].log
        [reported] = findings.in_text(leak, source="github", url=None, detected_at=datetime.now(UTC))
        fingerprint = reported.finding.fingerprint
        await deployment.settled(fingerprint, until=is_closed)
        # What the revocation itself can do without: the index of states, and the table of the daily check.
        reader = {"Authorization": f"Bearer {cloud.environment['SASQUASH_TOKEN_READER']}"}
        api = f"{hosts['responder'].url}/api"
        closed = await client.get(f"{api}/revocations?state=closed", headers=reader)
        readiness = await client.get(f"{api}/readiness", headers=reader)

    assert deployment.rotations(account) == ["key2"]
    assert [each["id"] for each in closed.json()["revocations"]] == [fingerprint]
    assert readiness.status_code == 200


async def test_down_deletes_the_group(azd: Azd) -> None:
    await up(azd)
    done = await azd.run("down", "--force", "--purge", "--no-prompt", **NAMED | CHOSEN)

    assert done.code == 0, done.text
    assert list(deployed(azd).resources.within(GROUP)) == []
