"""The files of one local cloud, and its options.

A running cloud holds a lock on `<folder>/lock`. The kernel releases it however the process ends, so that no stale
file suggests a running cloud.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shape:
    """Options of a cloud: control port (0: a free one), number of hosts (0: no app), factor for its clocks.

    `private`: the app is in a private network, so that its findings arrive by a queue.
    """

    port: int
    hosts: int
    time_factor: float
    private: bool = False

    def options(self) -> tuple[str, ...]:
        """Return the shape as command-line options."""
        hosts = ("--hosts", str(self.hosts)) if self.hosts else ("--no-app",)
        private = ("--private",) if self.private else ()
        return ("--port", str(self.port), *hosts, "--time-factor", str(self.time_factor), *private)

    def words(self) -> str:
        """Return the shape as variables of `make cloud`."""
        private = " PRIVATE=1" if self.private else ""
        return f"HOSTS={self.hosts} PORT={self.port} TIME_FACTOR={self.time_factor:g}{private}"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a running cloud, the base addresses of its hosts ("http://127.0.0.1:port"), and its options."""

    control: int
    proxy: int
    hosts: tuple[str, ...]
    time_factor: float
    private: bool = False

    def suits(self, shape: Shape) -> bool:
        """Return whether the cloud has the options of `shape`; port 0 matches every port."""
        return self.shape() == replace(shape, port=shape.port or self.control)

    def shape(self) -> Shape:
        return Shape(self.control, len(self.hosts), self.time_factor, self.private)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one cloud."""

    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def pid(self) -> Path:
        return self.folder / "pid"

    @property
    def ports(self) -> Path:
        return self.folder / "ports.json"

    @property
    def env(self) -> Path:
        return self.folder / "env"

    @property
    def log(self) -> Path:
        return self.folder / "cloud.log"

    def make(self) -> None:
        """Create the folder, accessible only to its owner."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def forget(self) -> None:
        """Remove the files that only a running cloud has."""
        for file in (self.pid, self.ports, self.env):
            file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        if not self.lock.exists():
            return False
        with self.lock.open("r") as lock:
            return not _lock(lock.fileno())

    def take(self) -> bool:
        """Take the lock for the lifetime of this process; return whether it was free."""
        # Never closed: the kernel releases the lock when this process ends.
        return _lock(os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600))

    def write_ports(self, ports: Ports) -> None:
        self.ports.write_text(json.dumps(asdict(ports), indent=2) + "\n")

    def read_ports(self) -> Ports:
        found = json.loads(self.ports.read_text())
        return Ports(found["control"], found["proxy"], tuple(found["hosts"]), found["time_factor"], found["private"])


def _lock(file: int) -> bool:
    """Take the lock until the file is closed; return whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
