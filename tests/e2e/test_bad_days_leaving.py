"""People who leave a run: Ctrl-C once, Ctrl-C twice, a terminal that is closed."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same, story
from tests.support.operator import ROOT
from tests.support.seat import at_a_terminal, to_the_end

WAITS = """
steps:
  - id: change
    hosts: primary
    run: |
      echo x >>"$effects/change"
      while [ ! -e "$effects/go" ]; do sleep 0.1; done
      echo x >>"$effects/changed"
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
"""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    yield made
    made.let_go()


def test_ctrl_c_once_stops_after_the_step_and_twice_leaves_the_job_to_itself(day: Day) -> None:
    day.runbook(WAITS)
    with at_a_terminal(day) as child:
        day.wait_for_effect("change")
        child.sendintr()
        child.expect("stopping after the current step; again to leave at once")
        child.sendintr()
        child.expect("drctl left at once. What was sent goes on; next: drctl resume")
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 130
    same(
        day.types("status"),
        """
        days (A bad day)
          last run    RUN (REAL bad-day)
          last event  DATE TIME: NOBODY CONDUCTS IT since DATE TIME: 0 of 2 steps are over
          RPO         exposure by a restore: not measured: type drctl backups days
          next        drctl resume RUN
                      drctl abort RUN --reason "…"
                      drctl report RUN
        """,
    )
    assert "NOBODY CONDUCTS IT since" in day.types("runs")
    assert "No drctl carries this run on" in day.types("report")
    assert "NOBODY CONDUCTS IT since" in day.types("watch", code=6)
    assert (day.count("change"), day.count("changed")) == (1, 0)
    with at_a_terminal(day, "resume") as child:
        child.expect("settling  change @ testhost: what became of it\\?")
        day.let_go()
        same(
            to_the_end(day, child, 0),
            """
            TIME [1/2] succeeded change @ testhost  SECONDS, attached to the job that had been started before
            TIME [2/2] start     later @ testhost: Later
            TIME [2/2] succeeded later @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: change, later
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("change", "changed", "later")] == [1, 1, 1]


def test_an_abort_while_ctrl_c_waits_for_the_step_ends_the_step_and_the_run(day: Day) -> None:
    """It is more than the stop: nobody has to wait for the step any more, and nobody is told what does not happen."""
    day.runbook(WAITS)
    with at_a_terminal(day) as child:
        day.wait_for_effect("change")
        child.sendintr()
        child.expect("stopping after the current step; again to leave at once")
        assert "RUN is being given up" in day.types("abort", "--reason", "the primary is back")
        same(
            to_the_end(day, child, 8),
            """
            TIME STOP    SIGINT by OPERATOR: nothing new is started
            TIME STOP    abort by OPERATOR: the primary is back: nothing new is started
            TIME [1/2] FAILED    change @ testhost  SECONDS, its process group was ended, as drctl was told;
            ~ what it had begun is half done, exit code 143
            TIME run ended: aborted

            REAL ABORTED by OPERATOR: the primary is back
              - ended in the middle, and left half done: change @ testhost
              exit code 8: aborted by the operator
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("change", "changed", "later")] == [1, 0, 0]


def test_a_terminal_that_is_closed_in_mid_run_stops_after_the_step(day: Day) -> None:
    """The window is closed: SIGHUP, and every write to the terminal fails. The step in hand is not abandoned."""
    day.runbook(WAITS)
    words = day.operator.words(*day.words())
    child, window = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(words[0], words)  # noqa: S606 - a list that we built, and no shell on purpose
    day.wait_for_effect("change")
    os.close(window)
    day.let_go()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 143
    assert [day.count(s) for s in ("change", "changed", "later")] == [1, 1, 0]
    same(
        day.types("status"),
        """
        days (A bad day)
          last run    RUN (REAL bad-day)
          paused      DATE TIME: PAUSED: stopped by SIGHUP
          RPO         exposure by a restore: not measured: type drctl backups days
          next        drctl resume RUN
                      drctl abort RUN --reason "…"
                      drctl report RUN
        """,
    )
    same(
        story(day.types("resume", "--no-input")),
        """
        TIME run resumed (DATE) by OPERATOR
        TIME [2/2] start     later @ testhost: Later
        TIME [2/2] succeeded later @ testhost  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: change, later
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert [day.count(s) for s in ("change", "changed", "later")] == [1, 1, 1]
