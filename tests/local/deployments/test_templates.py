"""Deployments of templates: parameters, order, loops, conditions, nested templates, and what providers refuse."""

from collections.abc import Mapping
from typing import Any

import pytest

from local.arm.protocol import ArmError
from local.deployments.resources import Resources
from local.deployments.templates import Place, Result, deploy
from local.tenant.model import SUBSCRIPTION_ID, TENANT_ID

GROUP = f"/subscriptions/{SUBSCRIPTION_ID}/resourceGroups/g"
PLACE = Place(SUBSCRIPTION_ID, "g", "westeurope", "main")
IDENTITY = {
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "apiVersion": "2024-11-30",
    "name": "id",
    "location": "westeurope",
}
ROLE = "/providers/Microsoft.Authorization/roleDefinitions/b7e6dc6d-f1e8-4753-8033-0f276bb0955b"


@pytest.fixture
def resources() -> Resources:
    made = Resources()
    made.put(GROUP, {"type": "Microsoft.Resources/resourceGroups", "location": "westeurope"})
    return made


def template(resources: Any, **more: Any) -> dict[str, Any]:
    return {"languageVersion": "2.0", "resources": resources, **more}


def run(resources: Resources, of: Mapping[str, Any], **parameters: Any) -> Result:
    return deploy(of, parameters, place=PLACE, resources=resources)


def refusal(resources: Resources, of: Mapping[str, Any], **parameters: Any) -> str:
    with pytest.raises(ArmError) as caught:
        run(resources, of, **parameters)
    return f"{caught.value.body['code']}: {caught.value.body['message']}"


def account(**changed: Any) -> dict[str, Any]:
    made = {"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2025-01-01", "name": "stsq"}
    return made | {"location": "westeurope", "sku": {"name": "Standard_ZRS"}, "properties": {}} | changed


# Parameters: "Understand the structure and syntax of ARM templates"


@pytest.mark.parametrize(
    ("declared", "given", "code"),
    [
        ({}, {"p": 1}, "do not correspond to any parameters"),
        ({"p": {"type": "string"}}, {}, "is not provided"),
        ({"p": {"type": "int"}}, {"p": "1"}, "type is not valid"),
        ({"p": {"type": "int"}}, {"p": True}, "type is not valid"),
        ({"p": {"type": "string", "allowedValues": ["a"]}}, {"p": "b"}, "not part of the allowed value(s): 'a'"),
        ({"p": {"type": "int", "maxValue": 3}}, {"p": 4}, "is not valid: '4'"),
        ({"p": {"type": "string", "minLength": 2}}, {"p": "a"}, "is not valid: 'a'"),
        ({"p": {"type": "object", "additionalProperties": False}}, {"p": {"a": 1}}, "'a' is not allowed"),
        ({"p": {"type": "object", "properties": {"a": {"type": "int"}}}}, {"p": {}}, "'a' is missing"),
        ({"p": {"type": "array", "items": {"type": "int"}}}, {"p": ["a"]}, "'p[0]'"),
    ],
)
def test_parameter_that_does_not_fit_is_refused(
    resources: Resources, declared: dict[str, Any], given: dict[str, Any], code: str
) -> None:
    said = refusal(resources, template({}, parameters=declared), **given)

    assert said.startswith("InvalidTemplate")
    assert code in said


def test_type_of_a_parameter_may_be_defined(resources: Resources) -> None:
    kind = {"mode": {"type": "string", "allowedValues": ["observe"]}}
    of = template({}, definitions=kind, parameters={"p": {"$ref": "#/definitions/mode"}})

    assert "not part of the allowed value(s)" in refusal(resources, of, p="auto")


# Order, loops, conditions


def test_resources_are_deployed_after_what_they_depend_on(resources: Resources) -> None:
    child = {
        "type": "Microsoft.Storage/storageAccounts/blobServices",
        "name": "stsq/default",
        "dependsOn": ["account"],
    }
    result = run(resources, template({"blobs": child, "account": account()}))

    assert [each.rpartition("/")[2] for each in result.resources] == ["stsq", "default"]


