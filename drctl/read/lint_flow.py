"""Rules along the order of time: what a step uses must have been captured or proved by an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from drctl.model.runbook import Runbook
from drctl.model.words import STRICTEST_FIRST, OnFailure, Section
from drctl.read.diagnostics import Diagnostic, Severity, quoted
from drctl.read.document import Document, Places
from drctl.read.link import Linked
from drctl.read.shell import line_and_column, shell_use
from drctl.read.suggest import did_you_mean, listed
from drctl.read.template import mentions
from drctl.read.walk import Placed, script_parts, template_parts

_COMPARABLE = {"number": ("int", "bytes", "duration"), "duration": ("duration",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the steps of earlier stages have left behind: captured names with their types, and proved facts."""

    captured: dict[str, str]
    proved: frozenset[str]

    def with_(self, more: Known | None) -> Known:
        """What is known when more has been left behind."""
        if more is None:
            return self
        return Known(captured={**self.captured, **more.captured}, proved=self.proved | more.proved)


def _left_behind(steps: Sequence[Linked]) -> Known | None:
    """What these steps capture and prove; None when it is nothing, as it is of most."""
    captured: dict[str, str] = {}
    proved: set[str] = set()
    for step in steps:
        captured |= step.step.capture
        if step.step.proves:
            proved.add(step.step.proves)
    return Known(captured=captured, proved=frozenset(proved)) if captured or proved else None


def known_by_stage(steps: Sequence[Linked]) -> dict[int, Known]:
    """What is known when each stage begins; steps of one stage know nothing of each other.

    The fallback may begin when only the preconditions are over. An undo knows what its step knew.
    """
    known: dict[int, Known] = {}
    stage_of = {step.id: step.stage for step in steps}
    now = everything = gates = Known(captured={}, proved=frozenset())
    section = Section.PRECONDITIONS
    for stage, group in groupby(steps, key=lambda step: step.stage):
        beside = list(group)
        entered, section = section is not beside[0].section, beside[0].section
        if entered and section is Section.FALLBACK:
            now = gates
        elif entered and section is Section.ALWAYS:
            now = everything
        undone = beside[0].undoes
        known[stage] = known[stage_of[undone]] if undone is not None else now
        left = _left_behind(beside)
        now, everything = now.with_(left), everything.with_(left)
        if section is Section.PRECONDITIONS:
            gates = now
    return known


def flow_problems(
    document: Document[Runbook], steps: Sequence[Linked], known: Mapping[int, Known]
) -> Iterator[Diagnostic]:
    """What this runbook uses before it is there, or as what it is not; ``steps`` are all of a run of it."""
    places = document.places
    capturing: dict[str, str] = {}
    proving: dict[str, list[str]] = {}
    for placed in steps:
        for name in placed.step.capture:
            capturing.setdefault(name, placed.id)
        if placed.step.proves:
            proving.setdefault(placed.step.proves, []).append(placed.id)
    yield from _captures(document, steps)
    for placed in steps:
        if not placed.own:
            continue
        before = known[placed.stage]
        yield from _times(placed, places, before.captured | placed.step.capture)
        yield from _limit(document, placed, before.captured)
        yield from _facts(placed, places, before.proved, proving)
        yield from _too_early(placed, places, before.captured, capturing)
    yield from _disagreements(places, steps)
    yield from _objectives(document, steps)


def _captures(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    first: dict[str, tuple[str, str]] = {}
    for placed in steps:
        for name, kind in placed.step.capture.items():
            path = (*placed.path, "capture", name) if placed.own else placed.frame.within()[0]
            if placed.own and name in document.value.inputs:
                yield document.places.problem(path, "is an input already", key=True)
            if name in first and first[name][1] != kind:
                step, other = first[name]
                said = "was" if placed.own else f"{placed.id} captures {quoted(name)} as {kind}, and it was"
                yield document.places.problem(path, f"{said} captured as {other} by {step} already")
            first.setdefault(name, (placed.id, kind))


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


def _facts(
    placed: Placed, places: Places, proved: frozenset[str], proving: Mapping[str, list[str]]
) -> Iterator[Diagnostic]:
    for word in ("requires", "unless_proved"):
        fact = getattr(placed.step, word)
        if fact is None or fact in proved:
            continue
        later = proving.get(fact)
        hint = f"{listed(later)} proves it, but not before this step" if later else f"proved so far: {listed(proved)}"
        yield places.problem(
            (*placed.path, word), f"no earlier step proves {quoted(fact)}{did_you_mean(fact, proved)}", hint=hint
        )


def _too_early(
    placed: Placed, places: Places, earlier: Mapping[str, str], capturing: Mapping[str, str]
) -> Iterator[Diagnostic]:
    """Names that only a later step captures, in scripts and in texts; unknown names wait for the inventory."""

    def is_later(name: str) -> bool:
        return name in capturing and name not in earlier

    for path, script in script_parts(placed):
        use = shell_use(script)
        for reference in use.references:
            if is_later(reference.name) and reference.name not in use.assigned and not reference.optional:
                line, column = line_and_column(script, reference.offset)
                place = places.in_script(path, line, column, reference.name)
                yield places.problem(path, _early(reference.name, capturing[reference.name]), place=place)
    for path, text in template_parts(placed):
        for mention in mentions(text):
            if mention.broken:
                yield places.problem(path, mention.broken, place=places.within(path, mention.text))
            elif is_later(mention.name):
                place = places.within(path, mention.text)
                yield places.problem(path, _early(mention.name, capturing[mention.name]), place=place)


def _early(name: str, step: str) -> str:
    return f"{quoted(name)} is not there yet: it is captured by {step}, and not before this step"


def _disagreements(places: Places, steps: Sequence[Linked]) -> Iterator[Diagnostic]:
    """Steps that run side by side may fail together, and then one of them decides; its author should know which."""
    own = [step for step in steps if step.own and step.section is Section.STEPS]
    for _, group in groupby(own, key=lambda step: step.stage):
        beside = [step for step in group if step.on_failure is not OnFailure.CONTINUE]
        if len({step.on_failure for step in beside}) < 2:
            continue
        decides = min(beside, key=lambda step: STRICTEST_FIRST.index(step.on_failure))
        said = next(step for step in beside if step.step.on_failure is not None)
        how = "the default" if decides.on_failure is OnFailure.DEFAULT else decides.on_failure.value
        yield places.problem(
            (*said.path, "on_failure"),
            f"is not what the steps beside it say: if several fail, that of {decides.id} ({how}) holds",
            severity=Severity.WARNING,
            hint="give the steps that run side by side one on_failure",
        )


def _objectives(document: Document[Runbook], steps: Sequence[Linked]) -> Iterator[Diagnostic]:
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
