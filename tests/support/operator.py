"""An engineer for the end-to-end tests: drctl as a process of its own, with a state directory and an inventory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from drctl.lab import Lab

ROOT = Path(__file__).parents[2]
SERVICE = "taskflow-demo"


@dataclass
class Operator:
    """An engineer at a machine: a state directory, an inventory, and drctl as a process of its own."""

    state: Path
    inventory: Path

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "drctl", "--state-dir", str(self.state), *words]

    def types(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.words(*words), cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            start_new_session=True,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done

    def failover(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.types("failover", SERVICE, "-i", str(self.inventory), "--yes", *words, code=code)

    def begins(self, *words: str) -> subprocess.Popen[str]:
        """The failover as a process that can be killed."""
        return subprocess.Popen(
            self.words("failover", SERVICE, "-i", str(self.inventory), "--yes", "--json", *words), cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def report(self) -> dict[str, object]:
        return json.loads(self.types("report", "--format", "json").stdout)

    def changed(self, change: Callable[[dict], None]) -> None:
        """Edit the inventory."""
        document = yaml.safe_load(self.inventory.read_text())
        change(document)
        self.inventory = self.state / "changed.yml"
        self.state.mkdir(exist_ok=True)
        self.inventory.write_text(yaml.safe_dump(document))


def until(events: subprocess.Popen[str], wanted: Callable[[dict], bool]) -> dict:
    """Read a run's NDJSON up to the first event that is wanted."""
    assert events.stdout
    while line := events.stdout.readline():
        event = json.loads(line)
        if wanted(event):
            return event
    raise AssertionError("the run ended before that: " + (events.stderr.read() if events.stderr else ""))


def lose_the_primary_with_a_lagging_standby(lab: Lab, *, seconds: float) -> None:
    """Clients go on writing while nothing reaches the standby, then the primary loses its power.

    The end of the first backup, or archive_timeout, would close a WAL file that the standby then gets from the
    repository, and the loss would be smaller than the time of the cut.
    """
    lab.wait_backup()
    lab.psql("xneelo-jnb", "alter system set archive_timeout = 0")
    lab.psql("xneelo-jnb", "select pg_reload_conf()")
    lab.cut("xneelo-jnb", "azure-san")
    lab.load(seconds=seconds, rate=10)
    lab.power_off("xneelo-jnb")
    lab.heal_all()
