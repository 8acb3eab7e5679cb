"""One ``kill -9`` of drctl in the middle of the real failover, a resume, and a look at what that did.

There is no hook in drctl for this: it is followed from outside by its NDJSON, and killed when the event comes by.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from drctl.errors import LabError
from drctl.lab import Lab
from drctl.lab.prerequisites import missing_for
from tests.crash.evidence import PRIMARY, Evidence, gather, never_arrived
from tests.support import worker

ROOT = Path(__file__).parents[2]
SERVICE = "taskflow-demo"
DONE, KILLED, NOTHING_OPEN = 0, -signal.SIGKILL, 2
PATIENCE_S = 240.0
"""For a whole failover on a busy machine. It is no mark to be met."""


@dataclass(frozen=True)
class Kill:
    """Kill after the event of this number, and so many seconds later than that."""

    after: int
    delay_s: float = 0.0

    def __str__(self) -> str:
        if self.after == sys.maxsize:
            return "never"
        return f"{self.after}" + (f" + {self.delay_s:.2f} s" if self.delay_s else "")


NEVER = Kill(after=sys.maxsize)


@dataclass(frozen=True)
class Row:
    """What became of one kill. ``problems`` is empty when all is as it must be; ``counts`` are for the table."""

    kill: str
    after: int  # the event's number; 0 for the run that was not killed
    at: str
    resumes: int
    counts: dict[str, int]
    problems: tuple[str, ...]
    took_s: float


@dataclass
class Bench:
    """A lab for killing in, and the run that nobody killed."""

    lab: Lab
    directory: Path
    whole: list[dict] = field(default_factory=list)
    whole_evidence: Evidence | None = None
    number: int = 0

    def measure_the_whole(self) -> Row:
        """A failover that is not killed: it tells how many events there are, and which steps change something."""
        return self._try(NEVER, one_resume)

    def kill_once(self, kill: Kill) -> Row:
        """Kill there, resume, and look."""
        return self._try(kill, one_resume)

    def kill_again_and_again(self) -> Row:
        """Every process is killed as soon as one thing has come to its end in it, until nothing is left to do."""
        row = self._try(Kill(after=1), until_nothing_is_left)
        return replace(row, kill="every", at=f"every process, at the first end of anything: {row.resumes} resumes")

    def _try(self, kill: Kill, go_on: Callable[[Operator], int]) -> Row:
        began = time.monotonic()
        self.number += 1
        place = self.directory / str(self.number)
        place.mkdir()
        self._renew(place / "lab.yml")
        self.lab.power_off(PRIMARY)
        not_ours = never_arrived(self.lab)
        operator = Operator(self.lab, place)
        problems: list[str] = []
        events, code = operator.begins(kill)
        assert events, operator.complaints
        at = said(events[-1])
        resumes = 0
        if kill is NEVER:
            if code != DONE:
                problems.append(f"the whole run ended with {code}: {operator.complaints}")
        elif code == KILLED:
            try:
                resumes = go_on(operator)
            except AssertionError as error:
                problems.append(str(error))
        else:
            problems.append(f"it had ended with {code} before it could be killed")
        counts: dict[str, int] = {}
        if not problems:
            evidence = gather(self.lab, place / "home", not_ours=not_ours)
            problems += evidence.against(self.whole_evidence)
            counts = evidence.counts()
            if kill is NEVER:
                self.whole, self.whole_evidence = events, evidence
        return Row(
            kill=str(kill),
            after=0 if kill is NEVER else kill.after,
            at=f"{len(events)} events" if kill is NEVER else at,
            resumes=resumes,
            counts=counts,
            problems=tuple(problems),
            took_s=round(time.monotonic() - began, 1),
        )

    def _renew(self, inventory: Path) -> None:
        """A new lab. On a machine that is busy with another one it may take a second try to come up."""
        for tries_left in (2, 1, 0):
            self.lab.down()
            try:
                self.lab.up(inventory)
                return
            except LabError:
                if not tries_left:
                    raise


def said(event: dict) -> str:
    """An event in a few words."""
    body = event["body"]
    words = [body["type"].replace("_", " "), body.get("step", ""), body.get("host", "")]
    if body.get("act") not in (None, "run"):
        words.append(f"({body['act']})")
    return " ".join(word for word in words if word)


@dataclass
class Operator:
    """An engineer's machine: a state directory of its own, and jobs on it in a place of its own."""

    lab: Lab
    place: Path
    complaints: str = ""

    def begins(self, kill: Kill) -> tuple[list[dict], int]:
        """The failover up to the kill: its events, and its exit status."""
        words = ["failover", SERVICE, "-i", str(self.place / "lab.yml"), "--yes", "--no-input", "--json"]
        return self._follow(words, lambda seen: len(seen) >= kill.after, kill.delay_s)

    def resumes(self, over: Callable[[list[dict]], bool] = lambda seen: False) -> tuple[list[dict], int]:
        """A resume up to what is wanted, or to its end."""
        return self._follow(["resume", "--no-input", "--json"], over, 0.0)

    def _follow(self, words: list[str], over: Callable[[list[dict]], bool], delay_s: float) -> tuple[list[dict], int]:
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "XDG_STATE_HOME": str(home)}
        with (self.place / "stderr").open("a+") as errors:
            running = subprocess.Popen(
                [sys.executable, "-m", "drctl", "--state-dir", str(self.place / "state"), *words],
                cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL,
                start_new_session=True, env=environment,
            )  # fmt: skip
            events = []
            assert running.stdout
            try:
                for line in running.stdout:
                    events.append(json.loads(line))
                    if over(events):
                        if delay_s:
                            self._let_it_go_on(running, delay_s)
                        running.kill()
                        break
                code = running.wait(PATIENCE_S)
            finally:
                running.kill()
                running.wait()
                running.stdout.close()
            errors.seek(0)
            self.complaints = errors.read()[-2000:]
        assert "Traceback" not in self.complaints, self.complaints
        return events, code

    @staticmethod
    def _let_it_go_on(running: subprocess.Popen[str], delay_s: float) -> None:
        """So many seconds of its life; the delay is the very thing that is tried, and no wait for something."""
        try:
            running.wait(delay_s)
        except subprocess.TimeoutExpired:
            return


