"""Loads function_app.py and indexes its functions with Microsoft's package `azure-functions-runtime`.

The Functions worker keeps the index in module globals: one app per process.
"""

import importlib.util
import json
import sys
import traceback
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, ClassVar

from azure_functions_runtime import handle_event
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.http_v2 import HttpV2Registry
from azure_functions_runtime.utils.threadpool import start_threadpool_executor

from local.host.configuration import StartError

_SCRIPT = "function_app.py"


class AuthLevel(StrEnum):
    """What an HTTP trigger requires of its caller: nothing, a function key, or the master key."""

    ANONYMOUS = "ANONYMOUS"
    FUNCTION = "FUNCTION"
    ADMIN = "ADMIN"


@dataclass(frozen=True, slots=True)
class HttpTrigger:
    """An HTTP trigger. Empty `methods`: all are allowed. `route` is without the prefix."""

    route: str
    methods: frozenset[str]
    auth_level: AuthLevel


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """A queue trigger as written: `queue` may contain `%SETTING%`; an empty `connection` is the default one."""

    queue: str
    connection: str


@dataclass(frozen=True, slots=True)
class TimerTrigger:
    """A timer trigger. `schedule` is as written, perhaps `%SETTING%`."""

    schedule: str
    run_on_startup: bool
    use_monitor: bool


class EventGridTrigger(Enum):
    """An Event Grid trigger. It has no options: the subscription belongs to Event Grid."""

    INSTANCE = 0


type Trigger = HttpTrigger | QueueTrigger | TimerTrigger | EventGridTrigger


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app. `parameter` is the name of the argument for the trigger's data."""

    name: str
    function_id: str
    parameter: str
    trigger: Trigger


class _Keep:
    """Stands for a protobuf message: keeps keyword arguments, which is all that the Functions worker needs."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class _BindingInfo(_Keep):
    # From the protocol of the Functions worker: FunctionRpc.proto, BindingInfo.Direction and .DataType.
    undefined: ClassVar[int] = 0
    out: ClassVar[int] = 1
    inout: ClassVar[int] = 2


class _Messages:
    BindingInfo = _BindingInfo
    RpcFunctionMetadata = _Keep
    RpcRetryOptions = _Keep


def load(folder: Path) -> tuple[Function, ...]:
    """Import and index the app in `folder`; at most once per process.

    Raises StartError: there is no app, the import failed (with the last line that Python would print), or a function
    uses a binding that this host does not support.
    """
    script = folder / _SCRIPT
    if not script.is_file():
        raise StartError(f"{_SCRIPT} is missing in {folder}")
    _put_first(folder)
    handle_event.protos = _Messages
    load_binding_registry()
    start_threadpool_executor()
    try:
        indexed = handle_event.index_functions(str(script), str(folder))
    except SystemExit as stop:
        raise StartError(str(stop.code)) from stop
    except Exception as error:  # any exception during the import is the reason
        raise StartError(_last_line(error)) from error
    if HttpV2Registry.http_v2_enabled():
        raise StartError("HTTP streaming (azurefunctions-extensions-http-fastapi) is not supported by this host")
    return tuple(function_of(metadata) for metadata in indexed or ())


def _put_first(folder: Path) -> None:
    """Put `folder` first on the import path, and make sure that no other function_app is imported."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    found = importlib.util.find_spec(Path(_SCRIPT).stem)
    if found is None or found.origin != str(folder / _SCRIPT):
        raise StartError(f"another {_SCRIPT} is already imported: one app per process")


def _last_line(error: BaseException) -> str:
    # The Functions worker wraps an ImportError in one that adds its search path.
    if isinstance(error, ImportError) and error.__context__ is not None:
        error = error.__context__
    lines = "".join(traceback.format_exception_only(error)).strip().splitlines()
    return lines[-1]


def function_of(metadata: Any) -> Function:
    """Return the function of the Functions worker's `metadata`. Raises StartError for unsupported features."""
    name: str = metadata.name
    if metadata.retry_options is not None:
        raise StartError(f"function {name}: a retry policy is not supported by this host")
    bindings = [json.loads(raw) for raw in metadata.raw_bindings]
    triggers = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
    if len(triggers) != 1:
        raise StartError(f"function {name}: exactly one trigger is required, it has {len(triggers)}")
    for binding in bindings:
        if binding is not triggers[0] and (binding["type"], binding["name"]) != ("http", "$return"):
            raise StartError(f"function {name}: binding '{binding['type']}' is not supported by this host")
    binding = triggers[0]
    return Function(
        name=name,
        function_id=metadata.function_id,
        parameter=binding["name"],
        trigger=_trigger(name, binding),
    )


def _trigger(function: str, binding: dict[str, Any]) -> Trigger:
    fields = {key: value for key, value in binding.items() if key not in ("direction", "type", "name")}
    trigger: Trigger
    match binding["type"]:
        case "httpTrigger":
            trigger = HttpTrigger(
                route=fields.pop("route", None) or function,
                methods=frozenset(str(method).upper() for method in fields.pop("methods", None) or ()),
                auth_level=_auth_level(function, fields.pop("authLevel", AuthLevel.FUNCTION)),
            )
        case "queueTrigger":
            trigger = QueueTrigger(queue=fields.pop("queueName"), connection=fields.pop("connection", None) or "")
        case "timerTrigger":
            trigger = TimerTrigger(
                schedule=fields.pop("schedule"),
                run_on_startup=bool(fields.pop("runOnStartup", False)),
                use_monitor=bool(fields.pop("useMonitor", True)),
            )
        case "eventGridTrigger":
            trigger = EventGridTrigger.INSTANCE
        case other:
            raise StartError(f"function {function}: trigger '{other}' is not supported by this host")
    for field, value in fields.items():
        if value is not None:
            raise StartError(f"function {function}: '{field}' of a {binding['type']} is not supported by this host")
    return trigger


def _auth_level(function: str, value: object) -> AuthLevel:
    try:
        return AuthLevel(str(value).upper())
    except ValueError:
        raise StartError(f"function {function}: auth level '{value}' is not supported by this host") from None
