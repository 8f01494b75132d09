"""The control port: read the state of the local cloud, create accounts, inject faults, reset.

Plain HTTP on loopback, for people, the demo and tests. docs/local-cloud.md describes its stable part. Every body is
JSON; errors are `{"error": {"code", "message"}}`.
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.cloud.state import state_of
from local.key_vault import body as key_vault_body
from local.network.faults import Effect, Fault, Faults
from local.reporters import reports
from local.storage.azurite import AzuriteError
from local.storage.backend import StorageBackendError
from local.tenant import tags
from local.tenant.model import Account, Cloud, new_storage_key

_KEY_NAMES = ("key1", "key2")
_KEY_BYTES = 64
_LOGGED_SERVICES = ("blob", "queue", "table", "file")
_LONGEST_DELAY = 86_400  # seconds
_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}")  # naming rules of Microsoft.Storage/storageAccounts
_GROUP_NAME = re.compile(r"[-\w.()]{0,89}[-\w()]")  # of Microsoft.Resources/resourceGroups
_TENANT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FAULT_CODE = re.compile(r"[A-Za-z0-9]{1,80}")
_LARGEST_BODY = 1024 * 1024
_RESOURCE_GROUP = "production"

Json = dict[str, Any]


class InvalidRequestError(ValueError):
    """The body or query of a request is invalid. The message is meant for the sender."""


def app(
    cloud: Cloud,
    faults: Faults,
    *,
    reset: Callable[[], Awaitable[None]],
    stopped_parts: Callable[[], tuple[str, ...]],
    report: Callable[[str, str], reports.Posted],
) -> Starlette:
    """Return the app of the control port.

    `reset` resets the cloud; `stopped_parts` names the parts that ended unexpectedly; `report` returns
    a report of a source about a text, ready to be posted to the intake.
    """

    async def health(_request: Request) -> Response:
        stopped = stopped_parts()
        return _json({"status": "ailing" if stopped else "ok", "stopped": stopped}, 503 if stopped else 200)

    async def state(_request: Request) -> Response:
        return _json(state_of(cloud))

    async def requests(request: Request) -> Response:
        since = _since(request.query_params.get("since", "0"))
        found = (r for r in cloud.requests if (r.at >= since if isinstance(since, datetime) else r.sequence > since))
        return _json([asdict(recorded) for recorded in found])

    async def create_account(request: Request) -> Response:
        body = await _object(request)
        if "tenant" in body:
            return _elsewhere(cloud, body)
        account = _account(body)
        _require_free(cloud, account.name)
        cloud.accounts[account.name] = account
        try:
            await cloud.keys_changed()
        except BaseException:
            del cloud.accounts[account.name]  # a failed or canceled request must not leave a partial account
            raise
        shown = {"name": account.name, "resource_group": account.resource_group, "tags": account.tags}
        # Both flat, as in /state, and as one object to iterate over.
        return _json({"id": account.id, **account.keys, "keys": account.keys, **shown}, 201)

    async def create_secret(request: Request) -> Response:
        return _json(key_vault_body.create(cloud.vaults, await _object(request)), 201)

    async def create_report(request: Request) -> Response:
        body = await _object(request)
        _known(body, "source", "text")
        source, text = body.get("source"), body.get("text")
        if not isinstance(source, str) or not isinstance(text, str):
            raise InvalidRequestError("source and text must be strings")
        try:
            posted = report(source, text)
        except reports.NothingToReport as error:
            raise InvalidRequestError(str(error)) from None
        return _json({"source": posted.source, "headers": posted.headers, "body": posted.body.decode()}, 201)

    async def add_fault(request: Request) -> Response:
        fault = _fault(await _object(request))
        faults.add(fault)
        return _json(asdict(fault), 201)

    async def list_faults(_request: Request) -> Response:
        return _json([asdict(fault) for fault in faults.all()])

    async def clear_faults(_request: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def set_delays(request: Request) -> Response:
        body = await _object(request)
        _known(body, "sas_policy_seconds")
        seconds = body.get("sas_policy_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_DELAY:
            raise InvalidRequestError(f"sas_policy_seconds must be a number from 0 to {_LONGEST_DELAY}")
        cloud.sas_policy_seconds = float(seconds)
        return Response(status_code=204)

    async def start_over(_request: Request) -> Response:
        await reset()
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/state", state),
            Route("/requests", requests),
            Route("/accounts", create_account, methods=["POST"]),
            Route("/secrets", create_secret, methods=["POST"]),
            Route("/reports", create_report, methods=["POST"]),
            Route("/faults", add_fault, methods=["POST"]),
            Route("/faults", list_faults, methods=["GET"]),
            Route("/faults", clear_faults, methods=["DELETE"]),
            Route("/delays", set_delays, methods=["POST"]),
            Route("/reset", start_over, methods=["POST"]),
        ],
        exception_handlers={
            InvalidRequestError: _bad_request,
            key_vault_body.InvalidBody: _bad_request,
            HTTPException: _http_error,
            AzuriteError: _unavailable,
            StorageBackendError: _unavailable,
        },
    )


def _since(text: str) -> int | datetime:
    """Parse `since`: a sequence number (requests after it) or an ISO 8601 time (requests from then on)."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unencoded "+" of a time zone
    except ValueError:
        raise InvalidRequestError("since must be a sequence number or an ISO 8601 time") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def _require_free(cloud: Cloud, name: str) -> None:
    if cloud.has_storage(name):
        raise HTTPException(409, f"The storage account {name} already exists.")


