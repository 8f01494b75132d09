"""The Azure clouds that Sasquash runs in, and where their services are.

Source: azure-core `azure.core.tools` / learn.microsoft.com, "Compare Azure Government and global Azure" and "Azure
in China developer guide"; Graph's national cloud deployments page.
"""

from dataclasses import dataclass
from enum import StrEnum


class CloudName(StrEnum):
    """Azure's clouds, as `SASQUASH_CLOUD` names them."""

    PUBLIC = "public"
    US_GOVERNMENT = "usgovernment"
    CHINA = "china"


@dataclass(frozen=True, slots=True)
class AzureCloud:
    """End points of one cloud; `authority` is a host name, the others are https URLs without a trailing slash."""

    resource_manager: str
    graph: str
    authority: str


CLOUDS = {
    CloudName.PUBLIC: AzureCloud(
        resource_manager="https://management.azure.com",
        graph="https://graph.microsoft.com",
        authority="login.microsoftonline.com",
    ),
    CloudName.US_GOVERNMENT: AzureCloud(
        resource_manager="https://management.usgovcloudapi.net",
        graph="https://graph.microsoft.us",
        authority="login.microsoftonline.us",
    ),
    CloudName.CHINA: AzureCloud(
        resource_manager="https://management.chinacloudapi.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        authority="login.chinacloudapi.cn",
    ),
}
