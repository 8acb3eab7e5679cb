"""What a run comes to: the exit code, one sentence, and what to type next. Pure functions of the state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from drctl.engine import deadline, objectives
from drctl.engine.decide import failed
from drctl.engine.objectives import Reading, Verdict
from drctl.engine.state import NOT_SENT, RunState, Target, targets_of
from drctl.engine.values import fill
from drctl.errors import ExitCode
from drctl.model.events import Ended, Outcome, PersonAsked, Question, Reason
from drctl.model.exposure import exposure_line
from drctl.model.plan import Approval, Mode, Step, Wait
from drctl.model.units import format_duration, format_instant, local_time
from drctl.model.words import Mark

YEARLY_BUDGET_S = 8.76 * 3600  # a year's 99.9 %, as TaskFlow's SLA states it
NIGHTLY_NOTE = (
    "A nightly 02:00 full backup alone breaks a 24 h RPO every night, from 02:00 until its copy is at the other site."
)

DAY_S = 86_400.0


def nightly_note(target_s: float | None) -> str:
    """TaskFlow's warning, wherever an RPO is shown that a nightly backup cannot keep."""
    return NIGHTLY_NOTE if target_s is not None and target_s <= DAY_S else ""


def rpo_note(state: RunState) -> str:
    """What stands under a run's RPO: the exposure by a restore as last measured before it, or what to type for it."""
    known, began, service = state.exposure, state.started_at, state.the_plan.service
    if known is not None and began is not None:
        return f"When the run began, {exposure_line(known, now=began, service=service)}"
    note = nightly_note(state.the_plan.objectives.rpo_s)
    return f"{note} Exposure by a restore not measured: type drctl backups {service}" if note else ""


def runs_alone(state: RunState) -> bool:
    """Whether the service runs now without a second copy that could take over. A drill's data is soon destroyed."""
    return state.mode is Mode.REAL and Mark.SERVICE_RESTORED in state.clock and Mark.PROTECTED not in state.clock


def exercise(state: RunState) -> bool:
    """Only a drill and a real run change anything, so only they have an RTO and an RPO."""
    return state.mode in (Mode.DRILL, Mode.REAL)


def rto(state: RunState, now: datetime) -> Reading:
    """The RTO. A paused run has not ended the outage, so its clock goes on to ``now``."""
    if not exercise(state):
        return _only_thought(state.the_plan.objectives.rto_s, state)
    if state.ended is Ended.PAUSED:
        state = replace(state, ended=None, ended_at=None)
    return objectives.rto(state, now)


def rpo(state: RunState) -> Reading:
    """The RPO. Until the service is restored it is only what would be lost, and is neither met nor missed."""
    reading = objectives.rpo(state)
    if not exercise(state):
        if reading.actual_s is None:
            return _only_thought(state.the_plan.objectives.rpo_s, state)
        return replace(reading, verdict=Verdict.NOT_MEASURED, basis=f"{reading.basis}; nothing was recovered")
    restores = any(s.mark is Mark.SERVICE_RESTORED for s in state.the_plan.steps())
    if reading.actual_s is None or not restores or Mark.SERVICE_RESTORED in state.clock:
        return reading
    if state.ended in (None, Ended.PAUSED):
        return replace(reading, verdict=Verdict.RUNNING, basis=f"{reading.basis}; the service is not restored yet")
    return replace(reading, verdict=Verdict.NOT_MEASURED, basis=f"{reading.basis}; the service was not restored")


def _only_thought(target_s: float | None, state: RunState) -> Reading:
    basis = f"a run in {state.mode} mode recovers nothing"
    return Reading(target_s=target_s, actual_s=None, verdict=Verdict.NOT_MEASURED, basis=basis)


def missed(state: RunState, now: datetime) -> tuple[str, ...]:
    """The names of the objectives that were missed."""
    readings = (("RTO", rto(state, now)), ("RPO", rpo(state)))
    return tuple(name for name, reading in readings if reading.verdict is Verdict.MISSED)


def exit_code(state: RunState, now: datetime | None = None) -> ExitCode:
    """What the shell sees of a run. One that still goes on has nobody to carry it on from here: it needs a person.

    ``now`` is the run's last event when it is not given; a run that is over does not change with it.
    """
    at = now or state.last_at
    match state.ended:
        case Ended.DONE:
            late = at is not None and missed(state, at)
            return ExitCode.OBJECTIVE_MISSED if late else ExitCode.DONE
        case Ended.FAILED:
            return ExitCode.LOCKED if state.held_up else ExitCode.STEP_FAILED
        case Ended.NO_GO:
            return ExitCode.NO_GO
        case Ended.ABORTED:
            return ExitCode.ABORTED
        case Ended.PAUSED if state.stop is not None and state.stop.how == "SIGINT":
            return ExitCode.INTERRUPTED
        case Ended.PAUSED if state.stop is not None and state.stop.how in ("SIGTERM", "SIGHUP"):
            return ExitCode.TERMINATED
        case _:
            return ExitCode.NEEDS_A_PERSON