def test_circular_dependency_is_refused(resources: Resources) -> None:
    of = template({"a": IDENTITY | {"dependsOn": ["b"]}, "b": IDENTITY | {"name": "c", "dependsOn": ["a"]}})

    assert "Circular dependency" in refusal(resources, of)


@pytest.mark.parametrize("is_named", [True, False], ids=["symbolic names", "a list"])
def test_loop_deploys_one_resource_for_each_item(resources: Resources, is_named: bool) -> None:
    loop = IDENTITY | {"copy": {"name": "each", "count": 2}, "name": "[format('id{0}', copyIndex())]"}
    run(resources, template({"each": loop} if is_named else [loop]))

    assert sorted(each["name"] for each in resources.within(GROUP)) == ["id0", "id1"]


def test_resource_whose_condition_is_false_is_not_deployed(resources: Resources) -> None:
    result = run(resources, template({"a": IDENTITY | {"condition": "[equals('a', 'b')]"}}))

    assert result.resources == ()


def test_reference_to_a_resource_that_is_not_there_is_refused(resources: Resources) -> None:
    of = template(
        {}, outputs={"o": {"type": "string", "value": "[reference(resourceId('A.B/c', 'd'), '2020-01-01').e]"}}
    )

    assert refusal(resources, of).startswith("ResourceNotFound")


def test_nested_template_has_its_own_parameters_and_returns_outputs(resources: Resources) -> None:
    inner = template(
        {"id": IDENTITY | {"name": "[parameters('name')]"}},
        parameters={"name": {"type": "string"}},
        outputs={"principal": {"type": "string", "value": "[reference('id').principalId]"}},
    )
    nested = {
        "type": "Microsoft.Resources/deployments",
        "name": "nested",
        "resourceGroup": "g",
        "properties": {"parameters": {"name": {"value": "id-nested"}}, "template": inner},
    }
    outputs = {"p": {"type": "string", "value": "[reference('n').outputs.principal.value]"}}
    result = run(resources, template({"n": nested}, outputs=outputs))

    made = resources.find(f"{GROUP}/providers/{IDENTITY['type']}/id-nested")
    assert made is not None
    assert result.outputs["p"]["value"] == made["properties"]["principalId"]


def test_ids_of_an_identity_stay_when_it_is_deployed_again(resources: Resources) -> None:
    of = template({"id": IDENTITY}, outputs={"p": {"type": "string", "value": "[reference('id').principalId]"}})

    assert run(resources, of).outputs == run(resources, of).outputs


# What providers refuse


def assignment(name: str, **changed: Any) -> dict[str, Any]:
    principal = "[reference('id').principalId]"
    return {
        "type": "Microsoft.Authorization/roleAssignments",
        "name": f"[guid('{name}')]",
        "properties": {"principalId": principal, "roleDefinitionId": ROLE} | changed,
        "dependsOn": ["id"],
    }


