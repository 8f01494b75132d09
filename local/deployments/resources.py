"""The deployed resources, what the platform adds to each, and what it refuses.

Sources: the operations' pages of learn.microsoft.com/rest/api ("Create or update") and "Troubleshoot common Azure
deployment errors" for codes. A type that is not in `_KNOWN` is refused: nothing is deployed unchecked.
"""

import copy
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from local.arm.protocol import ArmError
from local.deployments.expressions import member
from local.tenant.model import TENANT_ID

ASSIGNMENT = "microsoft.authorization/roleassignments"
GROUP = "microsoft.resources/resourcegroups"
SITE = "microsoft.web/sites"
STORAGE = "microsoft.storage/storageaccounts"

ZONED = frozenset({"westeurope", "northeurope", "eastus", "swedencentral"})
"""Regions with availability zones ("List of Azure regions"); other regions here have none."""
REGIONS = ZONED | {"northcentralus", "westus"}

_NAMES = {
    STORAGE: re.compile(r"[a-z0-9]{3,24}"),
    "microsoft.keyvault/vaults": re.compile(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]"),
    SITE: re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]"),
    "microsoft.eventgrid/topics": re.compile(r"[A-Za-z0-9-]{3,50}"),
    ASSIGNMENT: re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "microsoft.authorization/roledefinitions": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    GROUP: re.compile(r"[-\w._()]{1,90}"),
}
"""learn.microsoft.com, "Naming rules and restrictions for Azure resources"."""

_KNOWN = frozenset(_NAMES) | {
    "microsoft.eventgrid/topics/eventsubscriptions",
    "microsoft.insights/actiongroups",
    "microsoft.insights/components",
    "microsoft.insights/diagnosticsettings",
    "microsoft.insights/metricalerts",
    "microsoft.insights/scheduledqueryrules",
    "microsoft.insights/webtests",
    "microsoft.insights/workbooks",
    "microsoft.managedidentity/userassignedidentities",
    "microsoft.network/networksecuritygroups",
    "microsoft.network/privatednszones",
    "microsoft.network/privatednszones/virtualnetworklinks",
    "microsoft.network/privateendpoints",
    "microsoft.network/privateendpoints/privatednszonegroups",
    "microsoft.network/virtualnetworks",
    "microsoft.insights/datacollectionrules",
    "microsoft.operationalinsights/workspaces",
    "microsoft.operationalinsights/workspaces/tables",
    f"{STORAGE}/blobservices",
    f"{STORAGE}/blobservices/containers",
    f"{STORAGE}/managementpolicies",
    f"{STORAGE}/queueservices",
    f"{STORAGE}/queueservices/queues",
    f"{STORAGE}/tableservices",
    f"{STORAGE}/tableservices/tables",
    "microsoft.web/serverfarms",
    f"{SITE}/basicpublishingcredentialspolicies",
    f"{SITE}/config",
}
_NOT_ON_FLEX = re.compile(
    r"FUNCTIONS_(WORKER_RUNTIME|EXTENSION_VERSION)|SCM_DO_BUILD_DURING_DEPLOYMENT|ENABLE_ORYX_BUILD"
    r"|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT\w*"
)
"""learn.microsoft.com, "App settings reference for Azure Functions", "Flex Consumption plan deprecations"."""


