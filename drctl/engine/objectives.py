"""RTO and RPO as read from a run's clock points. Never guessed: without an instant an objective is not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from drctl.engine import rounds
from drctl.engine.state import RunState, targets_of
from drctl.model.events import Outcome
from drctl.model.plan import Stage, Step
from drctl.model.words import Mark, Section
from drctl.plan.preparation import begins_the_outage


class Verdict(StrEnum):
    """How an objective stands."""

    MET = "met"
    MISSED = "missed"
    RUNNING = "running"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An objective: its target and the actual in seconds, and in words what they were measured from."""

    target_s: float | None
    actual_s: float | None
    verdict: Verdict
    basis: str

    @property
    def left_s(self) -> float | None:
        """Seconds until the objective is missed; negative afterwards."""
        if self.target_s is None or self.actual_s is None:
            return None
        return self.target_s - self.actual_s


def rto(state: RunState, now: datetime) -> Reading:
    """From the start of the outage to the client's service restored; while it runs, to ``now``."""
    target_s = state.the_plan.objectives.rto_s
    started = state.clock.get(Mark.OUTAGE_STARTED)
    restored = state.clock.get(Mark.SERVICE_RESTORED)
    if started is None:
        own = begins_with(state)
        basis = "the start of the outage is not known: give it with --outage-started"
        basis = f"the outage begins with step {own.id}" if own is not None else basis
        return Reading(target_s=target_s, actual_s=None, verdict=Verdict.NOT_MEASURED, basis=basis)
    if restored is not None and restored.at < started.at:
        basis = f"the clocks do not agree: restored ({restored.source}) before it started ({started.source})"
        return Reading(target_s=target_s, actual_s=None, verdict=Verdict.NOT_MEASURED, basis=basis)
    until = restored.at if restored else min(now, state.ended_at or now)
    actual_s = max(0.0, (until - started.at).total_seconds())
    if target_s is not None and actual_s > target_s:
        verdict = Verdict.MISSED
    elif restored is not None:
        verdict = Verdict.MET if target_s is not None else Verdict.NOT_MEASURED
    else:
        verdict = Verdict.RUNNING if state.ended is None else Verdict.NOT_MEASURED
    basis = f"outage started: {started.source}; restored: {restored.source if restored else 'not yet'}"
    return Reading(target_s=target_s, actual_s=actual_s, verdict=verdict, basis=basis)


def begins_with(state: RunState) -> Step | None:
    """The step with which this run begins the outage itself; None when the outage is one that was found."""
    return next((step for step in state.the_plan.steps() if begins_the_outage(step)), None)


def rpo(state: RunState) -> Reading:
    """From the last write that a client was told had succeeded to the point that the data was recovered to.

    Without a record of acknowledged writes the start of the outage stands in for it, which can only overstate the
    loss. A recovery point after the last acknowledged write is no loss.
    """
    target_s = state.the_plan.objectives.rpo_s
    point = state.recovery.get("recovery_point")
    last = state.recovery.get("last_write") or state.clock.get(Mark.OUTAGE_STARTED)
    if point is None or last is None:
        missing = "the recovery point" if point is None else "neither the last write nor the start of the outage"
        verb = "is not measured" if point is None else "is known"
        basis = f"{missing} {verb}"
        return Reading(target_s=target_s, actual_s=None, verdict=Verdict.NOT_MEASURED, basis=basis)
    lost_s = max(0.0, (last.at - point.at).total_seconds())
    basis = f"last write: {last.source}; recovered to: {point.source}"
    if target_s is None:
        return Reading(target_s=None, actual_s=lost_s, verdict=Verdict.NOT_MEASURED, basis=basis)
    verdict = Verdict.MET if lost_s <= target_s else Verdict.MISSED
    return Reading(target_s=target_s, actual_s=lost_s, verdict=verdict, basis=basis)


def usual_time_left_s(state: RunState, now: datetime, *, until: Mark | None = None) -> float:
    """Seconds that what is not done yet usually takes, from the run's forecast, else the runbook's ``expected``.

    A step in flight counts for what is left of its own; one without ``expected`` counts for nothing. With ``until``
    the sum ends at the step that sets that mark, so that the forecast of the RTO leaves the clean-up out.
    """
    total_s = 0.0
    left_out = {Section.STEPS if state.fallen_back else Section.FALLBACK}
    left_out |= {Section.ALWAYS} if until is not None else set()
    left_out |= set() if state.rolling_back else {Section.ROLLBACK}
    usual_s = _usual_s(state, now)
    for stage in state.the_plan.stages:
        if stage.section in left_out:
            continue
        total_s += _stage_left_s(state, stage, now, usual_s)
        if until is not None and any(s.mark is until for s in stage.steps):
            break
    return total_s


def _usual_s(state: RunState, now: datetime) -> dict[str, float]:
    """What each step usually takes, as far as that is known."""
    said = {step.id: step.expected_s for step in state.the_plan.steps() if step.expected_s is not None}
    made = state.forecast.steps if state.forecast is not None else ()
    said |= {known.step: known.estimate.usual_s for known in made}
    there = rounds.entered(state, now)  # a later attempt of a call only comes when the one before it was given up
    coming = (step for step in state.the_plan.steps() if not rounds.is_spare(step, there))
    return {step.id: said[step.id] for step in coming if step.id in said}


def _stage_left_s(state: RunState, stage: Stage, now: datetime, usual_s: Mapping[str, float]) -> float:
    lefts = [0.0]
    for step in stage.steps:
        if step.id not in usual_s:
            continue
        for target in targets_of(step):
            known = state.target(target)
            if known.outcome is not None:
                continue
            spent = (now - known.started_at).total_seconds() if known.started_at else 0.0
            lefts.append(max(0.0, usual_s[step.id] - spent))
    return max(lefts)


def forecast_rto_s(state: RunState, now: datetime) -> float | None:
    """Seconds from the start of the outage to the moment when the service is usually restored, seen from now."""
    started = state.clock.get(Mark.OUTAGE_STARTED)
    if started is None or Mark.SERVICE_RESTORED in state.clock:
        return None
    return (now - started.at).total_seconds() + usual_time_left_s(state, now, until=Mark.SERVICE_RESTORED)


def entered(state: RunState, section: Section) -> bool:
    """Whether the run goes through a section: the fallback and the undos are for when they are needed."""
    return bool({Section.FALLBACK: state.fallen_back, Section.ROLLBACK: state.rolling_back}.get(section, True))


def entered_steps(state: RunState) -> tuple[Step, ...]:
    """The steps of the sections and of the attempts that the run goes through."""
    there = rounds.begun(state)
    placed = [(stage.section, s) for stage in state.the_plan.stages for s in stage.steps]
    return tuple(s for section, s in placed if entered(state, section) and not rounds.is_spare(s, there))


def steps_done(state: RunState) -> tuple[int, int]:
    """How many steps are over, and how many there are; a fallback, undos and attempts count when they are entered."""
    steps = entered_steps(state)
    return sum(1 for s in steps if state.step_outcome(s) is not None), len(steps)


def failures(state: RunState) -> tuple[str, ...]:
    """The ids of the steps with a failed outcome, tolerated or not."""
    return tuple(s.id for s in state.the_plan.steps() if state.step_outcome(s) is Outcome.FAILED)
