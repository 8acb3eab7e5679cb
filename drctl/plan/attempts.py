"""Calls that are tried several times, as a plan is read: the first attempt in full, the others in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from drctl.model.plan import Plan
from drctl.model.units import format_duration


def first_attempts(plan: Plan) -> Plan:
    """The plan as it is shown: without the steps and inputs of later attempts, which are those of the first again."""
    later = {step.round for step in plan.steps() if step.is_repeat}
    prefixes = tuple(f"{one.of}/{one.number}/" for one in later if one is not None)
    return replace(
        plan,
        stages=tuple(stage for stage in plan.stages if not stage.steps[0].is_repeat),
        inputs=tuple(variable for variable in plan.inputs if not variable.name.startswith(prefixes)),
    )


def further_attempts(plan: Plan) -> Mapping[str, str]:
    """A sentence about a call's other attempts, by the id of the step that ends its first one."""
    last = {step.round.of: step.round for step in plan.steps() if step.round is not None}
    ends = {step.round.of: step.id for step in plan.steps() if step.round is not None and not step.is_repeat}
    found = {}
    for call, one in last.items():
        if one.number == 1:
            continue
        which = f"{call}/2" if one.number == 2 else f"{call}/2 to {call}/{one.number}"
        said = f"{which}: the same steps once more, only when the attempt before was given up"
        if one.within_s is not None:
            said += f"; {format_duration(one.within_s)} after the first began only the last is left"
        found[ends[call]] = said
    return found
