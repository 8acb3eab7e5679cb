"""The laws, held against what really happened. Every function takes a run that is over, and raises AssertionError."""

from __future__ import annotations

from itertools import pairwise

from drctl.engine import deadline
from drctl.engine.decide import failed
from drctl.engine.fold import fold, fold_all
from drctl.engine.state import RunState, Target, targets_of
from drctl.model.events import (
    Act,
    AttemptFinished,
    AttemptStarted,
    Ended,
    Event,
    Outcome,
    PersonAnswered,
    Question,
    Reason,
    RunEnded,
    StepSkipped,
)
from drctl.model.plan import Http, Mode, OnFailure, Section, Step
from tests.properties.grammar import FACT
from tests.support.faults import Effect, Run

FINAL = (Ended.DONE, Ended.FAILED, Ended.NO_GO, Ended.ABORTED)


def judge(run: Run, state: RunState) -> None:
    """All the laws at once, for a run that ended for good."""
    assert state.ended in FINAL
    assert fold_all(run.events) == state, "the fold of the whole is not the running fold"
    nothing_that_succeeded_runs_again(run)
    no_effect_happens_twice(run)
    unknown_is_not_failed(run)
    nothing_needing_proof_goes_ahead_without(run)
    the_sections_keep_their_turns(run, state)
    a_no_is_a_no_go(run, state)
    attempts_follow_each_other(run, state)
    always_runs(run, state)
    undos_go_backwards(run)
    a_rollback_leaves_nothing_out(run, state)
    the_deadline_stops_what_is_new(run)
    nothing_half_done_is_left_in_silence(run)


def nothing_that_succeeded_runs_again(run: Run) -> None:
    over: set[Target] = set()
    for event in run.events:
        body = event.body
        if isinstance(body, AttemptStarted):
            assert Target(body.step, body.host) not in over, f"{body.step} had succeeded, and {body.act} began"
        if isinstance(body, AttemptFinished) and body.outcome is Outcome.SUCCEEDED:
            verified = body.act is Act.VERIFY or run.plan.step(body.step).verify is None
            if body.act is not Act.UNLESS and verified:
                over.add(Target(body.step, body.host))


def no_effect_happens_twice(run: Run) -> None:
    """Unless the step says that it may, a person said so, or it is known to have failed and declares a retry."""
    by_target: dict[Target, list[Effect]] = {}
    for effect in run.hosts.effects:
        by_target.setdefault(Target(effect.step, effect.host), []).append(effect)
    for target, effects in by_target.items():
        step = run.plan.step(target.step)
        assert not step.read_only
        for earlier, later in pairwise(effects):
            assert earlier.attempt != later.attempt, f"{target}: attempt {later.attempt} happened twice"
            if step.idempotent or _person_said_so(run.events, target, later.attempt):
                continue
            assert not earlier.succeeded, f"{target}: it had succeeded on its host, and was done again"
            assert earlier.ended, f"{target}: a reboot cut it short, and it was done again unasked"
            assert step.retry.attempts > 1, f"{target}: done again, and it declares no retry"
            assert _known_to_have_failed(run.events, target, earlier.attempt), f"{target}: done again while in doubt"


def _before(events: list[Event], target: Target, attempt: int) -> list[Event]:
    """The events up to the intent of that attempt."""
    for number, event in enumerate(events):
        body = event.body
        if isinstance(body, AttemptStarted) and (Target(body.step, body.host), body.attempt) == (target, attempt):
            return events[:number]
    return events


def _person_said_so(events: list[Event], target: Target, attempt: int) -> bool:
    return any(
        isinstance(e.body, PersonAnswered)
        and Target(e.body.step, e.body.host) == target
        and e.body.answer in ("retry", "run_again")
        and e.body.who
        for e in _before(events, target, attempt)
    )


def _known_to_have_failed(events: list[Event], target: Target, attempt: int) -> bool:
    return any(
        isinstance(e.body, AttemptFinished)
        and (Target(e.body.step, e.body.host), e.body.attempt) == (target, attempt)
        and e.body.act in (Act.RUN, Act.SETTLE)
        and e.body.outcome is Outcome.FAILED
        for e in events
    )


