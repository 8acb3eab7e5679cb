"""What to do next: a pure function from the state to actions. It reads no clock, no file and no socket.

The order of the house, most urgent first: a run that ended does nothing; a stop starts nothing new; the
preconditions are all looked at before the first no-go is said; the steps go stage by stage; ``always`` runs whatever
happened, but for a no-go and a pause. What is in doubt is settled by attaching, then by the verify, then by running
an idempotent step again, then by a person (law 3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from drctl.engine import deadline, rounds
from drctl.engine.decide_target import decide_target, name_of
from drctl.engine.decisions import Ask, Attempt, Decision, End, Finish, Later
from drctl.engine.state import NOT_SENT, RunState, Target, TargetState, targets_of, tolerated
from drctl.model.events import Act, Ended, Outcome, PersonAsked, Question
from drctl.model.plan import Mode, Shell, Stage, Step
from drctl.model.words import STRICTEST_FIRST, OnFailure, Round, Section


def decide(state: RunState, now: datetime) -> tuple[Decision, ...]:
    """Everything that may start now; empty while what is in flight has to come back first, or when all is over."""
    if state.ended is not None:
        return ()
    if state.stop is not None and state.stop.how != "abort":
        return () if state.in_flight else (Finish(ended=Ended.PAUSED, why=f"stopped by {state.stop.how}"),)
    if state.pause:
        return () if state.in_flight else (Finish(ended=Ended.PAUSED, why="a person decides later"),)
    found = _preconditions(state, now) or _steps(state, now) or _always(state, now) or (_finish(state),)
    return tuple(d for d in found if d is not _BUSY)


def _preconditions(state: RunState, now: datetime) -> tuple[Decision, ...]:
    if _breaks_off(state):
        return (_BUSY,) if state.in_flight else ()
    if state.fallen_back:
        return ()
    found = _section(state, Section.PRECONDITIONS, now, go_on_after_failure=True)
    if found:
        return found
    said_no = [s for s in state.the_plan.steps(Section.PRECONDITIONS) if failed(state, s)]
    if not said_no:
        return ()
    other_way = state.the_plan.steps(Section.FALLBACK) and all(s.on_failure is OnFailure.FALLBACK for s in said_no)
    if state.mode is Mode.CHECK or not other_way:
        return (Finish(ended=Ended.NO_GO, why=", ".join(s.id for s in said_no)),)
    # Every no is one that the runbook has another way for: this one cannot go on, and its fallback may.
    return _after_failure(state, said_no[0], others=said_no[1:])


def _breaks_off(state: RunState) -> bool:
    """Whether only ``always`` is left. Where another run holds the service, no retry and no other way is for us."""
    return bool(state.abort) or state.given_up or state.held_up


def _steps(state: RunState, now: datetime) -> tuple[Decision, ...]:
    if _breaks_off(state):
        return (_BUSY,) if state.in_flight else ()
    if state.rolling_back:
        return (_BUSY,) if state.in_flight else _rollback(state, now)
    if state.fallen_back:
        return _left_behind(state) or _section(state, Section.FALLBACK, now, go_on_after_failure=False)
    found = _section(state, Section.STEPS, now, go_on_after_failure=False)
    return _at_the_deadline(state, found, now)


def _at_the_deadline(state: RunState, found: tuple[Decision, ...], now: datetime) -> tuple[Decision, ...]:
    """Nothing new begins then. A changing step that may not be broken off comes to its end; then a person decides.

    A failure comes before it: its question offers the fallback too.
    """
    due = deadline.has_come(state, now)
    if due is None or not found or any(isinstance(d, Ask) and d.question.question is Question.FAILED for d in found):
        return found
    settling = deadline.must_be_settled(state)
    return _settled(state, settling, now) if settling else (Ask(question=deadline.question(state, due, now)),)


def _settled(state: RunState, targets: Iterable[Target], now: datetime) -> tuple[Decision, ...]:
    """What finds out how these ended, and nothing else; a person is asked when nothing else can."""
    at_rest = [t for t in targets if state.target(t).in_flight is None]
    found = [decide_target(state, state.the_plan.step(t.step), t, state.target(t), now) for t in at_rest]
    moves = tuple(d for d in found if not isinstance(d, Ask))
    return moves or ((_BUSY,) if state.in_flight else tuple(found[:1]))


def _left_behind(state: RunState) -> tuple[Decision, ...]:
    """What the steps left under way is ended before the fallback begins. What leaves no job comes back by itself."""
    left = deadline.to_be_ended(state)
    if not left:
        return ()
    jobs = [t for t in left if _leaves_a_job(state, t)]
    return tuple(End(target=t, attempt=state.target(t).attempts) for t in jobs) or (_BUSY,)


def _leaves_a_job(state: RunState, target: Target) -> bool:
    step, known = state.the_plan.step(target.step), state.target(target)
    return isinstance(step.action, Shell) and not step.read_only and known.in_flight not in (Act.UNLESS, Act.VERIFY)


def _rollback(state: RunState, now: datetime) -> tuple[Decision, ...]:
    """The undos of what was begun, the latest first; one that fails does not keep the others from their turn."""
    return _section(state, Section.ROLLBACK, now, go_on_after_failure=True)


def _always(state: RunState, now: datetime) -> tuple[Decision, ...]:
    if state.held_up and not _touched(state):
        return ()  # what there is to clean up is the other run's
    return _section(state, Section.ALWAYS, now, go_on_after_failure=True)


def _finish(state: RunState) -> Finish:
    if state.abort:
        return Finish(ended=Ended.ABORTED, why=state.abort)
    left_behind = _BEFORE_THE_FALLBACK if state.fallen_back and not state.rolling_back else ()
    stages = [stage for stage in state.the_plan.stages if stage.section not in left_behind]
    broken = [s.id for stage in stages for s in stage.steps if failed(state, s)]
    if broken or state.rolling_back:
        why = ", ".join(broken) or "it was rolled back"
        return Finish(ended=Ended.FAILED, why=why)
    return Finish(ended=Ended.DONE)


def _touched(state: RunState) -> bool:
    """Whether anything that changes something was sent."""
    return any(
        known.attempts > 0 and known.reason not in NOT_SENT and not state.the_plan.step(target.step).read_only
        for target, known in state.targets.items()
    )


def failed(state: RunState, step: Step) -> bool:
    """Whether a host of the step failed, and the runbook does not go on in spite of it."""
    known = (state.target(t) for t in targets_of(step))
    return any(s.outcome is Outcome.FAILED and not tolerated(step, s) for s in known)


_BUSY = Later(at=datetime.max)
_BEFORE_THE_FALLBACK = (Section.PRECONDITIONS, Section.STEPS)


def _section(state: RunState, section: Section, now: datetime, *, go_on_after_failure: bool) -> tuple[Decision, ...]:
    """The decisions of the first stage that is not over; (_BUSY,) while it only waits for what is in flight."""
    rounds_entered = rounds.entered(state, now)
    for stage in state.the_plan.stages:
        if stage.section is not section or not any(_concerns(state, s, rounds_entered) for s in stage.steps):
            continue
        if all(state.step_outcome(s) is not None for s in stage.steps):
            broken = [s for s in stage.steps if failed(state, s)]
            if not broken or go_on_after_failure:
                continue
            return _after_failure(state, min(broken, key=lambda step: STRICTEST_FIRST.index(step.on_failure)))
        return _stage(state, stage, now) or (_BUSY,)
    return ()


def _concerns(state: RunState, step: Step, rounds_entered: Collection[Round]) -> bool:
    """An undo concerns only a step that was begun and not merely left out; a call's next attempt only a failed one."""
    if rounds.is_spare(step, rounds_entered):
        return False
    if step.undoes is None:
        return True
    undone = state.the_plan.step(step.undoes)
    return any(state.target(t).attempts > 0 for t in targets_of(undone))


