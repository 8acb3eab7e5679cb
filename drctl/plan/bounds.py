"""How long a plan takes: usually, and at the most, by what its steps say of themselves.

All figures are seconds. A person has no bound, so approvals and manual steps count as nothing at the most, and are
named instead; so is the time to settle what is in doubt. Hosts of one step, and the steps of a parallel group, go side
by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from drctl.model.plan import Approval, Manual, Mark, Plan, Section, Stage, Step, Wait
from drctl.model.runbook import Runbook
from drctl.model.units import format_duration
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document

PEOPLE = (Approval, Manual)  # actions that are a person's
_COSTLIEST = 3
_LAST_LOOK_S = 1.0  # a verify looks once more when its time is just over


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The usual and the worst case of a part of a plan."""

    usual_s: float
    worst_s: float


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
    return Bounds(
        sections=tuple(
            (section, _sum(stage for stage in plan.stages if stage.section is section))
            for section in Section
            if plan.steps(section)
        ),
        total=_sum(stage for stage in plan.stages if stage.section not in (Section.FALLBACK, Section.ROLLBACK)),
        until_restored=_sum(_until_restored(plan)),
        by_fallback=_sum(_by_fallback(plan)) if plan.steps(Section.FALLBACK) else None,
        undeclared=tuple(s.id for s in plan.steps() if s.expected_s is None and not isinstance(s.action, PEOPLE)),
        people=tuple(s.id for s in plan.steps() if isinstance(s.action, PEOPLE)),
    )


def worst_s(step: Step) -> float:
    """Every attempt runs into its timeout, every pause is waited for, and the verify holds at the last moment.

    With ``max_parallel`` the hosts take turns.
    """
    if isinstance(step.action, PEOPLE):
        return step.timeout_s if step.unless is not None else 0.0
    verify = step.verify.within_s + _LAST_LOOK_S if step.verify is not None else 0.0
    if isinstance(step.action, Wait):
        return step.action.seconds + verify
    retry = step.retry
    rounds = -(-len(step.endpoints) // step.max_parallel) if step.max_parallel is not None else 1
    pauses = sum(min(retry.delay_s * retry.backoff**n, retry.max_delay_s) for n in range(retry.attempts - 1))
    probe = step.timeout_s if step.unless is not None else 0.0
    return rounds * (probe + retry.attempts * step.timeout_s + pauses + verify)


def usual_s(step: Step) -> float:
    """What the step says that it usually takes; nothing when it does not say."""
    return step.expected_s or 0.0


def bound_problems(plan: Plan, runbook: Document[Runbook]) -> list[Diagnostic]:
    """Warnings about a plan that cannot, or need not, keep its RTO."""
    rto_s = plan.objectives.rto_s
    if rto_s is None:
        return []
    found = bounds(plan)
    span, stages = found.until_restored, _until_restored(plan)
    if span.usual_s <= rto_s and span.worst_s <= rto_s and found.by_fallback is not None:
        span, stages = found.by_fallback, _by_fallback(plan)
    way = ", fallback included," if span is found.by_fallback else ""
    if span.usual_s > rto_s:
        usual = f"{format_duration(span.usual_s)}{way or ','}"
        said = f"usually takes {usual} and the RTO of {plan.service} is {format_duration(rto_s)}"
        costly = _costliest(stages, usual_s)
    elif span.worst_s > rto_s:
        said = (
            f"may take {format_duration(span.worst_s)}{way} when every step runs into its timeout, and the RTO of "
            f"{plan.service} is {format_duration(rto_s)}"
        )
        costly = _costliest(stages, worst_s)
    else:
        return []
    path = ("objectives", "rto") if runbook.value.objectives.rto is not None else ("steps",)
    return [
        runbook.places.problem(path, said, key=True, severity=Severity.WARNING, hint=f"the longest steps: {costly}")
    ]


def _until_restored(plan: Plan) -> tuple[Stage, ...]:
    return _up_to_the_mark([s for s in plan.stages if s.section in (Section.PRECONDITIONS, Section.STEPS)])


def _by_fallback(plan: Plan) -> tuple[Stage, ...]:
    """The longest way: all the steps are tried, and then the fallback restores the service."""
    fallback = _up_to_the_mark([s for s in plan.stages if s.section is Section.FALLBACK])
    return (*_until_restored(plan), *fallback)


def _up_to_the_mark(counted: Sequence[Stage]) -> tuple[Stage, ...]:
    marking = [n for n, stage in enumerate(counted) if any(s.mark is Mark.SERVICE_RESTORED for s in stage.steps)]
    return tuple(counted[: marking[-1] + 1] if marking else counted)


def _sum(stages: Iterable[Stage]) -> Span:
    counted = list(stages)
    return Span(
        usual_s=sum(max(usual_s(step) for step in stage.steps) for stage in counted),
        worst_s=sum(max(worst_s(step) for step in stage.steps) for stage in counted),
    )


def _costliest(stages: Iterable[Stage], measure: Callable[[Step], float]) -> str:
    steps = sorted((s for stage in stages for s in stage.steps), key=measure, reverse=True)[:_COSTLIEST]
    return ", ".join(f"{step.id} {format_duration(measure(step))}" for step in steps)
