"""Where a run's time went. Every second of it is counted once, under the most telling of the names below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from drctl.engine.state import Target
from drctl.model import events as ev
from drctl.model.events import Act, Ended, Event, Outcome
from drctl.model.plan import Plan, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """Seconds. ``before_run_s`` is from the start of the outage to the run's; None when the outage's is not known.

    The others add up to ``run_s``: automation (a first attempt was under way), retries (a later attempt, or the pause
    before it), people (a question was open), paused (the run had been put off), drctl_dead (no process was there,
    and none had said that it would stop), idle (waiting steps, and nothing at all).
    """

    before_run_s: float | None
    run_s: float
    automation_s: float
    retries_s: float
    people_s: float
    paused_s: float
    drctl_dead_s: float
    idle_s: float


@dataclass(frozen=True, slots=True)
class _Span:
    began: datetime
    ended: datetime


def elapsed(events: Sequence[Event], *, plan: Plan, outage: datetime | None, until: datetime) -> Elapsed:
    """Split the time from the first event to ``until`` (the end, or now for a run that goes on)."""
    gather = _Gatherer(waits={s.id for s in plan.steps() if isinstance(s.action, Wait)})
    gather.read(events, until)
    begin = events[0].at
    totals = _swept((gather.dead, gather.paused, gather.working, gather.retrying, gather.asking), begin, until)
    dead_s, paused_s, working_s, retrying_s, asking_s, idle_s = totals
    return Elapsed(
        before_run_s=max(0.0, (begin - outage).total_seconds()) if outage else None,
        run_s=max(0.0, (until - begin).total_seconds()),
        automation_s=working_s,
        retries_s=retrying_s,
        people_s=asking_s,
        paused_s=paused_s,
        drctl_dead_s=dead_s,
        idle_s=idle_s,
    )


def _swept(order: Sequence[Sequence[_Span]], begin: datetime, until: datetime) -> list[float]:
    """Seconds of each group, the earlier group winning, and at last those of none."""
    changes: list[tuple[datetime, int, int]] = [(begin, len(order), 0), (until, len(order), 0)]
    for number, group in enumerate(order):
        for span in group:
            began, ended = max(begin, span.began), min(until, span.ended)
            if began < ended:
                changes += [(began, number, 1), (ended, number, -1)]
    changes.sort()
    totals = [0.0] * (len(order) + 1)
    open_now = [0] * (len(order) + 1)
    for (left, number, change), (right, _, _) in pairwise(changes):
        open_now[number] += change
        which = next((n for n, count in enumerate(open_now) if count), len(order))
        totals[which] += (right - left).total_seconds()
    return totals


@dataclass(slots=True)
class _Gatherer:
    """What was going on when, read off the events. ``started`` also says whether it is a later attempt."""

    waits: set[str]
    working: list[_Span] = field(default_factory=list)
    retrying: list[_Span] = field(default_factory=list)
    asking: list[_Span] = field(default_factory=list)
    paused: list[_Span] = field(default_factory=list)
    dead: list[_Span] = field(default_factory=list)
    started: dict[Target, tuple[datetime, bool]] = field(default_factory=dict)
    failed_at: dict[Target, datetime] = field(default_factory=dict)
    asked: datetime | None = None

    def read(self, events: Sequence[Event], until: datetime) -> None:
        """Take all the events; what is still open at the end is open until then."""
        last = events[0]
        for event in events:
            self._event(event, last)
            last = event
        if _said_so(last):
            self.paused.append(_Span(last.at, max(last.at, until)))
        self._close_all(until)

    def _event(self, event: Event, last: Event) -> None:
        match event.body:
            case ev.AttemptStarted() as body:
                target = Target(body.step, body.host)
                if target in self.failed_at:
                    self.retrying.append(_Span(self.failed_at.pop(target), event.at))
                self.started[target] = (event.at, body.attempt > 1 or body.act is Act.SETTLE)
            case ev.AttemptFinished() as body:
                target = Target(body.step, body.host)
                if target in self.started:
                    self._close(target, event.at)
                if body.outcome is Outcome.FAILED and body.act is Act.RUN:
                    self.failed_at[target] = event.at
            case ev.PersonAsked():
                self.asked = event.at
                self.failed_at.clear()  # from here on it is a person's time
            case ev.PersonAnswered():
                if self.asked is not None:
                    self.asking.append(_Span(self.asked, event.at))
                self.asked = None
            case ev.RunResumed():
                self._close_all(last.at)
                (self.paused if _said_so(last) else self.dead).append(_Span(last.at, event.at))
            case _:
                pass

    def _close_all(self, at: datetime) -> None:
        """Nothing is known of these after ``at``: a process died there, or the report ends."""
        for target in tuple(self.started):
            self._close(target, at)
        if self.asked is not None:
            self.asking.append(_Span(self.asked, max(self.asked, at)))
        self.asked = None
        self.failed_at.clear()

    def _close(self, target: Target, at: datetime) -> None:
        since, again = self.started.pop(target)
        if target.step in self.waits:
            return  # a waiting step is idle time
        (self.retrying if again else self.working).append(_Span(since, max(since, at)))


def _said_so(event: Event) -> bool:
    """Whether the run was put off in good order."""
    return isinstance(event.body, ev.RunEnded) and event.body.ended is Ended.PAUSED
