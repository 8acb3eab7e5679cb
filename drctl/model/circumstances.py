"""What a run's report must say and its steps do not: from where it was conducted, by which clocks, as which exercise.

These are facts of the moment when the run began. They are events of the run, so that its report can be made anew from
the events alone, whatever has become of the repository, the inventory and the other runs since.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

CLOCK_LIMIT_S = 2.0
"""A clock that is off by more is told of: logs of hosts could not be compared any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """How far a clock is ahead: the controller's (the empty ``host``) of true time, a host's of the controller's.

    ``within_s`` is the most that the figure may be wrong by. None is "not measured", and ``why`` says why.
    """

    host: str
    offset_s: float | None = None
    within_s: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The git repository that the runbook is in. An empty ``commit`` is "not known", and ``why`` says why.

    ``dirty``: something in it is not as in the commit. ``uncommitted`` are the plan's documents of which that is true.
    """

    commit: str = ""
    dirty: bool = False
    uncommitted: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programmed:
    """A line of the programme of exercises. ``last_at`` None: never exercised."""

    service: str
    runbook: str
    last_at: datetime | None
    next_at: datetime
    due: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """An exercise of the same service and runbook before this one. ``head`` is the sha256 of its last event."""

    run_id: str
    mode: str
    started_at: datetime
    to_restore_s: float | None  # from its start until the service was restored
    rto_actual_s: float | None
    rto_verdict: str
    rpo_actual_s: float | None
    rpo_verdict: str
    head: str
