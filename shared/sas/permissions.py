"""The letters of `sp`: which of them change data, and their names.

Source: Microsoft REST documentation, "Create a service SAS" and "Create an account SAS", tables of permissions.
"""

from .credential import Credential
from .kinds import Kind, Service

_READ_ONLY = frozenset("rlfe")
_IMPLIED_BY_WRITE = frozenset("acu")
_VERBS = {
    "r": "read",
    "w": "write",
    "a": "add to",
    "c": "create",
    "u": "update",
    "d": "delete",
    "x": "delete versions of",
    "y": "permanently delete",
    "p": "process",
    "m": "move",
    "o": "change the owner of",
    "i": "set the retention of",
    "t": "tag",
    "l": "list",
    "f": "find by tag",
    "e": "run or traverse",
}


def is_writable(credential: Credential) -> bool:
    """Whether it may change data: any right but to read, list, find and traverse.

    A key may always; a token whose rights a stored access policy governs may as far as we know.
    """
    if credential.kind is Kind.ACCOUNT_KEY or credential.permissions is None:
        return True
    return not _READ_ONLY.issuperset(credential.permissions)


def verbs(credential: Credential) -> list[str]:
    """Return the rights in words, in a fixed order; none where `sp` is missing. Writing includes adding to."""
    letters = set(credential.permissions or "")
    if "w" in letters:
        letters -= _IMPLIED_BY_WRITE
    words = [word for letter, word in _VERBS.items() if letter in letters]
    if "p" in letters and Service.QUEUE not in credential.services:
        words[words.index("process")] = "change the access rights of"
    return words + ["do more with"] * bool(letters - _VERBS.keys())
