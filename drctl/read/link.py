"""All the steps of a run in the order of time: a runbook's own, those of the runbooks it calls, and its fallback's.

A called runbook's steps stand where the call stands, under its id: step ``stop`` of a runbook that the step ``move``
calls is ``move/stop``. A call with ``retry`` stands there as often as it may be tried: ``move/1/stop``. Its
preconditions are read-only steps there, and its ``always`` goes to the run's. The fallback's steps are a section of
their own, under the fallback's name. The undo of ``stop`` is ``stop.rollback``; the undos come in reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from drctl.model.actions import CallText, FallbackText
from drctl.model.runbook import ParallelText, Runbook, StepText
from drctl.model.words import OnFailure, Round, Section
from drctl.read.document import Document
from drctl.read.walk import Path, Placed, undo_step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A runbook within a run, with the names and values that hold in it. Each call makes a frame of its own."""

    document: Document[Runbook]
    prefix: str = ""  # before the ids of its steps
    parent: Frame | None = None
    call: Path = ()  # where the parent names it
    inputs: Mapping[str, str] = field(default_factory=dict)  # as the parent writes them, ${name} and all
    conditions: tuple[tuple[Frame, Path, Mapping[str, str]], ...] = ()  # the whens of the calls that led here
    modes: tuple[tuple[str, ...], ...] = ()  # the modes of the calls that led here
    on_failure: OnFailure = OnFailure.DEFAULT  # of its steps that do not say it themselves
    round: Round | None = None  # when it is one attempt of several

    @property
    def fallback(self) -> FallbackText | None:
        """What its own on_failure falls back on."""
        written = self.document.value.on_failure
        return written if isinstance(written, FallbackText) else None

    def within(self) -> tuple[Path, Frame]:
        """Where the runbook that was asked for leads to this one, and that runbook's frame."""
        frame, path = self, self.call
        while frame.parent is not None:
            frame, path = frame.parent, frame.call
        return path, frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked(Placed):
    """A step of a run: its ``section`` and ``stage`` are those in the run, its ``path`` that in its own runbook."""

    frame: Frame
    id: str
    on_failure: OnFailure = OnFailure.DEFAULT
    undoes: str | None = None

    @property
    def own(self) -> bool:
        """Whether it is written in the runbook that was asked for."""
        return self.frame.parent is None

    def conditions(self) -> Iterator[tuple[Frame, Path, Mapping[str, str]]]:
        """Its ``when`` and those of the calls that led to it, each with the frame whose names it uses."""
        yield from self.frame.conditions
        if self.step.when:
            yield self.frame, (*self.path, "when"), self.step.when

    def modes(self) -> tuple[str, ...] | None:
        """The modes that it runs in, by itself and by the calls that led to it; None is all of them."""
        said = [*self.frame.modes, *([tuple(self.step.modes)] if self.step.modes else [])]
        if not said:
            return None
        return tuple(mode for mode in said[0] if all(mode in modes for modes in said))


def call_of(step: StepText) -> CallText | None:
    """The call of another runbook that a step is."""
    if isinstance(step.runbook, str):
        return CallText(name=step.runbook)
    return step.runbook


@lru_cache(maxsize=64)  # it is linked to be linted, to be held to its promise, and for each service's plan
def link(document: Document[Runbook]) -> tuple[Linked, ...]:
    """Every step of a run of this runbook, in the order of time; calls of runbooks that are not there are left out."""
    linker = _Linker()
    root = Frame(document=document, on_failure=_runbook_failure(document.value))
    linker.straight(root, Section.PRECONDITIONS, Section.STEPS)
    found = fallbacks(linker.steps(), root)
    if found:
        holder, path, wanted = found[0]
        other = holder.document.called.get(wanted.runbook)
        if other is not None:
            frame = Frame(
                document=other,
                prefix=f"{wanted.runbook}/",
                parent=holder,
                call=path,
                inputs=wanted.inputs,
                on_failure=_runbook_failure(other.value),
            )
            linker.straight(frame, Section.FALLBACK, Section.FALLBACK)
            linker.always(frame)
    linker.always(root)
    linker.rollback()
    return linker.steps()


def fallbacks(steps: Sequence[Linked], root: Frame) -> list[tuple[Frame, Path, FallbackText]]:
    """Every place that names a fallback, the runbook's own first: of itself, of its steps, and of what it calls."""
    found: list[tuple[Frame, Path, FallbackText]] = []
    each = dict.fromkeys(step.frame for step in steps)
    frames = dict.fromkeys([root, *(frame for last in each for frame in _lineage(last))])
    for frame in frames:
        if frame.fallback is not None:
            found.append((frame, ("on_failure",), frame.fallback))
    for step in steps:
        if isinstance(step.step.on_failure, FallbackText) and step.undoes is None:
            found.append((step.frame, (*step.path, "on_failure"), step.step.on_failure))
    return found