class Resources:
    """Resources by id, in lower case; each as `GET` returns it, with its type in lower case under `kind`."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[str, Any]] = {}
        self.functions: dict[str, frozenset[str]] = {}
        """The functions of the package that was published to each app, by the app's name in lower case."""

    def copied(self) -> "Resources":
        """Return the same resources, to try a deployment on."""
        other = Resources()
        other._by_id = copy.deepcopy(self._by_id)
        other.functions = dict(self.functions)
        return other

    def find(self, resource_id: str) -> dict[str, Any] | None:
        return self._by_id.get(resource_id.lower())

    def ids(self) -> frozenset[str]:
        return frozenset(each["id"] for each in self._by_id.values())

    def within(self, scope: str, kind: str = "") -> Iterator[dict[str, Any]]:
        """The resources below a scope, of a type."""
        start = f"{scope.lower().rstrip('/')}/"
        for key, each in self._by_id.items():
            if key.startswith(start) and (not kind or each["kind"] == kind.lower()):
                yield each

    def remove(self, scope: str) -> None:
        """Delete a resource and what is below it."""
        start = scope.lower().rstrip("/")
        self._by_id = {
            key: each for key, each in self._by_id.items() if key != start and not key.startswith(f"{start}/")
        }

    def put(self, resource_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace a resource, as its provider does. Raises ArmError."""
        kind = body["type"].lower()
        if kind not in _KNOWN:
            raise ArmError(400, "InvalidResourceType", f"The resource type '{body['type']}' could not be found.")
        last = resource_id.rpartition("/")[2]
        if (names := _NAMES.get(kind)) and not names.fullmatch(last):
            raise ArmError(400, "InvalidResourceName", f"'{last}' is not a valid name of a '{body['type']}'.")
        self._require_parent(resource_id, kind)
        self._check(resource_id, kind, body)
        before = self.find(resource_id)
        found = {
            **{
                name: value for name, value in body.items() if name not in ("dependsOn", "copy", "condition", "scope")
            },
            "id": resource_id,
            "name": last,
            "kind": kind,
            "properties": {**(body.get("properties") or {}), **self._added(resource_id, kind, body, before)},
        }
        if (body.get("identity") or {}).get("type") == "SystemAssigned":
            known = (before or {}).get("identity") or {"principalId": str(uuid.uuid4()), "tenantId": TENANT_ID}
            found["identity"] = {**body["identity"], **known}
        self._by_id[resource_id.lower()] = found
        return found

    def _require_parent(self, resource_id: str, kind: str) -> None:
        """What a child or an extension belongs to has to be there; of subscriptions, this is not checked."""
        parent = resource_id.rpartition("/providers/")[0] if kind in _EXTENSIONS else resource_id
        if kind not in _EXTENSIONS and kind.count("/") > 1:
            parent = "/".join(resource_id.split("/")[:-2])
        if parent == resource_id or re.fullmatch(r"/subscriptions/[^/]+", parent):
            return
        if self.find(parent) is None and not _is_default_service(parent, self):
            raise ArmError(
                404,
                "ParentResourceNotFound",
                f"Failed to perform '{kind}' on '{resource_id}': '{parent}' was not found.",
            )

    def _check(self, resource_id: str, kind: str, body: Mapping[str, Any]) -> None:
        if kind == ASSIGNMENT:
            self._check_assignment(resource_id, body["properties"])
        elif kind == STORAGE and body["sku"]["name"] == "Standard_ZRS" and body["location"] not in ZONED:
            raise ArmError(
                400,
                "RedundancyConfigurationNotAvailableInRegion",
                f"The requested storage account redundancy 'ZRS' is not available in region '{body['location']}'.",
            )
        elif kind == f"{SITE}/config" and resource_id.lower().endswith("/appsettings"):
            for name, value in body["properties"].items():
                if not isinstance(value, str) or _NOT_ON_FLEX.fullmatch(name):
                    raise ArmError(
                        400, "BadRequest", f"The app setting '{name}' is not allowed with Flex Consumption."
                    )
        elif kind == "microsoft.eventgrid/topics/eventsubscriptions":
            self._check_delivery(resource_id, body["properties"])

    def _check_assignment(self, resource_id: str, properties: Mapping[str, Any]) -> None:
        principals = {
            each["properties"].get("principalId") for each in self._by_id.values() if each["kind"] != ASSIGNMENT
        }
        principals |= {(each.get("identity") or {}).get("principalId") for each in self._by_id.values()}
        if properties["principalId"] not in principals:
            raise ArmError(400, "PrincipalNotFound", f"Principal {properties['principalId']} does not exist.")
        scope = resource_id.rpartition("/providers/")[0].lower()
        for each in self.within(scope, ASSIGNMENT):
            same_scope = each["id"].rpartition("/providers/")[0].lower() == scope
            same_name = each["id"].lower() == resource_id.lower()
            same = all(each["properties"][name] == properties[name] for name in ("principalId", "roleDefinitionId"))
            if same_scope and same and not same_name:
                raise ArmError(409, "RoleAssignmentExists", "The role assignment already exists.")
            if same_name and not same:
                raise ArmError(
                    400,
                    "RoleAssignmentUpdateNotPermitted",
                    "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
                )

    def _check_delivery(self, resource_id: str, properties: Mapping[str, Any]) -> None:
        """One of `destination` and `deliveryWithResourceIdentity` (EventSubscriptionProperties of 2025-02-15).

        Only queues and the like take events by an identity of the topic: "Event delivery with a managed identity".
        """
        by_identity, direct = properties.get("deliveryWithResourceIdentity"), properties.get("destination")
        if by_identity is None and direct is not None:
            self._check_function(direct)
            return
        if by_identity is None or direct is not None:
            raise ArmError(400, "InvalidRequest", "Exactly one destination must be specified.")
        topic = self.find(resource_id.rpartition("/eventSubscriptions/")[0]) or {}
        if by_identity["identity"]["type"] != "SystemAssigned" or "principalId" not in (topic.get("identity") or {}):
            raise ArmError(400, "InvalidRequest", "The topic has no such identity.")
        self._check_queue(by_identity["destination"])

    def _check_queue(self, destination: Mapping[str, Any]) -> None:
        """The account and the queue have to be there."""
        queue = destination["properties"]
        name = f"{queue['resourceId']}/queueServices/default/queues/{queue['queueName']}"
        lives = queue.get("queueMessageTimeToLiveInSeconds", 1)
        if destination["endpointType"] != "StorageQueue" or (lives != -1 and lives <= 0):
            raise ArmError(400, "InvalidRequest", "The destination is invalid.")
        if self.find(name) is None:
            raise ArmError(400, "Endpoint validation", f"Destination endpoint not found. Resource details: {name}")

    def _check_function(self, destination: Mapping[str, Any]) -> None:
        """Azure/bicep#11656: Event Grid asks at once whether the function is there."""
        app, _, function = destination["properties"]["resourceId"].partition("/functions/")
        if function not in self.functions.get(app.rpartition("/")[2].lower(), ()):
            raise ArmError(400, "Endpoint validation", "Destination endpoint not found. Resource details: " + app)

    def _added(
        self, resource_id: str, kind: str, body: Mapping[str, Any], before: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What the provider adds to the properties; ids that it chose stay."""
        name, location = resource_id.rpartition("/")[2], body.get("location")
        added: dict[str, Any] = {"provisioningState": "Succeeded"}
        if kind == "microsoft.managedidentity/userassignedidentities":
            known = (before or {}).get("properties", {})
            added |= {each: known.get(each) or str(uuid.uuid4()) for each in ("principalId", "clientId")}
            added["tenantId"] = TENANT_ID
        elif kind == "microsoft.eventgrid/topics":
            added["endpoint"] = f"https://{name}.{location}-1.eventgrid.azure.net/api/events"
        elif kind == SITE:
            host = f"{name.lower()}.azurewebsites.net"
            scm = f"{name.lower()}.scm.azurewebsites.net"
            added |= {"defaultHostName": host, "hostNames": [host], "state": "Running", "enabled": True}
            added["hostNameSslStates"] = [
                {"name": host, "sslState": "Disabled", "hostType": "Standard"},
                {"name": scm, "sslState": "Disabled", "hostType": "Repository"},
            ]
        elif kind == "microsoft.insights/datacollectionrules":
            # azure-rest-api-specs, dataCollectionRules 2023-03-11: immutableId, and of kind Direct endpoints.
            added["immutableId"] = f"dcr-{uuid.uuid5(uuid.NAMESPACE_URL, resource_id.lower()).hex}"
            if body.get("kind") == "Direct":
                host = f"{name.lower()}-5kyl.{location}-1.ingest.monitor.azure.com"
                added["endpoints"] = {"logsIngestion": f"https://{host}"}
        elif kind == "microsoft.operationalinsights/workspaces":
            added["customerId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, resource_id.lower()))
        elif kind == "microsoft.insights/components":
            added["ConnectionString"] = f"InstrumentationKey={uuid.uuid5(uuid.NAMESPACE_URL, resource_id)}"
        elif kind == "microsoft.network/virtualnetworks":
            subnets = body["properties"].get("subnets") or []
            added["subnets"] = [{**each, "id": f"{resource_id}/subnets/{each['name']}"} for each in subnets]
        return added


_EXTENSIONS = (ASSIGNMENT, "microsoft.insights/diagnosticsettings", "microsoft.authorization/roledefinitions")


def _is_default_service(resource_id: str, resources: Resources) -> bool:
    """Whether it is the service `default` of an account, which is there with its account."""
    account, _, service = resource_id.rpartition("/")[0].rpartition("/")
    return resource_id.endswith("/default") and service.endswith("Services") and resources.find(account) is not None


def property_of(resource: Mapping[str, Any], name: str) -> Any:
    """Return a property, without regard to the case of its name."""
    return member(resource["properties"], name)
