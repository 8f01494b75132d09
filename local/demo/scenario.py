"""The actors of the scenario: an owner who leaks a token, an attacker who uses it, a scanner that reports it.

All of them are real clients over real sockets: azure-storage-blob and azure-eventgrid.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient
from azure.identity import ManagedIdentityCredential
from azure.storage.blob import (
    AccountSasPermissions,
    BlobServiceClient,
    PublicAccess,
    ResourceTypes,
    Services,
    generate_account_sas,
)

from shared.domain import report as findings

ACCOUNT = "robustmodels"
OWNER = "model-owner@contoso.com"
ENDPOINT = f"https://{ACCOUNT}.blob.core.windows.net"
EXPIRES = datetime(2051, 10, 6, tzinfo=UTC)
_MODEL = ("models", "resnet152.ckpt")
_BACKUP = ("backups", "workstation-042.vhd")
# How the incident describes the attack below.
DONE = (f"FILES THAT RUN WHEN OPENED WERE WRITTEN: /{ACCOUNT}/models/resnet152.ckpt", "1 write, 0 deletes")
_WEIGHTS = b"original weights"


@dataclass(frozen=True)
class Leak:
    """The account SAS that is published, with the README that contains it."""

    query: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"{ENDPOINT}/models/resnet152.ckpt?{self.query}"

    @property
    def readme(self) -> str:
        return f"## Models\n\nDownload our [pre-trained models]({self.url}) and have fun.\n"


def fill(key1: str) -> None:
    """Upload a public model and a private backup, as the owner."""
    owner = _client(key1)
    owner.create_container("models", public_access=PublicAccess.BLOB)
    owner.create_container("backups")
    owner.get_blob_client(*_MODEL).upload_blob(_WEIGHTS)
    owner.get_blob_client(*_BACKUP).upload_blob(b"passwords, private keys, 30,000 chat messages")


def leak(key2: str) -> Leak:
    """Sign a token with key2: meant to share one model, it gives full access to the account until 2051."""
    return Leak(
        generate_account_sas(
            ACCOUNT,
            key2,
            resource_types=ResourceTypes(service=True, container=True, object=True),
            permission=AccountSasPermissions(
                read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True
            ),
            expiry=EXPIRES,
            services=Services(blob=True, queue=True, fileshare=True),
        )
    )


def attack(found: Leak) -> list[str]:
    """List, download and overwrite with the leaked token, as the attacker; return a line per step."""
    attacker = _client(found.query)
    containers = [container.name for container in attacker.list_containers()]
    stolen = attacker.get_blob_client(*_BACKUP).download_blob().readall()
    attacker.get_blob_client(*_MODEL).upload_blob(b"\x80\x04cos\nsystem\n", overwrite=True)
    return [
        f"lists the containers: {', '.join(sorted(containers))}",
        f"downloads {'/'.join(_BACKUP)} (private, {len(stolen)} bytes)",
        f"overwrites {'/'.join(_MODEL)} with code that runs when the model is loaded",
    ]


def report(found: Leak, topic_endpoint: str) -> datetime:
    """Publish the finding without its secret, as a scanner does; return when."""
    reported = findings.in_text(
        found.readme,
        source="repository scanner",
        url="https://github.com/contoso/robust-models/blob/main/README.md",
        detected_at=datetime.now(UTC),
    )
    events = [
        CloudEvent(
            source="/scanners/repositories",
            type=findings.REPORTED,
            id=item.finding.fingerprint,
            data=item.finding.to_data(),
        )
        for item in reported
    ]
    with EventGridPublisherClient(topic_endpoint, ManagedIdentityCredential()) as client:
        published_at = datetime.now(UTC)
        client.send(events)
    return published_at


def refusal(credential: str) -> str | None:
    """Try to list containers. Return the error, such as "403 AuthenticationFailed"; None if that succeeds."""
    try:
        next(iter(_client(credential).list_containers(results_per_page=1)), None)
    except HttpResponseError as error:
        if error.status_code == 403:
            return f"403 {error.error_code.value}"  # type: ignore[attr-defined]  # set by every storage SDK
        raise
    return None


def restore(key1: str) -> str:
    """Restore the original model with key1, as the owner; return whether that worked."""
    try:
        _client(key1).get_blob_client(*_MODEL).upload_blob(_WEIGHTS, overwrite=True)
    except AzureError as error:
        return f"no: {type(error).__name__}"
    return "yes"


def _client(credential: str) -> BlobServiceClient:
    return BlobServiceClient(ENDPOINT, credential=credential, retry_total=0)
