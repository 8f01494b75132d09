"""The offline analysis of leaked Azure Storage credentials. Pure: no I/O, except for the command `scan`.

The order of the modules (docs/reading.md): `extract` finds the credentials of a text: `anchors` says where one may
be, `normalize` undoes escapes and encodings, `queries` collects a token's parameters, `values` what each may mean,
`places` the accounts and paths of the text; `tokens`, `connections` and `keys` put the candidates together.
`classify` and `hosts` determine their kind and scope; `credential` is the result without the secret; `signature`
finds the key that signed it; `risk` and `explain` rate and describe it. `leak` has the token itself, for the one
check that sends it to Azure; `logged` reads the URLs of the storage logs; `mint` creates verification tokens;
`foreign` names other services' credentials. Only `scan` reads files, as `file_text` decodes them.
"""

from .credential import Credential, InvalidCredential
from .explain import explain, explanation
from .extract import extract, extract_leaks, located_leaks
from .fingerprint import key_sha256, signature_sha256
from .foreign import ForeignCredential, OtherService, foreign_credentials
from .kinds import ALL_SERVICES, Kind, ResourceKind, Service
from .leak import Leak
from .logged import credentials_of_logged_url
from .mint import DelegationKey, mint_delegation_token, mint_read_token
from .permissions import is_writable
from .risk import Risk, Severity, assess
from .signature import NEWEST_KNOWN_VERSION, SignedParts, Undecidable, Verification, signed_parts, verify

__all__ = [
    "ALL_SERVICES",
    "NEWEST_KNOWN_VERSION",
    "Credential",
    "DelegationKey",
    "ForeignCredential",
    "InvalidCredential",
    "Kind",
    "Leak",
    "OtherService",
    "ResourceKind",
    "Risk",
    "Service",
    "Severity",
    "SignedParts",
    "Undecidable",
    "Verification",
    "assess",
    "credentials_of_logged_url",
    "explain",
    "explanation",
    "extract",
    "extract_leaks",
    "foreign_credentials",
    "is_writable",
    "key_sha256",
    "located_leaks",
    "mint_delegation_token",
    "mint_read_token",
    "signature_sha256",
    "signed_parts",
    "verify",
]
