"""The peak memory of this process."""

import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_mb() -> float:
    """Return the peak memory in MB, from proc(5) on Linux; 0 on other systems.

    Not from getrusage(2), whose value includes the memory of the parent.
    """
    status = Path("/proc/self/status")
    found = _PEAK.search(status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0
