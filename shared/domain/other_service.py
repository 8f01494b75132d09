"""A leaked credential of another Azure service: named, so that nobody believes that Sasquash handles it. Pure.

It is never attributed and never revoked. The `data` of its event is `{"other_service": {"service", "sha256"},
"source", "url", "detected_at"}`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from shared.sas import OtherService

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAMES: Mapping[OtherService, str] = MappingProxyType(
    {
        OtherService.SERVICE_BUS: "Azure Service Bus, Event Hubs or Relay",
        OtherService.IOT_HUB: "Azure IoT Hub",
        OtherService.COSMOS_DB: "Azure Cosmos DB",
        OtherService.BATCH: "Azure Batch",
        OtherService.LOGIC_APPS: "Azure Logic Apps",
        OtherService.API_MANAGEMENT: "Azure API Management",
    }
)


class InvalidOtherService(ValueError):
    """It is no such credential. The message names the field and the rule, and has no value."""


@dataclass(frozen=True, slots=True)
class OtherServiceCredential:
    """Which service it belongs to, and the SHA-256 of its signature or key, by the recipe of `sas.fingerprint`."""

    service: OtherService
    sha256: str

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the credential in an event's data. Raises InvalidOtherService."""
        if not isinstance(data, Mapping):
            raise InvalidOtherService("it is not an object.")
        service, digest = data.get("service"), data.get("sha256")
        if not isinstance(service, str) or service not in list(OtherService):
            raise InvalidOtherService("service is none that Sasquash knows.")
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise InvalidOtherService("sha256 is not 64 hexadecimal digits in lower case.")
        return cls(OtherService(service), digest)

    def to_json(self) -> dict[str, str]:
        """Return it as an event has it."""
        return {"service": self.service.value, "sha256": self.sha256}

    @property
    def fingerprint(self) -> str:
        """The id of its record: the same wherever it leaked."""
        return hashlib.sha256(f"other_service|{self.service}|{self.sha256}".encode()).hexdigest()

    @property
    def service_name(self) -> str:
        """The service's name for people."""
        return _NAMES[self.service]

    @property
    def detail(self) -> str:
        """What the record says of it."""
        return (
            f"It is a credential of {self.service_name} (SHA-256 {self.sha256}), and Sasquash revokes those of Azure "
            "Storage only: nothing was done. Regenerate it in that service."
        )
