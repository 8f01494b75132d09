"""The configuration of an app: host.json, and app settings from the environment.

Sources: "host.json reference for Azure Functions 2.x and later", "App settings reference for Azure
Functions".
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

_BUNDLE = "Microsoft.Azure.Functions.ExtensionBundle"
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)(\.\d{1,7})?", re.ASCII)
_PLACEHOLDER = re.compile(r"%([^%]+)%")


class StartError(Exception):
    """The host cannot start. The message is the one line to print."""


class MessageEncoding(StrEnum):
    """How the Storage extension decodes the text of a queue message."""

    BASE64 = "base64"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """`extensions.queues` of host.json, with the extension's defaults."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    max_polling_interval: timedelta = timedelta(minutes=1)
    message_encoding: MessageEncoding = MessageEncoding.BASE64


@dataclass(frozen=True, slots=True)
class HostConfiguration:
    """host.json. `function_timeout` None: no limit."""

    function_timeout: timedelta | None = timedelta(minutes=30)
    route_prefix: str = "api"
    queues: QueueOptions = QueueOptions()


class AppSettings(Mapping[str, str]):
    """App settings by name. As in .NET's configuration, names are case-insensitive."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def expand(self, text: str, *, of: str) -> str:
        """Return `text` with every `%NAME%` replaced by that setting. Raises StartError, which names `of`."""

        def value(match: re.Match[str]) -> str:
            found = self.get(match[1])
            if not found:
                raise StartError(f"{of}: '%{match[1]}%' does not resolve to an app setting")
            return found

        return _PLACEHOLDER.sub(value, text)

    def is_disabled(self, function: str) -> bool:
        """Return whether AzureWebJobs.<function>.Disabled is on (or the same name with single underscores)."""
        names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")
        return any(self.get(name, "").lower() in ("true", "1") for name in names)

    def is_in_group(self, group: str) -> bool:
        """Return whether this host starts the listeners of `group` (FunctionGroupListenerDecorator).

        Only on Flex Consumption is a host of one group.
        """
        target = self.get("FUNCTIONS_TARGET_GROUP", "")
        is_flex = self.get("WEBSITE_SKU", "").lower() == "flexconsumption"
        return not is_flex or not target or target.lower() == group.lower()


def read_host_json(folder: Path) -> HostConfiguration:
    """Read host.json in `folder`. Raises StartError: no file, invalid JSON, or an unsupported option."""
    try:
        document = json.loads((folder / "host.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StartError(f"host.json is missing in {folder}") from None
    except ValueError as error:
        raise StartError(f"host.json is not valid JSON: {error}") from None
    root = _section(document, "", "version", "extensionBundle", "functionTimeout", "logging", "extensions")
    if root.get("version") != "2.0":
        raise StartError('host.json: version must be "2.0"')
    if "extensionBundle" in root:
        bundle = _section(root["extensionBundle"], "extensionBundle", "id", "version")
        if bundle.get("id") != _BUNDLE:
            raise StartError(f"host.json: extensionBundle.id must be {_BUNDLE}")
    # Accepted without effect: the host itself sends no telemetry.
    _section(root.get("logging", {}), "logging", "applicationInsights")
    extensions = _section(root.get("extensions", {}), "extensions", "http", "queues")
    http = _section(extensions.get("http", {}), "extensions.http", "routePrefix")
    return HostConfiguration(
        function_timeout=_function_timeout(root.get("functionTimeout", "00:30:00")),
        route_prefix=_text(http.get("routePrefix", "api"), "extensions.http.routePrefix").strip("/"),
        queues=_queue_options(extensions.get("queues", {})),
    )


def _queue_options(value: object) -> QueueOptions:
    name = "extensions.queues"
    section = _section(
        value,
        name,
        "batchSize",
        "newBatchThreshold",
        "maxDequeueCount",
        "visibilityTimeout",
        "maxPollingInterval",
        "messageEncoding",
    )
    batch_size = _integer(section.get("batchSize", 16), f"{name}.batchSize", 1, 32)
    encoding = section.get("messageEncoding", "base64")
    if not isinstance(encoding, str) or encoding.lower() not in tuple(MessageEncoding):
        raise StartError(f"host.json: {name}.messageEncoding must be base64 or none")
    interval = _time_span(section.get("maxPollingInterval", "00:01:00"), f"{name}.maxPollingInterval")
    if interval < timedelta(milliseconds=100):
        raise StartError(f"host.json: {name}.maxPollingInterval must be at least 100 ms")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=_integer(
            section.get("newBatchThreshold", batch_size // 2), f"{name}.newBatchThreshold", 0, 1000
        ),
        max_dequeue_count=_integer(section.get("maxDequeueCount", 5), f"{name}.maxDequeueCount", 1, 1000),
        visibility_timeout=_time_span(section.get("visibilityTimeout", "00:00:00"), f"{name}.visibilityTimeout"),
        max_polling_interval=interval,
        message_encoding=MessageEncoding(encoding.lower()),
    )


def _function_timeout(value: object) -> timedelta | None:
    return None if value == "-1" else _time_span(value, "functionTimeout")


def _section(value: object, name: str, *allowed: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StartError(f"host.json: {name or 'the document'} must be an object")
    for key in value:
        if key not in allowed:
            raise StartError(f"host.json: {f'{name}.{key}' if name else key} is not supported by this host")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise StartError(f"host.json: {name} must be a string")
    return value


def _integer(value: object, name: str, smallest: int, largest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        raise StartError(f"host.json: {name} must be a whole number from {smallest} to {largest}")
    return value


def _time_span(value: object, name: str) -> timedelta:
    """Parse a .NET TimeSpan, `[days.]hours:minutes:seconds[.fraction]`."""
    match = _TIME_SPAN.fullmatch(_text(value, name))
    if match is None:
        raise StartError(f"host.json: {name} must be a time span like 00:05:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds + float(match[5] or 0))
