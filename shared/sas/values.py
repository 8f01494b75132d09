"""The readings of a token's values: what each may mean, as it is written. Which one is right, the signature decides.

Clients write the same value in different ways: Go's `url.Values.Encode` writes a space as "+" in every field,
Azure.Storage of .NET does so in the response headers, and leaves `si` and the ranges of tables as they are; the other
clients write "%20". Between a client and a leak, a query may have been percent-encoded again.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .credential import is_plain
from .kinds import SNAPSHOT_TIME, TOKEN_PARAMETERS
from .normalize import percent_decoded

KNOWN = TOKEN_PARAMETERS | set(SNAPSHOT_TIME.values())
"""The parameters of a URL that a signature may cover."""

FREE_TEXT = frozenset({"si", "spk", "srk", "epk", "erk", "rscc", "rscd", "rsce", "rscl", "rsct"})
"""The parameters whose values people choose: they may hold spaces."""

_HEADERS = frozenset({"rscc", "rscd", "rsce", "rscl", "rsct"})
_UNESCAPED_BY_DOTNET = frozenset({"si", "tn", "spk", "srk", "epk", "erk"})
_BASE64_OF_32_BYTES = re.compile(r"[A-Za-z0-9+/]{43}=?")
_FEWEST_MARKS = 12  # different characters in a signature; with fewer it is a placeholder
_MOST_LAYERS = 4  # of percent-encoding
_FEWEST_SORTED = 4  # parameters in the order of their names, to take their writer for one that sorts them
_PLACEHOLDER = re.compile(r"[{}<>]|%[sdv@]|\$[({]|(?:\A|/)\$[A-Z_]{2,}(?:/|\Z)")
_DOUBLED_DOLLAR = re.compile(r"\$\$(?=[A-Za-z])")  # compose, Makefile, systemd, Scala


@dataclass(frozen=True, slots=True)
class Token:
    """A token's decoded parameters without `sig`, its signature, and how often it was percent-encoded."""

    parameters: Mapping[str, str]
    signature: str
    layers: int


def readings(raw: Mapping[str, str]) -> tuple[Token, ...]:
    """Return what a query, by name as written, may mean: the likeliest token first, none where it is no token."""
    signature = _signature(raw.get("sig", ""))
    if signature is None or "skn" in raw:  # a key's name, in tokens of Service Bus and IoT Hub
        return ()
    text, layers = signature
    return tuple(Token(parameters, text, layers) for parameters in parameter_readings(raw, layers=layers))


def parameter_readings(raw: Mapping[str, str], *, layers: int) -> tuple[Mapping[str, str], ...]:
    """Return what the parameters of a token may be, without `sig`, the likeliest first.

    `raw` is the query, by name as written; `layers` is how often it was percent-encoded.
    """
    written = {name: value for name, value in raw.items() if name in KNOWN}
    for _ in range(layers - 1):
        written = {name: percent_decoded(value) for name, value in written.items()}
    different: dict[tuple[str, ...], Mapping[str, str]] = {}
    for form, verbatim in _ways(written, in_order=list(raw), encoded=layers > 0):
        decoded = {name: _read(name, value, form, verbatim) for name, value in written.items()}
        different.setdefault(tuple(decoded.values()), decoded)
    for parameters in tuple(different.values()):
        if any("''" in value for value in parameters.values()):  # doubled in YAML's quotes
            plain = {name: value.replace("''", "'") for name, value in parameters.items()}
            different.setdefault(tuple(plain.values()), plain)
    return tuple(different.values())


def paths(written: str, *, layers: int) -> Iterator[str | None]:
    """Yield what a path may be, the likeliest first; None where a placeholder stands for it, or where it is none."""
    decoded = written
    for _ in range(max(layers, 1)):
        decoded = percent_decoded(decoded)
    if not decoded or not is_plain(decoded) or _PLACEHOLDER.search(written):
        yield None
        return
    undoubled = _DOUBLED_DOLLAR.sub("$", decoded)
    yield undoubled
    # Encoded once more, doubled in YAML's quotes, or not encoded at all: as the file client of Java writes it.
    for other in (decoded, percent_decoded(undoubled), undoubled.replace("''", "'"), written):
        if other != undoubled and is_plain(other):
            yield other


def is_placeholder(path: str) -> bool:
    """Whether a part of `path` stands for what code fills in: "{container}", "%s", "${x}"."""
    return _PLACEHOLDER.search(path) is not None


def _ways(
    written: Mapping[str, str], *, in_order: list[str], encoded: bool
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield in which parameters a "+" is a space, and which ones are not encoded."""
    nothing: frozenset[str] = frozenset()
    plus = frozenset(name for name, value in written.items() if "+" in value)
    by_go = len(in_order) >= _FEWEST_SORTED and in_order == sorted(in_order)
    order: list[Callable[[frozenset[str]], frozenset[str]]] = [
        lambda names: names & _HEADERS,
        lambda _: nothing,
        lambda names: names,
    ]
    for chosen in reversed(order) if by_go else order:
        yield chosen(plus), nothing
    percent = frozenset(name for name, value in written.items() if "%" in value)
    if percent & _UNESCAPED_BY_DOTNET:
        yield plus & _HEADERS, _UNESCAPED_BY_DOTNET
    if percent and not encoded:
        yield nothing, KNOWN


def _read(name: str, value: str, form: frozenset[str], verbatim: frozenset[str]) -> str:
    if name in verbatim:
        return value
    return percent_decoded(value.replace("+", " ") if name in form else value)


def _signature(raw: str) -> tuple[str, int] | None:
    """Return the signature's base64 text and how often it was percent-encoded; None unless it holds 32 bytes.

    A missing "=" at the end is added: an attacker would add it, too.
    """
    text = raw
    for layers in range(_MOST_LAYERS + 1):
        if _BASE64_OF_32_BYTES.fullmatch(text):
            return (text.rstrip("=") + "=", layers) if len(set(text)) >= _FEWEST_MARKS else None
        text = percent_decoded(text)
    return None
