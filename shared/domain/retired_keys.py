"""Keys that this process regenerated recently, kept in memory only.

One repository with thirty tokens signed by one key is an ordinary leak, and its reports arrive one by one. Those that
arrive after the rotation would look like forgeries; the old key still verifies their signatures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.sas import Credential, key_sha256, verify

_KEPT_FOR = timedelta(hours=1)
_MOST_KEPT = 4  # of one account; its keys are not rotated more often than that without a person


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key as it was before it was regenerated. It is no longer accepted, and stays out of every repr."""

    name: str
    value: str = field(repr=False)
    at: datetime

    @property
    def sha256(self) -> str:
        """The key's hash, as in a verdict."""
        return key_sha256(self.value)


class RetiredKeys:
    """Remembers regenerated keys for an hour."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._of: dict[str, tuple[RetiredKey, ...]] = {}

    def add(self, account: str, key: RetiredKey) -> None:
        """Remember a key that has just been regenerated; forget those of all accounts that had their hour."""
        self._of = {name: kept for name in self._of if (kept := self._kept(name))}
        self._of[account] = (*self._kept(account), key)[-_MOST_KEPT:]

    def behind(self, credential: Credential, *, account: str) -> RetiredKey | None:
        """Return the retired key that is behind `credential`, None where none that is remembered is."""
        for key in self._kept(account):
            if verify(credential, account=account, keys={key.name: key.value}).key is not None:
                return key
        return None

    def _kept(self, account: str) -> tuple[RetiredKey, ...]:
        oldest = self._clock() - _KEPT_FOR
        return tuple(key for key in self._of.get(account, ()) if key.at > oldest)
