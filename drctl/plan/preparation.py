"""A run that begins the outage itself, such as a drill that takes a server's power away: what of it is on the clock.

The step that says ``marks: outage_started`` without a captured time divides such a run. What comes before it prepares:
its marks and recovery points are those of no outage, and its proofs are of a server that has been put to use since. So
the plan leaves the ones out, and calls the others by a name of their own. What comes after it does not move the start
of the outage: a log would only say again, and less exactly, what this run did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drctl.model.plan import Stage, Step
from drctl.model.words import Mark
from drctl.plan.codec import step_digest

PREPARED = "preparation/"  # before the names of facts that are proved in the preparation


def begins_the_outage(step: Step) -> bool:
    """A planned move or a drill marks the moment when it begins; an outage that was found began before the run."""
    return step.mark is Mark.OUTAGE_STARTED and step.mark_value is None


def without_a_clock_in_the_preparation(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages, unchanged when no step begins the outage."""
    begun = next((n for n, stage in enumerate(stages) if any(map(begins_the_outage, stage.steps))), None)
    if begun is None:
        return tuple(stages)
    return tuple(
        replace(stage, steps=tuple(_before(step) if n < begun else _since(step) for step in stage.steps))
        for n, stage in enumerate(stages)
    )


def _before(step: Step) -> Step:
    return _changed(
        step,
        replace(
            step,
            mark=None,
            mark_value=None,
            recovery_point=None,
            last_write=None,
            proves=_prepared(step.proves),
            requires=_prepared(step.requires),
            unless_proved=_prepared(step.unless_proved),
        ),
    )


def _since(step: Step) -> Step:
    if step.mark is not Mark.OUTAGE_STARTED or begins_the_outage(step):
        return step
    return _changed(step, replace(step, mark=None, mark_value=None))


def _prepared(fact: str | None) -> str | None:
    return None if fact is None else PREPARED + fact


def _changed(before: Step, after: Step) -> Step:
    return before if after == before else replace(after, digest=step_digest(after))
