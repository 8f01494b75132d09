"""Validation of resource tags as in ARM (learn.microsoft.com, "Use tags to organize your Azure resources").

Lone surrogates and control characters are refused too, since they cannot be displayed.
"""

import unicodedata

_MOST = 50
_LONGEST_NAME = 128  # of a storage account; other resources may have 512
_LONGEST_VALUE = 256
_NOT_IN_NAMES = frozenset("<>%&\\?/")
_UNPRINTABLE = ("Cc", "Cs")  # Unicode's categories of control characters and of surrogates


class InvalidTags(ValueError):
    """The tags are invalid. `code` is ARM's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def valid(tags: object) -> dict[str, str]:
    """Return `tags` unchanged if they are valid. Raises InvalidTags."""
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise InvalidTags("InvalidRequestContent", "The tags must be an object with string values.")
    if len(tags) > _MOST:
        raise InvalidTags("TooManyTags", f"A resource has at most {_MOST} tags.")
    for name, value in tags.items():
        if not 0 < len(name) <= _LONGEST_NAME or set(name) & _NOT_IN_NAMES or not is_printable(name):
            raise InvalidTags(
                "InvalidTagNameCharacters",
                f"A tag's name has 1 to {_LONGEST_NAME} characters, none of <>%&\\?/ and no control character.",
            )
        if len(value) > _LONGEST_VALUE or not is_printable(value):
            raise InvalidTags(
                "InvalidTagValueLength" if is_printable(value) else "InvalidTagValue",
                f"A tag's value has at most {_LONGEST_VALUE} characters and no control character.",
            )
    if len({name.casefold() for name in tags}) < len(tags):
        raise InvalidTags("InvalidRequestContent", "The names of tags must differ by more than case.")
    return tags


def is_printable(text: str) -> bool:
    """Return whether `text` has neither control characters nor lone surrogates."""
    return not any(unicodedata.category(character) in _UNPRINTABLE for character in text)
