"""The processes of a host taken together, by whatever this tier has for that."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from drctl.lab import tiers
from drctl.lab.cgroups import ControlGroups
from drctl.lab.pidgroups import PidGroups
from drctl.lab.topology import Settings, Size
from drctl.lab.treegroups import TreeGroups


class Groups(Protocol):
    """What ControlGroups and PidGroups have in common; there it is said what each does."""

    def directories(self, host: str) -> list[Path]: ...
    def create(self, host: str) -> None: ...
    def limit(self, host: str, size: Size) -> None: ...
    def freeze(self, host: str, *, within: float = 10.0) -> None: ...
    def thaw(self, host: str) -> None: ...
    def is_frozen(self, host: str) -> bool: ...
    def processes(self, host: str) -> list[int]: ...
    def remove(self, hosts: list[str]) -> None: ...


def groups_of(settings: Settings) -> Groups:
    """Control groups where root is root of the machine, else the hosts' PID namespaces, or what their first started."""
    if settings.loopback:
        return TreeGroups(settings)
    return ControlGroups(settings.name) if tiers.is_real_root() else PidGroups(settings)
