"""The ways out of a question at a real terminal: the fallback, the rollback, and answers from other terminals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same
from tests.support.seat import at_a_terminal, decisions, question, to_the_end


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    yield made
    made.let_go()


WAYS_OUT = """
steps:
  - id: before
    hosts: primary
    run: echo x >>"$effects/before"
    rollback: {run: 'echo x >>"$effects/undone"'}
  - id: flaky
    name: Repoint the app
    hosts: primary
    run: echo x >>"$effects/flaky"; exit 3
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
on_failure: {runbook: rebuild}
"""


def with_ways_out(day: Day) -> None:
    """A runbook that can be left for another one, or undone."""
    day.runbook(WAYS_OUT)
    (day.directory / "rebuild.yml").write_text(
        "runbook: rebuild\ntitle: Build it anew\nsteps:\n"
        "  - {id: anew, hosts: primary, run: 'echo x >>\"$effects/anew\"'}\n"
    )


def test_a_person_takes_the_fallback_and_says_why(day: Day) -> None:
    with_ways_out(day)
    with at_a_terminal(day) as child:
        same(
            question(day, child),
            """
            REAL run of days: Repoint the app: failed on testhost
              | exit code 3
            RTO NOT MEASURED (target 4h 00m); RPO NOT MEASURED (target 24h 00m)
            True of the systems now:
              - done: before
              - failed, and may have changed something: flaky
            You can answer:
              re, retry: try it again
              s, skip: go on without it
              f, fallback: leave this runbook for its fallback, on the same clock
              ro, rollback: undo what was begun, the last step first
              p, pause: stop here; drctl resume goes on
              a, abort: give the run up; what always runs still does
            """,
        )
        child.sendline("f")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("the app cannot be repointed, INC-8")
        same(
            to_the_end(day, child, 0),
            """
            TIME [2/5] ANSWER    flaky @ testhost: OPERATOR said fallback: the app cannot be repointed, INC-8
            TIME [4/5] start     rebuild/anew @ testhost: Anew
            TIME [4/5] succeeded rebuild/anew @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: before, rebuild/anew
              - failed, and may have changed something: flaky
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "anew", "undone")] == [1, 1, 0, 1, 0]
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME failed for flaky@testhost: OPERATOR said fallback: the app cannot be repointed, INC-8
        ~ (waited SECONDS)
        """,
    )


def test_a_person_rolls_back_and_says_why(day: Day) -> None:
    with_ways_out(day)
    with at_a_terminal(day) as child:
        question(day, child)
        child.sendline("ro")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("the client wants the old address back")
        same(
            to_the_end(day, child, 1),
            """
            TIME [2/5] ANSWER    flaky @ testhost: OPERATOR said rollback: the client wants the old address back
            TIME [5/5] start     before.rollback @ testhost: Undo: before
            TIME [5/5] succeeded before.rollback @ testhost  SECONDS
            TIME run ended: failed

            REAL FAILED: flaky
              - undone: before
              - failed, and may have changed something: flaky
              exit code 1: a step failed, or a host could not be reached
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "anew", "undone")] == [1, 1, 0, 0, 1]
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME failed for flaky@testhost: OPERATOR said rollback: the client wants the old address back
        ~ (waited SECONDS)
        """,
    )


def test_an_abort_from_another_terminal_answers_the_question_that_stands_here(day: Day) -> None:
    """Nobody at this terminal has decided anything: the run is given up, by whom and why, and is not merely paused."""
    day.runbook("""
        steps:
          - {id: before, hosts: primary, run: 'echo x >>"$effects/before"'}
          - {id: flaky, hosts: primary, run: 'echo x >>"$effects/flaky"; exit 3'}
          - {id: later, hosts: primary, run: 'echo x >>"$effects/later"'}
        always:
          - {id: tidy, hosts: primary, run: 'echo x >>"$effects/tidy"'}
        """)
    with at_a_terminal(day) as child:
        question(day, child)
        same(
            day.types("status"),
            """
            days (A bad day)
              last run    RUN (REAL bad-day)
              goes on     DATE TIME: STILL GOING ON: 2 of 4 steps are over
              waits for   a decision about a failed step (flaky)
              RPO         exposure by a restore: not measured: type drctl backups days
              next        drctl watch RUN
                          drctl abort RUN --reason "…"
                          drctl report RUN
            """,
        )
        same(
            re.sub(r"process \d+\) since \S+", "process PID) since THEN", day.run(code=5)),
            """
            error: the service days is held by the run RUN of OPERATOR (process PID) since THEN
              Now:  this command changed nothing
              Next: drctl watch RUN follows it; drctl report RUN shows how far it is
            """,
        )
        same(
            day.types("abort", "--reason", "the primary is back"),
            """
            asked the run RUN to abort
            RUN is being given up; to follow it: drctl watch RUN
            """,
        )
        same(
            to_the_end(day, child, 8),
            """
            TIME [2/4] ANSWER    flaky @ testhost: OPERATOR said abort: the primary is back
            TIME [4/4] start     tidy @ testhost: Tidy
            TIME [4/4] succeeded tidy @ testhost  SECONDS
            TIME run ended: aborted

            REAL ABORTED by OPERATOR: the primary is back
              - done: before, tidy
              - failed, and may have changed something: flaky
              exit code 8: aborted by the operator
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "tidy")] == [1, 1, 0, 1]
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME failed for flaky@testhost: OPERATOR said abort: the primary is back (waited SECONDS)
        """,
    )


def test_an_approval_from_another_terminal_answers_the_question_that_stands_here(day: Day) -> None:
    day.runbook("""
        steps:
          - {id: agree, approval: {prompt: "Lose a minute of data?"}}
          - {id: change, hosts: primary, run: 'echo x >>"$effects/change"'}
        """)
    with at_a_terminal(day) as child:
        child.expect(r"yes, no, pause\? ")
        same(
            day.types("status"),
            """
            days (A bad day)
              last run    RUN (REAL bad-day)
              goes on     DATE TIME: STILL GOING ON: 0 of 2 steps are over
              waits for   an approval (agree)
              RPO         exposure by a restore: not measured: type drctl backups days
              next        drctl approve agree RUN --reason "…"
                          drctl watch RUN
                          drctl abort RUN --reason "…"
                          drctl report RUN
            """,
        )
        day.types("approve", "agree", "--reason", "the client agreed, INC-9")
        same(
            to_the_end(day, child, 0),
            """
            TIME [1/2] ANSWER    agree: OPERATOR said yes: the client agreed, INC-9
            TIME [2/2] start     change @ testhost: Change
            TIME [2/2] succeeded change @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: change
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert day.count("change") == 1
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME approval for agree: OPERATOR said yes: the client agreed, INC-9 (waited SECONDS)
        """,
    )


LATE = """
steps:
  - {id: before, hosts: primary, run: 'echo x >>"$effects/before"'}
  - {id: agree, approval: {prompt: "Lose a minute of data?"}}
  - {id: promote, hosts: primary, run: 'echo x >>"$effects/promote"'}
  - {id: serve, local: "true", read_only: true, marks: service_restored}
