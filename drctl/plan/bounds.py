"""How long a plan takes: usually, and at the most, by what its steps say of themselves.

All figures are seconds. A person has no bound, so approvals and manual steps count as nothing at the most, and are
named instead; so is the time to settle what is in doubt. Hosts of one step, and the steps of a parallel group, go side
by side.
"""

from __future__ import annotations

from dataclasses import dataclass

from drctl.model.plan import Approval, Manual, Plan, Step, Wait
from drctl.model.runbook import Runbook
from drctl.model.words import Mark, Section
from drctl.plan.preparation import begins_the_outage
from drctl.plan.timing import Span, Stage, Timed, all_pauses_s, span_of, too_long, verify_s, ways_of, worst_case_s
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document

PEOPLE = (Approval, Manual)  # actions that are a person's


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The spans of a plan's sections, and of the part that the RTO is about.

    ``total`` is the straight road: neither the fallback nor the rollback is in it. ``until_restored`` goes up to the
    stage that marks the service as restored, or to the end of the steps when none does; ``by_fallback`` is all of that
    and then the fallback up to its own mark, None without a fallback. ``undeclared`` steps do not say what they
    usually take; ``people`` are the steps that ask somebody.
    """

    sections: tuple[tuple[Section, Span], ...]
    total: Span
    until_restored: Span
    by_fallback: Span | None
    undeclared: tuple[str, ...]
    people: tuple[str, ...]


def bounds(plan: Plan) -> Bounds:
    """The bounds of all sections that have steps."""
    stages = _timed(plan)
    straight, fallback = ways_of(stages)
    return Bounds(
        sections=tuple(
            (section, span_of(stage for stage in stages if stage[0] is section))
            for section in Section
            if plan.steps(section)
        ),
        total=span_of(stage for stage in stages if stage[0] not in (Section.FALLBACK, Section.ROLLBACK)),
        until_restored=span_of(straight),
        by_fallback=span_of((*straight, *fallback)) if fallback else None,
        undeclared=tuple(s.id for s in plan.steps() if s.expected_s is None and not isinstance(s.action, PEOPLE)),
        people=tuple(s.id for s in plan.steps() if isinstance(s.action, PEOPLE)),
    )


def worst_s(step: Step) -> float:
    """Every attempt runs into its timeout, every pause is waited for, and the verify holds at the last moment.

    With ``max_parallel`` the hosts take turns.
    """
    within_s = step.verify.within_s if step.verify is not None else None
    if isinstance(step.action, PEOPLE):
        return step.timeout_s if step.unless is not None else 0.0
    if isinstance(step.action, Wait):
        return step.action.seconds + verify_s(within_s)
    retry = step.retry
    return worst_case_s(
        timeout_s=step.timeout_s,
        attempts=retry.attempts,
        pauses_s=all_pauses_s(retry.attempts, retry.delay_s, retry.backoff, retry.max_delay_s),
        probes=step.unless is not None,
        within_s=within_s,
        turns=-(-len(step.endpoints) // step.max_parallel) if step.max_parallel is not None else 1,
    )


def usual_s(step: Step) -> float:
    """What the step says that it usually takes; nothing when it does not say, or is a later attempt of a call."""
    return 0.0 if step.is_repeat else step.expected_s or 0.0


def bound_problems(plan: Plan, runbook: Document[Runbook], *, severity: Severity = Severity.ERROR) -> list[Diagnostic]:
    """What keeps the plan from holding its RTO, if only when every step runs into its timeout; empty when it holds.

    A runbook that restores no service and promises nothing itself, such as one that rebuilds a standby, holds none.

    A run is never refused for it: at three in the morning a late recovery is better than none.
    """
    rto_s = plan.objectives.rto_s
    if runbook.value.objectives.rto is None and not any(s.mark is Mark.SERVICE_RESTORED for s in plan.steps()):
        return []
    if rto_s is None:
        return []

    def where(step_id: str) -> str:
        return plan.step(step_id).where

    return too_long(_timed(plan), rto_s, f"RTO of {plan.service}", runbook, where=where, severity=severity)


def _timed(plan: Plan) -> list[Stage]:
    return [
        (
            stage.section,
            tuple(
                Timed(
                    id=step.id,
                    usual_s=usual_s(step),
                    worst_s=worst_s(step),
                    begins=begins_the_outage(step),
                    restores=step.mark is Mark.SERVICE_RESTORED,
                    round=step.round,
                )
                for step in stage.steps
            ),
        )
        for stage in plan.stages
    ]