def unknown_is_not_failed(run: Run) -> None:
    """What succeeded on its host, or was cut short there, is never said to have failed because nobody could look."""
    told = {
        (e.body.step, e.body.host, e.body.attempt): e.body
        for e in run.events
        if isinstance(e.body, AttemptFinished)
        and e.body.outcome is Outcome.FAILED
        and e.body.act in (Act.RUN, Act.SETTLE)  # an `unless` before the next attempt bears this one's number
    }
    for effect in run.hosts.effects:
        if isinstance(run.plan.step(effect.step).action, Http):
            continue  # a request has no name on the other side that it could be asked by
        body = told.get((effect.step, effect.host, effect.attempt))
        if body is not None and (effect.succeeded or not effect.ended):
            assert body.reason in (Reason.CAPTURE, Reason.ABORTED), f"{effect}, and drctl says {body.reason}"


def nothing_needing_proof_goes_ahead_without(run: Run) -> None:
    for number, event in enumerate(run.events):
        body = event.body
        if isinstance(body, AttemptStarted) and body.act is Act.RUN and run.plan.step(body.step).requires:
            assert run.plan.mode is Mode.CHECK or fold_all(run.events[:number]).proved(FACT), f"{body.step}: no proof"


def the_sections_keep_their_turns(run: Run, state: RunState) -> None:
    """A stage begins when the one before it in its section is over; nothing of the steps follows an undo."""
    if state.ended is Ended.NO_GO or run.plan.mode is Mode.CHECK:
        assert not run.hosts.effects, f"{state.ended}, {run.plan.mode}: and something was changed"
    stage_of = {s.id: (stage.section, n) for n, stage in enumerate(run.plan.stages) for s in stage.steps}
    latest: dict[Section, int] = {}
    begun: set[Section] = set()
    for event in run.events:
        if not isinstance(event.body, AttemptStarted):
            continue
        section, number = stage_of[event.body.step]
        again = section is Section.PRECONDITIONS  # a person may have it looked at once more, after all of them
        assert again or number >= latest.get(section, 0), f"{event.body.step} comes after its turn"
        latest[section] = number
        assert section is not Section.STEPS or not begun & {Section.ROLLBACK, Section.FALLBACK, Section.ALWAYS}
        assert section is not Section.PRECONDITIONS or not begun - {Section.PRECONDITIONS}
        assert section is Section.ALWAYS or Section.ALWAYS not in begun, f"{event.body.step} comes after always"
        begun.add(section)


def a_no_is_a_no_go(run: Run, state: RunState) -> None:
    """After a precondition said no, and the runbook does not bear it, nothing begins but what it falls back on."""
    said_no = [step for step in run.plan.steps(Section.PRECONDITIONS) if failed(state, step)]
    if said_no:
        other_way = run.plan.steps(Section.FALLBACK) and all(s.on_failure is OnFailure.FALLBACK for s in said_no)
        if state.fallen_back:
            assert other_way, "it fell back after a no that has no other way"
        else:
            assert state.ended in (Ended.NO_GO, Ended.ABORTED)
        begun = {run.plan.step(e.body.step).id for e in run.events if isinstance(e.body, AttemptStarted)}
        assert not begun & {s.id for s in run.plan.steps(Section.STEPS)}, "a step began after a no"


def attempts_follow_each_other(run: Run, state: RunState) -> None:
    """The next attempt of a call begins only after one was given up, and then nothing of that one begins any more."""
    last_stage = {s.id: number for number, stage in enumerate(run.plan.stages) for s in stage.steps}
    for number, event in enumerate(run.events):
        if not isinstance(event.body, AttemptStarted):
            continue
        begun = run.plan.step(event.body.step)
        if begun.round is None:
            continue
        known = fold_all(run.events[:number])
        ended = known.ended_round(begun)
        assert ended is None or last_stage[ended.id] == last_stage[begun.id], f"{begun.id} begins after {ended.id}"
        for other in run.plan.steps():
            if other.round is not None and other.round.number < begun.round.number:
                assert known.ended_round(other) is not None, f"{begun.id} begins, and {other.round} was not given up"


