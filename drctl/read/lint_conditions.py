"""Rules for ``when`` and ``modes``: the values are there, and are written as they will be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from drctl.model.runbook import Runbook
from drctl.model.units import parse_duration, parse_instant
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Document
from drctl.read.link import Linked
from drctl.read.lint_flow import Known
from drctl.read.lint_inputs import input_text
from drctl.read.suggest import did_you_mean, listed
from drctl.read.walk import placed_steps


def captured_text(kind: str, text: str) -> str:
    """A text as a captured value of that type is kept, so that the two can be compared.

    Durations are kept as seconds with a fraction, times in UTC, JSON with its members in order.

    Raises:
        ValueError: when the text is not of that type.
    """
    if kind in ("int", "bytes"):
        return input_text("int", text)
    if kind == "duration":
        return str(parse_duration(text))
    if kind == "time":
        return parse_instant(text).isoformat()
    return json.dumps(json.loads(text), sort_keys=True) if kind == "json" else text


def condition_problems(
    document: Document[Runbook], steps: Sequence[Linked], known: Mapping[int, Known]
) -> Iterator[Diagnostic]:
    """What is wrong with the conditions that this runbook itself writes."""
    inputs = document.value.inputs
    told: set[tuple[str | int, ...]] = set()
    for step in steps:
        if step.modes() == () and step.undoes is None:
            path = (*step.path, "modes") if step.own else step.frame.within()[0]
            yield document.places.problem(path, f"{step.id} would run in no mode: the runbook's call says others")
        for frame, path, when in step.conditions():
            if frame.parent is not None or step.undoes is not None or path in told:
                continue
            told.add(path)
            captured = known[step.stage].captured
            for name, text in when.items():
                problem = _compared(name, text, {n: i.type for n, i in inputs.items()}, captured)
                if problem is not None:
                    said, hint = problem
                    yield document.places.problem((*path, name), said, key=name not in captured, hint=hint)
    for placed in placed_steps(document.value):
        if len(set(placed.step.modes)) < len(placed.step.modes):
            yield document.places.problem((*placed.path, "modes"), "names a mode twice")


def _compared(name: str, text: str, inputs: Mapping[str, str], captured: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with one comparison, and a hint."""
    if name not in inputs and name not in captured:
        known = {*inputs, *captured}
        return (
            f"{quoted(name)} is no input, and no earlier step captures it{did_you_mean(name, known)}",
            f"inputs and values captured so far: {listed(known)}",
        )
    try:
        input_text(inputs[name], text) if name in inputs else captured_text(captured[name], text)
    except ValueError as error:
        return f"can never be so: {error}", ""
    return None
