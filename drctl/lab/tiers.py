"""What this process may do on this machine: as root everything, as root of a user namespace nearly everything, and
without either still a lab of processes on loopback addresses."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = "root"
NAMESPACES = "user namespaces"
LOOPBACK = "loopback"
LACKS = {
    ROOT: "nothing is missing",
    NAMESPACES: "no limits of memory and processor, so a size is settings and /proc/meminfo only",
    LOOPBACK: (
        "no links to cut or to slow down, no pgBackRest, HAProxy or accounts of the hosts' own (sudo there changes "
        "nothing), and of a size the settings only; drctl failover brings the service back, and fails at its new backup"
    ),
}


CHOICES = {"root": ROOT, "namespaces": NAMESPACES, "loopback": LOOPBACK}
"""What DRCTL_LAB_TIER may say."""


def is_real_root(uid_map: str | None = None) -> bool:
    """Whether root here is root of the machine: every number means itself (``uid_map``: for tests)."""
    text = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
    return os.geteuid() == 0 and text.split() == ["0", "0", "4294967295"]


def tier() -> str:
    """The tier of the lab that this process makes or has entered."""
    return ROOT if os.geteuid() == 0 and is_real_root() else NAMESPACES
