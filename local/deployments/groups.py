"""The subscription, its resource groups and what is in them."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.arm.protocol import ArmError
from local.deployments.resources import GROUP, REGIONS, SITE, ZONED
from local.deployments.state import SUBSCRIPTION, Call
from local.tenant.model import TENANT_ID

_BY_TAG = re.compile(r"tagName eq '([^']+)' and tagValue eq '([^']+)'")
_BY_TYPE = re.compile(r"resourceType eq '([^']+)'")
_SHOWN = ("id", "name", "type", "location", "tags", "sku", "identity")


async def tenants(_: Call) -> Response:
    tenant = {
        "id": f"/tenants/{TENANT_ID}",
        "tenantId": TENANT_ID,
        "displayName": "Contoso",
        "tenantCategory": "Home",
    }
    return JSONResponse({"value": [tenant]})


async def locations(_: Call) -> Response:
    return JSONResponse(
        {
            "value": [
                {
                    "id": f"{SUBSCRIPTION}/locations/{name}",
                    "name": name,
                    "type": "Region",
                    "displayName": name.capitalize(),
                    "regionalDisplayName": name.capitalize(),
                    "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
                }
                for name in sorted(REGIONS)
            ]
        }
    )


async def skus(_: Call) -> Response:
    """ "Skus - List" of storage: ZRS only in regions with zones."""
    return JSONResponse(
        {
            "value": [
                {
                    "name": sku,
                    "tier": "Standard",
                    "kind": "StorageV2",
                    "resourceType": "storageAccounts",
                    "locations": [region],
                    "capabilities": [],
                    "restrictions": [],
                }
                for region in sorted(REGIONS)
                for sku in ("Standard_LRS", *(("Standard_ZRS",) if region in ZONED else ()))
            ]
        }
    )


async def groups(call: Call) -> Response:
    found = call.state.resources.within(SUBSCRIPTION, GROUP)
    return JSONResponse({"value": [shown(each, whole=True) for each in found if _is_wanted(each, call.request)]})


async def read_group(call: Call) -> Response:
    group = call.state.resources.find(call.scope)
    assert group is not None, "the path is only taken where the group is there"
    return Response(status_code=204) if call.request.method == "HEAD" else JSONResponse(shown(group, whole=True))


async def delete_group(call: Call) -> Response:
    call.state.resources.remove(call.scope)
    return Response(status_code=200)


async def delete(call: Call) -> Response:
    call.state.resources.remove(call.names["resource"])
    return Response(status_code=200)


async def resources(call: Call) -> Response:
    """Resources - List By Resource Group. Roles are not listed there, but by Microsoft.Authorization.

    Every resource there has a location.
    """
    scope = call.scope
    found = [each for each in call.state.resources.within(scope) if each["id"].count("/") == scope.count("/") + 4]
    top = [each for each in found if not each["kind"].startswith("microsoft.authorization/")]
    return JSONResponse({"value": [shown(each) for each in top if _is_wanted(each, call.request)]})


async def read(call: Call) -> Response:
    found = call.state.resources.find(call.names["resource"])
    assert found is not None, "the path is only taken where the resource is there"
    return JSONResponse(shown(found, whole=True))


def _is_wanted(resource: Mapping[str, Any], request: Request) -> bool:
    """Whether `$filter` has it: a tag with its value, or a type. Raises ArmError for other filters."""
    text = request.query_params.get("$filter", "")
    if not text:
        return True
    if match := _BY_TAG.fullmatch(text):
        return bool((resource.get("tags") or {}).get(match[1]) == match[2])
    if match := _BY_TYPE.fullmatch(text):
        return bool(resource["kind"] == match[1].lower())
    raise ArmError(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")


def shown(resource: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """Return a resource as lists have it; `whole`: with its properties."""
    summary = {name: resource[name] for name in _SHOWN if name in resource}
    if resource["kind"] == SITE:
        summary["kind"] = "functionapp,linux"
    return summary | ({"properties": resource["properties"]} if whole else {})
