"""Route templates of HTTP triggers, parsed and ranked as in ASP.NET Core.

Source: "Routing in ASP.NET Core": route templates, constraints, and the order in which routes match. A segment is
either a literal or one parameter; mixed segments and regular expressions are refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local.host.configuration import StartError

type Constraint = Callable[[str], bool]

_PARAMETER = re.compile(r"\{(?P<catch_all>\*{1,2})?(?P<name>\w+)(?P<constraints>(?::[^{}?]+)*)(?P<optional>\?)?\}")
_CONSTRAINT = re.compile(r"(?P<name>\w+)(?:\((?P<arguments>-?\d+(?:,-?\d+)?)\))?", re.ASCII)
_GUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Segment:
    literal: str | None = None
    parameter: str = ""
    constraints: tuple[Constraint, ...] = ()
    optional: bool = False
    catch_all: bool = False

    @property
    def rank(self) -> int:
        """The precedence of the segment: literal, constrained parameter, parameter, catch-all."""
        if self.literal is not None:
            return 0
        return (4 if self.catch_all else 2) - bool(self.constraints)


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed template. Sorted by `rank`, the first match is the route that ASP.NET Core chooses."""

    segments: tuple[_Segment, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        return tuple(segment.rank for segment in self.segments)

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the parameters in `path` (as `kestrel.decode_path` returns it); None if it does not match."""
        parts = path.removeprefix("/").split("/")
        if parts[-1] == "":
            parts.pop()  # a trailing slash is ignored
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.catch_all:
                values[segment.parameter] = "/".join(parts[index:])
                return values
            if index >= len(parts):
                return values if segment.optional else None
            part = parts[index]
            if segment.literal is not None:
                if part.lower() != segment.literal.lower():
                    return None
            elif part and all(fits(part) for fits in segment.constraints):
                values[segment.parameter] = part
            else:
                return None
        return values if len(parts) == len(self.segments) else None


def parse(template: str, *, function: str) -> Route:
    """Parse `template`. Raises StartError, which names `function`."""
    parts = [part for part in template.strip("/").split("/") if part]
    segments = tuple(_segment(part, function) for part in parts)
    if any(segment.optional or segment.catch_all for segment in segments[:-1]):
        raise StartError(f"function {function}: only the last segment of route '{template}' can be optional")
    return Route(segments)


def _segment(part: str, function: str) -> _Segment:
    if "{" not in part and "}" not in part:
        return _Segment(literal=part)
    match = _PARAMETER.fullmatch(part)
    if match is None:
        raise StartError(f"function {function}: route segment '{part}' is not supported by this host")
    return _Segment(
        parameter=match["name"],
        constraints=tuple(_constraint(text, function) for text in match["constraints"].split(":")[1:]),
        optional=match["optional"] is not None,
        catch_all=match["catch_all"] is not None,
    )


def _constraint(text: str, function: str) -> Constraint:
    match = _CONSTRAINT.fullmatch(text)
    bounds = [int(number) for number in (match["arguments"] or "").split(",") if number] if match else []
    fits = _CONSTRAINTS.get((match["name"].lower(), len(bounds))) if match else None
    if fits is None:
        raise StartError(f"function {function}: route constraint '{text}' is not supported by this host")
    return lambda value: fits(value, bounds)


def _is_integer(text: str, least: int, most: int) -> bool:
    return _INTEGER.fullmatch(text) is not None and least <= int(text) <= most


_CONSTRAINTS: dict[tuple[str, int], Callable[[str, Sequence[int]], bool]] = {
    ("int", 0): lambda text, _: _is_integer(text, -(2**31), 2**31 - 1),
    ("long", 0): lambda text, _: _is_integer(text, -(2**63), 2**63 - 1),
    ("guid", 0): lambda text, _: _GUID.fullmatch(text) is not None,
    ("bool", 0): lambda text, _: text.lower() in ("true", "false"),
    ("alpha", 0): lambda text, _: text.isascii() and text.isalpha(),
    ("length", 1): lambda text, bounds: len(text) == bounds[0],
    ("length", 2): lambda text, bounds: bounds[0] <= len(text) <= bounds[1],
    ("minlength", 1): lambda text, bounds: len(text) >= bounds[0],
    ("maxlength", 1): lambda text, bounds: len(text) <= bounds[0],
    ("min", 1): lambda text, bounds: _is_integer(text, bounds[0], 2**63 - 1),
    ("max", 1): lambda text, bounds: _is_integer(text, -(2**63), bounds[0]),
    ("range", 2): lambda text, bounds: _is_integer(text, bounds[0], bounds[1]),
}
