"""What an auditor looks for in a run: proofs, what was not as planned, people's decisions, and the run's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from drctl.engine import deadline as deadlines
from drctl.engine import rounds
from drctl.engine.approvals import Statement, parse
from drctl.engine.objectives import Verdict, entered_steps
from drctl.engine.state import RunState, Target, targets_of, tolerated
from drctl.model import events as ev
from drctl.model.events import Ended, Event, Outcome, Question, Reason
from drctl.model.messages import Fate
from drctl.model.plan import Mode
from drctl.model.units import format_duration, local_time
from drctl.model.words import Mark, Section
from drctl.report import verdict
from drctl.report.facts import DeadlineRow, Decision, Deviation, ForecastRow, Objective, Proof, StepRow, Unprotected
from drctl.report.told import MessageRow


def decisions(events: Sequence[Event], state: RunState) -> tuple[Decision, ...]:
    """Every answer in order, with how long it was waited for."""
    found = []
    asked: tuple[datetime, ev.PersonAsked] | None = None
    for event in events:
        if isinstance(event.body, ev.PersonAsked):
            asked = (event.at, event.body)
        elif isinstance(event.body, ev.PersonAnswered):
            body = event.body
            fact = (state.the_plan.step(body.step).requires or "") if body.question is Question.OVERRIDE else ""
            signed = _signed(body)
            found.append(
                Decision(
                    at=event.at,
                    question=body.question,
                    step=body.step,
                    host=body.host,
                    prompt=asked[1].prompt if asked else "",
                    answer=body.answer,
                    who=body.who,
                    why=body.why,
                    waited_s=max(0.0, (event.at - asked[0]).total_seconds()) if asked else 0.0,
                    fact=fact,
                    fingerprint=body.fingerprint,
                    signed_at=signed.issued if signed else None,
                    signed_plan=signed.plan if signed else "",
                    signature_verified=bool(body.signature) and body.answer == "approve",
                )
            )
            asked = None
    return tuple(found)


def _signed(body: ev.PersonAnswered) -> Statement | None:
    """What was signed; None when nothing was, or it was no approval's statement."""
    try:
        return parse(body.statement) if body.statement else None
    except ValueError:
        return None


def proofs(state: RunState) -> tuple[Proof, ...]:
    """Each fact that a step proves or requires, of the sections that the run goes through."""
    steps = entered_steps(state)
    facts = dict.fromkeys(f for s in steps for f in (s.proves, s.requires) if f)
    found = []
    for fact in facts:
        vouched = next((o for o in state.overrides if o.fact == fact), None)
        found.append(
            Proof(
                fact=fact,
                proved_by=tuple(s.id for s in steps if s.proves == fact and state.holds(s)),
                overridden_by=(vouched.who or "nobody: a flag given beforehand") if vouched else "",
                overridden_why=vouched.why if vouched else "",
                required_by=tuple(s.id for s in steps if s.requires == fact),
            )
        )
    return tuple(found)


def forecast(state: RunState) -> ForecastRow | None:
    """What was expected of the run when it began; None when nothing was written down."""
    made = state.forecast
    if made is None:
        return None
    fallback = made.fallback
    return ForecastRow(
        restored_s=made.restored.usual_s,
        restored_basis=made.restored.basis,
        fallback_s=fallback.careful_s if fallback is not None else None,
        fallback_basis=fallback.basis if fallback is not None else None,
    )


def deadline(state: RunState, now: datetime) -> DeadlineRow | None:
    """The last moment to leave for the fallback, whether or not it came to that."""
    found = deadlines.worked_out(state)
    if found is None:
        return None
    zone = state.the_plan.timezone
    return DeadlineRow(
        at=found.at,
        local=local_time(found.at, zone),
        fallback=found.fallback,
        takes_s=found.takes.careful_s,
        basis=found.takes.basis,
        margin_s=found.rule.margin_s,
        action=found.rule.action.value,
        answer=state.deadline_answer,
        text=verdict.deadline_line(state, now),
    )


