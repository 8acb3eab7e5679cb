"""Freezing a host and limiting its memory and processor, with control groups of version 1 or 2."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import wait_until
from drctl.lab.topology import Size

CONTROLLERS = ("freezer", "memory", "cpu")
_PERIOD_US = 50_000


@dataclass(frozen=True)
class Hierarchy:
    """Where one controller is mounted, and by which version of the kernel's interface."""

    root: Path
    version: int


def discover(mountinfo: str) -> dict[str, Hierarchy]:
    """Find each controller in the text of ``/proc/self/mountinfo``; where version 1 has one, version 2 has not."""
    found: dict[str, Hierarchy] = {}
    unified: Path | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        place = Path(left.split()[4])
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup":
            for controller in set(CONTROLLERS) & set(options.split(",")):
                found.setdefault(controller, Hierarchy(place, 1))
        elif kind == "cgroup2":
            unified = unified or place
    if unified:
        for controller in CONTROLLERS:
            found.setdefault(controller, Hierarchy(unified, 2))
    return found


def _write_if_there(control: Path, value: int) -> None:
    """Swap is not accounted for on every kernel."""
    if control.exists():
        control.write_text(f"{value}\n")


class ControlGroups:
    """The control groups of one lab: ``drctl-lab.NAME/HOST`` in each hierarchy."""

    def __init__(self, lab: str, hierarchies: dict[str, Hierarchy] | None = None) -> None:
        self._group = f"drctl-lab.{lab}"
        self._of = discover(Path("/proc/self/mountinfo").read_text()) if hierarchies is None else hierarchies

    def _path(self, controller: str, host: str) -> Path:
        if controller not in self._of:
            raise LabError(f"this kernel offers no {controller} control group, so a host cannot be held by one")
        return self._of[controller].root / self._group / host

    def directories(self, host: str) -> list[Path]:
        """The groups that a process of this host has to join."""
        return sorted({self._path(controller, host) for controller in CONTROLLERS if controller in self._of})

    def create(self, host: str) -> None:
        """Make the host's groups; those that exist stay."""
        for directory in self.directories(host):
            try:
                directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LabError(
                    f"the control group {directory} cannot be made: {error.strerror}",
                    hint="run the lab on a machine of its own, or in a container that may write control groups",
                ) from error
        for controller in ("memory", "cpu"):
            hierarchy = self._of.get(controller)
            if hierarchy and hierarchy.version == 2:
                for parent in (hierarchy.root, hierarchy.root / self._group):
                    self._enable(parent / "cgroup.subtree_control", controller)

    @staticmethod
    def _enable(control: Path, controller: str) -> None:
        if controller not in control.read_text().split():
            try:
                control.write_text(f"+{controller}\n")
            except OSError as error:
                raise LabError(
                    f"the {controller} controller cannot be enabled in {control}: {error.strerror}",
                    hint="run the lab where control groups are delegated, or on a machine of its own",
                ) from error

    def limit(self, host: str, size: Size) -> None:
        """Give the host the memory and the processor of a size. Raises LabError when the kernel refuses."""
        quota = size.cpu_percent * _PERIOD_US // 100
        memory_bytes = size.memory_mb * 1024 * 1024
        memory, cpu = self._path("memory", host), self._path("cpu", host)
        try:
            if self._of["memory"].version == 1:
                _write_if_there(memory / "memory.memsw.limit_in_bytes", -1)
                (memory / "memory.limit_in_bytes").write_text(f"{memory_bytes}\n")
                _write_if_there(memory / "memory.memsw.limit_in_bytes", memory_bytes)
            else:
                (memory / "memory.max").write_text(f"{memory_bytes}\n")
                # The machine's swap is none of the host's: a small host has little memory, not slow memory.
                _write_if_there(memory / "memory.swap.max", 0)
            if self._of["cpu"].version == 1:
                (cpu / "cpu.cfs_period_us").write_text(f"{_PERIOD_US}\n")
                (cpu / "cpu.cfs_quota_us").write_text(f"{quota}\n")
            else:
                (cpu / "cpu.max").write_text(f"{quota} {_PERIOD_US}\n")
        except OSError as error:
            raise LabError(f"{host}: the size {size.name} cannot be applied: {error.strerror}") from error

    def freeze(self, host: str, *, within: float = 10.0) -> None:
        """Stop every process of the host between two instructions; ``within`` is in seconds."""
        self._set_frozen(host, True)
        if not wait_until(lambda: self.is_frozen(host), within=within):
            raise LabError(f"{host}: not every process could be frozen within {within:g} s")

    def thaw(self, host: str) -> None:
        """Let the processes of the host go on."""
        self._set_frozen(host, False)

    def _set_frozen(self, host: str, frozen: bool) -> None:
        group = self._path("freezer", host)
        if self._of["freezer"].version == 1:
            (group / "freezer.state").write_text("FROZEN\n" if frozen else "THAWED\n")
        else:
            (group / "cgroup.freeze").write_text("1\n" if frozen else "0\n")

    def is_frozen(self, host: str) -> bool:
        """Whether every process of the host stands still."""
        group = self._path("freezer", host)
        try:
            if self._of["freezer"].version == 1:
                return (group / "freezer.state").read_text().strip() == "FROZEN"
            return "frozen 1" in (group / "cgroup.events").read_text()
        except FileNotFoundError:
            return False

    def processes(self, host: str) -> list[int]:
        """The numbers of all processes in any of the host's groups (the machine's numbers, not the host's)."""
        found: set[int] = set()
        for directory in self.directories(host):
            with suppress(FileNotFoundError):
                found.update(int(word) for word in (directory / "cgroup.procs").read_text().split())
        return sorted(found)

    def remove(self, hosts: list[str], *, within: float = 5.0) -> None:
        """Remove the groups of these hosts and the lab's own; the kernel may need a moment after the last process."""

        def gone(directory: Path) -> bool:
            try:
                directory.rmdir()
            except FileNotFoundError:
                return True
            except OSError:
                return False
            return True

        for directory in [place for host in hosts for place in self.directories(host)]:
            if not wait_until(lambda: gone(directory), within=within):  # noqa: B023 (waited for within the loop)
                raise LabError(f"the control group {directory} is still in use", hint="type: drctl lab down")
        for parent in {place.parent for place in self.directories("any")}:
            gone(parent)
