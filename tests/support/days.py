"""A bad day: one host, a small runbook, and an engineer who types real commands and reads what they say.

Each step that changes something writes a line into a file on the host whenever it really runs, so "nothing twice" is
counted there and never asked of drctl. What the engineer reads is compared word for word, with the few things that
differ from run to run (times, ids, places) under fixed names.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from drctl.lab import Lab
from drctl.lab.commands import wait_until
from tests.contract.sshd import Sshd
from tests.support.operator import ROOT, Operator

PATIENCE_S = 150.0
"""For things that happen at once, or after drctl's own waiting. It is no mark to be met."""
SERVICE = "days"


@dataclass(frozen=True)
class Machine:
    """The host of the day: how drctl reaches it, and where its directory of effects lies, there and seen from here."""

    name: str
    address: str
    port: int
    user: str
    ssh_config: Path
    effects_there: str
    effects: Path
    own: Mapping[str, str] = field(default_factory=dict)  # texts of this host that differ from run to run

    @classmethod
    def in_lab(cls, lab: Lab, host: str, day: str) -> Machine:
        """A host of the lab. The directory is on its disk, and so outlives a reboot."""
        there = f"/var/tmp/{day}"
        here = lab.settings.disk(host, there)
        here.mkdir()
        here.chmod(0o777)
        # The runs of earlier days are nobody's any more, and some were never over.
        for held in lab.settings.disk(host, "/home").glob("*/.local/state/drctl/services/*"):
            held.unlink()
        settings = lab.settings
        seen_there = str(here) if settings.loopback else there
        config = settings.directory / "ssh_config"
        port, user = settings.ssh_port, settings.login_user
        return cls(host, settings.address(host), port, user, config, seen_there, here)

    @classmethod
    def on_loopback(cls, sshd: Sshd) -> Machine:
        """A real sshd on this machine, which lets in nobody but who started it."""
        effects = sshd.directory / "effects"
        effects.mkdir()
        effects.chmod(0o777)
        return cls(sshd.name, "127.0.0.1", sshd.port, getpass.getuser(), sshd.config, str(effects), effects)


