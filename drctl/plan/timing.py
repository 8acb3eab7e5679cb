"""How long steps take one after the other: the arithmetic of ``plan/bounds.py`` and ``plan/promised.py``.

All figures are seconds. Steps of one stage go side by side, and so do the hosts of one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from drctl.model.runbook import Runbook
from drctl.model.units import format_duration
from drctl.model.words import Round, Section
from drctl.read.diagnostics import Diagnostic, Severity
from drctl.read.document import Document

_COSTLIEST = 3
_LAST_LOOK_S = 1.0  # a verify looks once more when its time is just over


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The usual and the worst case of a part of a run."""

    usual_s: float
    worst_s: float


class Timed(NamedTuple):
    """As much of a step as the time of a run is made of; ``begins`` and ``restores`` are its marks on the RTO clock."""

    id: str
    usual_s: float
    worst_s: float
    begins: bool  # the outage, by itself
    restores: bool  # the service
    round: Round | None


Stage = tuple[Section, tuple[Timed, ...]]
Stages = Sequence[Stage]


def worst_case_s(
    *, timeout_s: float, attempts: int = 1, pauses_s: float = 0.0, probes: bool, within_s: float | None, turns: int = 1
) -> float:
    """Every attempt runs into its timeout, every pause is waited for, and the verify holds at the last moment.

    ``probes`` is whether ``unless`` is asked first, and ``turns`` how often the hosts change places.
    """
    probe_s = timeout_s if probes else 0.0
    return turns * (probe_s + attempts * timeout_s + pauses_s + verify_s(within_s))


def verify_s(within_s: float | None) -> float:
    """How long a verify may take at the most; None is no verify."""
    return 0.0 if within_s is None else within_s + _LAST_LOOK_S


def all_pauses_s(attempts: int, delay_s: float, backoff: float, max_delay_s: float) -> float:
    """What is waited between all attempts."""
    return sum(min(delay_s * backoff**n, max_delay_s) for n in range(attempts - 1))


def ways_of(stages: Stages) -> tuple[Stages, Stages]:
    """The straight way, and what the fallback adds to it; the longest way fails at the end of the first.

    Each goes from the first step to the one that restores the service.
    """
    straight = _up_to_the_mark([s for s in stages if s[0] in (Section.PRECONDITIONS, Section.STEPS)])
    return straight, _up_to_the_mark([s for s in stages if s[0] is Section.FALLBACK])


def _up_to_the_mark(counted: Stages) -> Stages:
    """From the beginning, or from the step that itself begins the outage, to the one that restores the service."""
    begun = [n for n, (_, steps) in enumerate(counted) if any(step.begins for step in steps)]
    first = begun[0] if begun else 0
    marking = [n for n, (_, steps) in enumerate(counted) if any(step.restores for step in steps)]
    return counted[first : marking[-1] + 1] if marking else counted[first:]


def span_of(stages: Iterable[Stage]) -> Span:
    """Stage after stage; the attempts of a call only as far as new ones may begin."""
    usual, worst = 0.0, 0.0
    rounds: dict[Round, float] = {}
    for _, steps in stages:
        longest_s = max(step.worst_s for step in steps)
        usual += max(step.usual_s for step in steps)
        its = steps[0].round
        if its is None:
            worst += longest_s
        else:
            rounds[its] = rounds.get(its, 0.0) + longest_s
    for call in {one.of: one for one in rounds}.values():
        spans = [seconds for one, seconds in rounds.items() if one.of == call.of]
        # An attempt may begin just before the time for new ones is over, and then there is the last one.
        worst += sum(spans) if call.within_s is None else min(sum(spans), call.within_s + 2 * max(spans))
    return Span(usual_s=usual, worst_s=worst)


def too_long(
    stages: Stages,
    rto_s: float,
    whose: str,
    runbook: Document[Runbook],
    *,
    where: Callable[[str], str],
    severity: Severity = Severity.ERROR,
) -> list[Diagnostic]:
    """What keeps these stages from holding the RTO; ``where`` says the place of a step by its id."""
    ways = ways_of(stages)
    straight, fallback = map(span_of, ways)
    for is_worst, first_s, then_s, verb in (
        (False, straight.usual_s, fallback.usual_s, "usually takes"),
        (True, straight.worst_s, fallback.worst_s, "may take"),
    ):
        total_s = first_s + then_s
        if total_s <= rto_s:
            continue
        parts = f" ({format_duration(first_s)}, then {format_duration(then_s)} for the fallback)" if ways[1] else ""
        when = " when every step runs into its timeout" if is_worst else ""
        said = f"{verb} {format_duration(total_s)}{parts} to restore the service{when}, and the {whose} is "
        path = ("objectives", "rto") if runbook.value.objectives.rto is not None else ("steps",)
        dearest = _costliest((*ways[0], *ways[1]), "worst_s" if is_worst else "usual_s", where)
        return [
            runbook.places.problem(
                path,
                said + format_duration(rto_s),
                key=True,
                severity=severity,
                hint=f"the dearest steps: {dearest}; {_CURES[is_worst]}",
            )
        ]
    return []


_CURES = {
    True: "lower their timeout, retry or verify within, or promise a longer RTO",
    False: "make them quicker, or promise a longer RTO",
}


def _costliest(stages: Iterable[Stage], measure: str, where: Callable[[str], str]) -> str:
    seconds = attrgetter(measure)
    steps = sorted((step for _, steps in stages for step in steps), key=seconds, reverse=True)[:_COSTLIEST]
    return ", ".join(f"{step.id} {format_duration(seconds(step))} ({where(step.id)})" for step in steps)
