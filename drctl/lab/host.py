"""One host: booting it, switching it off, and running programs on it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import ssh
from drctl.lab.commands import detach, run, wait_until
from drctl.lab.disk import write_boot_identity
from drctl.lab.groups import groups_of
from drctl.lab.network import Network, inside
from drctl.lab.state import Process, read_process, taking_turns, write_atomically, write_process
from drctl.lab.topology import HOSTS, SIZES, Settings


class Host:
    """A host of the lab. Its PID 1 is remembered on disk, so that any drctl can find it."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self.spec = HOSTS[name]
        self.directory = settings.host_directory(name)
        self.groups = groups_of(settings)
        self.network = Network(settings)

    # -- what is true now --

    @property
    def init(self) -> Process | None:
        """The host's PID 1, by the machine's numbers; None when the host is off."""
        process = read_process(self.directory / "init.json")
        return process if process and process.is_alive() else None

    @property
    def is_on(self) -> bool:
        """Whether the host's PID 1 runs."""
        return self.init is not None

    @property
    def is_frozen(self) -> bool:
        """Whether the host stands still."""
        return self.groups.is_frozen(self.name)

    @property
    def size(self) -> str:
        """The name of its size."""
        try:
            return (self.directory / "size").read_text().strip()
        except FileNotFoundError:
            return self.spec.size

    def set_size(self, size: str) -> None:
        """Remember a size; it holds from the next boot on."""
        write_atomically(self.directory / "size", f"{size}\n")

    # -- power --

    def boot(self, *, limited: bool = True) -> None:
        """Start the host's PID 1 with its network card on, unless it is on. Does not wait for its services.

        Without ``limited`` it has the whole machine: only while the lab is being built.
        Raises LabError when its PID 1 does not come up.
        """
        with taking_turns(self.directory):
            if not self.is_on:
                self._boot(limited)

    def _boot(self, limited: bool) -> None:
        write_boot_identity(self.settings, self.name, self.size)
        self.groups.create(self.name)
        if limited:
            self.limit()
        self.network.link_up(self.name)
        join = [str(group) for group in self.groups.directories(self.name)]
        argv = ["sh", str(self.settings.directory / "join.sh"), *join, "--"]
        argv += inside(self.settings.namespace(self.name), ["unshare", "--mount", "--uts", "--ipc", "--pid"])
        argv += ["--fork", "--kill-child", "sh", str(self.settings.directory / "boot.sh")]
        argv += [self.name, str(self.directory)]
        supervisor = Process.of(detach(argv, self.directory / "boot.log"))
        found: list[Process] = []

        def has_init() -> bool:
            # A child is the host's PID 1 once it is the first in a PID namespace of its own.
            if supervisor is None or not supervisor.is_alive():
                return True
            found[:] = [child for child in supervisor.children() if _is_first(child.pid)]
            return bool(found)

        if not wait_until(has_init, within=10, every=0.005) or not found:
            raise LabError(f"{self.name}: PID 1 did not start: {self.boot_log()}")
        write_process(self.directory / "init.json", found[0])

    def limit(self) -> None:
        """Give it the memory and the processor of its size."""
        self.groups.limit(self.name, SIZES[self.size])

    def wait_booted(self, *, within: float = 30.0) -> None:
        """Wait until the host's services have been started; ``within`` is in seconds."""

        def booted() -> bool:
            init = self.init
            return init is None or Path(f"/proc/{init.pid}/root/run/lab/booted").exists()

        if not wait_until(booted, within=within) or not self.is_on:
            raise LabError(f"{self.name}: stopped while booting, or took longer than {within:g} s: {self.boot_log()}")

    def wait_ssh(self, *, within: float = 30.0) -> None:
        """Wait until a real ssh login succeeds, from inside the host's own namespace: links may be cut."""
        through = inside(self.settings.namespace(self.name), [])
        if not wait_until(lambda: ssh.answers(self.settings, self.name, through=through), within=within):
            raise LabError(
                f"{self.name}: is on, but ssh does not answer within {within:g} s: {self.boot_log()}",
                hint=f"type: drctl lab power off {self.name}, then: drctl lab power on {self.name}",
            )

    def boot_log(self) -> str:
        """The end of what the host said while it booted."""
        try:
            return (self.directory / "boot.log").read_text(errors="replace").strip()[-500:] or "it said nothing"
        except FileNotFoundError:
            return "it said nothing"

    def power_off(self, *, within: float = 10.0) -> bool:
        """Take its power away, and return when that is proved: no process of it is left. False when it was off.

        The network card goes first: a real machine that loses its power says no goodbye on the network.
        Raises LabError when anything of it still runs after ``within`` seconds.
        """
        with taking_turns(self.directory):
            return self._power_off(within)

    def _power_off(self, within: float) -> bool:
        init = self.init
        was_on = init is not None or bool(self.groups.processes(self.name))
        if self.settings.namespace(self.name).exists():
            self.network.link_down(self.name)
        self.end_processes(within=within)
        if self.is_on or self.groups.processes(self.name):
            raise LabError(
                f"{self.name}: processes are still there {within:g} s after its power was taken away",
                state="it may still write",
                hint=f"type: drctl lab power off {self.name}",
            )
        (self.directory / "init.json").unlink(missing_ok=True)
        return was_on

    def end_processes(self, *, within: float = 10.0) -> None:
        """SIGKILL whatever is in the host's control groups, which only this lab fills, until nothing of it is left."""
        init = self.init
        if init:
            init.kill()

        def ended() -> bool:
            numbers = self.groups.processes(self.name)
            for number in numbers:
                process = Process.of(number)
                # Looked up in the group again with the handle taken: the number may have changed hands.
                if process and number in self.groups.processes(self.name):
                    process.kill()
            if numbers:
                # What is frozen (version 1) dies only when it is thawed.
                self.groups.thaw(self.name)
            # A process that ends has left its group a moment before it is gone.
            return not numbers and not self.is_on

        wait_until(ended, within=within)

    # -- running programs on it --

    def words(self, argv: Sequence[str], *, user: str = "root") -> list[str]:
        """The machine's words that run a program on the host, counted and limited as the host's own.

        Raises LabError when the host is off or frozen: the program would never end.
        """
        init = self.init
        if init is None:
            raise LabError(f"{self.name}: power is off", hint=f"type: drctl lab power on {self.name}")
        if self.is_frozen:
            raise LabError(f"{self.name}: is frozen", hint=f"type: drctl lab thaw {self.name}")
        join = [str(group) for group in self.groups.directories(self.name)]
        words = ["sh", str(self.settings.directory / "join.sh"), *join, "--"]
        words += ["nsenter", "-t", str(init.pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        words += ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        if user != "root":
            home = {"postgres": "/var/lib/postgresql", "taskflow": "/var/lib/taskflow"}.get(user, "/")
            words += [f"HOME={home}", "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return [*words, *argv]

    def execute(
        self, argv: Sequence[str], *, user: str = "root", stdin: str = "", timeout: float = 60.0, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the host to its end, without ssh: the lab's own hand, which a cut link does not stop."""
        what = f"{self.name}: {' '.join(argv[:2])}"
        return run(self.words(argv, user=user), what=what, stdin=stdin, timeout=timeout, check=check)

    def start(self, argv: Sequence[str], *, user: str = "root", log: str) -> None:
        """Start a program that goes on by itself on the host; ``log`` is a file of the host below /var."""
        detach(self.words(argv, user=user), self.settings.disk(self.name, log))


def _is_first(pid: int) -> bool:
    """Whether a process is the first of a PID namespace below the machine's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"
