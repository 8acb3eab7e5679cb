"""What is signed when somebody approves a step, and what speaks against counting it. Pure.

The text is made to be read by the person who signs it and checked with ``ssh-keygen -Y verify`` alone: a line for
each fact, in this order. It names the run, the plan's digest and the very question that was asked, so that it is worth
nothing for another run, another plan or other figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from drctl.engine.state import RunState
from drctl.model.events import PersonAsked
from drctl.model.plan import Approval
from drctl.model.units import format_duration, parse_instant

NAMESPACE = "drctl-approval"
_HEAD = "drctl approval 1"
_LINES = ("run", "service", "runbook", "step", "plan", "asked", "issued", "reason")
_AHEAD_S = 300.0  # how far the clock of another machine may be before ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is approved. ``issued`` is when the text was made; ``reason`` is the approver's own."""

    run: str
    service: str
    runbook: str
    step: str
    plan: str
    asked: str
    issued: datetime
    reason: str


def statement_of(state: RunState, question: PersonAsked, *, issued: datetime, reason: str) -> Statement:
    """The approval of what is asked."""
    return Statement(
        run=state.run_id,
        service=state.the_plan.service,
        runbook=state.the_plan.runbook,
        step=question.step,
        plan=state.plan_digest,
        asked=" ".join(question.prompt.split()),
        issued=issued,
        reason=" ".join(reason.split()),
    )


def render(statement: Statement) -> str:
    """The text that is signed, its last line end included."""
    values = {name: getattr(statement, name) for name in _LINES}
    values["issued"] = statement.issued.isoformat(timespec="seconds").replace("+00:00", "Z")
    return "".join([f"{_HEAD}\n", *(f"{name}: {values[name]}\n" for name in _LINES)])


def parse(text: str) -> Statement:
    """The statement of such a text.

    Raises:
        ValueError: when it is not exactly of that form; the message says where.
    """
    head, *lines = text.split("\n")
    if head != _HEAD or lines[-1:] != [""] or len(lines) != len(_LINES) + 1:
        raise ValueError(f"an approval is {len(_LINES) + 1} lines, the first of them {_HEAD!r}")
    values: dict[str, str] = {}
    for name, line in zip(_LINES, lines, strict=False):
        found, sign, value = line.partition(": ")
        if found != name or not sign:
            raise ValueError(f"the line of {name!r} is not there: {line[:60]!r}")
        values[name] = value
    return Statement(**{**values, "issued": parse_instant(values["issued"])})  # type: ignore[arg-type]


def objection(statement: Statement, *, state: RunState, question: PersonAsked, now: datetime) -> str:
    """Why the approval does not count for this run as it stands; empty when nothing speaks against it."""
    wanted = statement_of(state, question, issued=statement.issued, reason=statement.reason)
    for name in ("run", "step", "plan", "asked", "service", "runbook"):
        said, right = getattr(statement, name), getattr(wanted, name)
        if said != right:
            what = {"plan": "another plan", "asked": "another question"}.get(name, f"another {name}")
            return f"it is for {what}: {said[:80]}"
    if not statement.reason:
        return "it gives no reason"
    action = state.the_plan.step(question.step).action
    within_s = action.within_s if isinstance(action, Approval) else None
    age = now - statement.issued
    if age < -timedelta(seconds=_AHEAD_S):
        return f"it is dated {format_duration(-age.total_seconds())} ahead of this machine's clock"
    if within_s is not None and age.total_seconds() > within_s:
        return (
            f"it expired: it is {format_duration(age.total_seconds())} old, and {format_duration(within_s)} is allowed"
        )
    return ""


def is_requester(state: RunState, *, principal: str, fingerprint: str) -> bool:
    """Whether who signed is one of those who conduct the run: by name, or by one of their own keys."""
    names = {operator.partition("@")[0].lower() for operator in state.operators}
    return principal.partition("@")[0].lower() in names or fingerprint in state.operator_keys
