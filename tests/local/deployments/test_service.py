"""The operations of deployments, and App Service's publishing, over HTTP."""

import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from local.arm import service as arm
from local.deployments import publishing
from local.deployments.service import DeploymentService
from local.deployments.state import Deployments
from local.entra.tokens import ARM, STORAGE, Entra
from local.tenant import identities
from local.tenant.model import SUBSCRIPTION_ID, Cloud
from tests.support.asgi import client

SUBSCRIPTION = f"/subscriptions/{SUBSCRIPTION_ID}"
DEPLOYMENT = f"{SUBSCRIPTION}/providers/Microsoft.Resources/deployments/d"
GROUP = {
    "type": "Microsoft.Resources/resourceGroups",
    "name": "g",
    "location": "westeurope",
    "tags": {"azd-env-name": "d"},
}
SITE = {"type": "Microsoft.Web/sites", "name": "Func", "location": "westeurope", "properties": {}}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory())


@pytest.fixture
def entra(cloud: Cloud) -> Entra:
    return Entra(cloud)


@pytest.fixture
def state() -> Deployments:
    return Deployments()


@pytest.fixture
async def api(cloud: Cloud, entra: Entra, state: Deployments) -> AsyncIterator[httpx.AsyncClient]:
    app = DeploymentService(entra, state, otherwise=arm.app(cloud, entra))
    async with client(app, "management.azure.com") as opened:
        opened.headers["Authorization"] = token(cloud, entra)
        opened.params = {"api-version": "2021-04-01"}
        yield opened


@pytest.fixture
async def scm(cloud: Cloud, entra: Entra, state: Deployments) -> AsyncIterator[httpx.AsyncClient]:
    state.resources.put(f"{SUBSCRIPTION}/resourceGroups/g", GROUP)
    state.resources.put(f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Web/sites/Func", SITE)
    async with client(publishing.app(entra, state), "func.scm.azurewebsites.net") as opened:
        opened.headers["Authorization"] = token(cloud, entra)
        yield opened


def token(cloud: Cloud, entra: Entra, name: str = "developer", audience: str = ARM) -> str:
    return f"Bearer {entra.mint(cloud.identities[name], audience=audience)}"


def body(resources: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    template = {"languageVersion": "2.0", "resources": {"g": GROUP} if resources is None else resources}
    return {"location": "westeurope", "properties": {"mode": "Incremental", "template": template}} | changed


async def test_deployment_is_created_and_listed_with_its_operations(api: httpx.AsyncClient) -> None:
    created = await api.put(DEPLOYMENT, json=body(tags={"azd-env-name": "d"}))
    read, listed = await api.get(DEPLOYMENT), await api.get(DEPLOYMENT[:-2])
    operations = (await api.get(f"{DEPLOYMENT}/operations")).json()["value"]

    assert (created.status_code, created.json()["properties"]["provisioningState"]) == (201, "Succeeded")
    assert read.json() == listed.json()["value"][0]
    assert operations[0]["properties"]["targetResource"]["resourceName"] == "g"


async def test_failed_deployment_says_why(api: httpx.AsyncClient) -> None:
    failed = await api.put(DEPLOYMENT, json=body({"g": GROUP | {"location": "nowhere"}}))
    properties = (await api.get(DEPLOYMENT)).json()["properties"]

    assert failed.status_code == 201
    assert properties["provisioningState"] == "Failed"
    assert properties["error"]["details"][0]["code"] == "LocationNotAvailableForResourceType"


@pytest.mark.parametrize("action", ["validate", "whatIf"])
async def test_check_creates_nothing(api: httpx.AsyncClient, action: str) -> None:
    done = await api.post(f"{DEPLOYMENT}/{action}", json=body())

    assert done.status_code == 200
    assert (await api.get(f"{SUBSCRIPTION}/resourceGroups")).json() == {"value": []}


async def test_what_if_names_the_kind_of_change(api: httpx.AsyncClient) -> None:
    kinds = []
    for group in (GROUP, GROUP, GROUP | {"tags": {"a": "b"}}):
        done = await api.post(f"{DEPLOYMENT}/whatIf", json=body({"g": group}))
        kinds += [change["changeType"] for change in done.json()["properties"]["changes"]]
        await api.put(DEPLOYMENT, json=body({"g": GROUP}))

    assert kinds == ["Create", "NoChange", "Modify"]


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        ({"properties": {"mode": "Incremental"}}, 400, "InvalidRequestContent"),
        ({"properties": {"mode": "Complete", "template": {"resources": {}}}}, 400, "InvalidRequestContent"),
        ({"location": None}, 400, "LocationRequired"),
    ],
    ids=["no template", "another mode", "no location"],
)
async def test_request_that_does_not_fit_is_refused(
    api: httpx.AsyncClient, given: dict[str, Any], status: int, code: str
) -> None:
    done = await api.put(DEPLOYMENT, json=body(**given))

    assert (done.status_code, done.json()["error"]["code"]) == (status, code)


