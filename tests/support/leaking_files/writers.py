"""The files in which credentials leak: a function for each, which gets a maker and returns the text."""

import base64
from collections.abc import Callable

from tests.support.credential_maker import Maker

type Writer = Callable[[Maker], str]
WRITERS: dict[str, Writer] = {}
"""By the path of the file. The modules of this folder add theirs."""


def file(path: str) -> Callable[[Writer], Writer]:
    """Return the decorator of the function that writes the file `path`."""

    def add(write: Writer) -> Writer:
        WRITERS[path] = write
        return write

    return add


def connection(account: str, key: str) -> str:
    """Return a connection string."""
    return f"DefaultEndpointsProtocol=https;AccountName={account};AccountKey={key};EndpointSuffix=core.windows.net"


def encoded(text: str) -> str:
    """Return `text` in base64."""
    return base64.b64encode(text.encode()).decode()
