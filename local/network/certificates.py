"""A temporary certificate authority, and the certificates of the front and of Azurite."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme

from local.network.hostnames import CERTIFICATE_NAMES


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates of one cloud. The private key of the authority is kept in memory only.

    Clients trust `authority_file`. Azurite serves with `azurite_certificate` and `azurite_key`; it accepts only
    files.
    """

    authority_file: Path
    azurite_certificate: Path
    azurite_key: Path
    server_context: ssl.SSLContext

    @classmethod
    def make(cls, folder: Path) -> "Certificates":
        """Create an authority and its two certificates, and write the files into `folder`."""
        authority = trustme.CA(organization_name="Sasquash local cloud (temporary)")
        front = authority.issue_cert(*CERTIFICATE_NAMES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        front.configure_cert(context)

        azurite = authority.issue_cert("127.0.0.1")
        made = cls(
            authority_file=folder / "authority.pem",
            azurite_certificate=folder / "azurite.pem",
            azurite_key=folder / "azurite-key.pem",
            server_context=context,
        )
        authority.cert_pem.write_to_path(made.authority_file)
        made.azurite_certificate.write_bytes(b"".join(blob.bytes() for blob in azurite.cert_chain_pems))
        made.azurite_key.touch(mode=0o600)
        made.azurite_key.write_bytes(azurite.private_key_pem.bytes())
        return made

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts only this authority."""
        return ssl.create_default_context(cafile=self.authority_file)
