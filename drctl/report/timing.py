"""Where a run's time went. Every second of it is counted once, under the most telling of the names below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
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


class Doing(StrEnum):
    """What a stretch of a run's time was spent on; where several go on at once, the first of these counts."""

    DRCTL_DEAD = "drctl_dead"
    PAUSED = "paused"
    AUTOMATION = "automation"
    RETRIES = "retries"
    PEOPLE = "people"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the run's time, in UTC. The stretches follow each other without gaps."""

    doing: Doing
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class _Span:
    began: datetime
    ended: datetime


def stretches(events: Sequence[Event], *, plan: Plan, until: datetime) -> tuple[Stretch, ...]:
    """The time from the first event to ``until`` (the end, or now for a run that goes on), split up."""
    gather = _Gatherer(waits={s.id for s in plan.steps() if isinstance(s.action, Wait)})
    jumped = jumped_s(events)
    events, until = _without_jumps(events), until + timedelta(seconds=jumped)
    gather.read(events, until)
    order = {
        Doing.DRCTL_DEAD: gather.dead,
        Doing.PAUSED: gather.paused,
        Doing.AUTOMATION: gather.working,
        Doing.RETRIES: gather.retrying,
        Doing.PEOPLE: gather.asking,
    }
    return tuple(_swept(order, events[0].at, until))


def jumped_s(events: Sequence[Event]) -> float:
    """Seconds by which the clock went back in the run, all times together."""
    return sum(max(0.0, (left.at - right.at).total_seconds()) for left, right in pairwise(events))


def _without_jumps(events: Sequence[Event]) -> Sequence[Event]:
    """The same events with a clock that never goes back: what passed at a jump is not known, and counts as nothing."""
    if not jumped_s(events):
        return events
    shift, before, found = timedelta(0), events[0].at, []
    for event in events:
        shift += max(timedelta(0), before - event.at)
        before = event.at
        found.append(replace(event, at=event.at + shift))
    return found


def elapsed(events: Sequence[Event], split: Sequence[Stretch], *, outage: datetime | None) -> Elapsed:
    """The sums of the stretches."""
    begin = events[0].at
    seconds = dict.fromkeys(Doing, 0.0)
    for stretch in split:
        seconds[stretch.doing] += (stretch.ended_at - stretch.began_at).total_seconds()
    return Elapsed(
        before_run_s=max(0.0, (begin - outage).total_seconds()) if outage else None,
        run_s=sum(seconds.values()),
        automation_s=seconds[Doing.AUTOMATION],
        retries_s=seconds[Doing.RETRIES],
        people_s=seconds[Doing.PEOPLE],
        paused_s=seconds[Doing.PAUSED],
        drctl_dead_s=seconds[Doing.DRCTL_DEAD],
        idle_s=seconds[Doing.IDLE],
    )


def _swept(order: Mapping[Doing, Sequence[_Span]], begin: datetime, until: datetime) -> Iterator[Stretch]:
    """Stretches without gaps; where spans of several kinds overlap, the kind that comes first in the order counts."""
    changes: list[tuple[datetime, Doing, int]] = [(begin, Doing.IDLE, 0), (until, Doing.IDLE, 0)]
    for doing, group in order.items():
        for span in group:
            began, ended = max(begin, span.began), min(until, span.ended)
            if began < ended:
                changes += [(began, doing, 1), (ended, doing, -1)]
    changes.sort(key=lambda change: change[0])
    open_now = dict.fromkeys(order, 0)
    last: Stretch | None = None
    for (left, doing, change), (right, _, _) in pairwise(changes):
        if doing in open_now:
            open_now[doing] += change
        if left >= right:
            continue
        now = next((d for d, count in open_now.items() if count), Doing.IDLE)
        if last is not None and last.doing is now:
            last = replace(last, ended_at=right)
            continue
        if last is not None:
            yield last
        last = Stretch(doing=now, began_at=left, ended_at=right)
    if last is not None:
        yield last


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
