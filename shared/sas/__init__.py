"""Everything about a leaked Azure Storage credential that can be known without asking Azure. Pure: no I/O.

A text goes through these rooms: `extract` finds the credentials in it (`normalize`, `tokens`, `connections`, `keys`,
`mentions`), `classify` and `hosts` tell what each is, `credential` keeps it without its secret, `signature` tells
which key made it, `risk` and `explain` what that means. `leak` has the token itself, for the one check that sends it
once more; `mint` makes tokens of our own, as proof of what still works.
"""

from .credential import Credential, InvalidCredential
from .explain import explain, explanation
from .extract import extract, extract_leaks
from .fingerprint import key_sha256, signature_sha256
from .kinds import ALL_SERVICES, Kind, ResourceKind, Service
from .leak import Leak
from .mint import DelegationKey, mint_delegation_token, mint_read_token
from .permissions import is_writable
from .risk import Risk, Severity, assess
from .signature import NEWEST_KNOWN_VERSION, Undecidable, Verification, verify

__all__ = [
    "ALL_SERVICES",
    "NEWEST_KNOWN_VERSION",
    "Credential",
    "DelegationKey",
    "InvalidCredential",
    "Kind",
    "Leak",
    "ResourceKind",
    "Risk",
    "Service",
    "Severity",
    "Undecidable",
    "Verification",
    "assess",
    "explain",
    "explanation",
    "extract",
    "extract_leaks",
    "is_writable",
    "key_sha256",
    "mint_delegation_token",
    "mint_read_token",
    "signature_sha256",
    "verify",
]
