"""Events into a ``Summary``: the one reading of a run that every report format is written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from drctl.engine.fold import fold_all
from drctl.engine.objectives import Reading
from drctl.engine.state import RunState
from drctl.model.events import Ended, Event
from drctl.model.plan import Mode, Source
from drctl.model.units import format_duration, local_time
from drctl.model.words import Mark
from drctl.report import findings, verdict
from drctl.report.assurance import CONTROLS, assurance
from drctl.report.circumstances import circumstances
from drctl.report.facts import Brief, Chain, ClockRow, Document, Objective, Summary
from drctl.report.steps import given, step_rows
from drctl.report.timing import Stretch, elapsed, jumped_s, stretches
from drctl.report.told import messages, of_the_run


def summarise(events: Sequence[Event], *, now: datetime | None = None, conducted: bool | None = None) -> Summary:
    """The summary of a run. ``now`` matters while it goes on or is paused; without it the last event's time is now.

    ``conducted`` says whether a process carries on a run that has not ended; None is "not known".

    Raises:
        ValueError: when there are no events.
    """
    if not events:
        raise ValueError("a run without events cannot be reported")
    state = fold_all(events)
    chain = _chain(events)
    notifications, events = messages(events, state), of_the_run(events)
    plan = state.the_plan
    split = stretches(events, plan=plan, until=_until(state, events, now))
    told = _brief(state, events, split, chain=chain, now=now, conducted=conducted)
    around = circumstances(events, state, rto=told.rto, rpo=told.rpo, head=told.chain.head)
    steps = step_rows(state, events)
    assured = assurance(state, steps)
    return Summary(
        **{field.name: getattr(told, field.name) for field in fields(told)},
        watermark=watermark(state.mode),
        ended_why=state.ended_why,
        exit_meaning="" if state.ended is None else told.exit_code.meaning,
        title=plan.title,
        sla=plan.sla,
        reason=state.reason,
        way=state.way,
        truths=verdict.truths(state),
        yearly_budget_used=_budget_used(state, told.rto),
        timezone=plan.timezone,
        stretches=split,
        exercise=around.exercise,
        trend=around.trend,
        sessions=around.sessions,
        repository=around.repository,
        host_clocks=around.host_clocks,
        decisions=findings.decisions(events, state),
        proofs=findings.proofs(state),
        deviations=(
            *findings.deviations(events, state, steps, rto=told.rto, rpo=told.rpo),
            *findings.not_told(notifications),
        ),
        findings=(),
        backups=assured.backups,
        residency=assured.residency,
        drill_safety=assured.drill_safety,
        reconstitution=assured.reconstitution,
        coverage=assured.coverage,
        control_map=CONTROLS,
        notifications=notifications,
        limits=findings.limits(state, rto=told.rto, rpo=told.rpo, clocks_read=bool(around.host_clocks)),
        steps=steps,
        runbook_source=_document(plan.runbook_source),
        inventory_source=_document(plan.inventory_source),
        plan_digest=state.plan_digest,
        drctl_version=plan.drctl_version,
    )


def in_brief(events: Sequence[Event], *, now: datetime | None = None, conducted: bool | None = None) -> Brief:
    """What a listing tells of a run: the same words as its summary, for a fraction of the work.

    Raises:
        ValueError: when there are no events.
    """
    if not events:
        raise ValueError("a run without events cannot be told")
    state, chain, events = fold_all(events), _chain(events), of_the_run(events)
    split = stretches(events, plan=state.the_plan, until=_until(state, events, now))
    return _brief(state, events, split, chain=chain, now=now, conducted=conducted)


def _brief(
    state: RunState,
    events: Sequence[Event],
    split: tuple[Stretch, ...],
    *,
    chain: Chain,
    now: datetime | None,
    conducted: bool | None,
) -> Brief:
    """``events`` are those of the run, without its messages; ``split`` says where its time went."""
    plan, until = state.the_plan, _until(state, events, now)
    outage = state.clock.get(Mark.OUTAGE_STARTED)
    return Brief(
        made_at=now or events[-1].at,
        run_id=state.run_id,
        mode=state.mode,
        headline=verdict.headline(state, until, conducted=conducted),
        waits_for=verdict.waiting_for(state),
        ongoing=state.ended is None,
        conducted=conducted if state.ended is None else None,
        ended=state.ended,
        exit_code=verdict.exit_code(state),
        runbook=plan.runbook,
        service=plan.service,
        service_title=plan.service_title,
        hints=verdict.hints(state),
        next_commands=verdict.next_commands(state, conducted=conducted),
        rto=_objective(verdict.rto(state, until), note=_jump_note(events)),
        rpo=_objective(verdict.rpo(state), note=verdict.rpo_note(state)),
        unprotected=findings.unprotected(state, until if now is None else max(now, until)),
        forecast=findings.forecast(state),
        deadline=findings.deadline(state, until),
        clock=_clock(state),
        elapsed=elapsed(events, split, outage=outage.at if outage else None),
        inputs=given(plan.inputs),
        chain=chain,
    )


def _chain(events: Sequence[Event]) -> Chain:
    return Chain(events=len(events), head=events[-1].sha256, first_at=events[0].at, last_at=events[-1].at)


def _until(state: RunState, events: Sequence[Event], now: datetime | None) -> datetime:
    """The end of the run; now, while it goes on or is paused."""
    goes_on = state.ended in (None, Ended.PAUSED)
    return max(now, events[-1].at) if now is not None and goes_on else events[-1].at


def watermark(mode: Mode) -> str:
    """What stands on every page of a report."""
    exercise = "" if mode is Mode.REAL else " - an exercise" if mode is Mode.DRILL else " - not an exercise"
    return f"{mode.value.upper()}{exercise}"


def _jump_note(events: Sequence[Event]) -> str:
    back_s = jumped_s(events)
    if not back_s:
        return ""
    return f"The clock went back by {format_duration(back_s)} during the run: this may read too small by as much."


def _objective(reading: Reading, *, note: str) -> Objective:
    return Objective(
        target_s=reading.target_s,
        actual_s=reading.actual_s,
        verdict=reading.verdict,
        basis=reading.basis,
        note=note,
    )


def _budget_used(state: RunState, rto: Objective) -> float | None:
    """Only a real outage uses any of it; that of a drill is supposed."""
    if state.mode is not Mode.REAL or not state.the_plan.sla or rto.actual_s is None:
        return None
    return rto.actual_s / verdict.YEARLY_BUDGET_S


def _clock(state: RunState) -> tuple[ClockRow, ...]:
    """The points in time order; equal ones in the order in which such points come."""
    order = list(Mark)
    rows = sorted(state.clock.items(), key=lambda item: (item[1].at, order.index(item[0])))
    timezone = state.the_plan.timezone
    return tuple(
        ClockRow(mark=mark, at=point.at, local=local_time(point.at, timezone), source=point.source)
        for mark, point in rows
    )


def _document(source: Source) -> Document:
    return Document(path=source.path, sha256=source.sha256)