class Following:
    """drctl as a process that can be watched while it runs."""

    def __init__(self, day: Day, words: tuple[str, ...]) -> None:
        self._day = day
        self._lines: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            day.operator.words(*words), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._more:
                self._lines.append(line.decode(errors="surrogateescape"))
                self._more.notify_all()

    @property
    def said(self) -> str:
        """All that it said so far."""
        return "".join(self._lines)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until it has said this so often."""
        deadline = time.monotonic() + PATIENCE_S
        with self._more:
            while self.said.count(text) < times:
                left = deadline - time.monotonic()
                assert left > 0, f"it never said {text!r}:\n{self.said}"
                assert self.process.poll() is None or self._reader.is_alive(), f"not {text!r}:\n{self.said}"
                self._more.wait(min(left, 1))

    def ends(self, code: int) -> str:
        """Wait for its end; what the engineer read."""
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert "Traceback" not in self.said
        assert self.process.returncode == code, self.said
        return self._day.plain(self.said)


@dataclass
class Day:
    """The engineer, the host and the runbook of one bad day."""

    machine: Machine
    directory: Path
    operator: Operator
    running: Following | None = None

    @classmethod
    def on(cls, machine: Machine, directory: Path, *, state: Path | None = None, **roles: Machine) -> Day:
        """A day with an inventory of its own: the role ``primary`` is that machine, and further roles are others."""
        machines = {"primary": machine, **roles}
        document = {
            "inventory": "days",
            "residency": "ZA",
            "objectives": {"rto": "4h", "rpo": "24h"},
            "ssh": {"config": str(machine.ssh_config)},
            "sites": {"here": {"provider": "Own", "city": "Cape Town", "country": "ZA", "kind": "datacentre"}},
            "hosts": {
                m.name: {"site": "here", "address": m.address, "port": m.port, "user": m.user, "groups": ["all"]}
                for m in machines.values()
            },
            "services": {
                SERVICE: {
                    "title": "A bad day",
                    "tier": "standard",
                    "sla": False,
                    "roles": {role: m.name for role, m in machines.items()},
                    "vars": {"effects": machine.effects_there},
                }
            },
        }
        inventory = directory / "days.yml"
        inventory.write_text(yaml.safe_dump(document))
        return cls(machine, directory, Operator(state or directory / "state", inventory))

    def runbook(self, text: str) -> Path:
        """Write the runbook; ``text`` is its steps, and whatever stands beside them."""
        path = self.directory / "bad-day.yml"
        path.write_text("runbook: bad-day\ntitle: A bad day\n" + textwrap.dedent(text))
        return path

    def words(self, *words: str) -> tuple[str, ...]:
        runbook = self.directory / "bad-day.yml"
        return ("run", str(runbook), SERVICE, "-i", str(self.operator.inventory), "--yes", *words)

    def run(self, *words: str, code: int) -> str:
        """``drctl run`` of that runbook with nobody there; what the engineer reads afterwards."""
        return self.plain(self.operator.types(*self.words(*words), code=code).stderr)

    def types(self, *words: str, code: int = 0) -> str:
        """Any other command; its standard output and error."""
        done = self.operator.types(*words, code=code)
        return self.plain(done.stdout + done.stderr)

    @contextmanager
    def begins(self, *words: str) -> Iterator[Following]:
        """``drctl run`` or another command, to be watched. A process that is still there at the end is killed."""
        self.running = following = Following(self, words or self.words())
        try:
            yield following
        finally:
            if following.process.poll() is None:
                following.process.kill()
            following.process.wait()
            following._reader.join(PATIENCE_S)
            assert following.process.stderr
            following.process.stderr.close()

    def count(self, step: str) -> int:
        """How often a step really ran, counted on the host."""
        file = self.machine.effects / step
        return len(file.read_text().splitlines()) if file.exists() else 0

    def wait_for_effect(self, step: str) -> None:
        """Until the step has run there."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.count(step):
            assert time.monotonic() < deadline, f"{step} never ran"
            assert self.running is None or self.running.process.poll() is None, self.running.said
            time.sleep(0.02)

    def wait_until_heard(self) -> None:
        """Until what the step printed has arrived here, so that drctl knows that the job was started."""
        kept = self.operator.state / "outputs"
        assert wait_until(lambda: any(kept.glob(".new-*")), within=PATIENCE_S), "it heard nothing of the step"

    def let_go(self) -> None:
        """Let a step go on that waits for it."""
        (self.machine.effects / "go").touch()

    def report(self) -> dict:
        """The report as values."""
        return json.loads(self.operator.types("report", "--format", "json").stdout)

    def plain(self, text: str) -> str:
        """What was said, with fixed names for what differs from run to run."""
        for place, name in (
            (str(self.operator.inventory), "INVENTORY"),
            (str(self.directory / "bad-day.yml"), "RUNBOOK"),
            (str(self.operator.state), "STATE"),
            (str(self.directory), "HERE"),
            (f"{self.machine.address}:{self.machine.port}", "ADDRESS"),
            (self.machine.effects_there, "EFFECTS"),
            *self.machine.own.items(),
        ):
            text = text.replace(place, name)
        for pattern, name in _DIFFERS:
            text = re.sub(pattern, name, text, flags=re.M)
        return text


_DIFFERS = (
    (r"^\d\d:\d\d:\d\dZ \.\.\.     .*\n", ""),  # signs of life while somebody waits: how many depends on the machine
    (r"\d{8}-\d{6}-days-[0-9a-f]{4}", "RUN"),
    (r"\b\d\d:\d\d:\d\dZ", "TIME"),
    (r"20\d\d-\d\d-\d\d(?=\)| TIME)", "DATE"),
    (r"waited \d+\.\ds", "waited SECONDS"),
    (r"plan [0-9a-f]{12}", "plan DIGEST"),
    (r"\S+@\S+ on \S+", "OPERATOR"),
    (rf"\b\w+@{re.escape(os.uname().nodename)}", "OPERATOR"),
    (r"(?<=[a-z0-9)])  (\d+m ?)?\d+(\.\d+)?s(?=,|$)", "  SECONDS"),
)


OBJECTIVES = r"^  (RTO|RPO) NOT MEASURED .*\n|^  A nightly 02:00 .*\n"


def story(text: str) -> str:
    """What happened, and what is true now: a screen without its heading and the objectives, which no day here has."""
    said = re.sub(OBJECTIVES, "", text[text.index("TIME run ") :], flags=re.M)
    # How often a slow machine says that it is still at it is no part of the story.
    return re.sub(r"^TIME \.\.\. +still running .*\n", "", said, flags=re.M)


def same(found: str, expected: str, *, in_any_order: bool = False) -> None:
    """Word for word. A line that begins with ``~`` goes on with the line before: what is expected may be long.

    ``in_any_order`` is for steps side by side, whose lines come as they come.
    """
    wanted = re.sub(r"\n\s*~ ", " ", textwrap.dedent(expected)).strip().splitlines()
    lines = found.strip().splitlines()
    if in_any_order:
        lines, wanted = sorted(lines), sorted(wanted)
    assert lines == wanted, found