def _elsewhere(cloud: Cloud, body: Json) -> Response:
    """Create an account that ARM does not show: of another tenant, or of a subscription that nobody monitors."""
    _known(body, "name", "tenant")
    name, tenant = _account_name(body), body["tenant"]
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise InvalidRequestError("tenant must be the id of a tenant: a GUID in lower case")
    _require_free(cloud, name)
    cloud.elsewhere[name] = tenant
    return _json({"name": name, "tenant": tenant}, 201)


def _account_name(body: Json) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not _ACCOUNT_NAME.fullmatch(name):
        raise InvalidRequestError("name must have 3 to 24 characters, lower-case letters and digits only")
    return name


def _account(body: Json) -> Account:
    _known(body, "name", "resource_group", "tags", "logged", "keys")
    name, group = _account_name(body), body.get("resource_group", _RESOURCE_GROUP)
    if not isinstance(group, str) or not _GROUP_NAME.fullmatch(group):
        raise InvalidRequestError("resource_group must be the name of a resource group")
    services = body.get("logged", [])
    if not isinstance(services, list) or not all(service in _LOGGED_SERVICES for service in services):
        raise InvalidRequestError(f"logged must list services: {', '.join(_LOGGED_SERVICES)}")
    logged: dict[str, tuple[str, ...]] = dict.fromkeys(services, ("StorageRead", "StorageWrite", "StorageDelete"))
    keys = _keys(body["keys"]) if "keys" in body else {name: new_storage_key() for name in _KEY_NAMES}
    try:
        given = tags.valid(body.get("tags", {}))
    except tags.InvalidTags as error:
        raise InvalidRequestError(str(error)) from None
    return Account(name=name, resource_group=group, tags=given, logged=logged, keys=keys)


def _keys(given: object) -> dict[str, str]:
    """Return the keys that an account is created with. The errors do not quote them.

    In Azure both keys of an account differ, and each is 64 bytes in base64 ("Manage storage account access keys",
    learn.microsoft.com/azure/storage/common/storage-account-keys-manage).
    """
    if not isinstance(given, dict) or set(given) != set(_KEY_NAMES):
        raise InvalidRequestError("keys must be an object with key1 and key2, and nothing else")
    if not all(_is_key(key) for key in given.values()):
        raise InvalidRequestError("keys must be base64 of 64 bytes each")
    if given["key1"] == given["key2"]:
        raise InvalidRequestError("key1 and key2 must differ")
    return {name: given[name] for name in _KEY_NAMES}


def _is_key(text: object) -> bool:
    try:
        decoded = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return False
    # Other bits in the last character would be another text with the same bytes.
    return len(decoded) == _KEY_BYTES and base64.b64encode(decoded).decode() == text


def _fault(body: Json) -> Fault:
    _known(body, "match", "effect", "status", "code", "times", "delay_ms", "after")
    match, code, after = body.get("match"), body.get("code"), body.get("after", False)
    if not isinstance(match, str) or not match or not tags.is_printable(match):
        raise InvalidRequestError('match must be a part of "METHOD https://host/path?query"')
    try:
        effect = Effect(body.get("effect", Effect.NONE))
    except ValueError:
        raise InvalidRequestError(f"effect must be one of {', '.join(Effect)}") from None
    if code is not None and not (isinstance(code, str) and _FAULT_CODE.fullmatch(code)):
        raise InvalidRequestError("code must be an error code of Azure: letters and digits only")
    if not isinstance(after, bool):
        raise InvalidRequestError("after must be true or false")
    times = body.get("times", 1)
    return Fault(
        match=match,
        effect=effect,
        status=_number(body, "status", 503, least=100, most=599),
        code=code,
        times=None if times is None else _number(body, "times", 1, least=1, most=1_000_000),
        delay_ms=_number(body, "delay_ms", 0, least=0, most=600_000),
        after=after,
    )


def _number(body: Json, name: str, default: int, *, least: int, most: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequestError(f"{name} must be a whole number from {least} to {most}")
    return value


def _known(body: Json, *names: str) -> None:
    unknown = sorted(set(body) - set(names))
    if unknown:
        raise InvalidRequestError(f"unknown fields: {', '.join(unknown)}; allowed: {', '.join(names)}")


async def _object(request: Request) -> Json:
    """Return the body of the request as a JSON object. Raises InvalidRequestError."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > _LARGEST_BODY:
            raise HTTPException(413, "The body is larger than 1 MB.")
    try:
        body = json_text.parse(raw)
    except json_text.InvalidJson as error:
        raise InvalidRequestError(f"the body is invalid: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("the body must be a JSON object")
    return body


async def _bad_request(_request: Request, error: Exception) -> Response:
    return _json({"error": {"code": "BadRequest", "message": str(error)}}, 400)


async def _unavailable(_request: Request, error: Exception) -> Response:
    return _json({"error": {"code": "StorageUnavailable", "message": str(error)}}, 503)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 413: "TooLarge"}.get(
        error.status_code, "Error"
    )
    return JSONResponse({"error": {"code": code, "message": error.detail}}, error.status_code, error.headers)


def _json(body: Any, status: int = 200) -> Response:
    # In ASCII: the text of an event may contain a lone surrogate, which has no UTF-8 form.
    text = json.dumps(body, default=lambda value: value.isoformat())
    return Response(text, status, media_type="application/json")
