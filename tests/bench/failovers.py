"""A whole failover through drctl beside the same commands in a bare script, in the lab, waiting for machines left out.

Both sides leave out the same, by one rule that reads the plan (``waits_for_machines``) and one that reads the times
(``waited_s``). That both have done the same commands on the same hosts is asserted, and not believed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from drctl.lab import Lab, missing_prerequisites
from drctl.lab.topology import Settings
from drctl.model.events import Act
from drctl.model.plan import Plan, Shell, Step
from drctl.plan.build import build_plan
from drctl.read.documents import read_inventory, read_runbook
from tests.bench.bare import Done, bare_script, read_log
from tests.bench.measure import ROOT, Section, by_turns, medians, ratio
from tests.bench.runs import recover
from tests.support.operator import Operator

PRIMARY = "xneelo-jnb"
SERVICE = "taskflow-demo"
ROUNDS = 3
BACKUP = "protect/full-backup"
_NOTHING_S = 0.1  # of which there is no ratio


@dataclass(frozen=True, slots=True)
class _Failover:
    """How long it took from the first word to the end of the process, and what was done."""

    seconds: float
    done: tuple[Done, ...]

    @property
    def around(self) -> float:
        """What is before the first command and after the last one."""
        return self.seconds - max(d.ended for d in self.done) + min(d.began for d in self.done)


def failover(place: Path) -> Section:
    """The whole, and the part of it in which no machine is waited for."""
    section = Section("A whole failover")
    missing = missing_prerequisites(place)
    if missing:
        section.say("Not measured: the lab cannot run here: " + "; ".join(item.what for item in missing))
        return section
    names = {
        "DRCTL_LAB": os.environ.get("DRCTL_BENCH_LAB", "bench"),
        "DRCTL_LAB_NET": os.environ.get("DRCTL_BENCH_LAB_NET", "10.79"),
    }
    lab = Lab(Settings.from_environment(names))
    found: dict[str, list[_Failover]] = {_BARE: [], _DRCTL: []}
    ways: dict[str, Callable[[], float]] = {}
    plans: list[Plan] = []

    def way(name: str, run: Callable[[Path, Plan], _Failover]) -> None:
        def once() -> float:
            room = place / f"{len(plans)}"
            room.mkdir()
            plans.append(_disaster(lab, room / "lab.yml"))
            found[name].append(run(room, plans[-1]))
            return found[name][-1].seconds

        ways[name] = once

    way(_BARE, _by_script)
    way(_DRCTL, _by_drctl)
    try:
        by_turns(ways, rounds=ROUNDS)
    finally:
        lab.down()
    plan = plans[0]
    _same_commands(found)
    rows = []
    for title, of in _READINGS.items():
        seconds = medians({n: [of(plan, run) for run in runs] for n, runs in found.items()})
        one, other = seconds[_BARE], seconds[_DRCTL]
        rows.append((title, f"{one:.2f} s", f"{other:.2f} s", ratio(other, one) if one > _NOTHING_S else "–"))
    section.table((f"median of {ROUNDS} failovers each, taking turns", _BARE, _DRCTL, "of the script"), rows)
    number = len({(done.step, done.host, done.act) for done in found[_DRCTL][0].done})
    section.say(_HOW.format(number=number))
    return section


_BARE, _DRCTL = "bare script", "`drctl failover`"
_HOW = (
    "The script is made of the plan, with the blocks that `drctl show failover` prints for people: the same {number} "
    "commands on the same hosts (which is asserted of each round), side by side where the runbook says so, over "
    "ControlMaster, with the same retries and delays. It keeps no journal, claims no service and starts no durable "
    "job. Left out as waiting for machines, on both sides by the same rule: the commands that switch or resize a "
    "machine, those that wait for a silent host's timeout (`pg_isready`) and for the promotion (`pg_ctl -w`), and of "
    "everything that is polled all but the last try. drctl's time is that of its whole process: before its first "
    "command it reads, plans and asks the servers which of them takes the writes, and after the last one it lets the "
    "service go."
)


def waits_for_machines(step: Step) -> bool:
    """Whether what the step's command does is to wait for a machine, and not to work."""
    action = step.action
    return isinstance(action, Shell) and (
        action.local or any(word in action.script for word in ("pg_isready", "promote"))
    )


def waited_s(plan: Plan, done: Iterable[Done], also: tuple[str, ...] = ()) -> float:
    """How much of the time was waiting: the union of its spans, as steps run side by side."""
    spans = []
    by_command = sorted(done, key=lambda d: (d.step, d.host, d.act, d.began))
    for (step_id, _, act), tries in groupby(by_command, key=lambda d: (d.step, d.host, d.act)):
        first, *_ = all_tries = list(tries)
        last = all_tries[-1]
        step = plan.step(step_id)
        if act is Act.RUN and (waits_for_machines(step) or step_id in also):
            spans.append((first.began, last.ended))
            continue
        spans.append((first.began, last.began))
        if act is Act.VERIFY and step.verify and len(all_tries) == 1:
            # drctl's verification is one act, however often it looks; the script's tries are acts of their own.
            naps = (last.ended - last.began) // step.verify.every_s
            spans.append((last.began, last.began + naps * step.verify.every_s))
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


_READINGS: dict[str, Callable[[Plan, _Failover], float]] = {
    "all of it": lambda _, run: run.seconds,
    "**waiting for machines left out**": lambda plan, run: run.seconds - waited_s(plan, run.done),
    "of that, before the first command and after the last": lambda _, run: run.around,
    "of that, the new full backup": lambda plan, run: waited_s(plan, run.done, (BACKUP,)) - waited_s(plan, run.done),
    "of that, all other commands": lambda plan, run: run.seconds - run.around - waited_s(plan, run.done, (BACKUP,)),
}


def _disaster(lab: Lab, inventory: Path) -> Plan:
    """A new lab whose primary has just lost its power."""
    lab.down()
    lab.up(inventory)
    lab.wait_backup()
    lab.load(seconds=1, rate=20)
    lab.power_off(PRIMARY)
    runbook, _ = read_runbook(ROOT / "runbooks" / "failover.yml")
    documents, _ = read_inventory(inventory)
    assert runbook is not None
    assert documents is not None
    return build_plan(runbook, documents, service=SERVICE, version="0")


def _by_script(room: Path, plan: Plan) -> _Failover:
    script, log = room / "failover.sh", room / "log"
    script.write_text(bare_script(plan))
    control = room / "c"
    control.mkdir()
    began = time.time()
    done = subprocess.run(
        ["bash", str(script)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=ROOT,
        env={**os.environ, "control": str(control), "log": str(log)},
    )  # fmt: skip
    took_s = time.time() - began
    assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
    tries = (replace(each, began=each.began - began, ended=each.ended - began) for each in read_log(log))
    return _Failover(took_s, tuple(tries))


def _by_drctl(room: Path, _plan: Plan) -> _Failover:
    took_s, done = recover(Operator(room / "state", room / "lab.yml"), "failover")
    return _Failover(took_s, tuple(done))


def _same_commands(found: dict[str, list[_Failover]]) -> None:
    """Each round of each side has done the same on the same hosts."""
    commands = [{(d.step, d.host, d.act) for d in each.done} for runs in found.values() for each in runs]
    assert all(each == commands[0] for each in commands), [sorted(each ^ commands[0]) for each in commands]
