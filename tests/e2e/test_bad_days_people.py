"""People at a real terminal: what a failed step asks them, and what they may say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.sshd import Sshd
from tests.support.days import Day, Machine, same
from tests.support.seat import at_a_terminal, decisions, question, to_the_end

FLAKY = """
steps:
  - id: before
    hosts: primary
    run: echo x >>"$effects/before"
  - id: flaky
    name: Repoint the app
    hosts: primary
    run: |
      echo x >>"$effects/flaky"
      runs=$(wc -l <"$effects/flaky")
      echo "this is run $runs"
      echo "no route to the [new] primary" >&2
      [ "$runs" -ge 2 ]
  - id: later
    hosts: primary
    run: echo x >>"$effects/later"
always:
  - id: tidy
    hosts: primary
    run: echo x >>"$effects/tidy"
"""


@pytest.fixture
def day(sshd: Sshd, tmp_path: Path) -> Iterator[Day]:
    """A day on this machine's own sshd. What still waits when a test has failed is let go."""
    made = Day.on(Machine.on_loopback(sshd), tmp_path)
    yield made
    made.let_go()


def test_a_failed_step_shows_its_output_what_is_true_and_the_choices_and_is_tried_again(day: Day) -> None:
    day.runbook(FLAKY)
    with at_a_terminal(day) as child:
        same(
            question(day, child),
            """
            REAL run of days: Repoint the app: failed on testhost
              | exit code 1
              | this is run 1
              | no route to the [new] primary
            RTO NOT MEASURED (target 4h 00m); RPO NOT MEASURED (target 24h 00m)
            True of the systems now:
              - done: before
              - failed, and may have changed something: flaky
            You can answer:
              r, retry: try it again
              s, skip: go on without it
              p, pause: stop here; drctl resume goes on
              a, abort: give the run up; what always runs still does
            """,
        )
        child.sendline("what?")
        child.expect("Please answer one of: retry, skip, pause, abort.")
        child.sendline("r")
        child.expect("Why\\? It goes into the report; Enter for no reason: ")
        child.sendline("the route is announced again")
        same(
            to_the_end(day, child, 0),
            """
            TIME [2/4] ANSWER    flaky @ testhost: OPERATOR said retry: the route is announced again
            TIME [2/4] start     flaky @ testhost: Repoint the app (attempt 2)
            TIME [2/4] succeeded flaky @ testhost  SECONDS
            TIME [3/4] start     later @ testhost: Later
            TIME [3/4] succeeded later @ testhost  SECONDS
            TIME [4/4] start     tidy @ testhost: Tidy
            TIME [4/4] succeeded tidy @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: before, flaky, later, tidy
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "tidy")] == [1, 2, 1, 1]
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME failed for flaky@testhost: OPERATOR said retry: the route is announced again
        ~ (waited SECONDS)
        """,
    )


def test_a_step_is_skipped_only_with_a_reason_and_the_report_has_it(day: Day) -> None:
    day.runbook(FLAKY)
    with at_a_terminal(day) as child:
        question(day, child)
        child.sendline("skip")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("the client's DNS is moved by hand, INC-7")
        same(
            to_the_end(day, child, 0),
            """
            TIME [2/4] ANSWER    flaky @ testhost: OPERATOR said skip: the client's DNS is moved by hand, INC-7
            TIME [3/4] start     later @ testhost: Later
            TIME [3/4] succeeded later @ testhost  SECONDS
            TIME [4/4] start     tidy @ testhost: Tidy
            TIME [4/4] succeeded tidy @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: before, later, tidy
              - left out by a person: flaky (OPERATOR: the client's DNS is moved by hand, INC-7)
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "tidy")] == [1, 1, 1, 1]
    same(
        "\n".join(decisions(day)),
        """
        DATE TIME failed for flaky@testhost: OPERATOR said skip: the client's DNS is moved by hand, INC-7
        ~ (waited SECONDS)
        """,
    )


def test_pause_stops_at_the_question_and_resume_puts_it_again_and_abort_ends_it(day: Day) -> None:
    day.runbook(FLAKY)
    with at_a_terminal(day) as child:
        question(day, child)
        child.sendline("p")
        child.expect("Enter for no reason: ")
        child.sendline("")
        same(
            to_the_end(day, child, 6),
            """
            TIME [2/4] ANSWER    flaky @ testhost: OPERATOR said pause
            TIME run ended: paused

            REAL PAUSED: a person decides later
              - done: before
              - failed, and may have changed something: flaky
              exit code 6: in doubt, or waiting for a person
              next: drctl resume RUN
                    drctl abort RUN --reason "…"
                    drctl report RUN
            """,
        )
    assert [day.count(s) for s in ("before", "flaky", "later", "tidy")] == [1, 1, 0, 0]
    with at_a_terminal(day, "resume") as child:
        assert "no route to the [new] primary" in question(day, child)
        child.sendline("abort")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("the primary is back")
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
        DATE TIME failed for flaky@testhost: OPERATOR said pause (waited SECONDS)
        DATE TIME failed for flaky@testhost: OPERATOR said abort: the primary is back (waited SECONDS)
        """,
    )


def test_a_job_that_somebody_killed_is_a_question_and_never_an_answer(day: Day) -> None:
    """The job's own shell is killed on the host, as by a kernel without memory: nothing tells how far it came."""
    day.runbook("""
        steps:
          - id: change
            hosts: primary
            run: |
              echo x >>"$effects/change"
              [ -e "$effects/go" ] || kill -KILL 0
        """)
    with at_a_terminal(day) as child:
        same(
            question(day, child),
            """
            REAL run of days: Change: it was sent on testhost, and nobody knows whether it was done
              | the job's process is gone and left no exit code: something other than drctl killed it
            RTO NOT MEASURED (target 4h 00m); RPO NOT MEASURED (target 24h 00m)
            True of the systems now:
              - in doubt: change on testhost
            You can answer:
              s, succeeded: you looked, and it was done
              r, run_again: you looked, and it was not done: send it again
              p, pause: stop here; drctl resume goes on
              a, abort: give the run up; what always runs still does
            """,
        )
        assert day.count("change") == 1
        day.let_go()
        child.sendline("run again")
        child.expect("Why\\? It goes into the report: ")
        child.sendline("its file is not there")
        same(
            to_the_end(day, child, 0),
            """
            TIME [1/1] ANSWER    change @ testhost: OPERATOR said run_again: its file is not there
            TIME [1/1] start     change @ testhost: Change (attempt 2)
            TIME [1/1] succeeded change @ testhost  SECONDS
            TIME run ended: done

            REAL DONE: no objective was missed
              - done: change
              exit code 0: done: everything that was asked for happened, and no objective was missed
              next: drctl report RUN
            """,
        )
    assert day.count("change") == 2
