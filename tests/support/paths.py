"""Where the checkout is, so that no test counts folders upwards."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
