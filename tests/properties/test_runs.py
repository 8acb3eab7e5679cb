"""Any runbook, any bad luck, a death at any moment: a resume ends the run, and nothing is done twice by accident."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drctl.engine.decide import decide
from drctl.engine.decisions import Attempt
from drctl.engine.fold import fold, fold_all
from drctl.engine.state import RunState
from drctl.model.events import Ended, RunResumed, StopRequested
from drctl.model.plan import Capture, CaptureType, Retry
from tests.properties.grammar import runs
from tests.properties.judge import judge, nothing_is_in_flight_twice
from tests.support.faults import Crowd, Fault, Hosts, Run
from tests.support.world import START, Killed, MemoryJournal, plan, step

LIVES = 12
"""More resumes than any drawn runbook needs: each pause needs an answer, and the answers drawn are few."""


def carry_on(run: Run, state: RunState) -> RunState:
    """Resume until the run is over for good."""
    for _ in range(LIVES):
        if state.ended is not Ended.PAUSED:
            return state
        state = run.resume()
    raise AssertionError(f"after {LIVES} resumes the run is still paused: {state.ended_why}")


@settings(max_examples=3 * settings().max_examples)  # no deaths in it, so it is quick
@given(runs())
def test_a_run_ends_and_keeps_the_laws(run: Run) -> None:
    state, _ = run.begin()
    judge(run, carry_on(run, state))
    nothing_is_in_flight_twice(run)


@given(runs(), st.integers(1, 8))
def test_killed_at_any_moment_a_resume_ends_the_run_and_nothing_is_done_twice(run: Run, again: int) -> None:
    _, journal = run.begin()
    for moment in journal.moments:
        later = run.at(moment)
        if fold_all(later.events).ended not in (None, Ended.PAUSED):
            continue
        try:
            # The resume dies as well, a few events later, and another one goes on.
            state = later.resume(die_after=again)
        except Killed:
            state = later.resume()
        judge(later, carry_on(later, state))


@given(runs())
def test_decide_has_an_answer_for_every_prefix_and_never_touches_what_is_over(run: Run) -> None:
    run.begin()
    state = RunState()
    for event in run.events:
        state = fold(state, event)
        resumed = MemoryJournal(run.clock, list(run.events)).append(
            RunResumed(operator="p@n", controller="n", pid=2, interactive=False)
        )
        for known in (state, fold(state, resumed)):
            decisions = decide(known, START)
            for decision in decisions:
                if isinstance(decision, Attempt):
                    target = known.target(decision.target)
                    assert target.outcome is None
                    assert target.in_flight is None
            assert decisions or known.in_flight or known.ended is not None, "nothing to do, and nothing under way"


@settings(max_examples=3 * settings().max_examples)
@given(runs(), st.integers(1, 40))
def test_an_abort_that_is_asked_for_at_any_moment_is_taken_up_and_keeps_the_laws(run: Run, at: int) -> None:
    """At the latest by the next resume, and before that begins anything."""
    run.letter_at = at
    state, _ = run.begin()
    while state.ended is Ended.PAUSED:
        lives = len(run.events)
        waits = run.stop() is not None and not state.abort
        state = run.resume()
        if waits:
            assert isinstance(run.events[lives + 1].body, StopRequested)
            assert state.abort
    judge(run, state)
    if state.abort:
        assert state.ended is Ended.ABORTED


def test_found_a_changing_step_that_printed_what_it_had_not_promised_is_not_tried_again() -> None:
    """Found by the properties: its retry ran it a second time, although the command itself had succeeded."""
    promised = (Capture(name="rows", type=CaptureType.INT),)
    written = step("write", captures=promised, retry=Retry(attempts=3))
    read = step("read", captures=promised, retry=Retry(attempts=3), read_only=True)
    faults = {(name, "standby"): (Fault.BAD_OUTPUT,) for name in ("write", "read")}
    run = Run(plan=plan(written, read), hosts=Hosts(faults=faults), people=Crowd(choices=()))
    assert run.begin()[0].ended is Ended.DONE
    assert [e.step for e in run.hosts.effects] == ["write"]
    assert run.hosts.contacts["read", "standby"] == 2
