"""Bad days of the operator's own machine: no room for the journal, a journal that cannot be written, two operators."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
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
    """A disk of 4 MB, in memory. Who may not mount one may have been given one: tests/support/person.py."""
    given = os.environ.get("DRCTL_TEST_SMALL_DISK")
    if given and os.geteuid() != 0:
        place = Path(given)
        yield place
        for path in (place, *place.rglob("*")):
            path.chmod(0o700)
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user cannot mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def make_read_only(disk: Path) -> None:
    """What a disk that is read-only forbids to root, permissions forbid to everybody else."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        return
    for path in (disk, *disk.rglob("*")):
        path.chmod(path.stat().st_mode & 0o555)


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
    make_read_only(small_disk)
    same(
        # How SQLite says it depends on what forbids it.
        day.run(code=1).replace("attempt to write a readonly database", "unable to open database file"),
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
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o700)
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


HOLDS = """
steps:
  - id: change
    hosts: primary
    on_failure: continue
    run: |
      echo x >>"$effects/change"
      while [ ! -e "$effects/go" ]; do sleep 0.1; done
always:
  - id: tidy
    hosts: primary
    run: echo x >>"$effects/tidy"
"""


def run_of(day: Day) -> str:
    """The id of the only run in this operator's journal."""
    (found,) = json.loads(day.operator.types("runs", "--json").stdout)
    return str(found["run_id"])


def test_two_operators_at_once_without_a_journal_in_common_change_it_once(day: Day) -> None:
    """The first job on a host claims the service there, and the second operator is told whose it is."""
    day.runbook(HOLDS)
    other = elsewhere(day, copied=False)
    with day.begins() as first:
        day.wait_for_effect("change")
        mine = run_of(day)
        same(
            re.sub(r"since \S+Z;", "since THEN;", story(other.run(code=5))),
            """
            TIME run started (DATE)
            TIME [1/2] start     change @ testhost: Change
            TIME [1/2] FAILED    change @ testhost  SECONDS, testhost: the service days is held by the run RUN of
              ~ OPERATOR since THEN; nothing was run. When that run is over, or its drctl is dead for good: drctl
              ~ release days RUN
            TIME run ended: failed

            REAL FAILED: change
              - nothing was changed
              - failed, and changed nothing: change
              exit code 5: another run holds the service
              next: drctl report RUN
            """,
        )
        held = day.types("release", "days", "-i", str(day.operator.inventory), code=5)
        assert held.splitlines()[0].split()[:3] == ["testhost", "(login)", "held"]
        refused = day.operator.types("release", "days", mine, "-i", str(day.operator.inventory), code=5).stderr
        assert "is conducted on this machine at this moment" in refused
        day.let_go()
        first.ends(0)
    assert (day.count("change"), day.count("tidy")) == (1, 1), "what there was to tidy up was the first one's"
    assert "no run holds days" in day.types("release", "days", "-i", str(day.operator.inventory))
    other.run(code=0)
    assert (day.count("change"), day.count("tidy")) == (2, 2), "a run that is over lets the service go"


def test_what_a_lost_operator_held_is_let_go_by_the_runs_name_and_by_no_other(day: Day) -> None:
    day.runbook(HOLDS)
    with day.begins() as first:
        day.wait_for_effect("change")
        first.process.kill()
        first.process.wait()
    day.let_go()
    mine, inventory = run_of(day), str(day.operator.inventory)
    other = elsewhere(day, copied=False)
    other.run(code=5)
    other.types("release", "days", "20261123-021500-days-ffff", "-i", inventory, code=5)
    other.run(code=5)
    assert "released" in other.types("release", "days", mine, "-i", inventory)
    other.run(code=0)
    assert (day.count("change"), day.count("tidy")) == (2, 1)
    # Whoever takes the first run up again claims the service anew, attaches, and lets it go at the end.
    day.types("resume", "--no-input")
    assert (day.count("change"), day.count("tidy")) == (2, 2)
    other.run(code=0)


def test_a_run_that_was_given_up_lets_the_service_go_and_one_that_is_begun_beside_it_takes_it_over(day: Day) -> None:
    day.runbook(HOLDS)
    other = elsewhere(day, copied=False)
    for number, how in enumerate(("abort", "--yes"), 1):
        (day.machine.effects / "go").unlink(missing_ok=True)
        with day.begins() as first:
            first.wait_for("change @ testhost: Change")
            while day.count("change") < 2 * number - 1:
                time.sleep(0.02)
            first.process.kill()
            first.process.wait()
        day.let_go()
        other.run(code=5)
        if how == "abort":
            day.types("abort", "--reason", "the primary is back", code=8)
            other.run(code=0)
        else:
            day.run(code=0)  # --yes, on the machine whose journal knows that nobody conducts the first one
    assert day.count("change") == 4
    other.run(code=0)
