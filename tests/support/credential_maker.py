"""Storage accounts of a seed, and credentials of them that Microsoft's client libraries sign."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import generate_table_sas
from azure.storage.blob import (
    UserDelegationKey,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.fileshare import generate_file_sas, generate_share_sas
from azure.storage.queue import generate_queue_sas

from shared.sas import key_sha256
from shared.sas.fingerprint import signature_sha256

_NAMES = ("contoso", "fabrikam", "adatum", "tailwind", "proseware", "northwind", "litware", "wingtip")
_EXPIRY = datetime(2051, 10, 6, tzinfo=UTC)


type Keys = Mapping[str, Mapping[str, str]]
"""The keys of each account, by their names."""


@dataclass(frozen=True)
class Planted:
    """A credential that leaks in `file`. `key` is the name of the key that signed it or is it, None for a delegation.

    `secret_sha256` is the hash of its signature or of the key.
    """

    file: str
    account: str
    key: str | None
    secret_sha256: str


@dataclass(frozen=True)
class Repository:
    """Files by path, what leaks in them, and the keys of every account."""

    files: Mapping[str, str]
    planted: tuple[Planted, ...]
    keys: Keys


@dataclass
class Maker:
    """Makes accounts and credentials, and notes where each one leaks."""

    seed: str
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    planted: list[Planted] = field(default_factory=list)
    file: str = ""

    def account(self) -> str:
        """Return the name of a new account. The keys of every other one have the mark of identifiable keys."""
        number = len(self.keys)
        digest = hashlib.sha256(f"{self.seed}|{number}".encode()).hexdigest()
        name = f"{_NAMES[number % len(_NAMES)]}{number:02}{digest[:4]}"
        self.keys[name] = {key: self._new_key(f"{name}|{key}", marked=number % 2 == 0) for key in ("key1", "key2")}
        return name

    def key(self, account: str, name: str = "key1") -> str:
        """Return a key, which leaks."""
        key = self.keys[account][name]
        self._note(account, name, key_sha256(key))
        return key

    def account_sas(self, account: str, key: str = "key1", *, services: str = "bfqt") -> str:
        return self._token(
            account,
            key,
            generate_account_sas(account, self.keys[account][key], "sco", "rwdl", _EXPIRY, services=services),
        )

    def blob(self, account: str, path: str, key: str = "key1", **more: Any) -> str:
        container, _, name = path.partition("/")
        rest = {"account_key": self.keys[account][key], **self._period(more), **more}
        return self._token(account, key, generate_blob_sas(account, container, name, **rest))

    def container(self, account: str, container: str, key: str = "key1", **more: Any) -> str:
        rest = {"account_key": self.keys[account][key], **self._period(more), **more}
        return self._token(account, key, generate_container_sas(account, container, **rest))

    def directory(self, account: str, path: str, key: str = "key1") -> str:
        """Return a SAS of a directory, which azure-storage-blob does not make.

        REST, "Create a service SAS", sections "Version 2020-12-06 and later" and "Specify the directory depth".
        """
        expiry, version = f"{_EXPIRY:%Y-%m-%dT%H:%M:%SZ}", "2021-12-02"
        resource = f"/blob/{account}/{path}"
        text = "\n".join(["rl", "", expiry, resource, "", "", "https", version, "d", "", "", *[""] * 5])
        digest = hmac.digest(base64.b64decode(self.keys[account][key]), text.encode(), hashlib.sha256)
        signature = quote(base64.b64encode(digest).decode(), safe="")
        fields = f"sp=rl&se={quote(expiry, safe='')}&spr=https&sv={version}&sr=d&sdd={path.count('/')}"
        return self._token(account, key, f"{fields}&sig={signature}")

    def share(self, account: str, share: str, key: str = "key1") -> str:
        return self._token(
            account,
            key,
            generate_share_sas(account, share, self.keys[account][key], permission="rl", expiry=_EXPIRY),
        )

    def shared_file(self, account: str, share: str, path: str, key: str = "key1") -> str:
        token = generate_file_sas(
            account, share, path.split("/"), self.keys[account][key], permission="r", expiry=_EXPIRY
        )
        return self._token(account, key, token)

    def queue(self, account: str, queue: str, key: str = "key1") -> str:
        token = generate_queue_sas(account, queue, self.keys[account][key], permission="raup", expiry=_EXPIRY)
        return self._token(account, key, token)

    def table(self, account: str, table: str, key: str = "key1") -> str:
        credential = AzureNamedKeyCredential(account, self.keys[account][key])
        return self._token(account, key, generate_table_sas(credential, table, permission="raud", expiry=_EXPIRY))

    def delegation(self, account: str, path: str) -> str:
        """Return a user delegation SAS on a blob. No account key signs it."""
        delegated = UserDelegationKey()  # type: ignore[no-untyped-call]
        delegated.signed_oid = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
        delegated.signed_tid = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"
        delegated.signed_start, delegated.signed_expiry = "2051-10-01T00:00:00Z", "2051-10-07T00:00:00Z"
        delegated.signed_service, delegated.signed_version = "b", "2022-11-02"
        delegated.value = self._new_key(f"{account}|delegation", marked=False)
        container, _, name = path.partition("/")
        token = generate_blob_sas(
            account, container, name, user_delegation_key=delegated, permission="r", expiry=_EXPIRY
        )
        return self._token(account, None, token)

    @staticmethod
    def _period(more: Mapping[str, Any]) -> dict[str, Any]:
        return {} if "policy_id" in more else {"permission": "r", "expiry": _EXPIRY}

    def _token(self, account: str, key: str | None, token: str) -> str:
        parameters = dict(pair.partition("=")[::2] for pair in token.split("&"))
        signature = parameters["sig"].replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
        self._note(account, key, signature_sha256(signature))
        return token

    def _note(self, account: str, key: str | None, secret_sha256: str) -> None:
        self.planted.append(Planted(self.file, account, key, secret_sha256))

    def _new_key(self, name: str, *, marked: bool) -> str:
        key = base64.b64encode(hashlib.sha512(f"{self.seed}|{name}".encode()).digest()).decode()
        return f"{key[:76]}+ASt{key[80:]}" if marked else key