async def test_name_of_the_template_may_be_without_quotes(api: httpx.AsyncClient) -> None:
    """As the Azure CLI writes it: azure-cli, resource/custom.py, JsonCTemplatePolicy."""
    content = '{"location": "westeurope", "properties": {"mode": "Incremental", template:{"resources": []}}}'

    assert (await api.put(DEPLOYMENT, content=content)).status_code == 201


async def test_identity_without_the_right_may_not_deploy(api: httpx.AsyncClient, cloud: Cloud, entra: Entra) -> None:
    headers = {"Authorization": token(cloud, entra, "responder")}
    done = await api.put(DEPLOYMENT, json=body(), headers=headers)

    assert (done.status_code, done.json()["error"]["code"]) == (403, "AuthorizationFailed")


async def test_groups_and_resources_are_found_by_tag(api: httpx.AsyncClient, scm: httpx.AsyncClient) -> None:
    wanted = "tagName eq 'azd-env-name' and tagValue eq 'd'"
    found = await api.get(f"{SUBSCRIPTION}/resourcegroups", params={"$filter": wanted})
    other = await api.get(f"{SUBSCRIPTION}/resourcegroups", params={"$filter": wanted.replace("'d'", "'e'")})
    wrong = await api.get(f"{SUBSCRIPTION}/resourcegroups", params={"$filter": "name eq 'g'"})

    assert ([each["name"] for each in found.json()["value"]], other.json()["value"]) == (["g"], [])
    assert wrong.status_code == 400


async def test_zone_redundant_storage_is_offered_in_regions_with_zones(api: httpx.AsyncClient) -> None:
    offered = (await api.get(f"{SUBSCRIPTION}/providers/Microsoft.Storage/skus")).json()["value"]
    zoned = {each["locations"][0] for each in offered if each["name"] == "Standard_ZRS"}

    assert ("westeurope" in zoned, "northcentralus" in zoned) == (True, False)


# Publishing


def package(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_json", ".json").replace("_py", ".py"), text)
    return buffer.getvalue()


APP = package(
    host_json="{}", function_app_py="@app.route('a')\ndef take(req):\n    pass\n\ndef helper():\n    pass\n"
)


async def published(scm: httpx.AsyncClient, content: bytes, **headers: str) -> httpx.Response:
    return await scm.post(
        "/api/publish?RemoteBuild=true", content=content, headers={"content-type": "application/zip"} | headers
    )


async def test_published_package_is_kept_with_its_functions(scm: httpx.AsyncClient, state: Deployments) -> None:
    done = await published(scm, APP)
    status = await scm.get(f"/api/deployments/{done.json()}")

    assert (done.status_code, status.json()["status"]) == (202, 4)
    assert state.packages == {"Func": APP}
    assert state.resources.functions == {"func": frozenset({"take"})}


@pytest.mark.parametrize("content", [b"", b"no zip", package(host_json="{}")], ids=["empty", "no zip", "no app"])
async def test_what_is_no_package_is_refused(scm: httpx.AsyncClient, state: Deployments, content: bytes) -> None:
    assert (await published(scm, content)).status_code == 400
    assert state.packages == {}


async def test_token_for_another_resource_is_refused(scm: httpx.AsyncClient, cloud: Cloud, entra: Entra) -> None:
    wrong = token(cloud, entra, audience=STORAGE)

    assert (await published(scm, APP, Authorization=wrong)).status_code == 401


async def test_app_that_is_not_deployed_is_not_found(scm: httpx.AsyncClient) -> None:
    assert (await published(scm, APP, host="other.scm.azurewebsites.net")).status_code == 404
