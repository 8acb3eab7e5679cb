"""What a lab remembers on disk: its lock, its phase, and the processes that it started."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from drctl.errors import LabError, LockedError
from drctl.lab import tiers


@dataclass(frozen=True)
class Process:
    """A process by number *and* start time (clock ticks since boot): numbers are used again, the pair is not."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now, or None when nobody has it (a zombie counts as nobody)."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may hold spaces and parentheses itself: read what follows the last one.
        fields = text[text.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def kill(self) -> bool:
        """SIGKILL it, if it is still the same process. False when it was gone already."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # Looked at through a handle that cannot come to mean another process.
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def parent(self) -> Process | None:
        """Its parent; None when it has ended, or when its parent cannot be seen from here."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return Process.of(int(text[text.rindex(")") + 2 :].split()[1]))

    def children(self) -> list[Process]:
        """Its children, as far as they still run."""
        try:
            numbers = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [child for number in numbers if (child := Process.of(int(number)))]


@dataclass
class LabState:
    """The lab as a whole. ``phase`` is ``starting`` until everything stands, then ``up``.

    ``machine_boot`` tells a lab whose machine was rebooted under it (nothing runs any more) from one that stands.
    """

    phase: str
    machine_boot: str
    net: str
    inventory: str = ""
    system_identifier: str = ""
    started: str = ""
    tier: str = ""  # empty: as the process that asks


def machine_boot_id() -> str:
    """The id of this boot of the machine itself; inside a holder's namespaces, of their time as well.

    What a lab remembers of its processes means nothing once the namespaces that they ran in are gone.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if os.geteuid() != 0 or tiers.is_real_root():
        return boot
    first = Process.of(1)
    return f"{boot}/{first.started if first else 0}"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file in one step, so that a reader or a crash sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.chmod(mode)
    beside.replace(path)


def read_state(directory: Path) -> LabState | None:
    """The state of the lab in this directory; None when there is none, or not one that can be understood."""
    try:
        return LabState(**json.loads((directory / "lab.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    except PermissionError as error:
        raise LabError(
            f"the lab's directory {directory} may be read by root only",
            state="nothing was changed",
            hint="run the same command with sudo",
        ) from error


def write_state(directory: Path, state: LabState) -> None:
    """Remember the state."""
    write_atomically(directory / "lab.json", json.dumps(asdict(state), indent=2) + "\n")


def read_process(path: Path) -> Process | None:
    """A process that was remembered in a file; None when there is none, or when the machine was rebooted since."""
    try:
        fields = json.loads(path.read_text())
        if fields.pop("machine_boot", machine_boot_id()) != machine_boot_id():
            return None
        return Process(**fields)
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_process(path: Path, process: Process) -> None:
    """Remember a process of this boot of the machine."""
    write_atomically(path, json.dumps({**asdict(process), "machine_boot": machine_boot_id()}) + "\n")


@contextmanager
def taking_turns(directory: Path) -> Iterator[None]:
    """Wait for, and hold, the lock of a directory: for short work that two drctl must not do at once."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the lab's lock, which lies beside its directory. Raises LockedError when another drctl holds it.

    The lock dies with its holder. Where no lab is left when it is let go, the file is unlinked while it is held;
    so whoever gets the lock of an unlinked file tries again.
    """
    path = lock_path(directory)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(
                    f"another drctl is bringing this lab up or down (lock {path})",
                    state="nothing was changed by this command",
                    hint="wait for it to end, then type: drctl lab status",
                ) from error
            if not _is_at(path, file.fileno()):
                continue
            try:
                yield
            finally:
                if not directory.exists():
                    path.unlink(missing_ok=True)
                    with suppress(OSError):  # another lab's directory may be beside it
                        path.parent.rmdir()
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether this path still names the open file."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def lock_path(directory: Path) -> Path:
    """Beside the directory and not in it: ``down`` removes the directory while it holds the lock."""
    return directory.with_name(directory.name + ".lock")
