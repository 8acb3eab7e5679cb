"""A run's circumstances as its events have them: the exercise that it was, its controllers, its clocks, its trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from drctl.engine.state import RunState
from drctl.model import events as ev
from drctl.model.circumstances import ClockReading, EarlierRun, Programmed, Repository
from drctl.model.events import Event
from drctl.model.words import Mark
from drctl.report import verdict

if TYPE_CHECKING:  # facts is made of what is here
    from drctl.report.facts import Objective


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A process that carried the run on: the first one started it, the others resumed it.

    ``site`` and ``country`` are empty when its machine is no host of the inventory; ``clock`` None: not noted.
    """

    began_at: datetime
    operator: str
    controller: str
    pid: int
    interactive: bool
    resumed: bool
    site: str = ""
    country: str = ""
    drctl_version: str = ""
    clock: ClockReading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseRow:
    """As which exercise the run began, what the operator said of it, and the programme's dates for it."""

    scenario: str
    excluded: tuple[str, ...]
    observers: tuple[str, ...]
    absent: tuple[str, ...]
    planned_at: datetime | None
    next_due_at: datetime | None
    programme: str
    changed: tuple[str, ...]
    never: tuple[str, ...]
    programmed: tuple[Programmed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """All of it; the parts are keys of the JSON report of their own. None: an older drctl noted nothing."""

    sessions: tuple[Session, ...]
    exercise: ExerciseRow | None
    repository: Repository | None
    host_clocks: tuple[ClockReading, ...]
    trend: tuple[EarlierRun, ...]


def circumstances(
    events: Sequence[Event], state: RunState, *, rto: Objective, rpo: Objective, head: str
) -> Circumstances:
    """What the events say of them. ``rto``, ``rpo`` and ``head`` are this run's, which is the last of the trend."""
    bodies = [event.body for event in events]
    noted = [body for body in bodies if isinstance(body, ev.ControllerNoted)]
    exercise = next((body for body in bodies if isinstance(body, ev.ExerciseNoted)), None)
    return Circumstances(
        sessions=_sessions(events),
        exercise=_exercise(exercise) if exercise else None,
        repository=noted[0].repository if noted else None,
        host_clocks=tuple(r for body in bodies if isinstance(body, ev.ClocksRead) for r in body.readings),
        trend=(*exercise.earlier, _this(events[0].at, state, rto, rpo, head))
        if exercise and verdict.exercise(state)
        else (),
    )


def _sessions(events: Sequence[Event]) -> tuple[Session, ...]:
    found: list[Session] = []
    for number, event in enumerate(events):
        body = event.body
        if not isinstance(body, ev.RunStarted | ev.RunResumed):
            continue
        after = events[number + 1].body if number + 1 < len(events) else None
        noted = after if isinstance(after, ev.ControllerNoted) else None
        found.append(
            Session(
                began_at=event.at,
                operator=body.operator,
                controller=body.controller,
                pid=body.pid,
                interactive=body.interactive,
                resumed=isinstance(body, ev.RunResumed),
                site=noted.site if noted else "",
                country=noted.country if noted else "",
                drctl_version=noted.drctl_version if noted else "",
                clock=noted.clock if noted else None,
            )
        )
    return tuple(found)


def _exercise(noted: ev.ExerciseNoted) -> ExerciseRow:
    return ExerciseRow(
        scenario=noted.scenario,
        excluded=noted.excluded,
        observers=noted.observers,
        absent=noted.absent,
        planned_at=noted.planned_at,
        next_due_at=noted.next_due_at,
        programme=noted.programme,
        changed=noted.changed,
        never=noted.never,
        programmed=noted.programmed,
    )


def _this(began: datetime, state: RunState, rto: Objective, rpo: Objective, head: str) -> EarlierRun:
    restored = state.clock.get(Mark.SERVICE_RESTORED)
    return EarlierRun(
        run_id=state.run_id,
        mode=state.mode.value,
        started_at=began,
        to_restore_s=max(0.0, (restored.at - began).total_seconds()) if restored else None,
        rto_actual_s=rto.actual_s,
        rto_verdict=rto.verdict.value,
        rpo_actual_s=rpo.actual_s,
        rpo_verdict=rpo.verdict.value,
        head=head,
    )
