"""A SAS as the storage logs have it: when it was used, by whom and for what. Pure values.

Only `signature_sha256` and `key_name` are of Azure's making. Clients choose all other texts: they are hostile, of
bounded size.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSas:
    """The use of one SAS of an account.

    `signature_sha256` is 64 lower-case hex characters. `key_name` is "key1" or "key2" as the logs have it, else None.
    `urls` are some of the requests' URLs without the signature, accepted ones first. `resource_id` is that of the
    account in ARM, None where the logs have none. `accepted` of the `requests` had a status below 400.
    `addresses` are IP addresses without a port.
    """

    account: str
    resource_id: str | None
    signature_sha256: str
    key_name: str | None
    urls: tuple[str, ...]
    first: datetime
    last: datetime
    requests: int
    accepted: int
    addresses: tuple[str, ...]
    agents: tuple[str, ...]
    operations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoggedTokens:
    """What a query found. `unidentified` counts requests with a SAS whose line names no signature.

    `is_cut`: there are more tokens than one query names.
    """

    tokens: tuple[LoggedSas, ...]
    unidentified: int = 0
    is_cut: bool = False
