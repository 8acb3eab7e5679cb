"""A run's rows read as evidence for auditors: what of it proves something about copies, countries, drills and clean-up.

The names of values and of steps that count are a promise to writers of runbooks (``docs/reference/report.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from drctl.engine.state import RunState
from drctl.model.events import Outcome
from drctl.model.plan import Mode, Plan, Step
from drctl.model.units import parse_instant
from drctl.model.words import Mark, OnFailure, Section
from drctl.plan.drill import changes
from drctl.report.assured import (
    Assurance,
    Check,
    Control,
    CopyTried,
    Coverage,
    DrillSafety,
    Reconstitution,
    ResidencyRow,
    TouchedHost,
)
from drctl.report.facts import StepRow

LAGS = ("lag_before", "lag_during", "lag_after")
PRODUCTION_CHECKS = (
    "lag-before", "archive-before", "last-write",
    "lag-during", "production-untouched", "archive-untouched", "lag-after",
)  # fmt: skip
DESTRUCTION = ("destroy", "residue")

_FINDINGS = "Findings and corrective actions"
CONTROLS = tuple(
    Control(standard=standard, clause=clause, sections=sections)
    for standard, clause, sections in (
        ("SOC 2", "A1.2", ("Backups", "Residency", "Coverage")),
        ("SOC 2", "A1.3", ("Objectives", "Steps", "Backups", "Coverage")),
        ("SOC 2", "CC7.5", ("Clock", "Reconstitution", _FINDINGS)),
        ("ISO 22301", "8.5", ("Objectives", "Coverage", _FINDINGS)),
        ("ISO/IEC 27001", "A.5.30", ("Objectives", "Clock", "Coverage")),
        ("ISO/IEC 27001", "A.8.13", ("Backups", "Steps")),
        ("ISO/IEC 27001", "A.8.14", ("Proofs", "Reconstitution")),
        ("NIST SP 800-53", "CP-4", ("Steps", "Coverage", _FINDINGS)),
        ("POPIA", "s19", ("Drill safety", "Reconstitution", _FINDINGS)),
        ("POPIA", "s72", ("Residency", "Backups")),
    )
)
"""Which clause finds its evidence where."""

_Read = TypeVar("_Read")
_WORST_FIRST = (Outcome.IN_DOUBT, Outcome.FAILED)


def assurance(state: RunState, rows: Sequence[StepRow]) -> Assurance:
    """All of it, from the rows of the plan's steps."""
    plan = state.the_plan
    return Assurance(
        backups=tuple(_copy(state, row, plan.step(row.id), rows) for row in rows if _picks(row)),
        residency=_residency(plan, rows),
        drill_safety=_drill_safety(state, rows) if state.mode is Mode.DRILL else None,
        reconstitution=_reconstitution(state, rows),
        coverage=_coverage(state, rows),
    )


def _captured(row: StepRow) -> Mapping[str, str]:
    return {name: text for host in row.hosts for name, text in host.captured}


def _picks(row: StepRow) -> bool:
    return {"copy_location", "copy_label"} <= _captured(row).keys()


def _copy(state: RunState, row: StepRow, step: Step, rows: Sequence[StepRow]) -> CopyTried:
    plan = state.the_plan
    needed = [
        other
        for other, its in ((other, plan.step(other.id)) for other in rows)
        if its is step or (step.round and its.round == step.round and its.on_failure is not OnFailure.CONTINUE)
    ]
    said = {name: text for other in (*needed, row) for name, text in _captured(other).items()}
    consistent_at = _known(parse_instant, said.get("copy_consistent_at"))
    age_s = (state.started_at - consistent_at).total_seconds() if state.started_at and consistent_at else None
    return CopyTried(
        step=row.id,
        attempt=step.round.number if step.round else None,
        location=said["copy_location"],
        country=_country(plan, said),
        label=said["copy_label"],
        trust=said.get("copy_trust", ""),
        consistent_at=consistent_at,
        age_s=age_s,
        reaches=_known(parse_instant, said.get("copy_reaches")),
        loss_s=_known(float, said.get("copy_loss")),
        bytes=_known(int, said.get("copy_size")),
        replicated_at=_known(parse_instant, said.get("copy_replicated_at")),
        manifest_sha256=said.get("copy_manifest_sha256", ""),
        outcome=_together([r.outcome for r in needed]),
        failed_step=next((r.id for r in needed if r.outcome in _WORST_FIRST), ""),
    )


