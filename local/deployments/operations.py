"""Deployments: created, validated, previewed, read."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from local import json_text
from local.arm.protocol import ArmError, invalid_content, timestamp
from local.deployments.groups import shown
from local.deployments.resources import REGIONS
from local.deployments.state import Call, Deployment
from local.deployments.templates import Place, deploy
from local.tenant.model import SUBSCRIPTION_ID

_BARE_TEMPLATE = re.compile(rb"([,{]\s*)template:")


async def list_all(call: Call) -> Response:
    scope = call.scope.lower()
    return JSONResponse({"value": [each.shown() for key, each in call.state.by_name.items() if key[0] == scope]})


async def read(call: Call) -> Response:
    return JSONResponse(_found(call).shown())


async def operations(call: Call) -> Response:
    found = _found(call)
    operations = [
        {
            "id": f"{found.shown()['id']}/operations/{i}",
            "operationId": str(i),
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": "Succeeded",
                "timestamp": found.properties["timestamp"],
                "duration": "PT1S",
                "statusCode": "OK",
                "targetResource": {
                    "id": each,
                    "resourceType": _type_of(each),
                    "resourceName": each.rpartition("/")[2],
                },
            },
        }
        for i, each in enumerate(found.resources)
    ]
    return JSONResponse({"value": operations})


async def create(call: Call) -> Response:
    body, place = await _read_deployment(call)
    properties = body["properties"]
    entry = Deployment(call.names["name"], place.scope, body.get("location"), {}, body.get("tags") or {})
    call.state.by_name[(place.scope.lower(), call.names["name"].lower())] = entry
    entry.properties = {
        "mode": "Incremental",
        "timestamp": timestamp(datetime.now(UTC)),
        "duration": "PT1S",
        "correlationId": str(uuid.uuid4()),
        "parameters": {name: {"type": "String", **each} for name, each in properties.get("parameters", {}).items()},
        "provisioningState": "Failed",
    }
    try:
        result = deploy(properties["template"], _values(properties), place=place, resources=call.state.resources)
    except ArmError as error:
        if error.body["code"] == "InvalidTemplate":
            del call.state.by_name[(place.scope.lower(), call.names["name"].lower())]
            raise  # refused before it starts
        details = [error.body]
        message = "At least one resource deployment operation failed. Please list deployment operations for details."
        entry.properties["error"] = {"code": "DeploymentFailed", "message": message, "details": details}
        return JSONResponse(entry.shown(), 201)
    entry.resources = result.resources
    entry.properties |= {
        "provisioningState": "Succeeded",
        "outputs": result.outputs,
        "outputResources": [{"id": each} for each in result.resources],
    }
    return JSONResponse(entry.shown(), 201)


async def validate(call: Call) -> Response:
    body, place = await _read_deployment(call)
    resources = call.state.resources.copied()
    result = deploy(body["properties"]["template"], _values(body["properties"]), place=place, resources=resources)
    properties = {
        "mode": "Incremental",
        "provisioningState": "Succeeded",
        "timestamp": timestamp(datetime.now(UTC)),
        "duration": "PT0S",
        "correlationId": str(uuid.uuid4()),
        "validatedResources": [{"id": each} for each in result.resources],
    }
    return JSONResponse(Deployment(call.names["name"], place.scope, body.get("location"), properties, {}).shown())


async def what_if(call: Call) -> Response:
    body, place = await _read_deployment(call)
    before, after = call.state.resources, call.state.resources.copied()
    result = deploy(body["properties"]["template"], _values(body["properties"]), place=place, resources=after)
    changes = []
    for each in result.resources:
        old, new = before.find(each), after.find(each)
        assert new is not None, "it was just deployed"
        kind = "Create" if old is None else "NoChange" if old == new else "Modify"
        change = {
            "resourceId": each,
            "changeType": kind,
            "after": shown(new, whole=True) | {"apiVersion": "2025-01-01"},
        }
        changes.append(change | ({} if old is None else {"before": shown(old, whole=True)}))
    return JSONResponse({"status": "Succeeded", "properties": {"changes": changes}})


async def _read_deployment(call: Call) -> tuple[dict[str, Any], Place]:
    """The body of a request, and where it deploys to. Raises ArmError."""
    body = _parsed(await call.request.body())
    properties = body.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("template"), dict):
        raise invalid_content("Required property 'template' not found in JSON. Path 'properties'")
    if properties.get("mode") != "Incremental":
        raise invalid_content("The deployment mode must be 'Incremental'.")
    group, location = call.names.get("group") or "", body.get("location")
    if not group and location not in REGIONS:
        raise ArmError(
            400, "LocationRequired", "The 'location' property must be specified for subscription deployments."
        )
    if group and location:
        raise ArmError(400, "InvalidDeployment", "The 'location' property is not allowed for the deployment.")
    return body, Place(SUBSCRIPTION_ID, group, location or "", call.names["name"])


def _parsed(raw: bytes) -> dict[str, Any]:
    """The body as ARM's parser reads it: names may be without quotes, as the Azure CLI writes that of the template.

    Azure/azure-cli, src/azure-cli/azure/cli/command_modules/resource/custom.py: JsonCTemplatePolicy. Raises ArmError.
    """
    try:
        body = json_text.parse(_BARE_TEMPLATE.sub(rb'\1"template":', raw, count=1))
    except json_text.InvalidJson as error:
        raise invalid_content(f"The body is invalid: {error}.") from None
    if not isinstance(body, dict):
        raise invalid_content("The body must be a JSON object.")
    return body


def _values(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters; each is an object with its value."""
    parameters = properties.get("parameters") or {}
    wrong = [name for name, each in parameters.items() if not isinstance(each, dict) or not _has_value(each)]
    if wrong:
        raise invalid_content(f"The parameter '{wrong[0]}' must be an object with the property 'value'.")
    return {name: each["value"] for name, each in parameters.items()}


def _has_value(parameter: Mapping[str, Any]) -> bool:
    """azd sends `reference` too, which is null; references to a key vault are not implemented."""
    return "value" in parameter and parameter.keys() <= {"value", "reference"} and parameter.get("reference") is None


def _found(call: Call) -> Deployment:
    found = call.state.by_name.get((call.scope.lower(), call.names["name"].lower()))
    if found is None:
        raise ArmError(404, "DeploymentNotFound", f"Deployment '{call.names['name']}' could not be found.")
    return found


def _type_of(resource_id: str) -> str:
    if "/providers/" not in resource_id:
        return "Microsoft.Resources/resourceGroups"
    namespace, *rest = resource_id.rpartition("/providers/")[2].split("/")
    return "/".join([namespace, *rest[::2]])
