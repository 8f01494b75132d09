"""The files of one local cloud, and what kind of cloud it is.

A lock on `<folder>/lock`, held by the cloud while it lives, says whether one runs there: the kernel gives it back
however the process ends, so that no stale file can pretend.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shape:
    """What kind of cloud: its control port (0: a free one), how many hosts (0: no app), how fast its clocks run."""

    port: int
    hosts: int
    time_factor: float

    def options(self) -> tuple[str, ...]:
        """The same as options of the command."""
        hosts = ("--hosts", str(self.hosts)) if self.hosts else ("--no-app",)
        return ("--port", str(self.port), *hosts, "--time-factor", str(self.time_factor))

    def words(self) -> str:
        """The same as variables of `make cloud`."""
        return f"HOSTS={self.hosts} PORT={self.port} TIME_FACTOR={self.time_factor:g}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a running cloud is reached: base addresses of its hosts, "http://127.0.0.1:port"; and its clocks."""

    control: int
    proxy: int
    hosts: tuple[str, ...]
    time_factor: float

    def suits(self, shape: Shape) -> bool:
        """Whether a cloud of `shape` would be the same; port 0 is any port."""
        return self.shape() == Shape(shape.port or self.control, shape.hosts, shape.time_factor)

    def shape(self) -> Shape:
        return Shape(port=self.control, hosts=len(self.hosts), time_factor=self.time_factor)


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
        """Make the folder, for its owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def forget(self) -> None:
        """Remove what only a running cloud may leave lying about."""
        for file in (self.pid, self.ports, self.env):
            file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        if not self.lock.exists():
            return False
        with self.lock.open("r") as lock:
            return not _lock(lock.fileno())

    def take(self) -> bool:
        """Whether no cloud ran here; from now on this process is it, until its end."""
        # Never closed: the kernel does it when this process has ended, and not a moment before.
        return _lock(os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600))

    def write_ports(self, ports: Ports) -> None:
        self.ports.write_text(json.dumps(asdict(ports), indent=2) + "\n")

    def read_ports(self) -> Ports:
        found = json.loads(self.ports.read_text())
        return Ports(found["control"], found["proxy"], tuple(found["hosts"]), found["time_factor"])


def _lock(file: int) -> bool:
    """Whether the lock was free; it is held from now on until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
