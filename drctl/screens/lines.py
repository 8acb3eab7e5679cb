"""A run as plain lines: for pipes, CI, logs and terminals that cannot do more.

One line an event that means something, in UTC. Nothing is ever written over, so a log of it reads from top to bottom.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from threading import RLock
from types import TracebackType
from typing import Self, TextIO

from drctl.engine import deadline
from drctl.engine.state import RunState, Target, TargetState, tolerated
from drctl.engine.values import fill
from drctl.model import events as ev
from drctl.model.circumstances import CLOCK_LIMIT_S
from drctl.model.events import Act, Event, Outcome
from drctl.model.messages import Fate
from drctl.model.units import format_duration, format_instant, local_time
from drctl.model.words import Mark
from drctl.report import verdict, words
from drctl.report.harmless import one_line, tail_lines
from drctl.screens.base import numbers, place, write

HEARTBEAT_S = 15.0
TAIL_LINES = 10
_LOUD = {Outcome.FAILED: "FAILED", Outcome.IN_DOUBT: "IN DOUBT", Outcome.SIMULATED: "simulated"}


class LinesScreen:
    """Plain lines to one stream. Safe to call from several threads."""

    name = "lines"
    leaving = b""

    def __init__(self, stream: TextIO, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._stream = stream
        self._heartbeat_s = heartbeat_s
        self._lock = RLock()
        self._state: RunState | None = None
        self._last_line_at: datetime | None = None

    def on_event(self, event: Event, state: RunState) -> None:
        with self._lock:
            first = self._state is None
            self._state = state
            lines = list(_event_lines(event, state))
            if first:
                lines = [*_header(state), *lines]
            if lines:
                self._last_line_at = event.at
                write(self._stream, "".join(f"{line.rstrip()}\n" for line in lines))

    def on_output(self, target: Target, text: str) -> None:
        """Output is shown at the end of an attempt that failed, and not while it comes."""

    def tick(self, now: datetime) -> None:
        """Say that the run is alive when nothing has been said for a while."""
        with self._lock:
            state = self._state
            if state is None or state.ended is not None or self._last_line_at is None:
                return
            if (now - self._last_line_at).total_seconds() < self._heartbeat_s:
                return
            self._last_line_at = now
            write(self._stream, _heartbeat(state, now) + "\n")

    def abandoned(self) -> None:
        """It says nothing of a run but its events."""

    def suspended(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The stream is the caller's."""


def _header(state: RunState) -> Iterator[str]:
    plan = state.the_plan
    title = f" ({plan.service_title})" if plan.service_title else ""
    yield one_line(f"drctl {state.mode.value.upper()}: {plan.runbook} of {plan.service}{title}")
    yield f"  run         {state.run_id}"
    yield f"  runbook     {one_line(plan.runbook_source.path)}, plan {state.plan_digest[:12]}"
    rto_s, rpo_s = plan.objectives.rto_s, plan.objectives.rpo_s
    yield f"  objectives  RTO {words.amount(rto_s)}, RPO {words.amount(rpo_s)}"
    yield one_line(f"operator {state.operator} on {state.controller}").replace("operator ", "  operator    ", 1)
    if state.reason:
        yield f"  reason      {one_line(state.reason)}"
    yield f"  steps       {len(plan.steps())}; times are UTC"
    yield ""


def _line(at: datetime, what: str) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}Z {what}"


def _step_line(event: Event, state: RunState, target: Target, what: str) -> str:
    known = numbers(state)
    if target.step not in known:
        return _line(event.at, what)  # a question about the whole run
    total = len(known)
    width = len(str(total))
    return _line(event.at, f"[{known[target.step]:>{width}}/{total}] {what}")


