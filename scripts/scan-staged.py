#!/usr/bin/env python3
"""The pre-commit hook of .pre-commit-hooks.yaml: finds Azure Storage credentials in the files of a commit.

scripts/scan-staged.py FILE…   exits with 1 if it finds one, 2 if a file can't be read

Runs `python -m shared.sas scan` of this checkout. It publishes nothing, and prints no secrets. Standard library only.
"""

import sys
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - pre-commit runs it with whatever python3 is
    sys.exit(f"Sasquash needs Python 3.13 or later to scan; this is {sys.version.split()[0]}.")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.sas.__main__ import main

if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names may be in any script
    arguments = ["scan", "--quiet", "--format=table", "--", *sys.argv[1:]]
    raise SystemExit(main(arguments, stdin=sys.stdin.buffer, stdout=sys.stdout))
