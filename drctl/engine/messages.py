"""What people are told of a run, and when: read from the run's events. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from drctl.engine.deadline import deadline
from drctl.engine.objectives import rto
from drctl.engine.state import RunState, Target, tolerated
from drctl.model import events as ev
from drctl.model.events import Event, Outcome, Question
from drctl.model.messages import Moment
from drctl.model.plan import Mode
from drctl.model.units import format_duration, local_time
from drctl.model.words import Mark

NOTICE_S = 1800.0
"""How long before a deadline people are told that it comes, a quarter of the RTO at the most."""

_SAID_YES_OR_NO = ("yes", "no", "approve", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that people are told. ``head`` covers the ``events`` that were written by then."""

    moment: Moment
    title: str
    text: str
    run_id: str
    service: str
    mode: str
    events: int
    head: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A moment after which it is too late for something, and when people are told that it comes."""

    told_at: datetime
    late_at: datetime
    what: str


def moments(before: RunState, event: Event, after: RunState) -> Iterator[tuple[Moment, str]]:
    """What this event is to people, each with its sentence."""
    match event.body:
        case ev.RunStarted() as body:
            yield Moment.STARTED, f"started by {body.operator} on {body.controller}: {body.reason or 'no reason given'}"
        case ev.RunResumed() as body:
            yield Moment.STARTED, f"resumed by {body.operator} on {body.controller}"
        case ev.PersonAsked() as body:
            asked = Moment.APPROVAL_ASKED if body.question is Question.APPROVAL else Moment.PERSON_NEEDED
            yield asked, f"{body.step or 'the run'} waits for a person: {body.prompt}"
        case ev.PersonAnswered() as body:
            yield from _answered(body, after)
        case ev.RunEnded() as body:
            yield Moment.ENDED, f"{body.ended.value}{f': {body.why}' if body.why else ''}"
        case _:
            pass
    if isinstance(event.body, ev.AttemptFinished | ev.PersonAnswered):
        yield from _failed(Target(event.body.step, event.body.host), before, after)
    if Mark.SERVICE_RESTORED in after.clock and Mark.SERVICE_RESTORED not in before.clock:
        yield Moment.SERVICE_RESTORED, f"the service is restored ({after.clock[Mark.SERVICE_RESTORED].source})"


def _answered(body: ev.PersonAnswered, after: RunState) -> Iterator[tuple[Moment, str]]:
    who = body.who or "nobody: a flag given beforehand"
    if body.question is Question.APPROVAL and body.answer == "break_glass":
        yield Moment.GLASS_BROKEN, f"ALERT: {body.step} was NOT APPROVED; {who} broke the glass: {body.why}"
    elif body.question is Question.APPROVAL and body.answer in _SAID_YES_OR_NO:
        said = {"yes": "approved", "approve": "approved", "no": "declined", "refused": "did not count"}[body.answer]
        yield Moment.APPROVAL_GIVEN, f"{body.step} {said}, by {who}: {body.why}"
    elif body.question is Question.OVERRIDE and body.answer == "override":
        fact = after.the_plan.step(body.step).requires
        yield Moment.FACT_OVERRIDDEN, f"ALERT: {fact} was NOT PROVED; {who} vouched for it: {body.why}"


def _failed(target: Target, before: RunState, after: RunState) -> Iterator[tuple[Moment, str]]:
    if not target.step or after.target(target).outcome is not Outcome.FAILED:
        return
    known = after.target(target)
    if before.target(target).outcome is not Outcome.FAILED and not tolerated(after.the_plan.step(target.step), known):
        where = f" on {target.host}" if target.host else ""
        yield Moment.STEP_FAILED, f"{target.step}{where} failed: {known.detail or known.reason or 'see the report'}"


def message(moment: Moment, sentence: str, event: Event, state: RunState, *, now: datetime) -> Message:
    """The message, a drill's with that word first. ``event`` is the last one that was written."""
    plan = state.the_plan
    prefix = "" if state.mode is Mode.REAL else f"{state.mode.value.upper()}: "
    title = f"{prefix}{plan.runbook} of {plan.service}: {moment.value.replace('_', ' ')}"
    lines = [
        f"{prefix}{plan.runbook} of {plan.service} ({plan.service_title})",
        sentence,
        *_clock(state, now),
        *_next(moment, event, state),
        f"run {state.run_id}",
        f"head {event.sequence} {event.sha256}",
    ]
    return Message(
        moment=moment,
        title=title,
        text="\n".join(lines),
        run_id=state.run_id,
        service=plan.service,
        mode=state.mode.value,
        events=event.sequence,
        head=event.sha256,
    )


def _clock(state: RunState, now: datetime) -> Iterator[str]:
    found = rto(state, now)
    if found.actual_s is None:
        yield "RTO not measured: the start of the outage is not known"
    else:
        target = f" of {format_duration(found.target_s)}" if found.target_s is not None else ""
        yield f"RTO {format_duration(found.actual_s)}{target}: {found.verdict.value}"


def _next(moment: Moment, event: Event, state: RunState) -> Iterator[str]:
    match moment:
        case Moment.APPROVAL_ASKED if isinstance(event.body, ev.PersonAsked):
            key = " --key ~/.ssh/id_ed25519" if state.the_plan.allowed_signers else ""
            yield f'next: drctl approve {event.body.step} {state.run_id} --reason "…"{key}'
        case Moment.PERSON_NEEDED | Moment.STEP_FAILED | Moment.DEADLINE_NEAR:
            yield f"next: drctl watch {state.run_id}"
        case Moment.ENDED:
            resumed = state.ended is ev.Ended.PAUSED
            yield f"next: drctl {'resume' if resumed else 'report'} {state.run_id}"
        case _:
            pass


def near(state: RunState) -> Near | None:
    """The next deadline that people can still do something about; None when there is none."""
    started, rto_s = state.clock.get(Mark.OUTAGE_STARTED), state.the_plan.objectives.rto_s
    over = Mark.SERVICE_RESTORED in state.clock or state.ended is not None
    if started is None or rto_s is None or over or state.mode not in (Mode.DRILL, Mode.REAL):
        return None
    notice = timedelta(seconds=min(NOTICE_S, rto_s / 4))
    zone = state.the_plan.timezone
    leave = deadline(state)
    if leave is not None and not state.deadline_answer:
        what = f"the last moment to leave for {leave.fallback} and keep the RTO is {local_time(leave.at, zone)}"
        return Near(told_at=leave.at - notice, late_at=leave.at, what=what)
    ends_at = started.at + timedelta(seconds=rto_s)
    return Near(told_at=ends_at - notice, late_at=ends_at, what=f"the RTO ends at {local_time(ends_at, zone)}")