def deadline_line(state: RunState, now: datetime) -> str:
    """The last moment to leave for the fallback, and how far away it is; empty when there is none, or it is past use.

    Without the start of the outage it says so: a deadline is never guessed.
    """
    return next(iter(deadline_lines(state, now)), "")


def deadline_lines(state: RunState, now: datetime) -> tuple[str, ...]:
    """The same in fewer and fewer words, for a narrow screen: how far away it is stands in each of them."""
    if state.ended not in (None, Ended.PAUSED) or not exercise(state):
        return ()
    found = deadline.deadline(state)
    if found is None:
        made = state.forecast
        open_still = not (state.fallen_back or state.rolling_back or Mark.SERVICE_RESTORED in state.clock)
        if made is None or made.fallback is None or not open_still or Mark.OUTAGE_STARTED in state.clock:
            return ()  # nothing to leave for, or too late to leave
        takes = f"the fallback takes {format_duration(made.fallback.careful_s)} ({made.fallback.basis})"
        unknown = "when you must switch is not known before the start of the outage is"
        return (f"{unknown}; {takes}", unknown)
    left_s = (found.at - now).total_seconds()
    away = f"in {format_duration(left_s)}" if left_s >= 0 else f"{format_duration(-left_s)} ago"
    decided = f"; decided: {state.deadline_answer}" if state.deadline_answer else ""
    zone = state.the_plan.timezone
    switch = f"you must switch {away}" if left_s >= 0 else f"you had to switch {away}"
    clock_time = local_time(found.at, zone).partition(" ")[2]
    return (
        f"{deadline.sentence(found, zone)}; {away}{decided}",
        f"{switch}, at {clock_time}: {found.fallback} takes {format_duration(found.takes.careful_s)}{decided}",
        f"{switch}{decided}",
    )


def in_doubt(state: RunState) -> tuple[str, ...]:
    """Steps of which nobody knows whether they were done, as ``step on host``."""
    return tuple(
        f"{t.step} on {t.host}" if t.host else t.step for t, s in state.targets.items() if s.outcome is None and s.doubt
    )


def headline(state: RunState, now: datetime, *, conducted: bool | None = None) -> str:
    """One sentence that says how the run stands. ``conducted`` False: it is known that no drctl carries it on."""
    late = missed(state, now)
    match state.ended:
        case None:
            done, total = objectives.steps_done(state)
            how = "STILL GOING ON"
            if conducted is False and state.last_at is not None:
                how = f"NOBODY CONDUCTS IT since {format_instant(state.last_at)}"
            return f"{how}: {done} of {total} steps are over"
        case Ended.DONE if not exercise(state):
            return f"DONE: a run in {state.mode} mode, nothing was changed"
        case Ended.DONE if late:
            return f"RECOVERED, BUT THE {' AND THE '.join(late)} {'WAS' if len(late) == 1 else 'WERE'} MISSED"
        case Ended.DONE:
            return "DONE: no objective was missed"
        case Ended.FAILED:
            return f"FAILED: {state.ended_why or 'a step failed'}"
        case Ended.NO_GO:
            return f"NO-GO: nothing was changed, {state.ended_why} said no"
        case Ended.ABORTED:
            return f"ABORTED by {state.ended_why}"
        case Ended.PAUSED:
            return f"PAUSED: {state.ended_why or 'it can be resumed'}"


def outcome_of(state: RunState, step: Step) -> Outcome | None:
    """The step's outcome over its hosts; in doubt while any host of it is."""
    if any(state.target(t).doubt and state.target(t).outcome is None for t in targets_of(step)):
        return Outcome.IN_DOUBT
    return state.step_outcome(step)


def truths(state: RunState) -> tuple[str, ...]:
    """What is true of the systems now, in sentences, as far as the events say: for errors, prompts and reports."""
    plan = state.the_plan
    if not exercise(state):
        return (f"nothing was changed: this is a run in {state.mode} mode",)
    said = list(_done_and_not(state))
    if Mark.SERVICE_RESTORED in state.clock:
        said.append("the service is restored")
    elif any(s.mark is Mark.SERVICE_RESTORED for s in plan.steps()):
        said.append("the service is not restored")
    for fact in dict.fromkeys(s.proves for s in objectives.entered_steps(state) if s.proves):
        vouched = next((o for o in state.overrides if o.fact == fact), None)
        if vouched:
            said.append(f"{fact}: not proved, {vouched.who or 'nobody'} vouched for it")
        else:
            said.append(f"{fact}: {'proved' if state.proved(fact) else 'not proved'}")
    for broken in state.broken_glass:
        said.append(f"{broken.step}: NOT APPROVED, {broken.who or 'nobody'} broke the glass")
    return tuple(said)


