"""How long a plan takes: usually, and at the most, by what its steps say of themselves.

All figures are seconds. A person has no bound, so approvals and manual steps count as nothing at the most, and are
named instead; so is the time to settle what is in doubt. Hosts of one step, and the steps of a parallel group, go side
by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from drctl.model.plan import Action, Approval, Manual, Mark, Plan, Round, Section, Shell, Stage, Step, Verify, Wait
from drctl.model.runbook import Runbook
from drctl.model.units import format_duration
from drctl.plan.pieces import retry_of
from drctl.plan.preparation import begins_the_outage
from drctl.plan.steps import DEFAULT_TIMEOUT_S
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document
from drctl.read.link import Linked, link

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
    straight, fallback = _ways_of(plan.stages)
    return Bounds(
        sections=tuple(
            (section, _sum(stage for stage in plan.stages if stage.section is section))
            for section in Section
            if plan.steps(section)
        ),
        total=_sum(stage for stage in plan.stages if stage.section not in (Section.FALLBACK, Section.ROLLBACK)),
        until_restored=_sum(straight),
        by_fallback=_sum((*straight, *fallback)) if fallback else None,
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
    return [] if rto_s is None else _too_long(_ways_of(plan.stages), rto_s, f"RTO of {plan.service}", runbook, severity)


def promise_problems(runbook: Document[Runbook]) -> list[Diagnostic]:
    """The same of a runbook by itself, held to its own objectives; without hosts ``max_parallel`` costs nothing."""
    rto_s = runbook.value.objectives.rto
    if rto_s is None:
        return []
    linked = link(runbook)
    stages = [
        Stage(section=group[0].section, steps=tuple(_measurable(step) for step in group))
        for group in (list(found) for _, found in groupby(linked, key=lambda step: step.stage))
    ]
    return _too_long(_ways_of(stages), rto_s, "RTO that it promises", runbook, Severity.ERROR)


def _measurable(placed: Linked) -> Step:
    """As much of the step as its worst case is made of."""
    written, place = placed.step, placed.frame.document.places.of(placed.path)
    if written.approval is not None:
        action: Action = Approval(prompt="")
    elif written.manual is not None:
        action = Manual(prompt="")
    elif written.wait is not None:
        action = Wait(seconds=written.wait)
    else:
        action = Shell(script="")
    verify = written.verify
    return Step(
        id=placed.id,
        name=placed.id,
        where=f"{placed.frame.document.file}:{place.line}:{place.column}",
        action=action,
        unless=Shell(script="") if written.unless is not None else None,
        verify=Verify(action=Shell(script=""), within_s=verify.within) if verify is not None else None,
        timeout_s=written.timeout if written.timeout is not None else DEFAULT_TIMEOUT_S,
        expected_s=written.wait if written.wait is not None else written.expected,
        retry=retry_of(placed),
        mark=Mark(next(iter(written.marks))) if written.marks else None,
        mark_value=next(iter(written.marks.values())) if written.marks else None,
        round=placed.frame.round,
    )


Way = tuple[Stage, ...]  # the stages from the first step to the one that restores the service


def _ways_of(stages: Sequence[Stage]) -> tuple[Way, Way]:
    """The straight way, and what the fallback adds to it; the longest way fails at the end of the first."""
    straight = _up_to_the_mark([s for s in stages if s.section in (Section.PRECONDITIONS, Section.STEPS)])
    return straight, _up_to_the_mark([s for s in stages if s.section is Section.FALLBACK])


def _too_long(
    ways: tuple[Way, Way], rto_s: float, whose: str, runbook: Document[Runbook], severity: Severity
) -> list[Diagnostic]:
    straight, fallback = _sum(ways[0]), _sum(ways[1])
    stages = (*ways[0], *ways[1])
    for measure, first_s, then_s, verb in (
        (usual_s, straight.usual_s, fallback.usual_s, "usually takes"),
        (worst_s, straight.worst_s, fallback.worst_s, "may take"),
    ):
        total_s = first_s + then_s
        if total_s <= rto_s:
            continue
        parts = f" ({format_duration(first_s)}, then {format_duration(then_s)} for the fallback)" if ways[1] else ""
        when = " when every step runs into its timeout" if measure is worst_s else ""
        said = f"{verb} {format_duration(total_s)}{parts} to restore the service{when}, and the {whose} is "
        path = ("objectives", "rto") if runbook.value.objectives.rto is not None else ("steps",)
        return [
            runbook.places.problem(
                path,
                said + format_duration(rto_s),
                key=True,
                severity=severity,
                hint=f"the dearest steps: {_costliest(stages, measure)}; {_CURES[measure is worst_s]}",
            )
        ]
    return []


_CURES = {
    True: "lower their timeout, retry or verify within, or promise a longer RTO",
    False: "make them quicker, or promise a longer RTO",
}


def _up_to_the_mark(counted: Sequence[Stage]) -> tuple[Stage, ...]:
    """From the beginning, or from the step that itself begins the outage, to the one that restores the service."""
    begun = [n for n, stage in enumerate(counted) if any(begins_the_outage(step) for step in stage.steps)]
    first = begun[0] if begun else 0
    marking = [n for n, stage in enumerate(counted) if any(s.mark is Mark.SERVICE_RESTORED for s in stage.steps)]
    return tuple(counted[first : marking[-1] + 1] if marking else counted[first:])


def _sum(stages: Iterable[Stage]) -> Span:
    usual, worst = 0.0, 0.0
    rounds: dict[Round, float] = {}
    for stage in stages:
        longest_s = max(worst_s(step) for step in stage.steps)
        usual += max(usual_s(step) for step in stage.steps)
        its = stage.steps[0].round
        if its is None:
            worst += longest_s
        else:
            rounds[its] = rounds.get(its, 0.0) + longest_s
    for call in {one.of: one for one in rounds}.values():
        spans = [seconds for one, seconds in rounds.items() if one.of == call.of]
        # An attempt may begin just before the time for new ones is over, and then there is the last one.
        worst += sum(spans) if call.within_s is None else min(sum(spans), call.within_s + 2 * max(spans))
    return Span(usual_s=usual, worst_s=worst)


def _costliest(stages: Iterable[Stage], measure: Callable[[Step], float]) -> str:
    steps = sorted((s for stage in stages for s in stage.steps), key=measure, reverse=True)[:_COSTLIEST]
    return ", ".join(f"{step.id} {format_duration(measure(step))} ({step.where})" for step in steps)
