"""The sections for auditors in sentences, which text, Markdown and HTML have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial

from drctl.model.events import Outcome
from drctl.model.units import format_duration
from drctl.report import circumstances_words, words
from drctl.report.assured import Check, Control, CopyTried, Coverage, DrillSafety, Reconstitution, ResidencyRow
from drctl.report.facts import Summary
from drctl.report.told import sentences

_Tell = Callable[[datetime], str]
"""How an instant is written."""


def sections(found: Summary) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Each section's title and its sentences; a section that has nothing to say is not there."""
    tell = partial(words.both, timezone=found.timezone)
    made = (
        ("Backups", _backups(found.backups, tell)),
        ("Residency", _residency(found.residency)),
        ("Drill safety", _drill_safety(found.drill_safety, tell) if found.drill_safety else ()),
        ("Reconstitution", _reconstitution(found.reconstitution, tell)),
        ("Coverage", (*_coverage(found.coverage), *circumstances_words.programme(found))),
        ("Notifications", sentences(found.notifications, found.mode)),
        ("Control map", _control_map(found.control_map)),
    )
    return tuple((title, told) for title, told in ((title, tuple(said)) for title, said in made) if told)


def _backups(copies: Iterable[CopyTried], tell: _Tell) -> Iterator[str]:
    for copy in copies:
        attempt = f"attempt {copy.attempt}: " if copy.attempt is not None else ""
        yield f"{attempt}{copy.label} at {copy.location}{f' ({copy.country})' if copy.country else ''}: {_became(copy)}"
        parts = [f"verdict {copy.trust}" if copy.trust else ""]
        if copy.consistent_at:
            age = "" if copy.age_s is None else f" ({format_duration(copy.age_s)} before the run)"
            parts.append(f"consistent at {tell(copy.consistent_at)}{age}")
        parts.append(f"recovers up to {tell(copy.reaches)}" if copy.reaches else "")
        parts.append("" if copy.loss_s is None else f"loses {format_duration(copy.loss_s)} of writes")
        parts.append("" if copy.bytes is None else f"{copy.bytes} bytes when restored")
        parts.append(f"last replicated to there at {tell(copy.replicated_at)}" if copy.replicated_at else "")
        parts.append(f"sha256 of its manifest {copy.manifest_sha256}" if copy.manifest_sha256 else "")
        if any(parts):
            yield f"{copy.label}: {'; '.join(part for part in parts if part)}"


def _became(copy: CopyTried) -> str:
    """What came of the attempt with it."""
    if copy.outcome is Outcome.SUCCEEDED and copy.attempt is not None:
        return "restored"
    if copy.failed_step:
        return f"{_outcome(copy.outcome)} at {copy.failed_step}"
    return "picked" if copy.outcome is Outcome.SUCCEEDED else _outcome(copy.outcome)


def _residency(found: ResidencyRow) -> Iterator[str]:
    countries = dict.fromkeys(host.country for host in found.hosts)
    for country in countries:
        hosts = ", ".join(f"{host.host} ({host.site})" for host in found.hosts if host.country == country)
        yield f"steps were begun in {country}: {hosts}"
    if not found.country:
        return
    outside = f"elsewhere: {', '.join(found.outside)}" if found.outside else "every host that got a step is there"
    carried = ", ".join(found.carried_by) or "no step that was begun"
    yield f"data must stay in {found.country}; {outside}; data was carried by {carried}"


def _drill_safety(found: DrillSafety, tell: _Tell) -> Iterator[str]:
    lags = (("before", found.lag_before_s), ("during", found.lag_during_s), ("after", found.lag_after_s))
    if any(lag_s is not None for _, lag_s in lags):
        said = ", ".join(f"{when} {'not measured' if s is None else format_duration(s)}" for when, s in lags)
        yield f"production's replication lag: {said}"
    if found.production_changed:
        yield f"STEPS THAT MAY CHANGE SOMETHING were begun on production: {', '.join(found.production_changed)}"
    elif found.production:
        yield f"no step that may change something was begun on {', '.join(found.production)}: they were only read from"
    yield from _checks(found.checks, tell)


def _reconstitution(found: Reconstitution, tell: _Tell) -> Iterator[str]:
    if found.protected_at:
        yield f"protected again at {tell(found.protected_at)}"
    yield from (f"destruction of restored data: {said}" for said in _checks(found.destruction, tell))
    yield from (f"clean-up: {said}" for said in _checks(found.clean_up, tell))


def _control_map(found: Iterable[Control]) -> Iterator[str]:
    yield from (f"{control.standard} {control.clause}: {', '.join(control.sections)}" for control in found)
    yield "this report supplies evidence for these clauses, not compliance with them"


def _checks(found: Iterable[Check], tell: _Tell) -> Iterator[str]:
    for check in found:
        where = f" on {', '.join(check.hosts)}" if check.hosts else ""
        at = f", {tell(check.finished_at)}" if check.finished_at else ""
        yield f"{check.name} ({check.step}{where}): {_outcome(check.outcome)}{at}"


def _outcome(found: Outcome | None) -> str:
    if found is None:
        return "NOT OVER, OR NOT BEGUN"
    return {Outcome.FAILED: "FAILED", Outcome.IN_DOUBT: "IN DOUBT"}.get(found, found.value)


def _coverage(found: Coverage) -> Iterator[str]:
    named = (
        ("only asked, in a run that is no exercise", found.only_answered),
        ("failed", found.failed),
        ("simulated", found.simulated),
        ("left out, or done already", found.left_out),
        ("not begun, or not over", found.not_over),
    )
    count = len(found.exercised) + sum(len(steps) for _, steps in named)
    yield f"{len(found.exercised)} of {count} steps were exercised"
    yield from (f"{name}: {', '.join(steps)}" for name, steps in named if steps)
