"""What an error of Sasquash's own storage means: nothing about a leak.

`Blocked` concludes a record: Azure refuses to revoke. A refusal of our own tables, queues and blobs says nothing of
that. The record goes on once a person has restored the right or the network.
"""

from functools import partial

from azure.core.exceptions import AzureError, HttpResponseError

from shared.cloud.errors import from_azure, translate_errors
from shared.errors import Blocked, SasquashError, StorageRefused

# The roles of docs/rights.md.
_OF_TABLES = "Storage Table Data Contributor"
_OF_QUEUES = "Storage Queue Data Contributor"
_OF_BLOBS = "Storage Blob Data Owner"
_CHANGED = (409, 412)  # somebody was faster, which no right prevents


def own_tables(doing: str) -> translate_errors:
    """Translate errors of our tables inside the block to TransientFailure, its subclass StorageRefused included."""
    return _of(_OF_TABLES, doing)


def own_queues(doing: str) -> translate_errors:
    """Translate errors of our queues, as `own_tables` does."""
    return _of(_OF_QUEUES, doing)


def own_blobs(doing: str) -> translate_errors:
    """Translate errors of our containers, as `own_tables` does."""
    return _of(_OF_BLOBS, doing)


def _of(role: str, doing: str) -> translate_errors:
    return translate_errors(doing, meaning=partial(_meaning, role=role))


def _meaning(error: AzureError, *, doing: str, role: str) -> SasquashError:
    meaning = from_azure(error, doing=doing, right=role)
    if not isinstance(meaning, Blocked):
        return meaning
    said = f"Sasquash's own storage refuses. {meaning} It is tried again."
    if isinstance(error, HttpResponseError) and error.status_code in _CHANGED:
        return StorageRefused(said)
    # The last sentence is what the alert rule on refusals matches (infra/queries/refusals.kql).
    return StorageRefused(
        f"{said} Check the role {role} of the app's identity there, and the network rules. See docs/rights.md."
    )
