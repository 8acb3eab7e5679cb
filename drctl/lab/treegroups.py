"""The processes of a host of the loopback tier: its first process, and whatever that started or has taken over.

The first process takes over orphans (``PR_SET_CHILD_SUBREAPER``), so nothing of a host can leave its tree.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import wait_until
from drctl.lab.pidgroups import PidGroups, parent_of
from drctl.lab.state import Process, read_process
from drctl.lab.topology import Settings


class TreeGroups(PidGroups):
    """What PidGroups does, without namespaces."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._settings = settings

    def _first(self, host: str) -> Process | None:
        process = read_process(self._settings.host_directory(host) / "init.json")
        return process if process and process.is_alive() else None

    def members(self, host: str) -> tuple[list[int], set[int]]:
        """No supervisors, and the processes of the host; what outlived a first process is known by its environment."""
        first = self._first(host)
        if first is None:
            return [], self._left_behind(host)
        children = defaultdict(list)
        for entry in Path("/proc").glob("[0-9]*"):
            children[parent_of(int(entry.name))].append(int(entry.name))
        found, new = {first.pid}, [first.pid]
        while new:
            new = [child for pid in new for child in children[pid] if child not in found]
            found.update(new)
        return [], {pid for pid in found if Process.of(pid)}

    def _left_behind(self, host: str) -> set[int]:
        mark = b"LAB_HOST=" + os.fsencode(self._settings.host_directory(host))
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # another person's, or it ended while we looked
                if mark in (entry / "environ").read_bytes().split(b"\0") and Process.of(int(entry.name)):
                    found.add(int(entry.name))
        return found

    def end(self, host: str, *, within: float) -> bool:
        """SIGKILL all of it, the first process last: until then it takes over what its children leave behind.

        All stands still before anything dies: a machine that loses its power tells nobody of the end of its processes,
        and starts nothing anew.
        """
        first = self._first(host)
        with suppress(LabError):  # what does not stand still is killed all the same
            self.freeze(host, within=within)

        def ended() -> bool:
            others = [pid for pid in self.members(host)[1] if first is None or pid != first.pid]
            for pid in others:
                if process := Process.of(pid):
                    process.kill()
            return not others

        gone = wait_until(ended, within=within)
        if gone and first:
            first.kill()
            gone = wait_until(lambda: not first.is_alive(), within=within)
        return gone
