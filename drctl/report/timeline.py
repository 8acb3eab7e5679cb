"""When what went on, as bars: positions in thousandths of the run's time, so that a page can draw them at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drctl.model.events import Act
from drctl.report.facts import AttemptRow, Decision, HostRow, StepRow, Summary
from drctl.report.timing import Doing, Stretch

MOST_LANES = 80
_COLUMNS = 500
_THINNEST = 3.0  # thousandths: a bar that took next to no time must still be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch of one kind. ``left`` and ``width`` are thousandths of the run's time."""

    doing: Doing
    left: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A step on one host, with what was done for it."""

    step: StepRow
    host: HostRow
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The whole run in one lane, the lanes of its steps, and how many steps had none for want of room."""

    began_at: datetime
    ended_at: datetime
    whole: tuple[Bar, ...]
    lanes: tuple[Lane, ...]
    left_out: int

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.began_at).total_seconds()


def timeline(found: Summary) -> Timeline | None:
    """The bars of a run; None for one that took no time."""
    if not found.stretches:
        return None
    began, ended = found.stretches[0].began_at, found.stretches[-1].ended_at
    scale = _Scale(began, (ended - began).total_seconds())
    decisions: dict[tuple[str, str], list[Decision]] = {}
    for decision in found.decisions:
        decisions.setdefault((decision.step, decision.host), []).append(decision)
    begun = [(step, host) for step in found.steps for host in step.hosts if host.started_at is not None]
    shown = begun
    if len(begun) > MOST_LANES:
        longest = sorted(range(len(begun)), key=lambda n: -(begun[n][1].duration_s or 0.0))[:MOST_LANES]
        shown = [begun[n] for n in sorted(longest)]
    lanes = [
        Lane(step=step, host=host, bars=tuple(_bars(host, decisions.get((step.id, host.host), ()), scale, ended)))
        for step, host in shown
    ]
    return Timeline(
        began_at=began,
        ended_at=ended,
        whole=tuple(_whole(found.stretches, scale)),
        lanes=tuple(lanes),
        left_out=len(begun) - len(shown),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    began: datetime
    seconds: float

    def at(self, instant: datetime) -> float:
        """Thousandths of the run at an instant; never outside of it."""
        return min(1000.0, max(0.0, (instant - self.began).total_seconds() / self.seconds * 1000.0))

    def bar(self, doing: Doing, began: datetime, ended: datetime) -> Bar:
        left = min(self.at(began), 1000.0 - _THINNEST)
        return Bar(doing=doing, left=round(left, 2), width=round(max(self.at(ended) - left, _THINNEST), 2))


def _whole(stretches: Sequence[Stretch], scale: _Scale) -> Iterator[Bar]:
    """One bar a stretch; of very many stretches, what took most of each column."""
    if len(stretches) <= _COLUMNS:
        yield from (scale.bar(s.doing, s.began_at, s.ended_at) for s in stretches)
        return
    columns: list[dict[Doing, float]] = [{} for _ in range(_COLUMNS)]
    for stretch in stretches:
        left, right = (scale.at(t) * _COLUMNS / 1000.0 for t in (stretch.began_at, stretch.ended_at))
        for column in range(int(left), min(_COLUMNS, int(right) + 1)):
            share = min(right, column + 1) - max(left, column)
            columns[column][stretch.doing] = columns[column].get(stretch.doing, 0.0) + share
    width = 1000.0 / _COLUMNS
    for number, shares in enumerate(columns):
        if shares:
            yield Bar(doing=max(shares, key=lambda d: shares[d]), left=number * width, width=width)


def _bars(host: HostRow, decisions: Sequence[Decision], scale: _Scale, until: datetime) -> Iterator[Bar]:
    before: AttemptRow | None = None
    for attempt in host.attempts:
        if before is not None and before.finished_at is not None:
            yield scale.bar(Doing.IDLE, before.finished_at, attempt.started_at)
        again = attempt.attempt > 1 or attempt.act is Act.SETTLE
        yield scale.bar(Doing.RETRIES if again else Doing.AUTOMATION, attempt.started_at, attempt.finished_at or until)
        before = attempt
    for decision in decisions:
        yield scale.bar(Doing.PEOPLE, decision.at - timedelta(seconds=decision.waited_s), decision.at)
    if not host.attempts and not decisions and host.started_at is not None:
        yield scale.bar(Doing.IDLE, host.started_at, host.finished_at or until)
