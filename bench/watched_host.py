"""`python -m bench.watched_host`: the local host, which on SIGUSR1 writes its modules and peak memory to a file.

The file is named by BENCH_SEEN: {"modules": [names], "peak_mb": number}.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from bench.memory import peak_mb
from local.host.__main__ import main


def _note(_number: int, _frame: FrameType | None) -> None:
    """Write the file. Renamed when complete, so that a waiting process reads it whole."""
    path = Path(os.environ["BENCH_SEEN"])
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"modules": sorted(sys.modules), "peak_mb": peak_mb()}))
    part.rename(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _note)
    main()
