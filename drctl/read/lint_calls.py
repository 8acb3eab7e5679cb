"""Rules for runbooks that call others or fall back on them: inputs, names that would mix, and one fallback only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.model.actions import CallText, FallbackText
from drctl.model.runbook import Runbook, StepText
from drctl.model.words import OnFailure, Section
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Document
from drctl.read.link import Frame, Linked, call_of, fallbacks
from drctl.read.lint_inputs import input_text
from drctl.read.suggest import did_you_mean, listed
from drctl.read.template import mentions
from drctl.read.walk import Path, placed_steps

MAX_ROUNDS = 30  # a week of copies at each of a few places; every attempt is in the plan
MAX_CALLS = 5  # a chain that is longer is not understood at three in the morning

# What a step that calls a runbook may say beside it; all else is said by the steps there.
_BESIDE_A_CALL = frozenset({"id", "runbook", "when", "modes", "on_failure", "retry"})


def named_runbooks(runbook: Runbook) -> list[tuple[Path, str]]:
    """The other runbooks that this one names, each once, with the path of the first place."""
    found: dict[str, Path] = {}
    for path, name, _ in _uses(runbook):
        found.setdefault(name, path)
    return [(path, name) for name, path in found.items()]


def call_problems(document: Document[Runbook], steps: Sequence[Linked], complete: bool) -> Iterator[Diagnostic]:
    """All that is wrong with how others are called; what needs all names is left out when it is not complete."""
    for placed in placed_steps(document.value):
        call = call_of(placed.step)
        if call is not None:
            yield from _beside(document, placed.step, placed.path)
            yield from _rounds(document, placed.step, placed.path)
            if placed.section is not Section.STEPS or "parallel" in placed.path:
                where = "in parallel" if "parallel" in placed.path else f"in {placed.section.value}"
                message = f"a runbook cannot be called {where}: only as a step of steps, one after the other"
                yield document.places.problem((*placed.path, "runbook"), message, key=True)
    for path, name, inputs in _uses(document.value):
        other = document.called.get(name)
        if other is not None:
            yield from _inputs(document, path, name, other.value, inputs)
    if complete:
        yield from _ids(document, steps)
        yield from _one_fallback(document, steps)
        yield from _deadline(document, steps)
        yield from _mixed_names(document, steps)
        yield from _nothing_to_undo(document, steps)


def _uses(runbook: Runbook) -> Iterator[tuple[Path, str, CallText | FallbackText]]:
    """Every place that names another runbook: calls, and what is fallen back on."""
    for placed in placed_steps(runbook):
        step, path = placed.step, placed.path
        call = call_of(step)
        if call is not None:
            under: Path = () if isinstance(step.runbook, str) else ("name",)
            yield (*path, "runbook", *under), call.name, call
        if isinstance(step.on_failure, FallbackText):
            yield (*path, "on_failure", "runbook"), step.on_failure.runbook, step.on_failure
    if isinstance(runbook.on_failure, FallbackText):
        yield ("on_failure", "runbook"), runbook.on_failure.runbook, runbook.on_failure


def _beside(document: Document[Runbook], step: StepText, path: Path) -> Iterator[Diagnostic]:
    for word in sorted(step.given - _BESIDE_A_CALL):
        yield document.places.problem(
            (*path, word), "has no meaning beside runbook", key=True, hint="say it in the steps of the called runbook"
        )


def _rounds(document: Document[Runbook], step: StepText, path: Path) -> Iterator[Diagnostic]:
    """Each attempt is steps of its own in the plan, so there are few of them, and nothing is waited for between."""
    if step.retry is None:
        return
    for word in sorted(step.retry.given - {"attempts", "within"}):
        message = "has no meaning beside runbook: its attempts follow each other at once"
        yield document.places.problem((*path, "retry", word), message, key=True)
    if step.retry.attempts > MAX_ROUNDS:
        message = f"a runbook is called {MAX_ROUNDS} times at most: every attempt is in the plan, step by step"
        yield document.places.problem((*path, "retry", "attempts"), message)


def _inputs(
    document: Document[Runbook], path: Path, name: str, other: Runbook, use: CallText | FallbackText
) -> Iterator[Diagnostic]:
    holder: Path = path[:-1] if path[-1] in ("name", "runbook") and use.inputs else path
    for given, text in use.inputs.items():
        at = (*holder, "inputs", given)
        declared = other.inputs.get(given)
        if given == "service":
            yield document.places.problem(at, "is always the service of this run: leave it out", key=True)
        elif declared is None:
            meant = did_you_mean(given, other.inputs)
            hint = "" if meant else f"its inputs: {listed(other.inputs)}"
            yield document.places.problem(at, f"{name} has no input {quoted(given)}{meant}", key=True, hint=hint)
        elif not mentions(text):
            try:
                input_text(declared.type, text)
            except ValueError as error:
                yield document.places.problem(at, str(error))
    for wanted, declared in other.inputs.items():
        if declared.required and wanted != "service" and wanted not in use.inputs:
            about = f" ({declared.description})" if declared.description else ""
            yield document.places.problem(path, f"{name} needs the input {quoted(wanted)}{about}")


def _ids(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    """Ids that two runbooks make, such as ``restore/stop`` of the step restore and of the fallback restore."""
    first: dict[str, Linked] = {}
    for step in steps:
        other = first.setdefault(step.id, step)
        if other is not step and other.frame is not step.frame and step.undoes is None:
            path, _ = step.frame.within()
            yield document.places.problem(path, f"makes a second step {step.id}: give the step that calls another id")
            return


def _one_fallback(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    root = next((step.frame for step in steps if step.own), None)
    if root is None:
        return
    found = fallbacks(steps, root)
    if not found:
        return
    behind = {step.frame for step in steps if step.section is Section.FALLBACK}
    first = found[0][2]
    for frame, path, other in found[1:]:
        where, _ = frame.within()
        at = path if frame is root else where
        if frame in behind:
            message = f"{first.runbook} falls back on {other.runbook} itself, and a run has one fallback only"
            yield document.places.problem(at, message)
            return
        if (other.runbook, other.inputs) != (first.runbook, first.inputs):
            more = "" if frame is root else f" (in {frame.document.file})"
            said = f"falls back on {other.runbook}{more}, and the run's fallback is {first.runbook} already"
            yield document.places.problem(at, said if other.runbook != first.runbook else f"{said}, with other inputs")


def _deadline(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    """A deadline is the last moment to leave for the fallback: without one there is nothing to leave for."""
    root = next((step.frame for step in steps if step.own), None)
    if document.value.deadline is not None and root is not None and not fallbacks(steps, root):
        yield document.places.problem(
            ("deadline",),
            "there is no fallback to leave for",
            key=True,
            hint="say on_failure: {runbook: NAME} at the top, or leave deadline out",
        )
    until = document.value.deadline.until if document.value.deadline is not None else None
    own = [step.id for step in steps if step.own and step.section is Section.STEPS]
    if until is not None and until not in own:
        said = f"there is no step {quoted(until)} in steps{did_you_mean(until, own)}"
        yield document.places.problem(("deadline", "until"), said)


def _mixed_names(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    """A captured value is seen by the whole run, so it must not have the name of anybody's input."""
    capturing: dict[str, Linked] = {}
    for step in steps:
        for name in step.step.capture:
            capturing.setdefault(name, step)
    frames: dict[Frame, None] = dict.fromkeys(step.frame for step in steps)
    for frame in frames:
        for name in frame.document.value.inputs:
            by = capturing.get(name)
            if by is None or by.frame is frame:
                continue  # within one runbook its own linting tells
            other, runbook = (by.frame, frame) if frame.parent is None else (frame, by.frame)
            path, _ = other.within()
            said = f"{quoted(name)} is an input of {frame.document.value.runbook}, and {by.id} captures it"
            yield document.places.problem(
                path, said, hint=f"give it another name in {runbook.document.file} or in {other.document.file}"
            )


def _nothing_to_undo(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    if any(step.undoes is not None for step in steps):
        return
    message = "there is nothing to roll back: no step says how it is undone (rollback)"
    if document.value.on_failure == OnFailure.ROLLBACK.value:
        yield document.places.problem(("on_failure",), message)
    for step in steps:
        if step.own and step.step.on_failure == OnFailure.ROLLBACK.value:
            yield document.places.problem((*step.path, "on_failure"), message)