def _after_failure(state: RunState, step: Step, others: Sequence[Step] = ()) -> tuple[Decision, ...]:
    """The stage is over and broken: abort goes to ``always``, all else is a question with a default answer.

    ``others`` are preconditions that said no as well. A precondition may be looked at again, and never left out.
    """
    if step.on_failure is OnFailure.ABORT:
        return ()
    target = next(t for t in targets_of(step) if _broken(step, state.target(t)))
    known = state.target(target)
    # A transfer's reason is its last line as well, and is not said twice.
    printed = [
        f"\n{kept.tail[-2000:]}".removesuffix(f"\n{known.detail}\n") for kept in (known.output, known.errors) if kept
    ]
    facts = (known.detail, *(text.removeprefix("\n") for text in printed))
    facts = (*facts, *(f"{name_of(state, other)}: no" for other in others))
    where = f" on {target.host}" if target.host else ""
    is_gate = step in state.the_plan.steps(Section.PRECONDITIONS)
    answers = [
        "retry",
        *(["skip"] if not is_gate else []),
        *(["fallback"] if not state.fallen_back and state.the_plan.steps(Section.FALLBACK) else []),
        *(["rollback"] if state.the_plan.steps(Section.ROLLBACK) and not is_gate else []),
        "pause",
        "abort",
    ]
    wanted = {OnFailure.PAUSE: "pause", OnFailure.FALLBACK: "fallback", OnFailure.ROLLBACK: "rollback"}
    unattended = wanted.get(step.on_failure, "abort") if state.mode is not Mode.CHECK else "abort"
    question = PersonAsked(
        question=Question.FAILED,
        step=step.id,
        host=target.host,
        prompt=f"{name_of(state, step)}: failed{where}",
        facts=tuple(f for f in facts if f),
        answers=tuple(answers),
        unattended=unattended if unattended in answers else "abort",
    )
    return (Ask(question=question),)


def _broken(step: Step, known: TargetState) -> bool:
    return known.outcome is Outcome.FAILED and not tolerated(step, known)


def _stage(state: RunState, stage: Stage, now: datetime) -> tuple[Decision, ...]:
    found = [d for step in stage.steps for d in _step(state, step, now)]
    asks = [d for d in found if isinstance(d, Ask)]
    if asks and len(found) == len(asks):
        # One question at a time, and none while something is still moving: the answer may depend on it.
        return () if state.in_flight else (asks[0],)
    return tuple(d for d in found if not isinstance(d, Ask))


def _step(state: RunState, step: Step, now: datetime) -> Iterator[Decision]:
    room = step.max_parallel or len(targets_of(step))
    room -= sum(1 for t in targets_of(step) if state.target(t).in_flight is not None)
    for target in targets_of(step):
        known = state.target(target)
        if known.outcome is not None or known.in_flight is not None:
            continue
        decision = decide_target(state, step, target, known, now)
        if isinstance(decision, Attempt):
            if room <= 0:
                continue
            room -= 1
        yield decision