def one_resume(operator: Operator) -> int:
    """One resume to the end. A run that was over already has nothing to resume, and says so."""
    _, code = operator.resumes()
    if code == NOTHING_OPEN:
        assert "no run is open" in operator.complaints, operator.complaints
        return 0
    assert code == DONE, f"the resume ended with {code}: {operator.complaints}"
    return 1


def until_nothing_is_left(operator: Operator) -> int:
    """Resume, and kill when something has come to its end, as often as it takes."""

    def something_ended(seen: list[dict]) -> bool:
        return seen[-1]["body"]["type"] in ("attempt_finished", "step_skipped")

    for number in range(1, 200):
        _, code = operator.resumes(something_ended)
        if code in (NOTHING_OPEN, DONE):
            return number
        assert code == KILLED, f"resume {number} ended with {code}: {operator.complaints}"
    raise AssertionError("after 200 resumes it is still not over")


@contextmanager
def crash_lab(directory: Path, suffix: str = "") -> Iterator[Bench]:
    """A lab apart from every other one here; DRCTL_CRASH_LAB and DRCTL_CRASH_LAB_NET move it."""
    shared = os.environ.get("DRCTL_CRASH_LAB", "crash"), os.environ.get("DRCTL_CRASH_LAB_NET", "10.88")
    name, net = worker.lab(*shared)
    name, (first, second) = name + suffix, net.split(".")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRCTL_LAB", name)
        patch.setenv("DRCTL_LAB_NET", f"{first}.{int(second) + (100 if suffix else 0)}")
        patch.delenv("DRCTL_LAB_DIR", raising=False)
        lab = Lab.from_environment()
        missing = missing_for(lab.settings)
        if missing:
            pytest.skip("the lab cannot run here; missing: " + "; ".join(item.what for item in missing))
        # Two of these on one machine take turns: each begins by removing what the last one left.
        with worker.turn(name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield Bench(lab, directory)
            finally:
                lab.down()
