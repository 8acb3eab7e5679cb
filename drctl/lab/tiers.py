"""What this process may do on this machine: as root everything, as root of a user namespace nearly everything."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = "root"
NAMESPACES = "user namespaces"
LACKS = {
    ROOT: "nothing is missing",
    NAMESPACES: "no limits of memory and processor, so a size is settings and /proc/meminfo only",
}


def is_real_root(uid_map: str | None = None) -> bool:
    """Whether root here is root of the machine: every number means itself (``uid_map``: for tests)."""
    text = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
    return os.geteuid() == 0 and text.split() == ["0", "0", "4294967295"]


def tier() -> str:
    """The tier of the lab that this process makes or has entered."""
    return ROOT if os.geteuid() == 0 and is_real_root() else NAMESPACES
