"""What is known of a run: values that ``fold`` makes of its events, and what can be read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from drctl.model import events as ev
from drctl.model.events import Act, Outcome, Reason
from drctl.model.exposure import Exposure
from drctl.model.plan import Mode, OnUnreachable, Plan, Step
from drctl.model.words import Mark, OnFailure


class Target(NamedTuple):
    """A step on one host; ``host`` is empty on the operator's machine."""

    step: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """What is known of a step on one host. ``outcome`` is None until it is over."""

    attempts: int = 0
    in_flight: Act | None = None
    in_flight_since: datetime | None = None
    done_already: bool | None = None  # what the unless-probe said
    ran: bool = False  # the action succeeded; a verify may be outstanding
    doubt: bool = False  # it was sent, and its end is not known
    settled_in_vain: bool = False  # attaching did not tell
    verified_in_vain: bool = False  # nor did the verify
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str = ""
    exit_code: int | None = None
    output: ev.Output | None = None
    errors: ev.Output | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    allowance: int = 0  # attempts beyond the step's own, granted by a person
    not_before: datetime | None = None  # a retry waits for this
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockPoint:
    """An instant of the RTO clock and where it comes from."""

    at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A required fact that a person vouched for in place of a proof."""

    fact: str
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedApproval:
    """An approval that came with a signature. ``refused`` says why it does not count."""

    step: str
    who: str
    why: str
    fingerprint: str
    signature: str
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenGlass:
    """An approval step that somebody passed without the approvals that it needs."""

    step: str
    who: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """The whole of a run, as far as its events tell."""

    run_id: str = ""
    plan: Plan | None = None
    plan_digest: str = ""
    operator: str = ""
    operators: tuple[str, ...] = ()  # all who ever conducted it: none of them may approve
    operator_keys: tuple[str, ...] = ()
    controller: str = ""
    pid: int = 0
    reason: str = ""
    way: str = ""
    exposure: Exposure | None = None  # as it was last measured before the run began
    started_at: datetime | None = None
    last_at: datetime | None = None
    targets: Mapping[Target, TargetState] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    clock: Mapping[Mark, ClockPoint] = field(default_factory=dict)
    recovery: Mapping[str, ClockPoint] = field(default_factory=dict)  # recovery_point, last_write
    overrides: tuple[Override, ...] = ()
    approvals: tuple[SignedApproval, ...] = ()
    broken_glass: tuple[BrokenGlass, ...] = ()
    question: ev.PersonAsked | None = None
    left_open: ev.PersonAsked | None = None  # the question that was answered with a pause
    asked_at: datetime | None = None
    waited_for_people_s: float = 0.0
    resumed: int = 0
    dead_s: float = 0.0  # between the last event of a dead process and the resume
    stop: ev.StopRequested | None = None
    pause: bool = False
    abort: str = ""  # who aborted, and why
    given_up: bool = False  # a step failed and nobody was there to decide
    fallen_back: str = ""  # why the fallback's steps took over
    rolling_back: str = ""  # why what was done is being undone
    forecast: ev.ForecastMade | None = None
    deadline_answer: str = ""  # what was decided at the deadline: fallback or continue
    messengers_failed: tuple[str, ...] = ()
    notifications: int = 0  # how many messages people were sent
    ended: ev.Ended | None = None
    ended_why: str = ""
    ended_at: datetime | None = None

    @property
    def the_plan(self) -> Plan:
        """The plan.

        Raises:
            ValueError: before the first event.
        """
        if self.plan is None:
            raise ValueError("a run without its first event has no plan")
        return self.plan

    @property
    def mode(self) -> Mode:
        return self.the_plan.mode

    def value(self, name: str) -> str | None:
        """A captured value, else an input's; None when there is neither."""
        given = {v.name: v.text for v in self.the_plan.inputs}
        return self.values.get(name, given.get(name))

    def target(self, target: Target) -> TargetState:
        """What is known of a target; a new one when nothing is."""
        return self.targets.get(target, _NEW)

    def approvers(self, step_id: str) -> tuple[str, ...]:
        """The different people whose approval of the step counts."""
        return tuple(dict.fromkeys(a.who for a in self.approvals if a.step == step_id and not a.refused))

    @property
    def in_flight(self) -> tuple[Target, ...]:
        """Targets whose intent has no outcome yet."""
        return tuple(t for t, s in self.targets.items() if s.in_flight is not None)

    def step_outcome(self, step: Step) -> Outcome | None:
        """The outcome over all the hosts of a step: None while one is open; the worst of them afterwards."""
        found = [self.target(t).outcome for t in targets_of(step)]
        if any(o is None for o in found):
            return None
        for worst in (Outcome.IN_DOUBT, Outcome.FAILED, Outcome.SIMULATED, Outcome.SUCCEEDED):
            if worst in found:
                return worst
        return Outcome.SKIPPED

    @property
    def held_up(self) -> bool:
        """Whether another run holds the service on a host that was to be changed."""
        return any(s.outcome is Outcome.FAILED and s.reason is Reason.HELD for s in self.targets.values())

    def proved(self, fact: str) -> bool:
        """Whether a step that proves the fact succeeded, or a person vouched for it."""
        if any(o.fact == fact for o in self.overrides):
            return True
        return any(s.proves == fact and self.holds(s) for s in self.the_plan.steps())

    def ended_round(self, step: Step) -> Step | None:
        """The step whose failure ended the round that this one belongs to; None while the round goes on.

        A round that is the last one ends its run, as any other failure does.
        """
        beside = (s for s in self.the_plan.steps() if s.round is not None and s.round == step.round)
        return next((s for s in beside if s.on_failure is OnFailure.NEXT and self._broke(s)), None)

    def _broke(self, step: Step) -> bool:
        known = (self.target(t) for t in targets_of(step))
        unreached = step.on_unreachable is OnUnreachable.CONTINUE
        return any(s.outcome is Outcome.FAILED and not (unreached and s.reason is Reason.UNREACHABLE) for s in known)

    def holds(self, step: Step) -> bool:
        """Whether what the step brings about is so on every host: it succeeded, or was found done already."""
        known = [self.target(t) for t in targets_of(step)]
        return all(
            s.outcome is Outcome.SUCCEEDED or (s.outcome is Outcome.SKIPPED and s.done_already is True) for s in known
        )


_NEW = TargetState()

NOT_SENT = (Reason.UNREACHABLE, Reason.REFUSED, Reason.HELD)
"""Why a step failed of which nothing was run."""


def targets_of(step: Step) -> tuple[Target, ...]:
    """The step on each of its hosts, or once on the operator's machine."""
    return tuple(Target(step.id, e.host) for e in step.endpoints) or (Target(step.id, ""),)


def tolerated(step: Step, target: TargetState) -> bool:
    """Whether the runbook goes on in spite of this failure."""
    if target.reason is Reason.HELD:
        return False
    if step.on_failure in (OnFailure.CONTINUE, OnFailure.NEXT):
        return True
    return target.reason is Reason.UNREACHABLE and step.on_unreachable is OnUnreachable.CONTINUE