def unprotected(state: RunState, now: datetime) -> Unprotected | None:
    """From the moment when the service was restored to the moment when it had a second copy again."""
    restored = state.clock.get(Mark.SERVICE_RESTORED)
    if restored is None or state.mode is not Mode.REAL:
        return None
    again = state.clock.get(Mark.PROTECTED)
    until = again.at if again else None
    duration_s = max(0.0, ((until or now) - restored.at).total_seconds())
    return Unprotected(since=restored.at, until=until, duration_s=duration_s)


def deviations(
    events: Sequence[Event], state: RunState, steps: Sequence[StepRow], *, rto: Objective, rpo: Objective
) -> tuple[Deviation, ...]:
    """Everything that was not as planned, in the order of the plan, then of the run."""
    return (*_objectives(rto, rpo), *_of_steps(state, steps), *_of_run(events, state))


def _objectives(rto: Objective, rpo: Objective) -> Iterator[Deviation]:
    for name, objective in (("RTO", rto), ("RPO", rpo)):
        if objective.verdict is Verdict.MISSED and objective.actual_s is not None and objective.target_s is not None:
            text = f"the {name} was missed: {format_duration(objective.actual_s)} against a target of "
            yield _deviation("objective_missed", text + format_duration(objective.target_s))


def _of_steps(state: RunState, steps: Sequence[StepRow]) -> Iterator[Deviation]:
    for row in steps:
        step = state.the_plan.step(row.id)
        for host in row.hosts:
            target = Target(row.id, host.host)
            known = state.target(target)
            if known.outcome is Outcome.FAILED:
                kind = "failed_but_tolerated" if tolerated(step, known) else "failed"
                yield _deviation(kind, known.detail or str(known.reason or "failed"), target)
            if host.outcome is Outcome.IN_DOUBT:
                yield _deviation("in_doubt", known.detail or "nobody knows whether it was done", target)
            if known.outcome is Outcome.SKIPPED and known.who not in ("", "drctl"):
                yield _deviation("skipped_by_person", f"{known.who}: {known.why}", target)
            if known.outcome is Outcome.SUCCEEDED and host.runs > 1:
                yield _deviation("retried", f"it took {host.runs} attempts", target)
            if host.slower_than_expected and host.duration_s is not None and row.expected_s is not None:
                late = host.duration_s > _worst_case_s(row, state)
                text = f"{format_duration(host.duration_s)} against a usual {format_duration(row.expected_s)}"
                yield _deviation("slower_than_worst_case" if late else "slower_than_expected", text, target)


def _worst_case_s(row: StepRow, state: RunState) -> float:
    """Seconds of all the attempts that a step may have, their pauses and its verify."""
    step = state.the_plan.step(row.id)
    pauses_s = (step.retry.attempts - 1) * step.retry.max_delay_s
    return step.timeout_s * step.retry.attempts + pauses_s + (step.verify.within_s if step.verify else 0.0)


def _of_run(events: Sequence[Event], state: RunState) -> Iterator[Deviation]:
    for override in state.overrides:
        who = override.who or "nobody"
        yield _deviation("override", f"{override.fact} was not proved; {who} vouched for it: {override.why}")
    for broken in state.broken_glass:
        text = f"nobody approved it; {broken.who or 'nobody'} broke the glass: {broken.why}"
        yield _deviation("break_glass", text, Target(broken.step, ""))
    for given in state.approvals:
        if given.refused:
            text = f"an approval of {given.who or 'nobody who may'} did not count: {given.refused}"
            yield _deviation("approval_refused", text, Target(given.step, ""))
    before = events[0]
    for event in events[1:]:
        back_s = (before.at - event.at).total_seconds()
        if back_s > 0:
            text = f"the clock went back by {format_duration(back_s)} before event {event.sequence}; times before and "
            yield _deviation("clock_jumped", f"{text}after it cannot be compared, durations of attempts can")
        match event.body:
            case ev.RunResumed() as body:
                gap = format_duration(max(0.0, -back_s))
                yield _deviation("resumed", f"resumed by {body.operator} at {body.controller} after {gap}")
            case ev.StopRequested() as body:
                yield _deviation("stopped", f"{body.how} by {body.by}")
            case ev.MessengerFailed() as body:
                yield _deviation("messenger_failed", f"{body.messenger}: {body.detail}")
            case ev.PersonAnswered() as body if not body.who:
                text = f"nobody was there to decide ({body.question}): taken as {body.answer}"
                yield _deviation("nobody_decided", text, Target(body.step, body.host))
            case _:
                pass
        before = event


