"""The processes of a host where there are no control groups: those of its PID namespace.

Nothing limits their memory and processor. A host stands still because each of them has been sent SIGSTOP.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import wait_until
from drctl.lab.state import Process
from drctl.lab.topology import Settings, Size


class PidGroups:
    """What ControlGroups does, as far as it can be done without them."""

    def __init__(self, settings: Settings) -> None:
        self._boot = os.fsencode(settings.directory / "boot.sh")

    def directories(self, host: str) -> list[Path]:
        """The groups that a process of this host has to join: none."""
        del host
        return []

    def create(self, host: str) -> None:
        """Nothing to make: the host's PID namespace comes with its PID 1."""

    def limit(self, host: str, size: Size) -> None:
        """Nothing that would hold a host to its size; what the size sets elsewhere is all there is."""

    def remove(self, hosts: list[str]) -> None:
        """Nothing to remove."""

    def _supervisors(self, host: str) -> list[int]:
        """The lab's own programs that wait for a PID 1 of this host (named on their command line)."""
        words = self._boot + b"\0" + host.encode() + b"\0"
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended while we looked
                if words in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def members(self, host: str) -> tuple[list[int], set[int]]:
        """The supervisors, and the processes in the PID namespaces that they made."""
        supervisors = self._supervisors(host)
        children = [child.pid for pid in supervisors if (one := Process.of(pid)) for child in one.children()]
        mine = _namespace("self")
        spaces = {_namespace(str(pid)) for pid in (*supervisors, *children)} - {mine, ""}
        inside = (
            {int(p.name) for p in Path("/proc").glob("[0-9]*") if _namespace(p.name) in spaces} if spaces else set()
        )
        return supervisors, inside

    def processes(self, host: str) -> list[int]:
        """The numbers of all processes of the host, and of what waits for it (the lab's numbers, not the host's)."""
        supervisors, inside = self.members(host)
        return sorted({*supervisors, *inside})

    def freeze(self, host: str, *, within: float = 10.0) -> None:
        """Stop every process of the host between two instructions; ``within`` is in seconds."""

        def all_stopped() -> bool:
            # Again until nobody runs: whoever was not stopped yet may have made another.
            running = [pid for pid in self.members(host)[1] if _state(pid) not in "TtZX"]
            for pid in running:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            return not running

        if not wait_until(all_stopped, within=within):
            raise LabError(f"{host}: not every process could be frozen within {within:g} s")

    def thaw(self, host: str) -> None:
        """Let the processes of the host go on, and those that wait for one of them and were stopped with it."""
        inside = self.members(host)[1]
        for pid in inside | {parent for pid in inside if (parent := parent_of(pid)) > 1}:
            if _state(pid) == "T":
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def is_frozen(self, host: str) -> bool:
        """Whether the host stands still."""
        inside = self.members(host)[1]
        return bool(inside) and all(_state(pid) in "TtZX" for pid in inside)


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ["X", "0"]
    return text[text.rindex(")") + 2 :].split()


def _state(pid: int) -> str:
    """The letter of its state; X when it has ended."""
    return _stat(pid)[0]


def parent_of(pid: int) -> int:
    return int(_stat(pid)[1])
