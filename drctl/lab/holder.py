"""The namespaces of a lab without root: made once by ``lab up``, entered by every later verb, ended by ``lab down``.

Inside, the person who typed it is root of a user namespace, and the lab's own code runs there as it runs for root.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import detach, wait_until
from drctl.lab.disk import shipped_text
from drctl.lab.state import Process, read_process, taking_turns, write_process
from drctl.lab.topology import Settings

# newuidmap gives the namespace the person's subordinate numbers, which postgres and the others are on the hosts.
UNSHARE = ["unshare", "--user", "--map-root-user", "--map-auto", "--mount", "--net", "--pid", "--fork", "--mount-proc"]


class Holder:
    """The process that holds a lab's namespaces. It and its record lie beside the lab's directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._record = settings.directory.with_name(settings.directory.name + ".holder.json")
        self._log = settings.directory.with_name(settings.directory.name + ".holder.log")

    @property
    def process(self) -> Process | None:
        """The holder, by the machine's numbers; None when there is none."""
        process = read_process(self._record)
        return process if process and process.is_alive() else None

    def ensure(self) -> None:
        """Make the namespaces, unless they are there. Raises LabError when this machine does not let us."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with taking_turns(self._record.parent):
            if self.process is None:
                self._start()

    def _start(self) -> None:
        self._log.unlink(missing_ok=True)
        # The text and not the file: a shell reads on in a script that another version of drctl has replaced.
        script = ["sh", "-c", shipped_text("holder.sh"), "drctl-lab-holder", str(self._settings.directory)]
        supervisor = Process.of(detach([*UNSHARE, "--kill-child", *script], self._log))

        def ready() -> bool:
            return supervisor is None or not supervisor.is_alive() or "ready\n" in self._said()

        wait_until(ready, within=10, every=0.01)
        first = supervisor.children()[:1] if supervisor else []
        if not first or "ready\n" not in self._said():
            if supervisor:
                supervisor.kill()
            said = self._said().strip() or "it said nothing"
            self._log.unlink(missing_ok=True)
            raise LabError(
                f"the namespaces of the lab cannot be made: {said}",
                state="nothing was changed",
                hint="type: drctl lab doctor",
            )
        write_process(self._record, first[0])

    def _said(self) -> str:
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def run(self, argv: Sequence[str]) -> int:
        """Run a program inside, in this directory and on this terminal; its exit code (128 and a signal's number).

        Ctrl-C is the program's affair, not ours: what has to clean up is not left behind by those that wait for it.
        """
        holder = self.process
        if holder is None:
            raise LabError("no lab is up", state="nothing was changed", hint="type: drctl lab up")
        words = ["nsenter", "-t", str(holder.pid), "-U", "-m", "-n", "-p", f"--wdns={Path.cwd()}"]
        # The signal is ignored by nsenter, too; so it has to be switched on again behind it.
        words += ["env", "--default-signal=INT", *self._settings.environment_words(), *argv]
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = subprocess.run(words, check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)
        return code if code >= 0 else 128 - code

    def end(self, *, within: float = 10.0) -> None:
        """End it, and with it everything inside. Raises LabError when it is still there after so many seconds."""
        holder = self.process
        if holder:
            supervisor = holder.parent()
            holder.kill()
            left = [process for process in (holder, supervisor) if process]
            if not wait_until(lambda: not any(process.is_alive() for process in left), within=within):
                raise LabError(f"the lab's namespaces are still there {within:g} s after their end was asked for")
        self._record.unlink(missing_ok=True)
        self._log.unlink(missing_ok=True)

    def end_if_empty(self) -> None:
        """End it when no lab is left in it."""
        if not self._settings.directory.exists():
            self.end()


def is_outside() -> bool:
    """Whether this process needs a holder to make or to reach a lab: it is root nowhere."""
    return os.geteuid() != 0