def always_runs(run: Run, state: RunState) -> None:
    if state.ended is Ended.NO_GO:
        return
    for step in run.plan.steps(Section.ALWAYS):
        assert state.step_outcome(step) is not None, f"{step.id} of always was not carried out, {state.ended}"


def undos_go_backwards(run: Run) -> None:
    order = [s.id for s in run.plan.steps(Section.STEPS)]
    undone = []
    for number, event in enumerate(run.events):
        body = event.body
        if isinstance(body, AttemptStarted) and (first := run.plan.step(body.step).undoes):
            known = fold_all(run.events[:number])
            assert any(known.target(t).attempts for t in targets_of(run.plan.step(first))), f"{first} never began"
            undone.append(order.index(first))
    assert undone == sorted(undone, reverse=True)


def a_rollback_leaves_nothing_out(run: Run, state: RunState) -> None:
    """Each step that was begun and can be undone has been, or its undo's failure is told. An abort ends a rollback."""
    if not state.rolling_back or state.abort:
        return
    for undo in run.plan.steps(Section.ROLLBACK):
        begun = any(state.target(t).attempts for t in targets_of(run.plan.step(undo.undoes or "")))
        assert not begun or state.step_outcome(undo) is not None, f"{undo.id} was not carried out"


def the_deadline_stops_what_is_new(run: Run) -> None:
    """Between the deadline and its answer only what may not be broken off is settled. It is answered once."""
    state, answers = RunState(), 0
    # What is decided together is written one after the other, while time passes in the threads of what has begun. So a
    # beginning was decided at the earliest when the last event before its like was written.
    decided_at = run.events[0].at
    for event in run.events:
        body = event.body
        begins = isinstance(body, AttemptStarted) and run.plan.section_of(body.step) is Section.STEPS
        if begins and deadline.has_come(state, decided_at):
            known = state.target(Target(body.step, body.host))
            assert known.doubt or known.ran, f"{body.step} began after the deadline"
            step = run.plan.step(body.step)
            may_be_broken_off = step.read_only or step.idempotent
            assert not may_be_broken_off, f"{body.step} may be broken off, and was not"
        if isinstance(body, PersonAnswered) and body.question is Question.DEADLINE:
            assert deadline.deadline(state) is not None
            answers += body.answer in ("fallback", "continue")
        if not isinstance(body, AttemptStarted | StepSkipped):
            decided_at = event.at
        state = fold(state, event)
    assert answers <= 1, "the deadline was answered twice"


def nothing_half_done_is_left_in_silence(run: Run) -> None:
    """When the fallback begins nothing of the steps is under way, and nothing that may not be broken off in doubt."""
    state = RunState()
    for event in run.events:
        body = event.body
        if isinstance(body, AttemptStarted) and run.plan.section_of(body.step) is Section.FALLBACK:
            for step in run.plan.steps(Section.STEPS):
                for target in targets_of(step):
                    known = state.target(target)
                    assert known.in_flight is None, f"{target} is under way, and the fallback began"
                    if not (step.read_only or step.idempotent):
                        assert known.outcome is not None or not (known.doubt or known.ran), f"{target} is in doubt"
            return
        state = fold(state, event)


def width(step: Step) -> int:
    return step.max_parallel or len(targets_of(step))


def nothing_is_in_flight_twice(run: Run) -> None:
    """At no moment two attempts for one target, nor more hosts at once than the step allows."""
    flying: dict[Target, Act] = {}
    for event in run.events:
        body = event.body
        if isinstance(body, AttemptStarted):
            target = Target(body.step, body.host)
            assert target not in flying
            flying[target] = body.act
            assert sum(1 for t in flying if t.step == body.step) <= width(run.plan.step(body.step))
        elif isinstance(body, AttemptFinished):
            flying.pop(Target(body.step, body.host), None)
        elif isinstance(body, RunEnded):
            assert not flying, "a run does not end while something is in flight"