def _known(read: Callable[[str], _Read], text: str | None) -> _Read | None:
    """What the text says; None when there is none, it is withheld, or it is something else of that name."""
    try:
        return None if text is None else read(text)
    except ValueError:
        return None


def _together(outcomes: Sequence[Outcome | None]) -> Outcome | None:
    for worst in (*_WORST_FIRST, None, Outcome.SIMULATED, Outcome.SUCCEEDED):
        if worst in outcomes:
            return worst
    return Outcome.SKIPPED


def _country(plan: Plan, said: Mapping[str, str]) -> str:
    """The country of the copy's host, or of its location where hosts of the plan are; empty: not known."""
    host = said.get("copy_host", "")
    places = plan.residency.places if plan.residency else ()
    found = [place.country for place in places if host and host in (place.host, place.address)]
    found += [e.country for s in plan.steps() for e in s.endpoints if e.site == said["copy_location"]]
    return found[0] if found else ""


def _touched(plan: Plan, rows: Sequence[StepRow]) -> tuple[TouchedHost, ...]:
    found: dict[str, TouchedHost] = {}
    for row in rows:
        step = plan.step(row.id)
        for host in row.hosts:
            if not host.host or not host.attempts:
                continue
            known = found.get(host.host)
            changed = changes(step) or (known is not None and known.changed)
            found[host.host] = TouchedHost(host=host.host, site=host.site, country=host.country, changed=changed)
    return tuple(found.values())


def _residency(plan: Plan, rows: Sequence[StepRow]) -> ResidencyRow:
    hosts = _touched(plan, rows)
    country = plan.residency.country if plan.residency else ""
    carried = [row.id for row in rows if plan.step(row.id).carries and any(host.attempts for host in row.hosts)]
    return ResidencyRow(
        country=country,
        hosts=hosts,
        outside=tuple(h.host for h in hosts if country and h.country != country),
        carried_by=tuple(carried),
    )


def _drill_safety(state: RunState, rows: Sequence[StepRow]) -> DrillSafety:
    said = {name: text for row in rows for name, text in _captured(row).items()}
    before, during, after = (_known(float, said.get(name)) for name in LAGS)
    looked_at = [row for row in rows if _last(row.id) in PRODUCTION_CHECKS]
    production = tuple(dict.fromkeys(host.host for row in looked_at for host in row.hosts if host.host))
    changed = {host.host for host in _touched(state.the_plan, rows) if host.changed}
    return DrillSafety(
        lag_before_s=before,
        lag_during_s=during,
        lag_after_s=after,
        production=production,
        production_changed=tuple(host for host in production if host in changed),
        checks=_checks(looked_at),
    )


def _reconstitution(state: RunState, rows: Sequence[StepRow]) -> Reconstitution:
    mark = state.clock.get(Mark.PROTECTED)
    last = [row for row in rows if row.section is Section.ALWAYS]
    return Reconstitution(
        protected_at=mark.at if mark and state.mode is Mode.REAL else None,
        clean_up=_checks(row for row in last if _last(row.id) not in (*DESTRUCTION, *PRODUCTION_CHECKS)),
        destruction=_checks(row for row in last if _last(row.id) in DESTRUCTION),
    )


def _last(step: str) -> str:
    """The step's own name, whatever calls the runbook that it stands in."""
    return step.rsplit("/", 1)[-1]


def _checks(rows: Iterable[StepRow]) -> tuple[Check, ...]:
    return tuple(
        Check(
            step=row.id,
            name=row.name,
            hosts=tuple(host.host for host in row.hosts if host.host),
            outcome=row.outcome,
            finished_at=max((host.finished_at for host in row.hosts if host.finished_at), default=None),
        )
        for row in rows
    )


def _coverage(state: RunState, rows: Sequence[StepRow]) -> Coverage:
    """In plan and check mode nothing is exercised, whatever read-only steps answered."""
    exercise = state.mode in (Mode.DRILL, Mode.REAL)
    succeeded = _of(rows, Outcome.SUCCEEDED)
    return Coverage(
        exercised=succeeded if exercise else (),
        only_answered=() if exercise else succeeded,
        failed=_of(rows, Outcome.FAILED),
        simulated=_of(rows, Outcome.SIMULATED),
        left_out=_of(rows, Outcome.SKIPPED),
        not_over=_of(rows, None, Outcome.IN_DOUBT),
    )


def _of(rows: Sequence[StepRow], *outcomes: Outcome | None) -> tuple[str, ...]:
    return tuple(row.id for row in rows if row.outcome in outcomes)
