"""What the integration tests of containment share: parts of the requests that they match, and what they read."""

from datetime import UTC, datetime

from local.tenant.model import Account
from shared.domain import report as findings
from shared.domain.report import Report

VERIFICATION = "sasquashproof"
REGENERATE = "/regenerateKey"
LIST_KEYS = "/listKeys"
RESOURCE_GRAPH = "Microsoft.ResourceGraph"
BATCH = ".table.core.windows.net/$batch"
CONTAIN_QUEUE = "/contain/messages"
FOLLOW_UP_QUEUE = "/follow-up/messages"


def rotated(account: Account) -> list[str]:
    """Return the names of the keys that were regenerated, in order."""
    return [key for key, _ in account.rotations]


def fingerprint_of(event: Report) -> str:
    """Return the fingerprint of the only finding in an event."""
    [only] = findings.read(event, raw_allowed=True, now=datetime.now(UTC))
    return only.finding.fingerprint
