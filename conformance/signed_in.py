"""Tests as a person who signs in by the documented command: the registration, the token, and reports by the API."""

import json
import time
from typing import Any

import jwt
from azure.core.rest import HttpRequest

from conformance import azd
from conformance.deployed import Deployment, until_refused_by_deployment
from conformance.place import Place
from shared.cloud.data_plane import Answer, send

_ROLE = "Sasquash.Responder"
_RETRY_SECONDS = 600.0  # a new role assignment shows in a new token within minutes
_PAUSE = 20.0
_TSV = ("--output", "tsv")


async def register(deployment: Deployment) -> None:
    """Create the registration, give the signed-in user a role, and provision with its id."""
    environment = {"AZURE_ENV_NAME": deployment.environment, "SASQUASH_API": deployment.outputs["SASQUASH_API"]}
    await azd.run("scripts/create-registration.sh", variables=environment)
    client_id = await _registration(deployment.environment)
    await _assign_role(client_id)
    await azd.provision(deployment.environment, {"SASQUASH_API_CLIENT_ID": client_id})


async def _registration(environment: str) -> str:
    """Return the client id of the environment's registration; an empty text if there is none."""
    name = f"Sasquash {environment}"  # scripts/create-registration.sh
    return await azd.text(
        "az", "ad", "app", "list", "--display-name", name, "--query", f"[?displayName=='{name}'].appId | [0]", *_TSV
    )


async def _assign_role(client_id: str) -> None:
    """Assign the role to the signed-in user ("Grant an appRoleAssignment to a user")."""
    query = f"{{id: id, role: appRoles[?value=='{_ROLE}'].id | [0]}}"
    found = json.loads(await azd.text("az", "ad", "sp", "show", "--id", client_id, "--query", query))
    user = await azd.text("az", "ad", "signed-in-user", "show", "--query", "id", *_TSV)
    body = json.dumps({"principalId": user, "resourceId": found["id"], "appRoleId": found["role"]})
    url = f"https://graph.microsoft.com/v1.0/users/{user}/appRoleAssignments"
    await azd.run("az", "rest", "--method", "post", "--url", url, "--body", body, "--output", "none")


async def unregister(environment: str) -> None:
    """Delete the environment's registration, also one that was only half made."""
    client_id = await _registration(environment)
    if client_id:
        await azd.run("az", "ad", "app", "delete", "--id", client_id)


async def token_command(place: Place, deployment: Deployment) -> str:
    """Get a token by the printed command, check its version, audience and scope, and call the API with it."""
    claims = jwt.decode(await token(deployment), options={"verify_signature": False})
    client_id = deployment.outputs["SASQUASH_API_CLIENT_ID"]
    wanted = {"ver": "2.0", "aud": client_id, "scp": "user_impersonation"}  # without scp it is no person's
    wrong = {name: claims.get(name) for name, value in wanted.items() if claims.get(name) != value}
    if wrong:
        raise ValueError(f"the token has {wrong} instead of {wanted}")
    answer = await call(place, deployment, "GET", "/revocations")
    if answer.status not in (200, 403):  # 403: the role is not in the token yet
        raise ValueError(f"the API answers {answer.status} to the token")
    return f"version {claims['ver']} for {claims['aud']}; the API answers {answer.status}"


async def token(deployment: Deployment) -> str:
    """Return the token that the command of the deployment prints."""
    return await azd.text("bash", "-c", deployment.outputs["SASQUASH_TOKEN_COMMAND"])


async def call(place: Place, deployment: Deployment, method: str, path: str, body: object = None) -> Answer:
    """Call the responders' API as the signed-in person."""
    transport = place.transport()
    headers = {"Authorization": f"Bearer {await token(deployment)}"}
    try:
        return await send(
            transport, HttpRequest(method, deployment.outputs["SASQUASH_API"] + path, headers=headers, json=body)
        )
    finally:
        await transport.close()


async def user_delegation(place: Place, deployment: Deployment) -> str:
    """Report a user delegation SAS by the API, and wait until it is refused."""
    account = await place.account()
    url = await place.delegated_url(account)
    start = time.monotonic()
    while (answer := await call(place, deployment, "POST", "/revocations", _report(url))).status == 403:
        if time.monotonic() - start > _RETRY_SECONDS:
            break
        await place.sleep(_PAUSE)
    if answer.status >= 300:
        raise ValueError(f"the API answers {answer.status} {_code(answer)} to the report")
    return await until_refused_by_deployment(place, url, since="it was reported")


def _report(url: str) -> dict[str, Any]:
    return {"text": url, "reason": "Conformance", "wait": 30}


def _code(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body).get("code", ""))
    except (ValueError, AttributeError):
        return ""