def _done_and_not(state: RunState) -> Iterator[str]:
    """What was changed, what may have been, and what was not; "nothing" only when nothing of the kind was sent."""
    acting = [s for s in state.the_plan.steps() if not s.read_only and not isinstance(s.action, Approval | Wait)]
    succeeded = [s for s in acting if state.step_outcome(s) is Outcome.SUCCEEDED]
    undone = [s.undoes for s in succeeded if s.undoes is not None]
    broken = [(s.id, t) for s in acting if s.id not in undone for t in _broken_off(state, s)]
    ended = [(step, t) for step, t in broken if state.target(t).reason is Reason.ABORTED]
    lists = {
        "done": [s.id for s in succeeded if s.undoes is None and s.id not in undone],
        "undone": undone,
        # What became of a step in doubt may be asked at this moment; that is no work that is going on.
        "under way": [
            t.step for t in state.in_flight if not (state.target(t).doubt or state.the_plan.step(t.step).read_only)
        ],
        "in doubt": list(in_doubt(state)),
        "ended in the middle, and left half done": [f"{step} @ {t.host}" if t.host else step for step, t in ended],
        "failed, and may have changed something": [step for step, t in broken if (step, t) not in ended],
    }
    if not any(lists.values()):
        yield "nothing was changed"
    lists["left out by a person"] = [
        f"{t.step} ({known.who}: {known.why})"
        for t, known in state.targets.items()
        if known.outcome is Outcome.SKIPPED and known.who not in ("", "drctl")
    ]
    lists["failed, and changed nothing"] = [
        s.id
        for s in state.the_plan.steps()
        if state.step_outcome(s) is Outcome.FAILED and not isinstance(s.action, Approval) and not _broken_off(state, s)
    ]
    for label, steps in lists.items():
        if steps:
            yield f"{label}: {', '.join(dict.fromkeys(steps))}"


def _broken_off(state: RunState, step: Step) -> list[Target]:
    """Where a changing step failed after it had been sent; without a connection, or refused, it never was."""
    if step.read_only or isinstance(step.action, Approval | Wait):
        return []
    known = [(t, state.target(t)) for t in targets_of(step)]
    sent = [(t, k) for t, k in known if k.attempts > 0 and k.reason not in NOT_SENT]
    return [t for t, k in sent if k.outcome is Outcome.FAILED]


def next_commands(state: RunState, *, conducted: bool | None = None) -> tuple[str, ...]:
    """What to type next, the most useful first. A test holds each to the verbs that there are."""
    run, service = state.run_id, state.the_plan.service
    report, abort = f"drctl report {run}", f'drctl abort {run} --reason "…"'
    match state.ended:
        case None if conducted:
            return (*_to_approve(state), f"drctl watch {run}", abort, report)
        case None if conducted is None:
            return (*_to_approve(state), f"drctl watch {run}", f"drctl resume {run}", report)
        case None | Ended.PAUSED:
            return (*_to_approve(state), f"drctl resume {run}", abort, report)
        case Ended.DONE:
            unprotected = runs_alone(state)
            return (report, *((f"drctl status {service}",) if unprotected else ()))
        case Ended.NO_GO | Ended.FAILED | Ended.ABORTED:
            return (report,)


def hints(state: RunState) -> tuple[str, ...]:
    """What the runbook says to do when its steps say no; those it goes on in spite of are left out.

    Only an answer is a no. Of a host that was not reached, or that refused us, nothing is known.
    """
    said_no = [s for s in state.the_plan.steps() if s.failure_hint and failed(state, s) and _answered(state, s)]
    return tuple(dict.fromkeys(fill(s.failure_hint, state.values) for s in said_no))


def _answered(state: RunState, step: Step) -> bool:
    reasons = {state.target(t).reason for t in targets_of(step)}
    return bool(reasons & {Reason.EXIT_CODE, Reason.EXPECTATION})


def _to_approve(state: RunState) -> tuple[str, ...]:
    asked = _open_question(state)
    if asked is None or asked.question is not Question.APPROVAL:
        return ()
    key = " --key …" if state.the_plan.allowed_signers is not None else ""
    return (f'drctl approve {asked.step} {state.run_id} --reason "…"{key}',)


def _open_question(state: RunState) -> PersonAsked | None:
    return state.question or state.left_open


def waiting_for(state: RunState) -> str:
    """Who the run waits for, in words; empty when it waits for nobody. A pause is no answer."""
    asked = _open_question(state)
    if asked is None:
        return ""
    names = {
        Question.APPROVAL: "an approval",
        Question.MANUAL: "a step that a person does",
        Question.FAILED: "a decision about a failed step",
        Question.IN_DOUBT: "a decision about a step in doubt",
        Question.OVERRIDE: "an override",
        Question.DEADLINE: "a decision at the deadline: leave for the fallback, or go on",
    }
    about = f" ({asked.step})" if asked.step else ""
    return f"{names[asked.question]}{about}"
