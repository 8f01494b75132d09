"""Strings-to-sign by kind, service and version, and the key that signed a token.

Sources (learn.microsoft.com/rest/api/storageservices, section "Construct the signature string"): "Create an account
SAS", "Create a service SAS" and "Create a user delegation SAS". For user delegation SAS of queues, files and tables
(preview) the client libraries azure-storage-queue 12.18.1 and azure-storage-file-share 12.27.1 are the only source.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from local.storage.sas.token import DELEGATION_KEY, Kind, Token
from local.tenant.model import Account, DelegationKey

_SERVICE_IN_RESOURCE_SINCE = "2015-02-21"

# A line is the value of the parameter of that name; "account", "resource" and "snapshot" are computed, "-" is empty.
type _Lines = Sequence[str]
type _Versions = Sequence[tuple[str, _Lines]]


def _lines(text: str) -> _Lines:
    return tuple(text.split())


_HEADERS = "rscc rscd rsce rscl rsct"
_KEY = " ".join(DELEGATION_KEY)
_BOUND_KEY = f"sp st se resource {_KEY} skdutid sduoid sip spr sv"

_ACCOUNT: _Versions = (
    ("2015-04-05", _lines("account sp ss srt st se sip spr sv -")),
    ("2020-12-06", _lines("account sp ss srt st se sip spr sv ses -")),
)
_SERVICE: dict[str, _Versions] = {
    "blob": (
        ("", _lines("sp st se resource si")),
        ("2012-02-12", _lines("sp st se resource si sv")),
        ("2013-08-15", _lines(f"sp st se resource si sv {_HEADERS}")),
        ("2015-04-05", _lines(f"sp st se resource si sip spr sv {_HEADERS}")),
        ("2018-11-09", _lines(f"sp st se resource si sip spr sv sr snapshot {_HEADERS}")),
        ("2020-12-06", _lines(f"sp st se resource si sip spr sv sr snapshot ses {_HEADERS}")),
    ),
    "file": (
        ("2015-02-21", _lines(f"sp st se resource si sv {_HEADERS}")),
        ("2015-04-05", _lines(f"sp st se resource si sip spr sv {_HEADERS}")),
    ),
    "queue": (
        ("2012-02-12", _lines("sp st se resource si sv")),
        ("2015-04-05", _lines("sp st se resource si sip spr sv")),
    ),
    "table": (
        ("2012-02-12", _lines("sp st se resource si sv spk srk epk erk")),
        ("2015-04-05", _lines("sp st se resource si sip spr sv spk srk epk erk")),
    ),
}
_DELEGATION: dict[str, _Versions] = {
    "blob": (
        ("2018-11-09", _lines(f"sp st se resource {_KEY} sip spr sv sr snapshot {_HEADERS}")),
        ("2020-02-10", _lines(f"sp st se resource {_KEY} saoid suoid scid sip spr sv sr snapshot {_HEADERS}")),
        ("2020-12-06", _lines(f"sp st se resource {_KEY} saoid suoid scid sip spr sv sr snapshot ses {_HEADERS}")),
        (
            "2025-07-05",
            _lines(f"sp st se resource {_KEY} saoid suoid scid skdutid sduoid sip spr sv sr snapshot ses {_HEADERS}"),
        ),
        (
            "2026-04-06",
            # The two empty lines are the signed headers and parameters of a request, for a token that has them.
            _lines(
                f"sp st se resource {_KEY} saoid suoid scid skdutid sduoid sip spr sv sr snapshot ses - - {_HEADERS}"
            ),
        ),
    ),
    "queue": (("2025-07-05", _lines(_BOUND_KEY)),),
    "file": (("2025-07-05", _lines(f"{_BOUND_KEY} {_HEADERS}")),),
    "table": (("2025-07-05", _lines(f"{_BOUND_KEY} spk srk epk erk")),),
}


def string_to_sign(token: Token, account: str) -> str:
    """Return the text that Azure signs to check the token."""
    versions = {
        Kind.ACCOUNT: _ACCOUNT,
        Kind.SERVICE: _SERVICE.get(token.service, ()),
        Kind.DELEGATION: _DELEGATION.get(token.service, ()),
    }[token.kind]
    lines = next(lines for since, lines in reversed(versions) if since <= token.version)
    prefix = f"/{token.service}" if token.version >= _SERVICE_IN_RESOURCE_SINCE else ""
    computed = {
        "account": account,
        "resource": f"{prefix}/{account}/{token.resource}",
        "snapshot": token.snapshot,
        "-": "",
    }
    return "\n".join(computed[line] if line in computed else token.get(line) for line in lines)


def sign(text: str, key: str) -> str:
    """Return the signature of `text` by a base64 key: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()


def signing_key(token: Token, account: Account) -> str | None:
    """Return the name of the account key that signed the token; None if neither did."""
    text = string_to_sign(token, account.name)
    return next((name for name, key in account.accepted_keys.items() if _fits(token, text, key)), None)


def delegation_key(token: Token, account: Account) -> DelegationKey | None:
    """Return the unrevoked user delegation key that signed the token; None if there is none."""
    text = string_to_sign(token, account.name)
    named = tuple(token.get(name) for name in DELEGATION_KEY)
    revoked = account.delegation_keys_revoked_at
    for key in account.delegation_keys:
        own = (key.object_id, key.tenant_id, key.start, key.expiry, key.service, key.version)
        if own == named and _fits(token, text, key.value) and (revoked is None or key.issued_at > revoked):
            return key
    return None


def _fits(token: Token, text: str, key: str) -> bool:
    return hmac.compare_digest(sign(text, key).encode(), token.signature.encode())
