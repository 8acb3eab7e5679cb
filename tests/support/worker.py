"""Which of several test processes this is, so that each has a lab of its own."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from drctl.lab import tiers


def number() -> int | None:
    """0, 1, 2 … under pytest-xdist, else None."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) if name else None


def lab(name: str, net: str) -> tuple[str, str]:
    """The name and the net of this process's lab, made of those that all share."""
    mine = number()
    if mine is None:
        return name, net
    first, second = net.split(".")
    return f"{name[:8]}{mine}", f"{first}.{int(second) + mine}"


def turn(lab: str) -> Path:
    """The file that whoever tests with the lab of that name holds a lock of."""
    return Path("/run/lock" if tiers.is_real_root() else tempfile.gettempdir()) / f"drctl-lab-{lab}.tests"
