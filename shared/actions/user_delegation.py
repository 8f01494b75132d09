"""User delegation SAS of our own, for verification: signed with a user delegation key that Entra ID issues to us.

REST: "Get User Delegation Key" (2018-11-09 and later), "Create a user delegation SAS". The key needs the action
generateUserDelegationKey on the account (role Storage Blob Delegator) and gives no access by itself: our SAS
grants what the app's identity has, and that is no access to data.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import HttpRequest

from shared.cloud.data_plane import Transport, send
from shared.cloud.errors import from_status, retry_after, translate_errors
from shared.domain.account import AccountFacts
from shared.errors import TransientFailure
from shared.sas import DelegationKey, Service, mint_delegation_token

_SCOPE = "https://storage.azure.com/.default"  # the same in every cloud
_VERSION = "2020-12-06"
_FIELDS = {
    "object_id": "SignedOid",
    "tenant_id": "SignedTid",
    "start": "SignedStart",
    "expiry": "SignedExpiry",
    "service": "SignedService",
    "version": "SignedVersion",
    "value": "Value",
}


@dataclass(frozen=True, slots=True)
class UserDelegation:
    """Gets user delegation keys for the app's own identity, and mints SAS with them."""

    credential: AsyncTokenCredential
    new_transport: Callable[[], Transport]

    async def key(self, account: AccountFacts, *, start: datetime, expiry: datetime) -> DelegationKey:
        """Return a new key of `account`, which must have a blob endpoint. Raises TransientFailure or Blocked."""
        doing = f"Getting a user delegation key of {account.name}"
        period = f"<KeyInfo><Start>{_moment(start)}</Start><Expiry>{_moment(expiry)}</Expiry></KeyInfo>"
        with translate_errors(doing):
            token = await self.credential.get_token(_SCOPE)
            request = HttpRequest(
                "POST",
                f"{account.endpoints[Service.BLOB]}?restype=service&comp=userdelegationkey",
                headers={
                    "Authorization": f"Bearer {token.token}",
                    "Content-Type": "application/xml",
                    "x-ms-version": _VERSION,
                },
                content=f'<?xml version="1.0" encoding="utf-8"?>{period}',
            )
            async with self.new_transport() as transport:
                answer = await send(transport, request)
        if answer.status != 200:
            raise from_status(
                answer.status,
                answer.code,
                doing=doing,
                retry_after=retry_after(answer.headers),
                right="Storage Blob Delegator",
            )
        return _read(answer.body, doing=doing)


def mint(account: AccountFacts, name: str, *, starts: datetime, expires: datetime, key: DelegationKey) -> str:
    """Return the query of a SAS for the blob `name` ("container/name"). Raises TransientFailure on a bad key."""
    try:
        return mint_delegation_token(account=account.name, resource=name, starts=starts, expires=expires, key=key)
    except ValueError:
        raise TransientFailure(f"The user delegation key that {account.name} gave can't sign.") from None


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(body: bytes, *, doing: str) -> DelegationKey:
    try:
        root = ET.fromstring(body)  # noqa: S314 -- Azure's own answer, over TLS
    except ET.ParseError:
        raise TransientFailure(f"{doing} failed: the answer is not XML.") from None
    return DelegationKey(**{name: root.findtext(tag) or "" for name, tag in _FIELDS.items()})
