"""The circumstances of a run in sentences, which text, Markdown and HTML have in common."""

from __future__ import annotations

from collections.abc import Iterator

from drctl.model.circumstances import ClockReading, EarlierRun
from drctl.model.events import Question
from drctl.model.plan import Mode
from drctl.model.units import format_duration, format_instant
from drctl.report import trend, words
from drctl.report.circumstances import Session
from drctl.report.facts import Summary

_KINDS = {
    Mode.PLAN: "a dry-run, no exercise",
    Mode.CHECK: "a check of what can be read, no exercise",
    Mode.DRILL: "a drill: real steps, on drill targets or on what its operator named twice",
    Mode.REAL: "a real run",
}


def exercise(found: Summary) -> Iterator[str]:
    """What kind of exercise it was, of what, under which objectives, and when it is due again."""
    yield f"type: {_KINDS[found.mode]}, by the runbook {found.runbook}"
    noted = found.exercise
    if noted and noted.scenario:
        yield f"scenario: {noted.scenario}"
    elif found.reason:
        yield f"scenario: none was named but the reason: {found.reason}"
    targets = (("RTO", found.rto.target_s), ("RPO", found.rpo.target_s))
    yield f"objectives: {', '.join(f'{name} {words.amount(target)}' for name, target in targets)}"
    hosts = found.residency.hosts
    sites = ", ".join(dict.fromkeys(host.site for host in hosts)) or "none"
    yield f"scope: the service {found.service}, {len(hosts)} hosts that got a step, at the sites {sites}"
    for said in noted.excluded if noted else ():
        yield f"excluded: {said}"
    if noted and not noted.excluded:
        yield "excluded: nothing was named; what did not run is under Coverage and Limits"
    if noted and noted.planned_at:
        yield f"planned for {words.both(noted.planned_at, found.timezone)}: {noted.programme}"
    elif noted:
        yield f"planned: {noted.programme}"
    if noted and noted.next_due_at:
        yield f"next due, if this one counts: {words.both(noted.next_due_at, found.timezone)}"


def programme(found: Summary) -> Iterator[str]:
    """Which services were exercised when, as the programme had it when the run began, and what had changed since."""
    noted = found.exercise
    if noted is None:
        return
    if noted.changed:
        yield f"changed since they were last exercised, before this run: {', '.join(noted.changed)}"
    if noted.never:
        yield f"never exercised before this run: {', '.join(noted.never)}"
    for line in noted.programmed:
        last = f"last exercised {line.last_at:%Y-%m-%d}" if line.last_at else "never exercised"
        due = "DUE" if line.due else f"next {line.next_at:%Y-%m-%d}"
        yield f"before this run: {line.runbook} of {line.service}: {last}, {due}"


def people(found: Summary) -> Iterator[str]:
    """Who was there: operators, who declared, approvers, observers, and who was to be missed."""
    for session in found.sessions:
        unattended = "" if session.interactive else ", unattended"
        verb = "resumed" if session.resumed else "started"
        at = f"{words.both(session.began_at, found.timezone)}{unattended}"
        yield f"{session.operator} on {session.controller} {verb} the run at {at}"
    if found.sessions:
        yield f"declared by {found.sessions[0].operator}, who started the run"
    approved = ("yes", "approve", "break_glass")
    who = [d.who for d in found.decisions if d.question is Question.APPROVAL and d.answer in approved and d.who]
    yield f"approvers: {', '.join(dict.fromkeys(who)) or 'none'}"
    noted = found.exercise
    if noted:
        yield f"observers: {', '.join(noted.observers) or 'none was named'}"
        yield f"absent, as a part of the exercise: {', '.join(noted.absent) or 'nobody'}"


def controllers(found: Summary) -> Iterator[str]:
    """From where it was conducted, with what, and what the clocks were worth."""
    for session in found.sessions:
        yield f"controller {session.controller}: {_place(session)}; {_version(session)}"
        if session.clock:
            yield f"clock of {session.controller}: {clock(session.clock)}"
    for reading in found.host_clocks:
        yield f"clock of {reading.host}: {clock(reading)}"
    noted = found.repository
    if noted and noted.commit:
        dirty = "with changes that are in no commit" if noted.dirty else "with nothing uncommitted"
        yield f"runbook's repository: git commit {noted.commit}, {dirty}"
        yield from (f"not as in that commit: {name}" for name in noted.uncommitted)
    elif noted:
        yield f"runbook's repository: the commit is not known: {noted.why}"


def clock(reading: ClockReading) -> str:
    """``+0.0124 s off the controller's (to within 0.0040 s)``."""
    if reading.offset_s is None:
        return f"not measured: {reading.why}"
    against = "the controller's" if reading.host else "true time, as its kernel knows it"
    within = f" (to within {reading.within_s:.4f} s)" if reading.within_s is not None else ""
    return f"{reading.offset_s:+.4f} s off {against}{within}"


def trend_said(found: Summary) -> str:
    """How this run compares with those before it."""
    return trend.said([row.to_restore_s for row in found.trend if row.to_restore_s is not None])


def trend_row(row: EarlierRun) -> tuple[str, ...]:
    """When, mode, restored in, RTO, RPO, run, head: the cells of a table."""
    return (
        format_instant(row.started_at),
        row.mode,
        words.amount(row.to_restore_s),
        _objective(row.rto_actual_s, row.rto_verdict),
        _objective(row.rpo_actual_s, row.rpo_verdict),
        row.run_id,
        row.head[:16],
    )


def _objective(actual_s: float | None, verdict: str) -> str:
    return "not measured" if actual_s is None else f"{format_duration(actual_s)} {verdict}"


def _place(session: Session) -> str:
    if session.site:
        return f"site {session.site}, {session.country}"
    return "no host of the inventory, so its site is not known"


def _version(session: Session) -> str:
    return f"drctl {session.drctl_version}" if session.drctl_version else "its drctl's version was not noted"
