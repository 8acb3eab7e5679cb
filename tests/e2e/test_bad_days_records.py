"""Bad days of what drctl knows by: the end of its journal is torn, or somebody sets the clock of its machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same, story

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
FRAME = 24 + 4096  # bytes of a page in SQLite's write-ahead log, with its header


LOOK = """\
  - id: look
    hosts: primary
    read_only: true
    run: while [ ! -e "$effects/seen" ]; do sleep 0.1; done
"""
RESUMED = "TIME run resumed (DATE) by OPERATOR\n"
ATTACHED = "  SECONDS, attached to the job that had been started before\n"
LOOKED = """\
TIME [3/3] start     look @ testhost: Look
TIME [3/3] succeeded look @ testhost  SECONDS
TIME run ended: done

REAL DONE: no objective was missed
  - done: change, later
  exit code 0: done: everything that was asked for happened, and no objective was missed
  next: drctl report RUN
"""
LATER = f"TIME [2/3] start     later @ testhost: Later\nTIME [2/3] succeeded later @ testhost{ATTACHED}"
TORN = {
    "look, begun": RESUMED + LOOKED,
    "later, ended": f"{RESUMED}TIME [2/3] settling  later @ testhost: what became of it?\n"
    f"TIME [2/3] succeeded later @ testhost{ATTACHED}{LOOKED}",
    "later, begun": RESUMED + LATER + LOOKED,
    "change, ended": f"{RESUMED}TIME [1/3] settling  change @ testhost: what became of it?\n"
    f"TIME [1/3] succeeded change @ testhost{ATTACHED}{LATER}{LOOKED}",
}
"""What is told, by the oldest record that is lost."""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    made.runbook(BOOK)
    yield made
    made.let_go()


def test_a_journal_whose_end_is_torn_goes_on_from_what_is_whole(day: Day) -> None:
    """The operator's machine lost its power: the last records are cut off or garbled, wherever that may be.

    The jobs have their names, so whichever records are lost, what was sent is attached to, and nothing runs twice.
    """
    day.runbook(BOOK + LOOK)
    day.let_go()
    with day.begins() as following:
        following.wait_for("start     look @ testhost")
        following.process.kill()
        following.process.wait()
    (day.machine.effects / "seen").touch()
    whole = day.directory / "whole"
    day.operator.state.rename(whole)
    log = (whole / "journal.db-wal").read_bytes()
    told = set()
    for lost in (1, 2 * FRAME + 7, 6 * FRAME + 100):
        for garbled in (False, True):
            shutil.copytree(whole, day.operator.state)
            kept = log[: len(log) - lost] + (bytes(lost) if garbled else b"")
            (day.operator.state / "journal.db-wal").write_bytes(kept)
            told.add(story(day.types("resume", "--no-input")))
            assert (day.count("change"), day.count("later")) == (1, 1), (lost, garbled)
            shutil.rmtree(day.operator.state)
    # Which records a loss takes depends on how SQLite laid them out.
    assert told <= set(TORN.values()), told
    assert len(told) > 1


HANDS = """
import datetime
import drctl.adapters.clock

class Set(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        with open({hands!r}) as file:
            return datetime.datetime.now(tz) + datetime.timedelta(seconds=float(file.read()))

drctl.adapters.clock.datetime = Set
"""


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The wall clock of drctl's machine is off by the seconds in this file. Nobody may set this machine's own."""
    hands = tmp_path / "hands"
    hands.write_text("0")
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(HANDS.format(hands=str(hands)))
    monkeypatch.setenv("PYTHONPATH", str(place))
    return hands


@pytest.mark.parametrize(("set_by", "how"), [("-3600", "back"), ("3600", "forward")])
def test_a_clock_that_is_set_in_mid_run_moves_none_of_its_times(day: Day, clock: Path, set_by: str, how: str) -> None:
    with day.begins() as following:
        day.wait_for_effect("change")
        clock.write_text(set_by)
        following.wait_for("warning clock failed")
        day.let_go()
        same(
            story(following.ends(0)),
            f"""
            TIME run started (DATE)
            TIME [1/2] start     change @ testhost: Change
            TIME warning clock failed: it was set {how} by 1h 00m while the run goes on: the run's times and its RTO
            ~ leave the jump out
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
    assert day.report()["elapsed"]["run_s"] < 3000


def test_a_clock_that_is_behind_when_a_run_is_taken_up(day: Day, clock: Path) -> None:
    with day.begins() as following:
        day.wait_for_effect("change")
        following.process.kill()
        following.process.wait()
    day.let_go()
    clock.write_text("-3600")
    said = story(day.types("resume", "--no-input"))
    same(
        re.sub(r"it is \d+[mh] \d+[sm] behind", "it is MINUTES behind", said),
        """
        TIME run resumed (DATE) by OPERATOR
        TIME warning clock failed: it is MINUTES behind the last event of this run: how much time has passed since is
        ~ not known, and the RTO may read too small
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
        in_any_order=True,
    )
    assert (day.count("change"), day.count("later")) == (1, 1)