def _lineage(frame: Frame) -> list[Frame]:
    """The frame and those that led to it, the first one first."""
    return [*(_lineage(frame.parent) if frame.parent is not None else ()), frame]


def _runbook_failure(runbook: Runbook, otherwise: OnFailure = OnFailure.DEFAULT) -> OnFailure:
    return _failure(runbook.on_failure) or otherwise


def _failure(written: str | FallbackText | None) -> OnFailure | None:
    if written is None:
        return None
    if isinstance(written, FallbackText):
        return OnFailure.FALLBACK
    return OnFailure.DEFAULT if written == "ask" else OnFailure(written)


class _Linker:
    """Gathers the steps by section; every stage gets the next number."""

    def __init__(self) -> None:
        self.sections: dict[Section, list[Linked]] = {section: [] for section in Section}
        self.stages = 0

    def straight(self, frame: Frame, gates: Section, steps: Section) -> None:
        """The preconditions and the steps of a runbook, with those of the runbooks that it calls."""
        runbook = frame.document.value
        for written, section in ((Section.PRECONDITIONS, gates), (Section.STEPS, steps)):
            name = written.value
            for position, entry in enumerate(getattr(runbook, name)):
                path: Path = (name, position)
                call = call_of(entry) if isinstance(entry, StepText) else None
                if call is not None:
                    self._call(frame, entry, call, path, section)
                else:
                    self._stage(frame, entry, path, section, gate=written is Section.PRECONDITIONS)

    def always(self, frame: Frame) -> None:
        """What a runbook does whatever happened."""
        for position, entry in enumerate(frame.document.value.always):
            self._stage(frame, entry, ("always", position), Section.ALWAYS, gate=False)

    def steps(self) -> tuple[Linked, ...]:
        """What has been gathered so far."""
        return tuple(step for steps in self.sections.values() for step in steps)

    def rollback(self) -> None:
        """The undos of what has been gathered, those of the last stage first."""
        done = [*self.sections[Section.STEPS], *self.sections[Section.FALLBACK]]
        undone = [step for step in done if step.step.rollback is not None and not step.gate]
        stages = [list(group) for _, group in groupby(undone, key=lambda step: step.stage)]
        for stage in reversed(stages):
            self.sections[Section.ROLLBACK] += [undo for step in stage for undo in _undo(step, self.stages)]
            self.stages += 1

    def _call(self, frame: Frame, step: StepText, call: CallText, path: Path, section: Section) -> None:
        document = frame.document.called.get(call.name)
        if document is None or section is Section.PRECONDITIONS:
            return  # the linter has told it
        own = ((frame, (*path, "when"), step.when),) if step.when else ()
        rounds, within_s = (step.retry.attempts, step.retry.within) if step.retry is not None else (1, None)
        goes_on = step.on_failure == OnFailure.CONTINUE.value
        for number in range(1, rounds + 1):
            last = number == rounds and not goes_on
            otherwise = _failure(step.on_failure) or frame.on_failure if last else OnFailure.NEXT
            called_as = f"{frame.prefix}{step.id}"
            callee = Frame(
                document=document,
                prefix=f"{called_as}/{number}/" if rounds > 1 else f"{called_as}/",
                parent=frame,
                call=(*path, "runbook"),
                inputs=call.inputs,
                conditions=(*frame.conditions, *own),
                modes=(*frame.modes, *((tuple(step.modes),) if step.modes else ())),
                on_failure=_runbook_failure(document.value, otherwise),
                round=Round(of=called_as, number=number, within_s=within_s) if rounds > 1 or goes_on else frame.round,
            )
            self.straight(callee, section, section)
            self.always(callee)

    def _stage(self, frame: Frame, entry: StepText | ParallelText, path: Path, section: Section, *, gate: bool) -> None:
        if isinstance(entry, ParallelText):
            written = [((*path, "parallel", number), step) for number, step in enumerate(entry.parallel)]
        else:
            written = [(path, entry)]
        # A failed precondition is a no-go, and nothing keeps the rest of always: their default is their own.
        default = OnFailure.DEFAULT if section in (Section.PRECONDITIONS, Section.ALWAYS) else frame.on_failure
        stage = [
            Linked(
                section=section,
                stage=self.stages,
                path=where,
                step=step,
                gate=gate,
                frame=frame,
                id=frame.prefix + step.id,
                on_failure=_failure(step.on_failure) or default,
            )
            for where, step in written
            if call_of(step) is None
        ]
        if stage:
            self.sections[section] += stage
            self.stages += 1


def _undo(done: Linked, stage: int) -> Iterator[Linked]:
    undo = undo_step(done.step)
    if undo is not None:
        yield Linked(
            section=Section.ROLLBACK,
            stage=stage,
            path=(*done.path, "rollback"),
            step=undo,
            frame=done.frame,
            id=f"{done.id}.rollback",
            undoes=done.id,
        )
