"""Bad days of the operator's own machine: no room for the journal, a journal that cannot be written, two operators."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same, story
from tests.support.operator import Operator

BOOK = """
steps:
  - id: change
    hosts: primary
    run: |
      echo x >>"$effects/change"
      while [ ! -e "$effects/go" ]; do sleep 0.1; done
      echo done
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
"""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    made.runbook(BOOK)
    yield made
    made.let_go()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, in memory."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user cannot mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("that disk has no end")


def test_a_full_disk_under_the_journal_stops_the_run_and_resume_attaches(day: Day, small_disk: Path) -> None:
    """The outcome cannot be written, so nothing more is begun: what was sent is found again by its name."""
    day.operator.state = small_disk / "state"
    with day.begins() as following:
        day.wait_for_effect("change")
        filler = fill(small_disk)
        day.let_go()
        same(
            story(following.ends(1)),
            """
            TIME run started (DATE)
            TIME [1/2] start     change @ testhost: Change
            error: the journal STATE/journal.db cannot be written: database or disk is full
              Now:  what was sent goes on at its host, and how it ended is not written down; nothing more is begun
              Next: free some space or mend the permissions, then: drctl resume RUN
            """,
        )
    assert (day.count("change"), day.count("later")) == (1, 0)
    same(
        day.types("resume", code=1),
        """
        error: the journal STATE/journal.db cannot be written: database or disk is full
          Now:  what was sent goes on at its host, and how it ended is not written down; nothing more is begun
          Next: free some space or mend the permissions, then: drctl resume RUN
        """,
    )
    filler.unlink()
    same(
        story(day.types("resume", "--no-input")),
        """
        TIME run resumed (DATE) by OPERATOR
        TIME [1/2] settling  change @ testhost: what became of it?
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
    assert (day.count("change"), day.count("later")) == (1, 1)


def test_a_full_disk_under_the_outputs_costs_an_output_and_not_the_recovery(day: Day, small_disk: Path) -> None:
    day.operator.state.mkdir()
    (day.operator.state / "outputs").symlink_to(small_disk)
    fill(small_disk)
    day.let_go()
    same(
        story(day.run(code=0)),
        """
        TIME run started (DATE)
        TIME [1/2] start     change @ testhost: Change
        TIME warning outputs failed: change: the output cannot be kept: No space left on device
        TIME [1/2] succeeded change @ testhost  SECONDS
        TIME [2/2] start     later @ testhost: Later
        TIME [2/2] succeeded later @ testhost  SECONDS
        TIME run ended: done

        REAL DONE: no objective was missed
          - done: change, later
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert (day.count("change"), day.count("later")) == (1, 1)
    assert "outputs" in day.types("report")


def test_a_read_only_journal_begins_nothing_and_can_be_read(day: Day, small_disk: Path) -> None:
    day.operator.state = small_disk / "state"
    day.let_go()
    day.run(code=0)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    same(
        day.run(code=1),
        """
        error: the journal STATE/journal.db cannot be used: unable to open database file
          Now:  without a journal nothing is sent: nothing more was changed
          Next: free some space or mend the permissions. A journal elsewhere (drctl --state-dir DIR …) can be a copy
          ~ to read, or the place of a new run: it knows nothing of the runs that are open in this one
        """,
    )
    assert (day.count("change"), day.count("later")) == (1, 1), "the second run began nothing"
    # SQLite reads no journal of this kind where it cannot write beside it. A copy can be read, as the hint says.
    copy = shutil.copytree(day.operator.state, day.directory / "copy")
    day.operator.state = copy
    assert "succeeded" in day.types("report")
    assert "DONE" in day.types("status")


def elsewhere(day: Day, *, copied: bool) -> Day:
    """The same inventory and runbook at another machine: another state directory, with a copy of the journal or not."""
    state = day.directory / "elsewhere"
    state.mkdir()
    if copied:
        with sqlite3.connect(day.operator.state / "journal.db") as here, sqlite3.connect(state / "journal.db") as there:
            here.backup(there)
        here.close()
        there.close()
    return replace(day, operator=Operator(state, day.operator.inventory), running=None)


def test_two_operators_with_the_same_journal_run_a_step_once(day: Day) -> None:
    """A copy of the journal is taken up at another machine while the first still goes on: the job's name is taken."""
    with day.begins() as first:
        day.wait_for_effect("change")
        other = elsewhere(day, copied=True)
        with other.begins("resume", "--no-input") as second:
            second.wait_for("settling  change @ testhost")
            day.let_go()
            same(
                story(second.ends(0)),
                """
                TIME run resumed (DATE) by OPERATOR
                TIME [1/2] settling  change @ testhost: what became of it?
                TIME [1/2] succeeded change @ testhost  SECONDS, attached to the job that had been started before
                TIME [2/2] start     later @ testhost: Later
                TIME [2/2] succeeded later @ testhost  SECONDS, attached to the job that had been started before
                TIME run ended: done

                REAL DONE: no objective was missed
                  - done: change, later
                  exit code 0: done: everything that was asked for happened, and no objective was missed
                  next: drctl report RUN
                """,
            )
            first.ends(0)
    assert (day.count("change"), day.count("later")) == (1, 1)


def test_a_second_operator_afterwards_is_stopped_by_unless(day: Day) -> None:
    """Without a journal in common a run has a name of its own, and so have its jobs: the runbook's probe protects."""
    day.runbook("""
        steps:
          - id: change
            hosts: primary
            unless: test -e "$effects/change"
            run: echo x >>"$effects/change"
        """)
    day.run(code=0)
    same(
        story(elsewhere(day, copied=False).run(code=0)),
        """
        TIME run started (DATE)
        TIME [1/1] skipped   change @ testhost: drctl: it is done already: its unless-probe says so
        TIME run ended: done

        REAL DONE: no objective was missed
          - nothing was changed
          exit code 0: done: everything that was asked for happened, and no objective was missed
          next: drctl report RUN
        """,
    )
    assert day.count("change") == 1


@pytest.mark.xfail(strict=True, reason="two runs have two names, and nothing on the host knows both of them")
def test_two_operators_at_once_without_a_journal_in_common_change_it_once(day: Day) -> None:
    other = elsewhere(day, copied=False)
    with day.begins() as first:
        day.wait_for_effect("change")
        day.let_go()
        other.run(code=5)
        first.ends(0)
    assert day.count("change") == 1