def _event_lines(event: Event, state: RunState) -> Iterator[str]:
    """The lines of an event; most events have one."""
    match event.body:
        case ev.RunStarted():
            yield _line(event.at, f"run started ({event.at.astimezone(UTC):%Y-%m-%d})")
        case ev.RunResumed() as body:
            who = one_line(f"{body.operator} on {body.controller}")
            yield _line(event.at, f"run resumed ({event.at.astimezone(UTC):%Y-%m-%d}) by {who}")
        case ev.AttemptStarted() as body:
            yield from _started(event, body, state)
        case ev.AttemptFinished() as body:
            yield from _finished(event, body, state)
        case ev.StepSkipped() as body:
            target = Target(body.step, body.host)
            why = one_line(f"{body.who}: {body.why}")
            yield _step_line(event, state, target, f"{'skipped':<9} {place(target)}: {why}")
        case ev.PersonAsked() as body:
            yield from _asked(event, body, state)
        case ev.PersonAnswered() as body:
            why = f": {one_line(body.why)}" if body.why else ""
            who = one_line(body.who) or "nobody was there, so"
            target = Target(body.step, body.host)
            yield _step_line(event, state, target, f"{'ANSWER':<9} {place(target)}: {who} said {body.answer}{why}")
        case ev.ClockMarked() as body:
            point = f"{words.MARKS[body.mark]} {format_instant(body.at)}"
            yield _line(event.at, f"clock   {point}, {one_line(body.source)}")
            if body.mark is Mark.OUTAGE_STARTED:
                yield from _deadline(event, state)
        case ev.ForecastMade() as body:
            yield from _forecast(event, body, state)
        case ev.ControllerNoted() | ev.ExerciseNoted():
            pass  # for the report; nothing has happened
        case ev.ClocksRead() as body:
            yield from _clocks(event, body)
        case ev.StopRequested() as body:
            yield _line(event.at, f"STOP    {body.how} by {one_line(body.by)}: nothing new is started")
        case ev.MessengerFailed() as body:
            yield _line(event.at, f"warning {one_line(body.messenger)} failed: {one_line(body.detail)}")
        case ev.NotificationSettled(fate=fate) as body if fate is not Fate.DELIVERED:
            why = one_line(body.detail)
            yield _line(event.at, f"warning message {body.number} to {one_line(body.notifier)}: {fate.value}: {why}")
        case ev.RunEnded():
            yield from _footer(event, state)


def _forecast(event: Event, body: ev.ForecastMade, state: RunState) -> Iterator[str]:
    said = f"until the service is restored {format_duration(body.restored.usual_s)} ({one_line(body.restored.basis)})"
    yield _line(event.at, f"expect  {said}")
    yield from _deadline(event, state)


def _clocks(event: Event, body: ev.ClocksRead) -> Iterator[str]:
    """Only a clock that is off by more than anybody's business: the report has all of them."""
    for reading in body.readings:
        if reading.offset_s is not None and abs(reading.offset_s) > CLOCK_LIMIT_S:
            said = f"the clock of {one_line(reading.host)} is {reading.offset_s:+.1f} s off this machine's"
            yield _line(event.at, f"warning {said}")


def _deadline(event: Event, state: RunState) -> Iterator[str]:
    if due := verdict.deadline_line(state, event.at):
        yield _line(event.at, f"clock   {one_line(due)}")


def _asked(event: Event, body: ev.PersonAsked, state: RunState) -> Iterator[str]:
    target = Target(body.step, body.host)
    asked = f"{one_line(body.prompt)} ({', '.join(body.answers)})"
    yield _step_line(event, state, target, f"{'ASKED':<9} {place(target)}: {asked}")
    for fact in body.facts:
        yield from (f"          | {line}" for line in tail_lines(fact, TAIL_LINES))


def _started(event: Event, body: ev.AttemptStarted, state: RunState) -> Iterator[str]:
    target = Target(body.step, body.host)
    step = state.the_plan.step(body.step)
    match body.act:
        case Act.RUN:
            again = f" (attempt {body.attempt})" if body.attempt > 1 else ""
            usual = f", usually {format_duration(step.expected_s)}" if step.expected_s is not None else ""
            name = one_line(fill(step.name, state.values))
            yield _step_line(event, state, target, f"{'start':<9} {place(target)}: {name}{again}{usual}")
        case Act.SETTLE:
            yield _step_line(event, state, target, f"{'settling':<9} {place(target)}: what became of it?")
        case Act.UNLESS | Act.VERIFY:
            return  # what they say is told when they have said it


def _finished(event: Event, body: ev.AttemptFinished, state: RunState) -> Iterator[str]:
    target = Target(body.step, body.host)
    step = state.the_plan.step(body.step)
    known = state.target(target)
    if body.act is Act.UNLESS and known.outcome is None:
        return
    if body.outcome is Outcome.SUCCEEDED and known.outcome is None:
        return  # it ran; the line comes with its verify
    again = known.outcome is None and known.not_before is not None
    word = "again" if again else _LOUD.get(body.outcome, body.outcome.value)
    how = _how(known, body, step.expected_s)
    if again:
        how += ", it will be tried again"
    elif known.outcome is None and known.doubt:
        word = "IN DOUBT"
    elif known.outcome is Outcome.FAILED and tolerated(step, known):
        word = "failed"
        how += ", the runbook goes on"
    yield _step_line(event, state, target, f"{word:<9} {place(target)}{how}")
    if body.outcome in (Outcome.FAILED, Outcome.IN_DOUBT):
        yield from _tails(body, withheld=step.sensitive)
    yield from _marks(event, state, target)


