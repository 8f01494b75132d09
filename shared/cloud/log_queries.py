"""The queries of the storage logs, as KQL. Their parameters are validated here.

The fields, and that a line's AuthenticationHash has the SHA-256 of a SAS' signature text and the name of the key that
signed: "StorageBlobLogs" (Azure Monitor Logs reference) and "Best practices for monitoring Azure Blob Storage". The
names of operations: "Storage Analytics logged operations and status messages" and, for shares, "Understand Azure
Files billing".
"""

import re
from datetime import UTC, datetime

from shared.cloud.data_plane import USER_AGENT
from shared.domain.target import PolicyTarget
from shared.sas import Service

MOST_TOKENS = 2000
"""How many SAS one query names."""

LONGEST_URL = 8192
"""Characters that are read of a URL: more than Azure accepts."""

_HASH = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"key[12]")

_LINES = "union isfuzzy=true StorageBlobLogs, StorageQueueLogs, StorageTableLogs, StorageFileLogs"
_SERVED = "extend Served = toint(StatusCode) < 400"
# CallerIpAddress has a port. An IPv6 address has colons of its own.
_ADDRESS = "Address = replace_regex(CallerIpAddress, @':[0-9]{1,5}$', '')"
_WHO = f"{_ADDRESS}, Agent = substring(UserAgentHeader, 0, 120)"
_SET_ACL = {
    Service.BLOB: "SetContainerACL",
    Service.QUEUE: "SetQueueACL",
    Service.TABLE: "SetTableACL",
    Service.FILE: "SetShareACL",
}


def by_token(signature_sha256: str) -> str:
    """Return the lines of one SAS. Raises ValueError for what is no SHA-256 in hex."""
    return f"{_LINES} | where AuthenticationHash contains '{_checked(signature_sha256)}'"


def by_key(key_name: str) -> str:
    """Return the lines of one key, and of all that it signed. Raises ValueError for what is no key's name."""
    if not _KEY.fullmatch(key_name):
        raise ValueError("a key is key1 or key2; nothing else goes into a query")
    return f"{_LINES} | where AuthenticationHash startswith '{key_name}('"


def without_token(lines: str, signature_sha256: str) -> str:
    """Return `lines` but for those of one SAS, and our own. Raises ValueError for what is no SHA-256 in hex."""
    ours = f"UserAgentHeader startswith '{USER_AGENT}'"
    return f"{lines} and AuthenticationHash !contains '{_checked(signature_sha256)}' and not({ours})"


def totals(lines: str, *, ended: datetime) -> str:
    """Return one row: how often, when first and last, and how much; what was served after `ended` apart."""
    return (
        f"{lines} | {_SERVED}, After = TimeGenerated > datetime({ended.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ})"
        " | summarize Requests = count(), Served = countif(Served), ServedAfter = countif(Served and After),"
        " Writes = countif(Served and Category == 'StorageWrite'),"
        " Deletes = countif(Served and Category == 'StorageDelete'),"
        " BytesOut = sum(iff(Served, ResponseBodySize, long(0))),"
        " First = min(TimeGenerated), Last = max(TimeGenerated)"
    )


def objects(lines: str) -> str:
    """Return the objects that were served most, those that were written first."""
    return (
        f"{lines} | {_SERVED} | where Served"
        " | summarize Requests = count(), Written = countif(Category != 'StorageRead') by Object = ObjectKey"
        " | order by Written desc, Requests desc | take 20"
    )


def clients(lines: str) -> str:
    """Return who asked most."""
    return f"{lines} | summarize Requests = count() by {_WHO} | top 10 by Requests desc"


def sas_in_use() -> str:
    """Return a row for each SAS: when and how often it was used, by whom and for what, and some of its URLs.

    Those that were accepted most come first: who guesses signatures pushes none of them out. Azure documents no
    AuthenticationType of a user delegation SAS, and so the hash counts, too. One row more than `MOST_TOKENS` says
    that there are others.
    """
    return (
        f"{_LINES} | where AuthenticationType =~ 'SAS' or AuthenticationHash contains 'SasSignature(' | {_SERVED},"
        f" {_ADDRESS}, Link = substring(Uri, 0, {LONGEST_URL})"
        " | summarize First = min(TimeGenerated), Last = max(TimeGenerated), Requests = count(),"
        " Accepted = countif(Served), AcceptedUrls = make_set_if(Link, Served, 4), RefusedUrl = take_anyif(Link,"
        " not(Served)), ResourceId = take_any(_ResourceId), Addresses = make_set(Address, 10),"
        " Agents = make_set(substring(UserAgentHeader, 0, 120), 10), Operations = make_set(OperationName, 20)"
        f" by AuthenticationHash, AccountName | order by Accepted desc, Last desc | take {MOST_TOKENS + 1}"
    )


def policy_writes(target: PolicyTarget) -> str:
    """Return the latest writes of the access policies of a container, queue, table or share, the latest first.

    A write replaces all policies of the resource, so that a line names none. The name of the resource is in the URI
    (REST: "Set Container ACL" and the like). `target` has validated it: no quotation mark goes into the query.
    """
    named = f"trim('/', url_decode(tostring(parse_url(Uri).Path))) =~ '{target.resource}'"
    return (
        f"{_LINES} | where OperationName =~ '{_SET_ACL[target.service]}' and {named} | {_SERVED} | where Served"
        " | project TimeGenerated, AuthenticationHash, RequesterUpn, RequesterObjectId, RequesterAppId,"
        " CallerIpAddress, ClientRequestId | top 100 by TimeGenerated desc"
    )


def _checked(signature_sha256: str) -> str:
    if not _HASH.fullmatch(signature_sha256):
        raise ValueError("a signature's hash is 64 hex digits; nothing else goes into a query")
    return signature_sha256