def not_told(messages: Sequence[MessageRow]) -> Iterator[Deviation]:
    """Messages that are not known to have arrived."""
    for row in messages:
        if row.fate is not Fate.DELIVERED and row.settled_at is not None:
            text = f"{row.notifier} was not told of {row.moment.value}, as far as is known ({row.fate.value})"
            yield _deviation("not_told", f"{text}: {row.detail}")


def _deviation(kind: str, text: str, target: Target | None = None) -> Deviation:
    step, host = target or ("", "")
    return Deviation(kind=kind, step=step, host=host, text=text)


_BY_MODE = {
    Mode.PLAN: "PLAN: nothing was connected to; every step was only rendered. It is no exercise.",
    Mode.CHECK: "CHECK: only read-only steps ran; the others were simulated. It is no exercise.",
    Mode.DRILL: "DRILL: the steps ran on drill targets; what production would have done was not measured.",
}


def limits(state: RunState, *, rto: Objective, rpo: Objective, clocks_read: bool) -> tuple[str, ...]:
    """What this run does not show."""
    steps = state.the_plan.steps()
    said = [_BY_MODE[state.mode]] if state.mode in _BY_MODE else []
    simulated = [s.id for s in steps if state.step_outcome(s) is Outcome.SIMULATED]
    if simulated:
        said.append(f"simulated, never counted as done: {', '.join(simulated)}")
    begun = {t.step for t in state.targets}
    # A way that was not taken is no gap, and naming its steps would hide one.
    ways = ((Section.FALLBACK, state.fallen_back), (Section.ROLLBACK, state.rolling_back))
    left_aside = {s.id for section, taken in ways if not taken for s in state.the_plan.steps(section)}
    there = rounds.begun(state)
    spare = [s for s in steps if rounds.is_spare(s, there) and s.id not in left_aside]
    left_aside |= {s.id for s in spare}
    untouched = [s.id for s in steps if s.id not in begun and s.id not in left_aside]
    if untouched and state.ended is not None:
        said.append(f"not begun: {', '.join(untouched)}")
    for section, taken in ways:
        count = len(state.the_plan.steps(section))
        if count and not taken and state.ended is not None:
            said.append(f"the {section.value} was not entered, so this run shows nothing of its {count} steps")
    if state.ended is not None:
        said += [f"{call} had {count} more attempts, not made" for call, count in rounds.spare(spare, there).items()]
    for name, objective in (("RTO", rto), ("RPO", rpo)):
        if objective.verdict is Verdict.NOT_MEASURED:
            said.append(f"the {name} was not measured: {objective.basis or 'there is no target'}")
    if rpo.actual_s is not None and "last_write" not in state.recovery:
        said.append("no record of acknowledged writes: the start of the outage stands in, which overstates the loss")
    lost = [
        t for s in steps for t in targets_of(s)
        if state.target(t).reason is Reason.UNREACHABLE and state.target(t).outcome is Outcome.FAILED
    ]  # fmt: skip
    if lost:
        said.append(f"out of reach, so nothing is known of: {', '.join(dict.fromkeys(t.host for t in lost))}")
    if any(s.sensitive for s in steps):
        said.append("the output of sensitive steps is withheld here; its sha256 is shown")
    offset = "was measured once, at the start" if clocks_read else "was not measured"
    said.append(f"hosts' clocks are taken as they are; their offset from the controller's {offset}")
    if state.ended in (None, Ended.PAUSED):
        said.append("the run is not over: what is said here may still change")
    return tuple(said)
