"""A run in a few numbers, for readings of many runs at once: history, service levels, and what has been exercised.

A card is worked out from a run's events and holds nothing that is not in them, so it may be thrown away at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drctl.engine import rounds
from drctl.engine.fold import fold_all
from drctl.engine.objectives import Verdict
from drctl.engine.state import RunState, targets_of
from drctl.model.events import Ended, Event, Outcome
from drctl.model.plan import Mode
from drctl.model.words import Mark, Section
from drctl.plan.codec import work_digest
from drctl.report import verdict
from drctl.report.told import of_the_run


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCard:
    """A step of the run: what it does (``work_digest``), and how it ended; None for one that was not begun."""

    id: str
    digest: str
    section: Section
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCard:
    """A run. Instants are UTC, durations seconds; an objective without an actual was not measured."""

    run_id: str
    runbook: str
    title: str
    service: str
    service_title: str
    sla: bool
    mode: Mode
    operator: str
    reason: str
    plan_digest: str
    started_at: datetime
    last_at: datetime
    ended: Ended | None
    headline: str
    outage_started: datetime | None = None
    service_restored: datetime | None = None
    protected: datetime | None = None
    rto_target_s: float | None = None
    rto_actual_s: float | None = None
    rto_verdict: Verdict = Verdict.NOT_MEASURED
    rpo_target_s: float | None = None
    rpo_actual_s: float | None = None
    rpo_verdict: Verdict = Verdict.NOT_MEASURED
    values: tuple[tuple[str, str], ...] = ()  # what its steps captured
    steps: tuple[StepCard, ...] = ()

    @property
    def to_restore_s(self) -> float | None:
        """From the start of the run to the service restored: what runs have in common whose outage was not measured."""
        if self.service_restored is None:
            return None
        return max(0.0, (self.service_restored - self.started_at).total_seconds())

    @property
    def exercise(self) -> bool:
        """Whether it counts as one: a drill or a real run that came to its end."""
        return self.mode in (Mode.DRILL, Mode.REAL) and self.ended is Ended.DONE


def card_of(events: Sequence[Event]) -> RunCard:
    """The card of a run as far as its events go.

    Raises:
        ValueError: when there are none.
    """
    state = fold_all(events)
    if not events or state.started_at is None:
        raise ValueError("a run without events has no card")
    plan, now = state.the_plan, of_the_run(events)[-1].at
    rto, rpo = verdict.rto(state, now), verdict.rpo(state)
    return RunCard(
        run_id=state.run_id,
        runbook=plan.runbook,
        title=plan.title,
        service=plan.drill_of or plan.service,
        service_title=plan.service_title,
        sla=plan.sla,
        mode=state.mode,
        operator=state.operator,
        reason=state.reason,
        plan_digest=state.plan_digest,
        started_at=state.started_at,
        last_at=now,
        ended=state.ended,
        headline=verdict.headline(state, now),
        outage_started=_at(state, Mark.OUTAGE_STARTED),
        service_restored=_at(state, Mark.SERVICE_RESTORED),
        protected=_at(state, Mark.PROTECTED),
        rto_target_s=rto.target_s,
        rto_actual_s=rto.actual_s,
        rto_verdict=rto.verdict,
        rpo_target_s=rpo.target_s,
        rpo_actual_s=rpo.actual_s,
        rpo_verdict=rpo.verdict,
        values=tuple(sorted(state.values.items())),
        steps=tuple(_steps(state)),
    )


def _at(state: RunState, mark: Mark) -> datetime | None:
    point = state.clock.get(mark)
    return point.at if point and verdict.exercise(state) else None


def _steps(state: RunState) -> list[StepCard]:
    found = []
    there = rounds.begun(state)
    for stage in state.the_plan.stages:
        for step in stage.steps:
            if rounds.is_spare(step, there):
                continue
            begun = any(target in state.targets for target in targets_of(step))
            outcome = verdict.outcome_of(state, step) if begun else None
            found.append(StepCard(id=step.id, digest=work_digest(step), section=stage.section, outcome=outcome))
    return found
