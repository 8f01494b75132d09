"""Builds the incident sink that the settings choose."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from shared.cloud.clients import Clients, Transport
from shared.cloud.http import Rest
from shared.cloud.secret_settings import SecretSettings
from shared.followup.incidents.defender import DefenderIncidents
from shared.followup.incidents.mail import MailIncidents
from shared.followup.incidents.sentinel import SentinelIncidents
from shared.followup.incidents.sharepoint import Incidents, SharePointIncidents
from shared.followup.incidents.webhook import WebhookIncidents
from shared.setting_parsers import SecretSetting
from shared.settings import IncidentSink, Settings

if TYPE_CHECKING:
    from shared.cloud.graph import Graph


def made(
    settings: Settings,
    clients: Clients,
    new_transport: Callable[[], Transport],
    secrets: SecretSettings,
    *,
    graph: Callable[[], "Graph"],
    clock: Callable[[], datetime],
) -> Incidents:
    """Return the sink. `Settings.read` checks that its settings are complete."""
    match settings.incidents:
        case IncidentSink.MAIL:
            return MailIncidents(graph(), settings)
        case IncidentSink.SHAREPOINT:
            return SharePointIncidents(graph(), site=settings.incident_site or "", list_=settings.incident_list or "")
        case IncidentSink.DEFENDER:
            base_url = settings.cloud.graph
            authentication = AsyncBearerTokenCredentialPolicy(clients.credential, f"{base_url}/.default")
            return DefenderIncidents(Rest(base_url, new_transport(), authentication=authentication))
        case IncidentSink.SENTINEL:
            workspace = settings.sentinel_workspace or ""
            return SentinelIncidents(clients.arm(workspace.split("/")[2]), workspace=workspace)
        case IncidentSink.WEBHOOK:
            url, secret = urlsplit(settings.incident_webhook or ""), settings.incident_webhook_secret
            return WebhookIncidents(
                Rest(f"https://{url.netloc}", new_transport()),
                url.path or "/",
                secret=lambda: secrets.read(secret or SecretSetting("")),
                clock=clock,
            )
