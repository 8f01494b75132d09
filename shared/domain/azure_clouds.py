"""The Azure clouds that Sasquash runs in, and where their services are.

Source: azure-core `azure.core.tools` / learn.microsoft.com, "Compare Azure Government and global Azure" and "Azure
in China developer guide"; Graph's national cloud deployments page; of `monitor`, the audience of the Logs Ingestion
API, "Logs Ingestion API in Azure Monitor", "Request headers".
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.sas import Service

_ONE_SERVICE = (Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE)


class CloudName(StrEnum):
    """Azure's clouds, as `SASQUASH_CLOUD` names them."""

    PUBLIC = "public"
    US_GOVERNMENT = "usgovernment"
    CHINA = "china"


@dataclass(frozen=True, slots=True)
class AzureCloud:
    """End points of one cloud; `authority` is a host name, and each `…_suffix` the end of one.

    `token_issuers` are who Entra ID says to have issued an access token, in both versions of it, with "{tenant}" for
    the tenant's id (learn.microsoft.com, "Access token claims reference" and "National clouds"). The others are https
    URLs without a trailing slash.
    """

    resource_manager: str
    graph: str
    authority: str
    logs: str
    monitor: str
    key_vault_suffix: str
    storage_suffix: str
    token_issuers: tuple[str, ...]

    def blob_host(self, account: str) -> str:
        """Return the host name of an account's blob service, as most accounts have it."""
        return f"{account}.blob.{self.storage_suffix}"

    def host(self, account: str, service: Service | None) -> str:
        """Return the host of a service of an account, of its blobs where the service is none or several."""
        label = service if service in _ONE_SERVICE else Service.BLOB
        return f"{account}.{label}.{self.storage_suffix}"


CLOUDS = {
    CloudName.PUBLIC: AzureCloud(
        resource_manager="https://management.azure.com",
        graph="https://graph.microsoft.com",
        authority="login.microsoftonline.com",
        logs="https://api.loganalytics.io",
        monitor="https://monitor.azure.com",
        key_vault_suffix="vault.azure.net",
        storage_suffix="core.windows.net",
        token_issuers=(
            "https://sts.windows.net/{tenant}/",
            "https://login.microsoftonline.com/{tenant}/v2.0",
        ),
    ),
    CloudName.US_GOVERNMENT: AzureCloud(
        resource_manager="https://management.usgovcloudapi.net",
        graph="https://graph.microsoft.us",
        authority="login.microsoftonline.us",
        logs="https://api.loganalytics.us",
        monitor="https://monitor.azure.us",
        key_vault_suffix="vault.usgovcloudapi.net",
        storage_suffix="core.usgovcloudapi.net",
        token_issuers=(
            "https://sts.windows.net/{tenant}/",
            "https://login.microsoftonline.us/{tenant}/v2.0",
        ),
    ),
    CloudName.CHINA: AzureCloud(
        resource_manager="https://management.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        authority="login.chinacloudapi.cn",
        logs="https://api.loganalytics.azure.cn",
        monitor="https://monitor.azure.cn",
        key_vault_suffix="vault.azure.cn",
        storage_suffix="core.chinacloudapi.cn",
        token_issuers=(
            "https://sts.chinacloudapi.cn/{tenant}/",
            "https://login.chinacloudapi.cn/{tenant}/v2.0",
            "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
        ),
    ),
}
