"""Which key was verified to have signed a leak, kept for when that key is gone. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Signer:
    """Which key signed a leak, verified at `at`: name and SHA-256 (hex).

    It stays through refusals, retries and repeated reports, since it can't be verified again once the key is gone.
    `policy` is the text of the stored access policy (`target.PolicyTarget`) that was in force then, in its `version`;
    both are empty where the leak names none, or none that was in force.
    """

    key_name: str
    key_sha256: str
    at: datetime
    policy: str = ""
    version: str = ""
