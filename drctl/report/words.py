"""Phrases that every format of a report has in common."""

from __future__ import annotations

from datetime import datetime

from drctl.engine.objectives import Reading, Verdict
from drctl.model.events import Act, Outcome
from drctl.model.units import format_duration, format_instant, local_time
from drctl.model.words import Mark
from drctl.report.facts import (
    Command,
    Decision,
    Finding,
    Given,
    HostRow,
    Objective,
    Standing,
    StepRow,
    Summary,
    Unprotected,
)
from drctl.report.timing import Elapsed

MARKS = {
    Mark.OUTAGE_STARTED: "outage started",
    Mark.DETECTED: "detected",
    Mark.DECLARED: "declared",
    Mark.SERVICE_RESTORED: "service restored",
    Mark.PROTECTED: "protected again",
}
NOT_BEGUN = "not begun"
UNDER_WAY = "under way"


def amount(seconds: float | None) -> str:
    """A duration, or a dash for one that is not known."""
    return "-" if seconds is None else format_duration(seconds)


def objective(name: str, found: Objective) -> str:
    """``RTO MET 54m 22s of 4h 00m``."""
    return _reading(name, found.verdict, found.actual_s, found.target_s)


def reading(name: str, found: Reading) -> str:
    """The same of a reading that is not in a report yet."""
    return _reading(name, found.verdict, found.actual_s, found.target_s)


def _reading(name: str, verdict: Verdict, actual_s: float | None, target_s: float | None) -> str:
    target = "no target" if target_s is None else format_duration(target_s)
    if verdict is Verdict.NOT_MEASURED:
        known = "" if actual_s is None else f", {format_duration(actual_s)} so far as known"
        return f"{name} NOT MEASURED ({target if target_s is None else f'target {target}'}{known})"
    word = {Verdict.RUNNING: "RUNNING" if name == "RTO" else "OPEN"}.get(verdict, verdict.upper())
    return f"{name} {word} {amount(actual_s)} of {target}"


def outcome(found: Outcome | None, *, begun: bool) -> str:
    """An outcome in capitals where a person has to look."""
    if found is None:
        return UNDER_WAY if begun else NOT_BEGUN
    return {Outcome.FAILED: "FAILED", Outcome.IN_DOUBT: "IN DOUBT"}.get(found, found.value)


def step_outcome(step: StepRow) -> str:
    """The outcome of a step over its hosts."""
    return outcome(step.outcome, begun=any(h.started_at for h in step.hosts))


def host_outcome(host: HostRow) -> str:
    return outcome(host.outcome, begun=host.started_at is not None)


def against_expected(duration_s: float | None, expected_s: float | None) -> str:
    """``12m 22s (expected 10m 00s)``."""
    if duration_s is None:
        return ""
    return format_duration(duration_s) + ("" if expected_s is None else f" (expected {format_duration(expected_s)})")


def unprotected(found: Unprotected, *, since: str, until: str) -> str:
    """When the service ran on one copy only."""
    if found.until is None:
        return f"UNPROTECTED since {since} ({format_duration(found.duration_s)}): no second copy can take over"
    return f"unprotected from {since} to {until} ({format_duration(found.duration_s)})"


def deadline(found: Summary) -> tuple[str, ...]:
    """What was expected, and the last moment to leave for the fallback, as a report says it."""
    said = []
    if found.forecast is not None:
        said.append(
            f"Expected until the service is restored: {format_duration(found.forecast.restored_s)} "
            f"({found.forecast.restored_basis})"
        )
    due = found.deadline
    if due is not None:
        margin = f", {format_duration(due.margin_s)} kept free" if due.margin_s else ""
        decided = f"; decided then: {due.answer}" if due.answer else ""
        said.append(
            f"Last moment to leave for {due.fallback}: {due.local}; it takes {format_duration(due.takes_s)} "
            f"({due.basis}){margin}; unattended: {due.action}{decided}"
        )
    return tuple(said)


def budget(found: Summary) -> str:
    """The share of a year's 99.9 % that the outage used, or has used so far; empty when that is not known."""
    if found.yearly_budget_used is None:
        return ""
    share = f"{found.yearly_budget_used * 100:.2g} %" if found.yearly_budget_used < 1 else "all"
    over = any(row.mark is Mark.SERVICE_RESTORED for row in found.clock)
    so_far = "" if over else " so far; it is not known to be over"
    return f"This outage used {share} of the yearly 99.9 % budget (8.76 h){so_far}"


def going_on(conducted: bool | None) -> str:
    """What is known of the drctl of a run that has not ended; the time of its last event comes behind."""
    return {
        None: "This run goes on, or drctl died",
        True: "This run goes on",
        False: "No drctl carries this run on: it died, or was told to leave at once",
    }[conducted]


def elapsed(spent: Elapsed) -> tuple[tuple[str, float], ...]:
    """The parts of the elapsed time that are worth a line, with their names."""
    parts = (
        ("before the run (detection, decision)", spent.before_run_s or 0.0),
        ("automation", spent.automation_s),
        ("waiting for people", spent.people_s),
        ("retries", spent.retries_s),
        ("paused", spent.paused_s),
        ("drctl dead", spent.drctl_dead_s),
        ("idle", spent.idle_s),
    )
    return tuple((name, seconds) for name, seconds in parts if seconds >= 0.05)


def decision(taken: Decision) -> str:
    """What was decided, by whom, and why."""
    about = f"{taken.step}@{taken.host}" if taken.host else taken.step or "the run"
    fact = f" of {taken.fact}" if taken.fact else ""
    why = f": {taken.why}" if taken.why else ""
    who = taken.who or "nobody was there, so"
    return f"{taken.question}{fact} for {about}: {who} said {taken.answer}{why}"


def signature(taken: Decision) -> str:
    """By which key a decision was signed, over what, and whether that held; empty when it was not signed."""
    if not taken.fingerprint and not taken.signed_plan:
        return ""
    held = "signature verified when it was given" if taken.signature_verified else "the signature did NOT count"
    when = f" at {format_instant(taken.signed_at)}" if taken.signed_at else ""
    return f"signed with {taken.fingerprint or 'an unknown key'}{when} for the plan {taken.signed_plan}; {held}"


def both(instant: datetime, timezone: str) -> str:
    """The instant in UTC, and in the timezone when that is another."""
    local = local_time(instant, timezone)
    return format_instant(instant) + ("" if local.endswith("UTC") else f" ({local})")


def variable(found: Given) -> str:
    """``name=value``, or the reference of a secret."""
    return f"{found.name}=<secret {found.secret}>" if found.secret is not None else f"{found.name}={found.text}"


def where(command: Command, host: str) -> str:
    """Where a command ran and as whom."""
    if command.kind in ("http", "tcp"):
        return "from the operator's machine"
    place = f"on {host}" if host and not command.local else "on the operator's machine"
    return f"{place} as {command.become}" if command.become else place


def act(found: Act) -> str:
    """What an attempt was for."""
    return {
        Act.UNLESS: "is it done already?",
        Act.RUN: "run",
        Act.SETTLE: "what became of it?",
        Act.VERIFY: "verify",
    }[found]


def finding_state(found: Finding) -> str:
    """``OVERDUE since 2026-12-15``."""
    if found.standing is Standing.CLOSED and found.closed_at is not None:
        return f"closed {found.closed_at:%Y-%m-%d} by {found.closed_by}"
    return f"OVERDUE since {found.due}" if found.standing is Standing.OVERDUE else f"due {found.due}"
