"""How much memory this process has held at the most."""

import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def peak_mb() -> float:
    """Return it in MB; 0 where the system does not tell. Linux: proc(5).

    Not getrusage(2): its figure begins with what the parent held.
    """
    status = Path("/proc/self/status")
    found = _PEAK.search(status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0