@pytest.mark.parametrize(
    ("of", "code"),
    [
        ({"a": account(location="northcentralus")}, "RedundancyConfigurationNotAvailableInRegion"),
        ({"a": account(name="st-sq")}, "InvalidResourceName"),
        ({"a": account(location="nowhere")}, "LocationNotAvailableForResourceType"),
        ({"a": {"type": "Microsoft.Storage/storageAccounts/blobServices", "name": "none/default"}},
         "ParentResourceNotFound"),
        ({"a": {"type": "Contoso.Things/things", "name": "a"}}, "InvalidResourceType"),
        ({"id": IDENTITY, "a": assignment("a"), "b": assignment("b")}, "RoleAssignmentExists"),
        ({"id": IDENTITY, "a": assignment("a", principalId=TENANT_ID)}, "PrincipalNotFound"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_provider_refuses(resources: Resources, of: dict[str, Any], code: str) -> None:
    """ "Troubleshoot common Azure deployment errors"; "Troubleshoot Azure RBAC"."""
    assert refusal(resources, template(of)).startswith(code)


@pytest.mark.parametrize("setting", ["FUNCTIONS_WORKER_RUNTIME", "WEBSITE_RUN_FROM_PACKAGE"])
def test_setting_that_flex_consumption_has_not_is_refused(resources: Resources, setting: str) -> None:
    site = {"type": "Microsoft.Web/sites", "name": "func", "location": "westeurope", "properties": {}}
    config = {"type": "Microsoft.Web/sites/config", "name": "func/appsettings", "properties": {setting: "1"}}
    of = template({"site": site, "config": config | {"dependsOn": ["site"]}})

    assert setting in refusal(resources, of)


@pytest.mark.parametrize(("published", "is_refused"), [(frozenset(), True), (frozenset({"on_finding"}), False)])
def test_event_subscription_requires_its_function(
    resources: Resources, published: frozenset[str], is_refused: bool
) -> None:
    """Azure/bicep#11656."""
    resources.functions["func"] = published
    topic = {"type": "Microsoft.EventGrid/topics", "name": "egt", "location": "westeurope", "properties": {}}
    function = f"{GROUP}/providers/Microsoft.Web/sites/func/functions/on_finding"
    subscription = {
        "type": "Microsoft.EventGrid/topics/eventSubscriptions",
        "name": "egt/findings",
        "properties": {"destination": {"endpointType": "AzureFunction", "properties": {"resourceId": function}}},
        "dependsOn": ["topic"],
    }
    of = template({"topic": topic, "subscription": subscription})

    if is_refused:
        assert "Destination endpoint not found" in refusal(resources, of)
    else:
        assert len(run(resources, of).resources) == 2


QUEUE = {
    "endpointType": "StorageQueue",
    "properties": {"resourceId": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stsq", "queueName": "q"},
}
IDENTITY_DELIVERY = {"identity": {"type": "SystemAssigned"}, "destination": QUEUE}


@pytest.mark.parametrize(
    ("identity", "queues", "delivery", "refused"),
    [
        ("SystemAssigned", ["q"], {"deliveryWithResourceIdentity": IDENTITY_DELIVERY}, ""),
        ("SystemAssigned", ["other"], {"deliveryWithResourceIdentity": IDENTITY_DELIVERY}, "endpoint not found"),
        ("None", ["q"], {"deliveryWithResourceIdentity": IDENTITY_DELIVERY}, "no such identity"),
        ("SystemAssigned", ["q"], {"deliveryWithResourceIdentity": IDENTITY_DELIVERY, "destination": QUEUE}, "one"),
        ("SystemAssigned", ["q"], {}, "one destination"),
    ],
    ids=["delivers", "no queue", "no identity", "two destinations", "none"],
)
def test_event_subscription_of_a_queue_requires_the_queue_and_the_identity(
    resources: Resources, identity: str, queues: list[str], delivery: dict[str, Any], refused: str
) -> None:
    """azure-rest-api-specs, eventgrid 2025-02-15: EventSubscriptionProperties, DeliveryWithResourceIdentity."""
    kind = "Microsoft.Storage/storageAccounts"
    account = {
        "type": kind,
        "name": "stsq",
        "location": "westeurope",
        "sku": {"name": "Standard_LRS"},
        "properties": {},
    }
    parts = {
        "account": account,
        "queue": {
            "type": f"{kind}/queueServices/queues",
            "name": f"stsq/default/{queues[0]}",
            "dependsOn": ["account"],
        },
        "topic": {"type": "Microsoft.EventGrid/topics", "name": "egt", "location": "westeurope"}
        | {"identity": {"type": identity}, "properties": {}},
        "subscription": {
            "type": "Microsoft.EventGrid/topics/eventSubscriptions",
            "name": "egt/findings",
            "properties": delivery,
            "dependsOn": ["topic", "queue"],
        },
    }

    if refused:
        assert refused in refusal(resources, template(parts))
    else:
        assert len(run(resources, template(parts)).resources) == 4
