"""The storage accounts and other services that a text mentions: what a credential without an address belongs to."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .credential import is_plain
from .hosts import EMULATOR_ACCOUNT, locate
from .normalize import percent_decoded

_STORAGE_HOST = (
    r"(?<![A-Za-z0-9.-])(?P<host>[A-Za-z0-9-]{3,63}(?:\.privatelink)?(?:\.z[0-9]{1,2})?(?:\.privatelink)?"
    r"\.(?:blob|queue|table|file|dfs|web)\.(?:core(?:\.[a-z0-9-]{2,30}){2,3}|storage\.azure\.net))"
    r"(?![A-Za-z0-9-])(?::[0-9]{1,5})?(?:/(?P<path>[^\s\"'<>?#`;,)\]}]{0,4096}))?"
)
_ACCOUNT = (
    r"(?:account[_. -]?name|storage[_-]?account(?:[_-]?name)?|(?<=[/ ])storageAccounts)"
    r"[^A-Za-z0-9]{1,8}(?P<account>[a-z0-9]{3,24})(?![A-Za-z0-9_.(-])"
)
# Services whose keys have the form of a storage account's.
_FOREIGN = r"(?P<foreign>documents\.azure|cosmos\.azure|batch\.azure|azure-api\.|AccountEndpoint=|\bsha512)"
_MENTION = re.compile(rf"{_STORAGE_HOST}|{_ACCOUNT}|{_FOREIGN}", re.IGNORECASE)

_DEFAULT_HOST = "{account}.blob.core.windows.net"
_LAST_WORD = 600  # characters between an account's name and its key
_ONLY_WORD = 20_000  # the same, where the text names one account


@dataclass(frozen=True, slots=True)
class Mention:
    """`account` and `host` are None where another service is named. `path` is decoded, None where there is none."""

    start: int
    account: str | None
    host: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class Mentions:
    """All mentions of a text, in order."""

    all: tuple[Mention, ...]

    @classmethod
    def in_text(cls, text: str) -> "Mentions":
        """Collect the mentions in `text`."""
        return cls(tuple(_mentions(text)))

    @property
    def only(self) -> Mention | None:
        """The account that the text names if it names just one: its first mention with a path, else its first."""
        ours = [each for each in self.all if each.account not in (None, EMULATOR_ACCOUNT)]
        if len({each.account for each in ours}) != 1:
            return None
        paths = {(each.host, each.path) for each in ours if each.path}
        if len(paths) == 1:
            return next(each for each in ours if each.path)
        return Mention(ours[0].start, ours[0].account, ours[0].host, None)

    def nearest(self, start: int, end: int) -> Mention | None:
        """Return the mention that a key at [start, end) most likely belongs to: the last before, else the next."""
        index = bisect.bisect_left(self.all, start, key=lambda each: each.start)
        limit = _ONLY_WORD if self.only else _LAST_WORD
        if index and start - self.all[index - 1].start <= limit:
            return self.all[index - 1]
        if index < len(self.all) and self.all[index].start - end <= limit:
            return self.all[index]
        return None


def default_host(account: str, suffix: str = "core.windows.net") -> str:
    """Return the host that stands for an account of which only the name is known."""
    return f"{account}.blob.{suffix}"


def _mentions(text: str) -> Iterator[Mention]:
    for match in _MENTION.finditer(text):
        if match["foreign"]:
            yield Mention(match.start(), None, None, None)
        elif match["account"]:
            account = match["account"].lower()
            yield Mention(match.start(), account, default_host(account), None)
        else:
            host = match["host"].lower()
            account_of_host = locate(host, None).account
            if account_of_host is not None:
                path = percent_decoded(match["path"] or "")
                yield Mention(match.start(), account_of_host, host, path if path and is_plain(path) else None)
