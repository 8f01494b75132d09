"""The storage accounts and other services that a text mentions, to attribute credentials without a host."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .credential import is_plain
from .hosts import EMULATOR_ACCOUNT, locate
from .normalize import percent_decoded

# Hadoop names the container before the host: fs.azure.sas.container.account.blob…, wasbs://container@account.blob…
_HOST = (
    r"(?<![A-Za-z0-9.$-])(?:(?P<container>[A-Za-z0-9$-]{1,63})@|fs\.azure\.(?:account\.key|sas\.fixed\.token"
    r"|sas\.(?P<signed>[A-Za-z0-9$-]{1,63}))\.)?(?P<host>[A-Za-z0-9-]{3,63}(?:\.privatelink)?(?:\.z[0-9]{1,2})?(?:\.privatelink)?"
    r"\.(?:blob|queue|table|file|dfs|web)\.(?:core(?:\.[a-z0-9-]{2,30}){2,3}|storage\.azure\.net))"
    r"(?![A-Za-z0-9-])(?::[0-9]{1,5})?(?:/(?P<path>[^\s\"'<>?#`;,)\]}]{0,2048}))?"
)
_ACCOUNT = (
    r"(?:account[_. -]?name|storage[_-]?account(?:[_-]?name)?)"
    r"(?:[\"']?\s{0,3}[=:,]{1,2}\s{0,3}|\s{1,3}(?=[\"'])|(?<=-name)\s{1,3}|(?<=AccountName)\s{1,3})[\"']?"
    r"(?P<account>[a-z0-9]{3,24})(?![A-Za-z0-9_.(-])"
)
# Services whose keys have the form of a storage account's.
_FOREIGN = r"(?P<foreign>documents\.azure|cosmos\.azure|batch\.azure|azure-api\.|AccountEndpoint=|\bsha512)"
_MENTION = re.compile(rf"{_HOST}|{_ACCOUNT}|{_FOREIGN}", re.IGNORECASE)
# What stands where an account's name would in code and documentation.
NO_NAMES = frozenset(
    {
        *("account", "accountname", "false", "hash", "hmac", "key", "name", "none", "null", "password", "required"),
        *("salt", "secret", "sha512", "signature", "str", "string", "token", "true", "undefined", "value"),
    }
)

_NEAR = 600  # characters between an account's name and its key
_NEAR_IF_ONLY = 4000  # the same, and for a token, where the text names one account
_MOST_PATHS = 16  # before a token, and after it, that may be where it belongs


@dataclass(frozen=True, slots=True)
class Mention:
    """`account` and `host` are None where another service is named. `path` is decoded, None where there is none."""

    start: int
    account: str | None
    host: str | None
    path: str | None


@dataclass(frozen=True, slots=True)
class Mentions:
    """All mentions of a text, in order; `only` is its account with its path, where it names just one account.

    `only` has a path where the text gives that account just one.
    """

    all: tuple[Mention, ...]
    only: Mention | None

    @classmethod
    def in_text(cls, text: str) -> "Mentions":
        """Collect the mentions in `text`."""
        found = tuple(_mentions(text))
        ours = [each for each in found if each.account not in (None, EMULATOR_ACCOUNT)]
        if len({each.account for each in ours}) != 1:
            return cls(found, None)
        paths = {each.path: each for each in ours if each.path}
        only = next(iter(paths.values())) if len(paths) == 1 else replace(ours[0], path=None)
        return cls(found, only)

    def of_token(self, at: int) -> Mention | None:
        """Return the account for a token at `at`: the only one that the text names, if it is named near."""
        return self.only if self._around(at, at, limit=_NEAR_IF_ONLY) else None

    def paths_near(self, at: int) -> list[Mention]:
        """Return the mentions with a path around a token at `at`, nearest first: any may be where it belongs."""
        index = bisect.bisect_left(self.all, at, key=lambda each: each.start)
        around = self.all[max(index - _MOST_PATHS, 0) : index + _MOST_PATHS]
        near = (each for each in around if each.path and abs(each.start - at) <= _NEAR_IF_ONLY)
        return sorted(near, key=lambda each: abs(each.start - at))

    def of_key(self, start: int, end: int) -> Mention | None:
        """Return the mention that a key at [start, end) most likely belongs to: the last before, else the next."""
        return self._around(start, end, limit=_NEAR_IF_ONLY if self.only else _NEAR)

    def _around(self, start: int, end: int, *, limit: int) -> Mention | None:
        index = bisect.bisect_left(self.all, start, key=lambda each: each.start)
        if index and start - self.all[index - 1].start <= limit:
            return self.all[index - 1]
        if index < len(self.all) and self.all[index].start - end <= limit:
            return self.all[index]
        return None


def _mentions(text: str) -> Iterator[Mention]:
    for match in _MENTION.finditer(text):
        if match["foreign"]:
            yield Mention(match.start(), None, None, None)
        elif match["account"]:
            account = match["account"].lower()
            if account not in NO_NAMES:
                yield Mention(match.start(), account, f"{account}.blob.core.windows.net", None)
        else:
            host = match["host"].lower()
            parts = (match["container"] or match["signed"], percent_decoded(match["path"] or ""))
            path = "/".join(part for part in parts if part)
            account_of_host = locate(host, None).account
            if account_of_host is not None:
                yield Mention(match.start(), account_of_host, host, path if path and is_plain(path) else None)
