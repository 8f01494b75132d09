"""Which record a secret has: one leak has one record, at whatever address it is reported.

Table `states`, partition = "secret~" and the first two characters of the secret's hash, row = its kind and its hash;
column `Record` is the fingerprint of the record. The first report of a secret writes the row, in the same round as
its record. A row may be left without a record, which the next report takes over.
"""

import re
from contextlib import suppress

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from shared.domain.finding import Finding
from shared.persistence.own_storage import own_tables
from shared.persistence.rows import new_row

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_PARTITION = "secret~"
_DOING = "Writing the index of the secrets"


class SecretIndex:
    """The only writer and reader of these rows. All raise TransientFailure."""

    def __init__(self, table: TableClient) -> None:
        self._table = table

    async def record_of(self, finding: Finding) -> str:
        """Return the fingerprint of the record that a finding's secret has; its own if it is the first."""
        place = _place(finding)
        if place is None:
            return finding.fingerprint
        with own_tables(_DOING), suppress(ResourceExistsError):
            await self._table.create_entity(new_row(*place, Record=finding.fingerprint))
            return finding.fingerprint
        return await self._read(place) or finding.fingerprint  # None: it was removed just now, with its record

    async def find(self, kind: str, digest: str) -> str | None:
        """Return the fingerprint of the record of a secret, None where it has none. `digest` is its SHA-256."""
        return await self._read(_place_of(kind, digest))

    async def _read(self, place: tuple[str, str]) -> str | None:
        with own_tables("Reading the index of the secrets"):
            try:
                row = await self._table.get_entity(*place)
            except ResourceNotFoundError:
                return None
        known = row.get("Record")
        return known if isinstance(known, str) and _FINGERPRINT.fullmatch(known) else None

    async def take_over(self, finding: Finding) -> None:
        """Note that the secret's record is that of `finding`: the one before is gone, or can't be read."""
        place = _place(finding)
        if place is not None:
            with own_tables(_DOING):
                await self._table.upsert_entity(new_row(*place, Record=finding.fingerprint), mode=UpdateMode.MERGE)

    async def forget(self, finding: Finding) -> None:
        """Remove the row of a secret whose record is removed. Idempotent."""
        place = _place(finding)
        if place is not None:
            with own_tables(_DOING), suppress(ResourceNotFoundError):
                await self._table.delete_entity(*place)


def _place(finding: Finding) -> tuple[str, str] | None:
    """Return partition and key of the row of a finding's secret; None where it has none, such as an order."""
    if finding.secret is None:
        return None
    return _place_of(*finding.secret)


def _place_of(kind: str, digest: str) -> tuple[str, str]:
    return f"{_PARTITION}{digest[:2]}", f"{kind}~{digest}"
