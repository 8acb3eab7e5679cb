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
from drctl.lab.commands import wait_until
from drctl.lab.loopback import relocated

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

    def restore(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.types("restore", SERVICE, "-i", str(self.inventory), "--yes", *words, code=code)

    def begins(self, *words: str, verb: str = "failover") -> subprocess.Popen[str]:
        """A recovery as a process that can be killed."""
        return subprocess.Popen(
            self.words(verb, SERVICE, "-i", str(self.inventory), "--yes", "--json", *words), cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def resumes(self, *words: str) -> subprocess.Popen[str]:
        """The run that was left goes on, as a process that can be killed."""
        return subprocess.Popen(
            self.words("resume", "--no-input", "--json", *words), cwd=ROOT, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
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


def began(step: str) -> Callable[[dict], bool]:
    """For ``until``: the step's first attempt is about to be sent."""
    return lambda e: e["body"]["type"] == "attempt_started" and e["body"]["step"] == step


def ended(step: str, outcome: str) -> Callable[[dict], bool]:
    """For ``until``: an attempt of the step has ended so."""
    return lambda e: (
        e["body"]["type"] == "attempt_finished" and (e["body"]["step"], e["body"]["outcome"]) == (step, outcome)
    )


def at_home(lab: Lab, host: str, text: str) -> str:
    """The text with a host's usual paths as they are in this tier."""
    return relocated(lab.settings, host, text) if lab.settings.loopback else text


def jobs_of(lab: Lab, host: str, step: str) -> int:
    """How often a step of that name was begun on a host, counted from the jobs that were claimed there."""
    found = lab.ssh(
        host, ["sudo", "find", "/var/lib/postgresql", "/root", "/home", "-path", "*/drctl/jobs/*", "-prune"]
    )
    return len([line for line in found.stdout.splitlines() if f"%2F{step}." in line or f".{step}." in line])


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


def wreck_both_sites(lab: Lab, primary: str = "xneelo-jnb", standby: str = "azure-san") -> None:
    """The primary loses its power, half of the standby's data directory is gone; the newest WAL is in the archive."""
    lab.wait_backup()
    lab.load(seconds=1, rate=20)
    last = lab.psql(primary, "select pg_walfile_name(pg_switch_wal())").strip()
    newest = "select last_archived_wal from pg_stat_archiver"
    assert wait_until(lambda: lab.psql(primary, newest).strip() >= last, within=60, every=0.2)
    lab.power_off(primary)
    wreck(lab, standby)


def wreck(lab: Lab, host: str) -> None:
    """PostgreSQL dies and half of its data directory is gone."""
    lab.ssh(
        host,
        ["sudo", "sh", "-c", "'pkill -9 -u postgres postgres; cd /var/lib/postgresql/15/main; rm -rf base global'"],
    )
