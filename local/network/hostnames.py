"""The host names that the local cloud serves, and the parts of a storage host name."""

from dataclasses import dataclass

STORAGE_SUFFIX = "core.windows.net"
STORAGE_SERVICES = ("blob", "queue", "table", "file", "dfs", "web")
SECONDARY_SUFFIX = "-secondary"

ENTRA_HOST = "login.microsoftonline.com"
ARM_HOST = "management.azure.com"
GRAPH_HOST = "graph.microsoft.com"
GITHUB_HOST = "api.github.com"
AZURE_DEVOPS_HOST = "advsec.dev.azure.com"
AZURE_REPOS_HOST = "dev.azure.com"
APP_HOST = "func-sasquash.azurewebsites.net"  # the function app
INCIDENTS_HOST = "incidents.contoso.com"  # a receiver of webhooks
LOGS_HOST = "api.loganalytics.io"
HISTORY_HOST = "dcr-sasquash-5kyl.westeurope-1.ingest.monitor.azure.com"  # of a data collection rule
INSIGHTS_HOST = "westeurope-5.in.applicationinsights.azure.com"
KEY_VAULT_SUFFIX = "vault.azure.net"
APPS_SUFFIX = "azurewebsites.net"  # apps that were deployed
PUBLISHING_SUFFIX = f"scm.{APPS_SUFFIX}"  # where their packages are published

_EXACT = (
    APP_HOST,
    INCIDENTS_HOST,
    ENTRA_HOST,
    ARM_HOST,
    GRAPH_HOST,
    LOGS_HOST,
    GITHUB_HOST,
    AZURE_DEVOPS_HOST,
    AZURE_REPOS_HOST,
    INSIGHTS_HOST,
    HISTORY_HOST,
)
_FAMILIES = ("eventgrid.azure.net", KEY_VAULT_SUFFIX, APPS_SUFFIX, PUBLISHING_SUFFIX)
_EVENT_GRID_REGIONS = ("westeurope-1", "northeurope-1", "eastus-1", "westus2-1")

CERTIFICATE_NAMES = (
    *_EXACT,
    *(f"*.{service}.{STORAGE_SUFFIX}" for service in STORAGE_SERVICES),
    *(f"*.{family}" for family in _FAMILIES),
    # A wildcard of a certificate covers one label, and the host of a topic has a label for the region.
    *(f"*.{region}.eventgrid.azure.net" for region in _EVENT_GRID_REGIONS),
)


@dataclass(frozen=True, slots=True)
class StorageHost:
    """The parts of a storage host name, such as `robustmodels-secondary.blob.core.windows.net`."""

    account: str
    service: str
    is_secondary: bool

    @classmethod
    def parse(cls, host: str) -> "StorageHost | None":
        """Parse `host` (lower case, no port); None if it is not a storage endpoint."""
        account, _, rest = host.partition(".")
        service, _, suffix = rest.partition(".")
        if suffix != STORAGE_SUFFIX or service not in STORAGE_SERVICES or not account:
            return None
        primary = account.removesuffix(SECONDARY_SUFFIX)
        return cls(account=primary, service=service, is_secondary=primary != account)


def is_known(host: str) -> bool:
    """Return whether `host` (lower case, no port) is a host name that the local cloud serves."""
    return host in _EXACT or host.endswith(tuple(f".{f}" for f in _FAMILIES)) or StorageHost.parse(host) is not None
