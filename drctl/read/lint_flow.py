"""Rules along the order of time: what a step uses must have been captured or proved by an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.model.runbook import Runbook
from drctl.read.diagnostics import Diagnostic, Severity, quoted
from drctl.read.document import Document, Places
from drctl.read.shell import line_and_column, shell_use
from drctl.read.suggest import did_you_mean, listed
from drctl.read.template import mentions
from drctl.read.walk import Placed, script_parts, template_parts

_COMPARABLE = {"number": ("int", "bytes", "duration"), "duration": ("duration",)}


def captured_types(steps: Sequence[Placed], *, before: int | None = None) -> dict[str, str]:
    """The captured names with their types, of the stages before that one, or of all."""
    return {
        name: kind
        for placed in steps
        if before is None or placed.stage < before
        for name, kind in placed.step.capture.items()
    }


def flow_problems(document: Document[Runbook], steps: Sequence[Placed]) -> Iterator[Diagnostic]:
    """What is used before it is there, or as what it is not."""
    places = document.places
    yield from _captures(document, steps)
    for placed in steps:
        earlier = captured_types(steps, before=placed.stage)
        yield from _times(placed, places, earlier | placed.step.capture)
        yield from _limit(document, placed, earlier)
        yield from _facts(placed, places, steps)
        yield from _too_early(placed, places, steps, frozenset(earlier))
    yield from _objectives(document, steps)


def _captures(document: Document[Runbook], steps: Sequence[Placed]) -> Iterator[Diagnostic]:
    first: dict[str, tuple[str, str]] = {}
    for placed in steps:
        for name, kind in placed.step.capture.items():
            path = (*placed.path, "capture", name)
            if name in document.value.inputs:
                yield document.places.problem(path, "is an input already", key=True)
            if name in first and first[name][1] != kind:
                step, other = first[name]
                yield document.places.problem(path, f"was captured as {other} by {step} already")
            first.setdefault(name, (placed.step.id, kind))


def _times(placed: Placed, places: Places, known: dict[str, str]) -> Iterator[Diagnostic]:
    step = placed.step
    wanted = [((*placed.path, word), getattr(step, word)) for word in ("recovery_point", "last_write")]
    wanted += [((*placed.path, "marks", mark), name) for mark, name in (step.marks or {}).items()]
    for path, name in wanted:
        if name is None:
            continue
        if name not in known:
            yield places.problem(
                path,
                f"{quoted(name)} is not captured by this step or an earlier one{did_you_mean(name, known)}",
                hint=f"captured so far: {listed(known)}",
            )
        elif known[name] != "time":
            yield places.problem(path, f"{quoted(name)} is captured as {known[name]}, and a time is needed")


def _limit(document: Document[Runbook], placed: Placed, earlier: dict[str, str]) -> Iterator[Diagnostic]:
    approval = placed.step.approval
    if approval is None or approval.only_if_above is None:
        return
    condition, places = approval.only_if_above, document.places
    path = (*placed.path, "approval", "only_if_above")
    name, limit = condition.value, condition.limit
    if name not in earlier:
        yield places.problem(
            (*path, "value"),
            f"{quoted(name)} is not captured by an earlier step{did_you_mean(name, earlier)}",
            hint=f"captured so far: {listed(earlier)}",
        )
        return
    allowed = _COMPARABLE["duration" if isinstance(limit, str) else "number"]
    if earlier[name] not in allowed:
        yield places.problem(
            (*path, "value"), f"{quoted(name)} is captured as {earlier[name]}; this limit compares {listed(allowed)}"
        )


def _facts(placed: Placed, places: Places, steps: Sequence[Placed]) -> Iterator[Diagnostic]:
    proved = {other.step.proves for other in steps if other.stage < placed.stage and other.step.proves}
    for word in ("requires", "unless_proved"):
        fact = getattr(placed.step, word)
        if fact is None or fact in proved:
            continue
        later = [other.step.id for other in steps if other.step.proves == fact]
        hint = f"{listed(later)} proves it, but not before this step" if later else f"proved so far: {listed(proved)}"
        yield places.problem(
            (*placed.path, word), f"no earlier step proves {quoted(fact)}{did_you_mean(fact, proved)}", hint=hint
        )


def _too_early(
    placed: Placed, places: Places, steps: Sequence[Placed], earlier: frozenset[str]
) -> Iterator[Diagnostic]:
    """Names that only a later step captures, in scripts and in texts; unknown names wait for the inventory."""
    later = {name: other.step.id for other in reversed(steps) for name in other.step.capture if name not in earlier}
    for path, script in script_parts(placed):
        use = shell_use(script)
        for reference in use.references:
            if reference.name in later and reference.name not in use.assigned and not reference.optional:
                line, column = line_and_column(script, reference.offset)
                place = places.in_script(path, line, column, reference.name)
                yield places.problem(path, _early(reference.name, later[reference.name]), place=place)
    for path, text in template_parts(placed):
        for mention in mentions(text):
            if mention.broken:
                yield places.problem(path, mention.broken, place=places.within(path, mention.text))
            elif mention.name in later:
                place = places.within(path, mention.text)
                yield places.problem(path, _early(mention.name, later[mention.name]), place=place)


def _early(name: str, step: str) -> str:
    return f"{quoted(name)} is not there yet: it is captured by {step}, and not before this step"


def _objectives(document: Document[Runbook], steps: Sequence[Placed]) -> Iterator[Diagnostic]:
    """An objective that no step measures ends as "not measured"; its author should know."""
    places, objectives = document.places, document.value.objectives
    marks = {mark for placed in steps for mark in placed.step.marks or {}}
    if objectives.rto is not None and "service_restored" not in marks:
        yield places.problem(
            ("objectives", "rto"),
            "will end as not measured: no step marks service_restored",
            key=True,
            severity=Severity.WARNING,
            hint="put marks: service_restored on the step that shows that the service answers",
        )
    if objectives.rpo is not None and not any(placed.step.recovery_point for placed in steps):
        yield places.problem(
            ("objectives", "rpo"),
            "will end as not measured: no step has a recovery_point",
            key=True,
            severity=Severity.WARNING,
            hint="capture the time of the last transaction that was recovered, and name it in recovery_point",
        )
