"""The apps of a deployment of infra/, as hosts of the local cloud run them.

A host gets all app settings of the deployed app, its identity the roles that were assigned, and Sasquash's own
storage what was created there. What Azure chose at run time has another value in the local cloud: `_replaced` lists
all of it. Rights in Graph and Exchange are not of infra/: scripts/grant-graph.sh and grant-exchange.ps1 grant them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from local.cloud.provisioning import OwnStorage
from local.deployments.resources import ASSIGNMENT, SITE, STORAGE
from local.deployments.state import Deployments
from local.monitor import insights
from local.network.hostnames import APP_HOST, INSIGHTS_HOST
from local.tenant.model import INTAKE_ACCOUNT, KEY_VAULT, STATE_ACCOUNT, TOPIC_HOST, Cloud

# learn.microsoft.com, "Azure built-in roles": what the local cloud calls each.
_STORAGE_ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
}
_OTHER_ROLES = {
    "4633458b-17de-408a-b874-0445c86b69e6": f"Key Vault Secrets User@{KEY_VAULT}",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher@insights",
    "d5a91429-5739-47e2-a06b-3470a27159e7": "EventGrid/events/send",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader@SasquashHistory_CL",
}
_BY_SCRIPTS = {
    "responder": frozenset({"User.ReadBasic.All", "GroupMember.Read.All", "Sites.Selected", "Mail.Send"}),
    "intake": frozenset(),
}
_DELEGATOR = "Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"


@dataclass(frozen=True)
class DeployedApps:
    """The deployed resources of one environment."""

    state: Deployments
    group: str

    def own_storage(self) -> OwnStorage:
        """What was created in Sasquash's own account."""
        names = {
            kind: tuple(
                each["name"]
                for each in self._of(f"{STORAGE}/{kind}")
                if f"/{self._account(STATE_ACCOUNT)}/" in each["id"]
            )
            for kind in ("tableservices/tables", "queueservices/queues", "blobservices/containers")
        }
        return OwnStorage(*names.values())

    def grant(self, cloud: Cloud) -> None:
        """Give the identities of the local cloud the assigned roles, and no others."""
        for service, by_scripts in _BY_SCRIPTS.items():
            identity = cloud.identities[service]
            cloud.identities[service] = replace(identity, rights=frozenset(self._rights(service)) | by_scripts)

    def settings(self, service: str, cloud: Cloud) -> dict[str, str]:
        """The app settings of a deployed app, with the names of the local cloud."""
        [site] = [each for each in self._of(SITE) if each["tags"]["azd-service-name"] == service]
        config = self.state.resources.find(f"{site['id']}/config/appsettings")
        assert config is not None
        settings = {name: str(value) for name, value in config["properties"].items() if name != "provisioningState"}
        for old, new in self._replaced(cloud).items():
            settings = {name: value.replace(old, new) for name, value in settings.items()}
        return settings

    def _replaced(self, cloud: Cloud) -> dict[str, str]:
        """What Azure chose, and what it is in the local cloud."""
        [topic] = self._of("microsoft.eventgrid/topics")
        components = self._of("microsoft.insights/components")  # one for each app
        connection = insights.connection_string(INSIGHTS_HOST)
        sites = {each["tags"]["azd-service-name"]: each["properties"] for each in self._of(SITE)}
        return {
            self._account(STATE_ACCOUNT): STATE_ACCOUNT,
            self._account(INTAKE_ACCOUNT): INTAKE_ACCOUNT,
            topic["properties"]["endpoint"]: f"https://{TOPIC_HOST}/api/events",
            **{each["properties"]["ConnectionString"]: connection for each in components},
            sites["responder"]["defaultHostName"]: APP_HOST,
            sites["intake"]["defaultHostName"]: APP_HOST,
        } | {self._identity(service)["clientId"]: cloud.identities[service].client_id for service in _BY_SCRIPTS}

    def _rights(self, service: str) -> Iterator[str]:
        principal = self._identity(service)["principalId"]
        subscription = self.group.rpartition("/resourceGroups/")[0]
        for each in self.state.resources.within(subscription, ASSIGNMENT):
            if each["properties"]["principalId"] != principal:
                continue
            scope = each["id"].partition("/providers/Microsoft.Authorization/")[0]
            role = each["properties"]["roleDefinitionId"].rpartition("/")[2]
            if role in _STORAGE_ROLES:
                yield f"{_STORAGE_ROLES[role]}@{self._local(scope)}"
            elif role in _OTHER_ROLES:
                yield _OTHER_ROLES[role]
            else:
                definition = self.state.resources.find(each["properties"]["roleDefinitionId"])
                assert definition is not None
                for action in definition["properties"]["permissions"][0]["actions"]:
                    yield "Storage Blob Delegator@*" if action == _DELEGATOR else action

    def _local(self, scope: str) -> str:
        """The account of a scope as the local cloud names it, and after "/" its queue, if there is one."""
        name, _, queue = scope.partition("/storageAccounts/")[2].partition("/queueServices/default/queues/")
        account = {self._account(local): local for local in (STATE_ACCOUNT, INTAKE_ACCOUNT)}[name]
        return f"{account}/{queue}" if queue else account

    def _account(self, local: str) -> str:
        """The name of the deployed storage account that stands for one of the local cloud."""
        names = {each["name"] for each in self._of(STORAGE)}
        [intake] = [name for name in names if name.startswith("stsqin")]
        [own] = [name for name in names if not name.startswith(("stsqin", "stsqdrill"))]
        return {STATE_ACCOUNT: own, INTAKE_ACCOUNT: intake}[local]

    def _identity(self, service: str) -> dict[str, Any]:
        kind = "microsoft.managedidentity/userassignedidentities"
        [found] = [each["properties"] for each in self._of(kind) if each["name"].endswith(f"-{service}")]
        properties: dict[str, Any] = found
        return properties

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return list(self.state.resources.within(self.group, kind))
