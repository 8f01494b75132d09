"""The text of a GUID, by which Azure and Entra ID name tenants, subscriptions, principals and resources. Pure.

RFC 9562, section 4: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12 with hyphens between them, in either case.
That is format "D" of .NET (learn.microsoft.com, "Guid.ToString"), in which Azure writes them: without braces. Version
and variant are not checked.
"""

import re
from typing import TypeGuard

GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
"""The pattern, to be part of longer ones. It has no group of its own."""

_GUID = re.compile(GUID)


def is_guid(value: object) -> TypeGuard[str]:
    """Whether it is the text of a GUID and nothing else, in either case: compare two in lower case."""
    return isinstance(value, str) and _GUID.fullmatch(value) is not None
