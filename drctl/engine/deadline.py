"""The last moment at which to leave the runbook for its fallback, and still be inside the RTO.

It is the start of the outage + the RTO - what the fallback takes until the service is restored (in nine of ten cases)
- the margin that the runbook keeps free. Without the start of the outage there is none: clocks are never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from drctl.engine.state import RunState, Target, targets_of
from drctl.model.events import Estimate, PersonAsked, Question
from drctl.model.plan import Mode, Step
from drctl.model.promises import DeadlineAction, DeadlineRule
from drctl.model.units import format_duration, local_time
from drctl.model.words import Mark, Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When it is, and what it is made of. ``ends_at`` is when the RTO is over."""

    at: datetime
    ends_at: datetime
    fallback: str  # the runbook
    takes: Estimate
    rule: DeadlineRule


def deadline(state: RunState) -> Deadline | None:
    """The deadline of a run that could still leave for its fallback; None when there is none, or nothing to leave."""
    if Mark.SERVICE_RESTORED in state.clock or state.fallen_back or state.rolling_back or _past_return(state):
        return None
    return worked_out(state)


def _past_return(state: RunState) -> bool:
    """Whether the step has succeeded after which the runbook is not left: a promoted standby is not restored over."""
    rule = state.plan.deadline if state.plan is not None else None
    return rule is not None and bool(rule.until) and state.holds(state.the_plan.step(rule.until))


def worked_out(state: RunState) -> Deadline | None:
    """The same, whatever became of the run since; None when the start of the outage or the fallback is not known."""
    plan, made = state.plan, state.forecast
    if plan is None or made is None or made.fallback is None or state.mode not in (Mode.DRILL, Mode.REAL):
        return None
    started, rto_s = state.clock.get(Mark.OUTAGE_STARTED), plan.objectives.rto_s
    if started is None or rto_s is None:
        return None
    rule = plan.deadline or DeadlineRule()
    ends_at = started.at + timedelta(seconds=rto_s)
    return Deadline(
        at=ends_at - timedelta(seconds=made.fallback.careful_s + rule.margin_s),
        ends_at=ends_at,
        fallback=plan.steps(Section.FALLBACK)[0].id.partition("/")[0],
        takes=made.fallback,
        rule=rule,
    )


def has_come(state: RunState, now: datetime) -> Deadline | None:
    """The deadline when it is over and nobody has decided yet."""
    found = deadline(state)
    return found if found is not None and now >= found.at and not state.deadline_answer else None


def must_be_settled(state: RunState) -> tuple[Target, ...]:
    """What is under way and may not be broken off: a promotion is let come to its end, and its end is known first."""
    return tuple(
        target
        for step, target in _of_steps(state)
        if not (step.read_only or step.idempotent) and _under_way(state, target)
    )


def to_be_ended(state: RunState) -> tuple[Target, ...]:
    """What the run left under way when it left for the fallback.

    An idempotent step whose end cannot be made certain stays in doubt, and does not hold the fallback up: it promises
    that half of it does no harm. Once the fallback has begun there is nothing more to end.
    """
    known = [(target, state.target(target)) for _, target in _of_steps(state)]
    begun = {step.id for step in state.the_plan.steps(Section.FALLBACK)}
    if any(target.step in begun for target in state.targets):
        return ()
    return tuple(
        target
        for target, found in known
        if found.in_flight is not None or (found.outcome is None and found.doubt and not found.settled_in_vain)
    )


def question(state: RunState, found: Deadline, now: datetime) -> PersonAsked:
    """What the person is asked when it has come, with the facts."""
    zone = state.the_plan.timezone
    rto_s = state.the_plan.objectives.rto_s or 0.0
    late_s = (now - found.at).total_seconds()
    late = f", {format_duration(late_s)} ago," if late_s >= 60 else ""
    margin = f", and {format_duration(found.rule.margin_s)} are kept free" if found.rule.margin_s else ""
    answers = ("fallback", "continue", "pause", "abort")
    return PersonAsked(
        question=Question.DEADLINE,
        step="",
        prompt=f"{local_time(found.at, zone)}{late} was the last moment to leave for {found.fallback} and keep the RTO",
        facts=(
            f"the RTO of {format_duration(rto_s)} ends at {local_time(found.ends_at, zone)}",
            f"{found.fallback} takes {format_duration(found.takes.careful_s)} ({found.takes.basis}){margin}",
            *_open_steps(state, now),
        ),
        answers=answers,
        unattended=found.rule.action.value,
    )


def sentence(found: Deadline, timezone: str) -> str:
    """``at 2026-11-23 05:10:00 SAST you must switch: restore takes 1h 50m (p90 of 6 runs)``."""
    return (
        f"at {local_time(found.at, timezone)} you must switch: {found.fallback} takes "
        f"{format_duration(found.takes.careful_s)} ({found.takes.basis})"
    )


def unattended(rule: DeadlineRule) -> str:
    """What is done then when nobody is there."""
    return {
        DeadlineAction.FALLBACK: "leave for the fallback",
        DeadlineAction.CONTINUE: "go on",
        DeadlineAction.PAUSE: "pause",
        DeadlineAction.ABORT: "abort",
    }[rule.action]


def _open_steps(state: RunState, now: datetime) -> list[str]:
    """What is under way, since when, and what becomes of it."""
    said = []
    for step, target in _of_steps(state):
        known = state.target(target)
        if known.in_flight is None or known.in_flight_since is None:
            continue
        where = f" on {target.host}" if target.host else ""
        since = format_duration((now - known.in_flight_since).total_seconds())
        fate = "it is ended before the fallback begins" if not step.read_only else "it only reads"
        said.append(f"under way: {step.id}{where}, for {since} of at most {format_duration(step.timeout_s)}; {fate}")
    return said or ["nothing is under way"]


def _of_steps(state: RunState) -> list[tuple[Step, Target]]:
    return [(step, target) for step in state.the_plan.steps(Section.STEPS) for target in targets_of(step)]


def _under_way(state: RunState, target: Target) -> bool:
    """Sent, and its end, its verify included, is not known yet."""
    known = state.target(target)
    return known.outcome is None and (known.in_flight is not None or known.doubt or known.ran)
