"""The places that a text mentions: accounts, containers and paths, for what does not say itself where it belongs.

An account is named by a host, or by a label beside its name. Labels differ by tool, so that a place is found by one
word of its label (`account`, `container`), by what may stand between label and name, and by the form of the name.
"""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from .anchors import lowered
from .credential import is_plain
from .hosts import EMULATOR_ACCOUNT, LONGEST_NAME, locate, name_in_base64
from .normalize import percent_decoded
from .values import is_placeholder

_SERVICE_HOST = re.compile(
    r"(?:\.privatelink)?(?:\.z[0-9]{1,2})?(?:\.privatelink)?\.(?:blob|queue|table|file|dfs|web)"
    r"\.(?:core(?:\.[a-z0-9-]{2,30}){2,3}|storage\.azure\.net)(?![A-Za-z0-9-])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)
_SERVICE = re.compile(r"(?:\.privatelink|\.z[0-9]{1,2}){0,3}\.(?:blob|queue|table|file|dfs|web)\Z")
_LONGEST_PATH = (
    2048  # characters: a bound for texts that are made of host names; a token's own URL has its whole path
)
_PATH = re.compile(rf"/[^\s\"'<>?#`;,)\]]{{0,{_LONGEST_PATH}}}")
# Hadoop names the container before the host: fs.azure.sas.container.account.blob…, wasbs://container@account.blob…
_BEFORE_HOST = re.compile(
    r"(?:(?P<property>fs\.azure\.(?:account\.key|sas\.fixed\.token|sas\.(?P<signed>[A-Za-z0-9$-]{1,63})))\."
    r"|(?<![A-Za-z0-9.$%-])(?P<container>[A-Za-z0-9$-]{1,63})@|(?<![A-Za-z0-9.$%-]))"
    r"(?P<account>[A-Za-z0-9-]{3,63})\Z"
)
_VARIABLE_HOST = re.compile(r"\$?(?:\{\{?\s?|\()?([A-Za-z_][A-Za-z0-9_.]{1,60})(?:\s?\}?\}|\))?\Z")
_ASSIGNED = re.compile(r"[\"']?\s{0,8}(?::=|=|:)\s{0,8}[\"']?([a-z0-9]{3,24})(?![A-Za-z0-9_.(-])")
_SCHEME = re.compile(r"https?:/")
_LABEL = re.compile(r"[A-Za-z0-9_.-]{0,60}\Z")

# What stands between a label and the name: `: str = "`, `("`, `">`, `": "`, columns of spaces.
_BETWEEN = (
    r"[\"'\])]{0,2}(?:\s{0,3}:\s{0,2}[A-Za-z&*]{2,12}(?=\s{0,3}=))?"
    r"(?:\s{0,24}(?::=|=>|==|[=:,>(])\s{0,8}[\"'(]{0,2}|\s{1,3}[\"']"
)
_AFTER_ACCOUNT = re.compile(
    rf"account(?P<word>[_. -]?(?:name|id)\b)?{_BETWEEN}"
    r"|(?:(?<=[_-]name)|(?-i:(?<=Name)|(?<=ACCOUNT)))\s{1,24}|(?<=account)[ ]{2,24})"
    r"(?P<name>[a-z0-9]{3,32})(?![A-Za-z0-9_.(-])",  # of 24 characters, 32 in base64
    re.IGNORECASE,
)
_AFTER_STORAGE = re.compile(rf"storage_?name{_BETWEEN})(?P<name>[a-z0-9]{{3,32}})(?![A-Za-z0-9_.(-])", re.IGNORECASE)
_AFTER_SCHEME = re.compile(r"azure-storage-[a-z]+://(?P<name>[a-z0-9]{3,24})/(?P<path>[A-Za-z0-9$-]{3,63})?")
_AFTER_CONTAINER = re.compile(
    rf"(?:container|share|queue|table|file_?system|bucket)(?:[_. -]?name\b)?{_BETWEEN}|(?<=name)\s{{1,24}})"
    r"(?P<name>\$?[A-Za-z0-9](?:-?[A-Za-z0-9]){2,62})(?![A-Za-z0-9_.(-])",
    re.IGNORECASE,
)
_AFTER_PATH = re.compile(
    rf"path(?:name)?{_BETWEEN})(?:(?<=\")/(?P<quoted>[^\"\n<>?#]{{1,1024}})\"|/(?P<name>[^\s\"'<>?#`;,)\]]{{1,1024}}))",
    re.IGNORECASE,
)
# What follows a name that is a label itself: the next field, the first field of a mapping, a keyword argument. A name
# in YAML with a mapping of its own may be an account's.
_IS_LABEL = re.compile(r"[\"']\s{0,8}(?::(?=[\s\"'\[{]|\Z)|=(?!=))|\s{0,8}(?::[ \t]{1,8}(?![\s{])|=(?!=))")
_TERRAFORM_TYPE = "azurerm_storage_"  # before `account`: what follows in quotes is the name of a resource in the code
# Services whose keys have the form of a storage account's.
_FOREIGN = ("documents.azure", "cosmos.azure", "batch.azure", "azure-api.", "accountendpoint=", "sha512")

NO_NAMES = frozenset(
    {
        *("account", "accountname", "false", "hash", "hmac", "key", "name", "none", "null", "password", "required"),
        *("salt", "secret", "sha512", "signature", "str", "string", "token", "true", "undefined", "value", "sas"),
        *("http", "https", "blob", "object", "dynamic", "type", "variables", "parameters", "var", "env", "self"),
        *("storage", "endpoint", "url", "your", "the", "this", "has", "and", "for", "with", "that"),
        *("new", "get", "set", "await", "return", "const", "let", "process", "settings", "config", "args", "not"),
    }
)
"""What stands where an account's name would in code and documentation."""

_NEAR = 600  # characters between an account's name and its key
_NEAR_IF_ONLY = 4000  # the same, and for a token, where the text names one account
_MOST = 16  # places before a token, and after it, that may be where it belongs
_AFFINE = 4  # characters that two labels have in common, to belong together


@dataclass(frozen=True, slots=True)
class Mention:
    """`account` and `host` are None where another service is named. `path` is decoded, None where there is none.

    `label` is that of an account that is named apart from a host; `key` whether it is a property that holds a secret.
    """

    start: int
    account: str | None
    host: str | None
    path: str | None
    label: str = ""
    property: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A container's name, or a path, that is written apart from its account."""

    start: int
    path: str


class Places:
    """All places of a text, in order. They are searched only when a credential needs one."""

    def __init__(self, text: str) -> None:
        """Nothing is searched yet."""
        self.text = text

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        """The accounts, and other services."""
        return tuple(sorted(_mentions(self.text, self._lower), key=lambda each: each.start))

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The containers and the paths that are written apart."""
        return tuple(_parts(self.text, self._lower))

    @cached_property
    def accounts(self) -> frozenset[str]:
        """The names of the accounts, but for the emulator's."""
        return frozenset(each.account for each in self.mentions if each.account and each.account != EMULATOR_ACCOUNT)

    @cached_property
    def _lower(self) -> str:
        return lowered(self.text)

    def of_token(self, at: int) -> Mention | None:
        """Return the account for a token at `at`, None where it is in doubt.

        It is the one that the token's own property names; else the only one that the text names; else the only one
        with a label in the token's paragraph. It has a path where the text gives that account just one.
        """
        near = self.near(at)
        before = [each for each in near if each.start <= at]
        if before and before[0].property and at - before[0].start < 200:
            return before[0]
        ours = [each for each in near if each.account not in (None, EMULATOR_ACCOUNT)]
        names = {each.account for each in ours} if len(self.accounts) == 1 else set()
        if len(names) != 1:
            ours = [each for each in ours if each.label and self._one_paragraph(each.start, at)]
            names = {each.account for each in ours}
        if len(names) != 1:
            return None
        mine = [each for each in self.mentions if each.account == ours[0].account]
        by_path = {each.path: each for each in mine if each.path}
        if len(by_path) == 1:
            return next(iter(by_path.values()))
        hosted = next((each for each in mine if not each.label), ours[0])
        own = {part.path for part in self.parts_near(at)} if not by_path else set()
        path = own.pop() if len(own) == 1 else None
        return Mention(ours[0].start, hosted.account, hosted.host, path)

    def near(self, at: int, *, limit: int = _NEAR_IF_ONLY) -> list[Mention]:
        """Return the mentions around `at`, nearest first."""
        index = bisect.bisect_left(self.mentions, at, key=lambda each: each.start)
        around = self.mentions[max(index - _MOST, 0) : index + _MOST]
        return sorted(
            (each for each in around if abs(each.start - at) <= limit), key=lambda each: abs(each.start - at)
        )

    def parts_near(self, at: int) -> list[Part]:
        """Return the containers and paths around `at`, nearest first."""
        near = (each for each in self.parts if abs(each.start - at) <= _NEAR_IF_ONLY)
        return sorted(near, key=lambda each: abs(each.start - at))[:_MOST]

    def of_key(self, start: int, end: int, label: str) -> list[Mention]:
        """Return the mentions that a key at [start, end) may belong to, the likeliest first.

        The likeliest has a label like the key's own; else it is the last before the key, else the next one.
        """
        limit = _NEAR_IF_ONLY if len({each.account for each in self.mentions}) == 1 else _NEAR
        index = bisect.bisect_left(self.mentions, start, key=lambda each: each.start)
        before = [each for each in self.mentions[max(index - _MOST, 0) : index] if start - each.start <= limit]
        behind = [each for each in self.mentions[index : index + _MOST] if each.start - end <= limit]
        ordered = [*reversed(before), *behind]
        if not ordered or ordered[0].account is None or ordered[0].property:
            return ordered[:1]
        return sorted(ordered, key=lambda each: -_affinity(each.label, label))

    def _one_paragraph(self, one: int, other: int) -> bool:
        between = self.text[min(one, other) : max(one, other)]
        return "\n\n" not in between and "\n\r\n" not in between


def _mentions(text: str, lower: str) -> Iterator[Mention]:
    for marker in (".core.", ".storage.azure.net"):
        for at in _each(lower, marker):
            before = _SERVICE.search(lower, max(at - 40, 0), at)
            match = _SERVICE_HOST.match(text, before.start()) if before else None
            if match is not None:
                yield from _hosted(text, match)
    for stem, after in (("account", _AFTER_ACCOUNT), ("storage", _AFTER_STORAGE), ("azure-storage-", _AFTER_SCHEME)):
        for at, match in _at_words(text, lower, stem, after):
            yield from _labeled(text, at, match)
    for word in _FOREIGN:
        for at in _each(lower, word):
            yield Mention(at, None, None, None)


def _hosted(text: str, match: re.Match[str]) -> Iterator[Mention]:
    start = max(match.start() - 150, 0)
    before = _BEFORE_HOST.search(text, start, match.start())
    path = _PATH.match(text, match.end())
    if path is not None and len(path[0]) > _LONGEST_PATH:
        path = None  # cut off, so that nobody has signed it
    if before is None:
        variable = _VARIABLE_HOST.search(text, start, match.start())
        account = _assigned(text, variable[1]) if variable else None
        if account is None:
            return
        host, at, container, owned = account + match[0], match.start(), None, False
    else:
        host, at = before["account"] + match[0], before.start()
        container, owned = before["container"] or before["signed"], before["property"] is not None
    host = host.lower().partition(":")[0]
    written = percent_decoded(_SCHEME.split(path[0][1:], maxsplit=1)[0] if path else "")
    full = "/".join(part for part in (container, written) if part)
    account = locate(host, None).account
    if account is not None:
        known = full and is_plain(full) and not is_placeholder(full)
        yield Mention(at, account, host, full if known else None, property=owned)


def _labeled(text: str, at: int, match: re.Match[str]) -> Iterator[Mention]:
    name = name_in_base64(match["name"])
    if name is None:
        name = match["name"].lower()
        is_named = name == match["name"] or match.groupdict().get("word")
        if not is_named or name in NO_NAMES or len(name) > LONGEST_NAME or _is_no_value(text, at, match):
            return
    label = _LABEL.search(text, max(at - 60, 0), at)
    path = match.groupdict().get("path")
    yield Mention(
        match.start("name"), name, f"{name}.blob.core.windows.net", path, label=f"{label[0] if label else ''}account"
    )


def _is_no_value(text: str, at: int, match: re.Match[str]) -> bool:
    """Whether what follows the label at `at` is another label, or the name that code has for a resource."""
    between = text[at : match.start("name")]
    if ("," in between or "\n" in between) and _IS_LABEL.match(text, match.end("name")):
        return True
    is_quoted = between.startswith(('account"', "account'"))
    return is_quoted and text.endswith(_TERRAFORM_TYPE, max(at - len(_TERRAFORM_TYPE), 0), at)


def _parts(text: str, lower: str) -> Iterator[Part]:
    for stem in ("container", "share", "queue", "table", "filesystem", "file_system", "bucket"):
        for _, match in _at_words(text, lower, stem, _AFTER_CONTAINER):
            if match["name"].lower() not in NO_NAMES:
                yield Part(match.start("name"), match["name"])
    for _, match in _at_words(text, lower, "path", _AFTER_PATH):
        path = percent_decoded(match["quoted"] or match["name"])
        if is_plain(path) and not is_placeholder(path):
            yield Part(match.start(), path)


def _at_words(text: str, lower: str, word: str, after: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the matches of `after` where `word` stands: a search for a word is many times faster than a pattern."""
    for at in _each(lower, word):
        match = after.match(text, at)
        if match is not None:
            yield at, match


def _each(lower: str, word: str) -> Iterator[int]:
    at = lower.find(word)
    while at >= 0:
        yield at
        at = lower.find(word, at + len(word))


def _assigned(text: str, variable: str) -> str | None:
    """Return the account that a variable of a URL's host holds, None where the text does not say."""
    for at in islice(_each(text, variable.rpartition(".")[2]), _MOST):
        match = _ASSIGNED.match(text, at + len(variable.rpartition(".")[2]))
        if match is not None and match[1] not in NO_NAMES:
            return match[1]
    return None


def _affinity(one: str, other: str) -> int:
    """Return how much of their beginnings two labels have in common: SRC_STORAGE_ACCOUNT and SRC_STORAGE_KEY."""
    first, second = (re.sub(r"[^a-z0-9]", "", text.lower()) for text in (one, other))
    length = 0
    while length < min(len(first), len(second)) and first[length] == second[length]:
        length += 1
    return length if length >= _AFFINE else 0
