"""The peak memory of a process."""

import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_mb(pid: int | None = None) -> float:
    """Return the peak memory of a process in MB, of this one without a `pid`: proc(5) on Linux; else 0.

    Not from getrusage(2), whose value includes the memory of the parent.
    """
    status = Path(f"/proc/{pid or 'self'}/status")
    found = _PEAK.search(status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0
