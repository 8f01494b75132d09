"""Environment variables for the local cloud: of clients (`.local/env`) and of the function app (its settings)."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from local.entra import managed_identity
from local.entra.service import Entra
from local.monitor import insights
from local.network.hostnames import APP_HOST, HISTORY_HOST, INSIGHTS_HOST
from local.tenant.model import (
    API_ID_URI,
    AZURE_CLI,
    CONSOLE_CLIENT_ID,
    HISTORY_RULE,
    HISTORY_WORKSPACE,
    INTAKE_ACCOUNT,
    KEY_VAULT,
    MAIL_SENDER,
    SECURITY_MAILBOX,
    SHAREPOINT_LIST,
    SHAREPOINT_SITE,
    STATE_ACCOUNT,
    SUBSCRIPTION_ID,
    TENANT_DOMAIN,
    TENANT_ID,
    TOPIC_HOST,
    Cloud,
)

_LOOPBACK = "127.0.0.1,localhost,::1"
_TOKEN_LIFETIME = timedelta(days=30)
_PEOPLE = {
    "SASQUASH_TOKEN_READER": "reader",
    "SASQUASH_TOKEN_RESPONDER": "responder-person",
    "SASQUASH_TOKEN_APPROVER": "approver",
    "SASQUASH_TOKEN_SECOND_APPROVER": "second-approver",
    "SASQUASH_TOKEN_REPORTER": "reporter",
}
# Turns off what the trace exporter sends to and fetches from Microsoft, as infra/modules/app.bicep does.
QUIET = {
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED": "true",
}
_SERVICES = ("blob", "queue", "table")
# Which settings a separate intake gets, and which the responder beside it does not, as infra/main.bicep reads them.
_APPS = json.loads((Path(__file__).resolve().parents[2] / "infra/settings.json").read_text())
_OF_THE_HOST = ("SASQUASH_STORAGE__credential", "SASQUASH_STORAGE__clientId")
_BY_EVENT_GRID = ("on_finding",)  # disabled in a private network


@dataclass(frozen=True, slots=True)
class IdentityEndpoint:
    """The endpoint for managed identity tokens. `secret` is the value of IDENTITY_HEADER."""

    port: int
    secret: str

    def variables(self) -> dict[str, str]:
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self.port}{managed_identity.PATH}",
            "IDENTITY_HEADER": self.secret,
        }


def client(*, proxy_port: int, authority_file: Path) -> dict[str, str]:
    """Return variables that make clients use the proxy for Azure's host names, and trust the certificates there."""
    proxy = f"http://127.0.0.1:{proxy_port}"
    authority = str(authority_file)
    return {
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "https_proxy": proxy,
        "NO_PROXY": _LOOPBACK,
        "no_proxy": _LOOPBACK,
        "SSL_CERT_FILE": authority,
        "REQUESTS_CA_BUNDLE": authority,
        "CURL_CA_BUNDLE": authority,
        "NODE_EXTRA_CA_CERTS": authority,
    }


def developer(
    cloud: Cloud, entra: Entra, *, endpoint: IdentityEndpoint, control_port: int, api: str | None
) -> dict[str, str]:
    """Return the variables of `.local/env` beside those of `client`. `api`: base address of the first host."""
    variables = endpoint.variables() | {
        "SASQUASH_TOPIC_ENDPOINT": f"https://{TOPIC_HOST}/api/events",
        "SASQUASH_CONTROL": f"http://127.0.0.1:{control_port}",
    }
    variables |= cloud.senders.exports()
    if api is not None:
        variables["SASQUASH_API"] = f"{api}/api"
    for variable, name in _PEOPLE.items():
        person = cloud.identities[name]
        is_person = any(user.object_id == person.object_id for user in cloud.users.values())
        client = AZURE_CLI if is_person else None  # people get their tokens by the Azure CLI
        variables[variable] = entra.mint(person, audience=API_ID_URI, client=client, lifetime=_TOKEN_LIFETIME)
    return variables


def deliveries(*, private: bool) -> dict[str, str]:
    """Return the settings that disable the functions by which no finding arrives (infra/deliveries.json)."""
    return {f"AzureWebJobs.{name}.Disabled": "true" for name in _BY_EVENT_GRID} if private else {}


def app_settings(
    cloud: Cloud, *, endpoint: IdentityEndpoint, identity: str = "responder", host_account: str = STATE_ACCOUNT
) -> dict[str, str]:
    """Return a function app's settings as a deployment sets them, including the secrets of the report sources.

    `identity`: the name of the app's managed identity. `host_account`: the storage account of its Functions host.
    """
    client_id = cloud.identities[identity].client_id
    settings = (
        endpoint.variables()
        | {
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "AzureWebJobsDisableHomepage": "true",
            "SASQUASH_MODE": "auto",
            "SASQUASH_SUBSCRIPTIONS": SUBSCRIPTION_ID,
            "SASQUASH_CLIENT_ID": client_id,
            "SASQUASH_HOST_ACCOUNTS": INTAKE_ACCOUNT,
            "AzureWebJobsStorage__accountName": host_account,
            "SASQUASH_TOPIC_ENDPOINT": f"https://{TOPIC_HOST}/api/events",
            "SASQUASH_TENANT_ID": TENANT_ID,
            "SASQUASH_API_AUDIENCES": f"{CONSOLE_CLIENT_ID},{API_ID_URI}",
            "SASQUASH_RAW_EVENTS": "on",
            "SASQUASH_KEY_VAULTS": KEY_VAULT,
            "SASQUASH_SECURITY_MAILBOX": SECURITY_MAILBOX,
            "SASQUASH_MAIL_SENDER": MAIL_SENDER,
            "SASQUASH_MAIL_DOMAINS": TENANT_DOMAIN,
            "SASQUASH_INCIDENT_SITE": SHAREPOINT_SITE,
            "SASQUASH_INCIDENT_LIST": SHAREPOINT_LIST,
            "SASQUASH_DESK": f"https://{APP_HOST}/api/desk",
            "SASQUASH_HISTORY_ENDPOINT": f"https://{HISTORY_HOST}",
            "SASQUASH_HISTORY_RULE": HISTORY_RULE,
            "SASQUASH_HISTORY_WORKSPACE": HISTORY_WORKSPACE,
            "APPLICATIONINSIGHTS_CONNECTION_STRING": insights.connection_string(INSIGHTS_HOST),
        }
        | QUIET
    )
    settings |= cloud.senders.settings()
    for connection, account in (("SASQUASH_STORAGE", STATE_ACCOUNT), ("AzureWebJobsStorage", host_account)):
        for service in _SERVICES:
            settings[f"{connection}__{service}ServiceUri"] = f"https://{account}.{service}.core.windows.net/"
        settings[f"{connection}__credential"] = "managedidentity"
        settings[f"{connection}__clientId"] = client_id
    return settings


def of_intake(settings: Mapping[str, str]) -> dict[str, str]:
    """Return those of an app's settings that a separate intake gets."""
    given = {*_APPS["intake"], *_OF_THE_HOST}
    return {name: value for name, value in settings.items() if not name.startswith("SASQUASH_") or name in given}


def write(file: Path, variables: Mapping[str, str]) -> None:
    """Write `variables` as shell exports, readable only by the owner, since they include tokens."""
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
    new.replace(file)
