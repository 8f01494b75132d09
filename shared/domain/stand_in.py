"""The finding that stands in for a leak whose record this version can't read. Pure.

It gets a record of its own. The leak is the same: if it was revoked already, its signature shows that.
"""

import hashlib
from dataclasses import replace

from shared.domain.finding import Finding


def fingerprint_of(fingerprint: str) -> str:
    """Return the id of the record that stands in for another one: the same each time."""
    return hashlib.sha256(f"stand-in|{fingerprint}".encode()).hexdigest()


def stand_in(finding: Finding) -> Finding:
    """Return the finding for that record."""
    name = f"It stands in for record {finding.fingerprint[:12]}, which this version can't read."
    reason = f"{name} {finding.reason}" if finding.reason else name
    return replace(finding, fingerprint=fingerprint_of(finding.fingerprint), reason=reason)