def _how(known: TargetState, body: ev.AttemptFinished, expected_s: float | None) -> str:
    took_s = body.duration_s
    if body.act is Act.VERIFY and known.started_at and known.finished_at:
        took_s = (known.finished_at - known.started_at).total_seconds()
    parts = [words.against_expected(took_s, expected_s)]
    good = body.outcome is Outcome.SUCCEEDED
    if good and expected_s is not None and took_s is not None and took_s > expected_s:
        parts.append("slower than usual")
    if body.act is Act.VERIFY and not good:
        parts.append("its verify did not hold")
    if body.attached:
        parts.append("attached to the job that had been started before")
    if not good and body.detail:
        parts.append(one_line(body.detail)[:300])
    if body.exit_code not in (None, 0) and "exit code" not in body.detail:
        parts.append(f"exit code {body.exit_code}")
    return "".join(f"  {p}" if n == 0 else f", {p}" for n, p in enumerate(p for p in parts if p))


def _tails(body: ev.AttemptFinished, *, withheld: bool) -> Iterator[str]:
    for output in (body.output, body.errors):
        if output is None:
            continue
        if withheld:
            yield "          | (withheld: the step is sensitive)"
            continue
        yield from (f"          | {line}" for line in tail_lines(output.tail, TAIL_LINES))


def _marks(event: Event, state: RunState, target: Target) -> Iterator[str]:
    """The points of the clock that this event set, so that the log says when the service was back."""
    step = state.the_plan.step(target.step)
    if step.mark is None or not verdict.exercise(state) or not state.holds(step):
        return
    point = state.clock.get(step.mark)
    if point is None:
        return
    clock = ""
    if step.mark is Mark.SERVICE_RESTORED:
        clock = f", {words.reading('RTO', verdict.rto(state, event.at))}"
    yield _line(event.at, f"clock   {words.MARKS[step.mark]} {format_instant(point.at)}{clock}")
    if step.mark is Mark.OUTAGE_STARTED:
        yield from _deadline(event, state)


def _heartbeat(state: RunState, now: datetime) -> str:
    rto = verdict.rto(state, now)
    clock = f"RTO clock {words.amount(rto.actual_s)}" if rto.actual_s is not None else "RTO clock not measured"
    if rto.left_s is not None and Mark.SERVICE_RESTORED not in state.clock:
        clock += f", {format_duration(rto.left_s)} left"
    found = deadline.deadline(state)
    if found is not None:
        clock += f", switch by {local_time(found.at, state.the_plan.timezone)}"
    waiting = verdict.waiting_for(state)
    moving = [
        f"{place(t)} {format_duration((now - s.in_flight_since).total_seconds())}"
        for t, s in state.targets.items()
        if s.in_flight is not None and s.in_flight_since is not None
    ]
    what = f"waiting for {waiting}" if waiting else f"still running {', '.join(moving) or 'nothing'}"
    return _line(now, f"...     {what}; {clock}")


def _footer(event: Event, state: RunState) -> Iterator[str]:
    code = verdict.exit_code(state)
    yield _line(event.at, f"run ended: {state.ended}")
    yield ""
    yield f"{state.mode.value.upper()} {one_line(verdict.headline(state, event.at))}"
    yield f"  {words.reading('RTO', verdict.rto(state, event.at))}"
    yield f"  {words.reading('RPO', verdict.rpo(state))}"
    if note := verdict.rpo_note(state):
        yield f"  {note}"
    restored = state.clock.get(Mark.SERVICE_RESTORED)
    if restored is not None and verdict.runs_alone(state):
        yield f"  UNPROTECTED since {format_instant(restored.at)}: no second copy can take over"
    for truth in verdict.truths(state):
        yield f"  - {one_line(truth)}"
    yield f"  exit code {int(code)}: {code.meaning}"
    yield from (f"  do:   {one_line(hint)}" for hint in verdict.hints(state))
    for n, command in enumerate(verdict.next_commands(state)):
        yield f"  {'next:' if n == 0 else '     '} {one_line(command)}"
