"""State is what the events say: ``fold(state, event) -> state``, and nothing else remembers anything.

Invariants, held by ``tests/unit/test_conduct.py`` and ``tests/properties``:

* An intent without an outcome in the journal of a dead process is *in doubt*, never failed (law 3).
* A target (a step on one host) that has an outcome gets a new one only because a person said "retry" or "run again".
* Folding a whole journal gives the same state as folding it event by event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from drctl.engine.state import BrokenGlass, ClockPoint, Override, RunState, SignedApproval, Target, TargetState
from drctl.model import events as ev
from drctl.model.events import Act, Outcome, Question, Reason
from drctl.model.plan import Approval, Step
from drctl.model.units import parse_instant
from drctl.model.words import Mark, Section


def fold_all(events: Iterable[ev.Event]) -> RunState:
    """The state after all these events."""
    state = RunState()
    event = None
    for event in events:
        state = _folded(state, event)
    return replace(state, run_id=event.run_id, last_at=event.at) if event is not None else state


def fold(state: RunState, event: ev.Event) -> RunState:
    """The state after one more event. Pure; it raises nothing on any sequence that drctl writes."""
    own = replace(state, targets=dict(state.targets), run_id=event.run_id, last_at=event.at)
    return _folded(own, event)


def _folded(state: RunState, event: ev.Event) -> RunState:
    """The state after one more event, made of one that nobody else has: its targets are changed in place.

    A copy of the targets for each event would make a long run take the square of its time.
    """
    match event.body:
        case ev.RunStarted() as body:
            return replace(
                state,
                plan=body.plan,
                plan_digest=body.plan_digest,
                operator=body.operator,
                operators=(body.operator,),
                operator_keys=body.operator_keys,
                controller=body.controller,
                pid=body.pid,
                reason=body.reason,
                way=body.way,
                exposure=body.exposure,
                started_at=event.at,
                clock={Mark.DECLARED: ClockPoint(at=event.at, source="the run was started")},
            )
        case ev.RunResumed() as body:
            return _resumed(state, body, event.at)
        case ev.AttemptStarted() as body:
            return _attempt_started(state, body, event.at)
        case ev.AttemptFinished() as body:
            return _attempt_finished(state, body, event.at)
        case ev.StepSkipped() as body:
            target = Target(body.step, body.host)
            known = state.target(target)
            skipped = replace(
                known,
                outcome=Outcome.SIMULATED if body.simulated else Outcome.SKIPPED,
                who=body.who,
                why=body.why,
                started_at=known.started_at or event.at,
            )
            return _over(state, state.the_plan.step(body.step), target, skipped, event.at)
        case ev.PersonAsked() as body:
            return replace(state, question=body, asked_at=event.at)
        case ev.PersonAnswered() as body:
            return _answered(state, body, event.at)
        case ev.ClockMarked() as body:
            return replace(state, clock={**state.clock, body.mark: ClockPoint(at=body.at, source=body.source)})
        case ev.ForecastMade() as body:
            return replace(state, forecast=body)
        case ev.ControllerNoted() | ev.ExerciseNoted() | ev.ClocksRead():
            return state  # the report reads them; nothing is decided by them
        case ev.StopRequested() as body:
            if body.how == "abort":  # it is more than a pause that still waits for what is under way
                return replace(state, stop=body, abort=body.by, pause=False)
            return replace(state, stop=body)
        case ev.MessengerFailed() as body:
            return replace(state, messengers_failed=(*state.messengers_failed, f"{body.messenger}: {body.detail}"))
        case ev.NotificationSent() as body:
            return replace(state, notifications=body.number)
        case ev.NotificationSettled():
            return state  # who was told changes nothing of the run
        case ev.RunEnded() as body:
            return replace(state, ended=body.ended, ended_why=body.why, ended_at=event.at)


def _with(state: RunState, target: Target, known: TargetState) -> RunState:
    cast("dict[Target, TargetState]", state.targets)[target] = known
    return state


def _resumed(state: RunState, body: ev.RunResumed, at: datetime) -> RunState:
    """Nobody is waiting for an answer any more, and what was in flight is in doubt."""
    dead_s = (at - _last_life_sign(state)).total_seconds()
    targets = {t: _after_a_death(state.the_plan.step(t.step), s) for t, s in state.targets.items()}
    return replace(
        state,
        targets=targets,
        operator=body.operator,
        operators=tuple(dict.fromkeys([*state.operators, body.operator])),
        operator_keys=tuple(dict.fromkeys([*state.operator_keys, *body.operator_keys])),
        controller=body.controller,
        pid=body.pid,
        resumed=state.resumed + 1,
        dead_s=state.dead_s + max(0.0, dead_s),
        question=None,
        asked_at=None,
        stop=None,
        pause=False,
        left_open=None,
        ended=None,
        ended_why="",
        ended_at=None,
    )


def _last_life_sign(state: RunState) -> datetime:
    known = [state.ended_at, state.asked_at, state.started_at, *(s.finished_at for s in state.targets.values())]
    known += [s.in_flight_since for s in state.targets.values()]
    return max(instant for instant in known if instant is not None)


def _after_a_death(step: Step, known: TargetState) -> TargetState:
    if known.in_flight in (Act.RUN, Act.SETTLE) and not step.read_only:
        return replace(known, in_flight=None, doubt=True, settled_in_vain=False, verified_in_vain=False)
    if known.outcome is None and known.doubt:
        return replace(known, in_flight=None, settled_in_vain=False, verified_in_vain=False)
    return replace(known, in_flight=None)  # read-only: it may simply be sent again


def _attempt_started(state: RunState, body: ev.AttemptStarted, at: datetime) -> RunState:
    target = Target(body.step, body.host)
    known = state.target(target)
    return _with(
        state,
        target,
        replace(
            known,
            attempts=body.attempt if body.act is Act.RUN else known.attempts,
            in_flight=body.act,
            in_flight_since=at,
            doubt=known.doubt and body.act is not Act.RUN,
            started_at=known.started_at or at,
            not_before=None,
        ),
    )


def _attempt_finished(state: RunState, body: ev.AttemptFinished, at: datetime) -> RunState:
    target = Target(body.step, body.host)
    step = state.the_plan.step(body.step)
    known = replace(state.target(target), in_flight=None)
    if body.act is Act.UNLESS:
        return _with(state, target, _unless_answered(known, body, at))
    known = replace(
        known,
        reason=body.reason,
        detail=body.detail,
        exit_code=body.exit_code,
        output=body.output or known.output,
        errors=body.errors or known.errors,
    )
    if body.act is Act.VERIFY:
        return _over(state, step, target, _verified(known, body), at)
    if body.captured:
        state = replace(state, values={**state.values, **body.captured})
    ended = _ran(step, known, body, at)
    left = state.abort or (state.fallen_back and state.the_plan.section_of(step.id) is Section.STEPS)
    if left and ended.outcome is None and body.outcome is Outcome.FAILED:
        ended = replace(ended, outcome=Outcome.FAILED, not_before=None)  # what is left for good is not tried again
    return _over(state, step, target, ended, at)


def _unless_answered(known: TargetState, body: ev.AttemptFinished, at: datetime) -> TargetState:
    if body.outcome is Outcome.SUCCEEDED or body.reason in (Reason.EXIT_CODE, Reason.EXPECTATION):
        return replace(known, done_already=body.outcome is Outcome.SUCCEEDED)
    return replace(known, outcome=Outcome.FAILED, reason=body.reason, detail=body.detail, finished_at=at)


def _verified(known: TargetState, body: ev.AttemptFinished) -> TargetState:
    if body.outcome is Outcome.SUCCEEDED:
        return replace(known, ran=True, doubt=False, outcome=Outcome.SUCCEEDED)
    if known.doubt:
        return replace(known, verified_in_vain=True)
    return replace(known, outcome=Outcome.FAILED)


def _ran(step: Step, known: TargetState, body: ev.AttemptFinished, at: datetime) -> TargetState:
    match body.outcome:
        case Outcome.SUCCEEDED:
            over = None if step.verify else Outcome.SUCCEEDED
            return replace(known, ran=True, doubt=False, outcome=over)
        case Outcome.IN_DOUBT:
            asked = body.act is Act.SETTLE or body.reason is Reason.REBOOTED
            return replace(known, doubt=True, settled_in_vain=asked)
        case Outcome.FAILED if known.attempts < step.retry.attempts + known.allowance and _may_retry(step, body):
            pause_s = min(step.retry.delay_s * step.retry.backoff ** max(0, known.attempts - 1), step.retry.max_delay_s)
            return replace(known, doubt=False, not_before=at + timedelta(seconds=pause_s))
        case _:
            return replace(known, doubt=False, outcome=body.outcome)


def _may_retry(step: Step, body: ev.AttemptFinished) -> bool:
    """A refusal does not get better by asking again, and an answer of a person is an answer.

    A command that changed something and only printed what it had not promised has succeeded: not a second time.
    """
    if body.reason is Reason.CAPTURE and not step.read_only:
        return False
    return body.reason not in (Reason.REFUSED, Reason.HELD, Reason.DECLINED, Reason.NOBODY, Reason.ABORTED)


def _over(state: RunState, step: Step, target: Target, known: TargetState, at: datetime) -> RunState:
    """Note the end of a target, and what the end of its whole step says about the clocks."""
    if known.outcome is None:
        return _with(state, target, known)
    state = _with(state, target, replace(known, finished_at=at))
    if state.holds(step):
        state = _clock_points(state, step, at)
    return state


def _clock_points(state: RunState, step: Step, at: datetime) -> RunState:
    if step.mark is not None and step.mark not in _given(state):
        captured = state.values.get(step.mark_value) if step.mark_value else at.isoformat()
        if captured is not None:
            point = ClockPoint(at=parse_instant(captured), source=f"step {step.id}")
            state = replace(state, clock={**state.clock, step.mark: point})
            if step.mark is Mark.SERVICE_RESTORED and state.the_plan.section_of(step.id) is Section.STEPS:
                state = replace(state, fallen_back="")  # it came about while the run was being left: nothing to leave
    for kind, name in (("recovery_point", step.recovery_point), ("last_write", step.last_write)):
        if name is not None and name in state.values:
            point = ClockPoint(at=parse_instant(state.values[name]), source=f"step {step.id}")
            state = replace(state, recovery={**state.recovery, kind: point})
    return state


def _at_the_deadline(state: RunState, answer: str, body: ev.PersonAnswered, at: datetime) -> RunState:
    who = body.who or "the runbook"
    why = f"{who}: the deadline has come {body.why}".rstrip()
    if answer == "abort":
        return replace(state, abort=why)
    if answer != "fallback" or Mark.SERVICE_RESTORED in state.clock:
        return replace(state, deadline_answer=answer)
    # What waited for its next attempt will not be tried again.
    over = {
        target: replace(known, outcome=Outcome.FAILED, not_before=None, finished_at=known.finished_at or at)
        for target, known in state.targets.items()
        if known.not_before is not None and known.outcome is None and known.in_flight is None
    }
    return replace(state, targets={**state.targets, **over}, deadline_answer=answer, fallen_back=why)


def _given(state: RunState) -> set[Mark]:
    """Points that a step may not move: what a person gave wins, but for the automatic "declared"."""
    return {mark for mark, point in state.clock.items() if point.source.startswith("given")}


def _answered(state: RunState, body: ev.PersonAnswered, at: datetime) -> RunState:
    waited_s = (at - state.asked_at).total_seconds() if state.asked_at else 0.0
    question = state.question
    state = replace(
        state,
        question=None,
        asked_at=None,
        waited_for_people_s=state.waited_for_people_s + max(0.0, waited_s),
    )
    target = Target(body.step, body.host)
    known = state.target(target)
    over = replace(known, who=body.who, why=body.why, started_at=known.started_at or at, finished_at=at)
    match body.question, body.answer:
        case _, "pause":
            return replace(state, pause=True, left_open=question)
        case _, "overtaken":
            return state  # nothing was decided: the deadline's own question takes its place
        case Question.DEADLINE, answer:
            return _at_the_deadline(state, answer, body, at)
        case _, "abort":
            if not body.who:
                return replace(state, given_up=True)
            if body.question is Question.FAILED:
                state = _with(state, target, replace(over, outcome=Outcome.FAILED))
            return replace(state, abort=f"{body.who}: {body.why}".rstrip(": "))
        case Question.FAILED, "fallback":
            return replace(state, fallen_back=f"{body.who or 'the runbook'}: {body.step} failed {body.why}".strip())
        case Question.FAILED, "rollback":
            return replace(state, rolling_back=f"{body.who or 'the runbook'}: {body.step} failed {body.why}".strip())
        case Question.APPROVAL, "approve" | "refused":
            return _signed(state, body, target, over, at)
        case Question.APPROVAL, "break_glass":
            broken = BrokenGlass(step=body.step, who=body.who, why=body.why, at=at)
            state = replace(state, broken_glass=(*state.broken_glass, broken))
            return _over(state, state.the_plan.step(body.step), target, replace(over, outcome=Outcome.SUCCEEDED), at)
        case (Question.APPROVAL, "yes") | (Question.MANUAL, "done"):
            step = state.the_plan.step(body.step)
            return _over(state, step, target, replace(over, outcome=Outcome.SUCCEEDED), at)
        case Question.APPROVAL, _:
            state = replace(state, abort=f"{body.who} declined {body.step}: {body.why}".rstrip(": "))
            return _with(state, target, replace(over, outcome=Outcome.FAILED, reason=Reason.DECLINED))
        case Question.MANUAL, "failed":
            return _with(state, target, replace(over, outcome=Outcome.FAILED, detail=f"{body.who}: {body.why}"))
        case Question.OVERRIDE, "override":
            fact = state.the_plan.step(body.step).requires or ""
            return replace(state, overrides=(*state.overrides, Override(fact=fact, who=body.who, why=body.why)))
        case Question.FAILED, "skip":
            return _with(state, target, replace(over, outcome=Outcome.SKIPPED))
        case Question.IN_DOUBT, "succeeded":
            step = state.the_plan.step(body.step)
            return _over(state, step, target, replace(over, outcome=Outcome.SUCCEEDED, doubt=False), at)
        case Question.FAILED, "retry" if known.ran:
            # It did run; only its verify failed. Running it again unasked would be twice: look again first.
            again = replace(known, outcome=None, ran=False, doubt=True, settled_in_vain=True, verified_in_vain=False)
            return _with(state, target, again)
        case (Question.FAILED, "retry") | (Question.IN_DOUBT, "run_again"):
            again = TargetState(attempts=known.attempts, allowance=known.attempts, started_at=known.started_at)
            return _with(state, target, again)
        case _:
            return state


def _signed(state: RunState, body: ev.PersonAnswered, target: Target, over: TargetState, at: datetime) -> RunState:
    """One more signature. The step is over when there are enough of them."""
    given = SignedApproval(
        step=body.step,
        who=body.who,
        why=body.why,
        fingerprint=body.fingerprint,
        signature=body.signature,
        refused=body.why if body.answer == "refused" else "",
    )
    state = replace(state, approvals=(*state.approvals, given))
    step = state.the_plan.step(body.step)
    wanted = step.action.minimum if isinstance(step.action, Approval) else 0
    approvers = state.approvers(body.step)
    if len(approvers) < wanted:
        return state
    return _over(state, step, target, replace(over, outcome=Outcome.SUCCEEDED, who=", ".join(approvers)), at)