on_failure: {runbook: rebuild}
deadline: {action: fallback}
"""
REBUILD = """
runbook: rebuild
title: Build it anew
steps:
  - {id: anew, hosts: primary, run: 'echo x >>"$effects/anew"', expected: 2h, timeout: 3h}
  - {id: serve, local: "true", read_only: true, expected: 0s, marks: service_restored}
"""
IMPATIENT = """
from datetime import timedelta
from drctl.engine import overdue
overdue.SHORTEST = timedelta(seconds=2)
"""
UNTIL_THE_DEADLINE_S = 25.0
"""More than drctl takes to come to its first question, also on a busy machine."""


def test_nobody_answers_at_the_terminal_and_the_deadline_comes(day: Day) -> None:
    """Its question takes the place of the one that stands, and when nobody answers that either the fallback begins."""
    day.runbook(LATE)
    (day.directory / "rebuild.yml").write_text(REBUILD)
    outage = datetime.now(UTC) - timedelta(hours=2) + timedelta(seconds=UNTIL_THE_DEADLINE_S)
    words = day.words("--outage-started", outage.isoformat(timespec="seconds"))
    with at_a_terminal(day, *words, prepared=IMPATIENT) as child:
        child.expect(r"yes, no, pause\? ")
        child.expect("was the last moment to leave for rebuild and keep the RTO")
        child.expect(r"fallback, continue, pause, abort\? ")
        assert [day.count(s) for s in ("before", "promote", "anew")] == [1, 0, 0]
        said = to_the_end(day, child, 0)
    assert "REAL DONE: no objective was missed" in said
    assert [day.count(s) for s in ("before", "promote", "anew")] == [1, 0, 1]
    same(
        re.sub(r"waited \d+s", "waited SECONDS", "\n".join(decisions(day))),
        """
        DATE TIME approval for agree: drctl said overtaken: the deadline came, and its question comes first
        ~ (waited SECONDS)
        DATE TIME deadline for the run: nobody was there, so said fallback: nobody answered in time (waited SECONDS)
        """,
    )
