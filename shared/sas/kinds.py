"""The words of the Azure Storage SAS vocabulary: kinds, services, resources, and the parameters of a token.

Source: Microsoft REST documentation, "Create an account SAS", "Create a service SAS", "Create a user delegation SAS".
"""

from enum import StrEnum


class Kind(StrEnum):
    """What leaked. A service SAS that names a stored access policy (`si`) is a POLICY_SAS."""

    ACCOUNT_SAS = "account_sas"
    SERVICE_SAS = "service_sas"
    POLICY_SAS = "policy_sas"
    USER_DELEGATION_SAS = "user_delegation_sas"
    ACCOUNT_KEY = "account_key"


class Service(StrEnum):
    """A storage service; MULTIPLE only for an account SAS whose `ss` names more than one."""

    BLOB = "blob"
    QUEUE = "queue"
    TABLE = "table"
    FILE = "file"
    MULTIPLE = "multiple"


class ResourceKind(StrEnum):
    """What a signature covers."""

    ACCOUNT = "account"
    CONTAINER = "container"
    BLOB = "blob"
    BLOB_SNAPSHOT = "blob_snapshot"
    BLOB_VERSION = "blob_version"
    DIRECTORY = "directory"
    SHARE = "share"
    FILE = "file"
    QUEUE = "queue"
    TABLE = "table"


ALL_SERVICES = frozenset({Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE})

SERVICE_LETTERS = {"b": Service.BLOB, "q": Service.QUEUE, "t": Service.TABLE, "f": Service.FILE}
"""The letters of `ss` (account SAS) and `sks` (user delegation SAS)."""

SIGNED_RESOURCES = {
    "b": (Service.BLOB, ResourceKind.BLOB),
    "bs": (Service.BLOB, ResourceKind.BLOB_SNAPSHOT),
    "bv": (Service.BLOB, ResourceKind.BLOB_VERSION),
    "c": (Service.BLOB, ResourceKind.CONTAINER),
    "d": (Service.BLOB, ResourceKind.DIRECTORY),
    "f": (Service.FILE, ResourceKind.FILE),
    "s": (Service.FILE, ResourceKind.SHARE),
    "q": (Service.QUEUE, ResourceKind.QUEUE),
}
"""The values of `sr`; "q" is not signed, but clients of queues in Go and JavaScript write it."""

SNAPSHOT_TIME = {"bs": "snapshot", "bv": "versionid"}
"""By `sr`: the parameter of the URL, not of the token, whose value is signed as the snapshot time."""

TOKEN_PARAMETERS = frozenset(
    {
        *("sv", "ss", "srt", "sr", "st", "se", "sp", "sip", "spr", "si", "ses", "sdd"),
        *("tn", "spk", "srk", "epk", "erk"),
        *("rscc", "rscd", "rsce", "rscl", "rsct"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv"),
        *("saoid", "suoid", "scid", "sduoid", "skdutid", "srh", "srq"),
    }
)
"""Every parameter of a token but `sig`."""
