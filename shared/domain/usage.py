"""The use of a leak according to the storage logs, and the other clients of its key."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

# Files that run, or that a model loads as code ("pickle"): whatever opens them may be compromised.
_RUNS = (
    *(".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".h5", ".keras", ".onnx", ".bin", ".safetensors"),
    *(".py", ".ipynb", ".sh", ".ps1", ".psm1", ".bat", ".cmd", ".js", ".mjs", ".html", ".jar", ".whl"),
    *(".exe", ".dll", ".msi", ".so", ".deb", ".rpm", ".vbs", ".docm", ".xlsm"),
)


# Diagnostic settings log categories, or groups of them ("Supported resource logs for Microsoft.Storage").
_GROUPS = frozenset({"allLogs", "audit"})
_LOGS_OF_READS = _GROUPS | {"StorageRead"}
_LOGS_OF_WRITES = _GROUPS | {"StorageWrite"}
_ALL_LOGS = frozenset({"StorageRead", "StorageWrite", "StorageDelete"})


def covers_reads(categories: Iterable[str]) -> bool:
    """Whether logs of these categories, or groups of them, would show that something was read."""
    return not _LOGS_OF_READS.isdisjoint(categories)


def covers_writes(categories: Iterable[str]) -> bool:
    """Whether logs of these categories, or groups of them, would show that something was written."""
    return not _LOGS_OF_WRITES.isdisjoint(categories)


def covers_all(categories: Collection[str]) -> bool:
    """Whether logs of these categories, or groups of them, would show every request."""
    return _ALL_LOGS.issubset(categories) or not _GROUPS.isdisjoint(categories)


@dataclass(frozen=True, slots=True)
class Touched:
    """An object, how often it was asked for, and how often it was written, changed or deleted. Hostile text."""

    name: str
    requests: int
    written: int

    @property
    def runs(self) -> bool:
        """Whether it is, by its name, a script, a program or a model."""
        return self.name.lower().endswith(_RUNS)


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its address and user agent. Hostile text."""

    address: str
    agent: str
    requests: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The use in the last `days` before `at`. All numbers but `bytes_out` count requests.

    `unknown` says in one or two English sentences why usage is unknown, and is empty if it is known. `served`
    requests were accepted, `served_after` of them after the execution. `others` are other clients of the key that
    signed the leak; None if they were not queried.
    """

    at: datetime
    days: int = 0
    unknown: str = ""
    requests: int = 0
    served: int = 0
    served_after: int = 0
    writes: int = 0
    deletes: int = 0
    bytes_out: int = 0
    first: datetime | None = None
    last: datetime | None = None
    objects: tuple[Touched, ...] = ()
    clients: tuple[Client, ...] = ()
    others: tuple[Client, ...] | None = None

    @property
    def poisoned(self) -> tuple[Touched, ...]:
        """The written objects that run when opened: models, scripts, programs."""
        return tuple(touched for touched in self.objects if touched.written and touched.runs)
