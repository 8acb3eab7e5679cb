"""The steps of a runbook in the order of time, each with its path in the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from drctl.model.plan import Section
from drctl.model.runbook import ACTIONS, CommandUse, ParallelText, Runbook, StepText
from drctl.read.document import Document

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A step, where it is written and when it comes; steps of one ``stage`` run side by side."""

    section: Section
    stage: int
    path: Path
    step: StepText

    @property
    def action(self) -> str | None:
        """The name of its action: the first, when a broken step has several."""
        return next((name for name in ACTIONS if getattr(self.step, name) is not None), None)

    @property
    def remote(self) -> bool:
        """Whether anything of it runs on its hosts."""
        verify = self.step.verify
        return self.step.run is not None or (verify is not None and verify.run is not None)

    @property
    def read_only(self) -> bool:
        """What the step says of itself, else what follows from what it is."""
        if self.step.read_only is not None:
            return self.step.read_only
        if self.section is Section.PRECONDITIONS or self.action in ("tcp", "approval", "wait"):
            return True
        return self.step.http is not None and self.step.http.method in ("GET", "HEAD")


class ScriptText(NamedTuple):
    """A script of a step for a linter; ``line`` of the file is where its first line stands."""

    step: str
    line: int
    text: str


def placed_steps(runbook: Runbook) -> Iterator[Placed]:
    """All steps, preconditions first and always last."""
    stage = 0
    for section in (Section.PRECONDITIONS, Section.STEPS, Section.ALWAYS):
        for position, entry in enumerate(getattr(runbook, section.value)):
            path: Path = (section.value, position)
            if isinstance(entry, ParallelText):
                for number, step in enumerate(entry.parallel):
                    yield Placed(section=section, stage=stage, path=(*path, "parallel", number), step=step)
            else:
                yield Placed(section=section, stage=stage, path=path, step=entry)
            stage += 1


def script_parts(placed: Placed) -> Iterator[tuple[Path, str]]:
    """The scripts of a step with their paths: its action, its ``unless`` and its ``verify``."""
    step, path = placed.step, placed.path
    for holder, prefix in ((step, path), (step.verify, (*path, "verify"))):
        for name in ("run", "local", "unless"):
            script = getattr(holder, name, None)
            if isinstance(script, str):
                yield (*prefix, name), script


def command_parts(placed: Placed) -> Iterator[tuple[Path, CommandUse]]:
    """The inventory's commands that a step uses, with their paths."""
    step, path = placed.step, placed.path
    for holder, prefix in ((step, path), (step.verify, (*path, "verify"))):
        for name in ("run", "local"):
            command = getattr(holder, name, None)
            if isinstance(command, CommandUse):
                yield (*prefix, name), command


def template_parts(placed: Placed) -> Iterator[tuple[Path, str]]:
    """The texts of a step in which ``${name}`` is filled in, with their paths."""
    step, path = placed.step, placed.path
    for name in ("name", "failure_hint"):
        if getattr(step, name):
            yield (*path, name), getattr(step, name)
    if step.approval is not None:
        yield (*path, "approval", "prompt"), step.approval.prompt
    for holder, prefix in ((step, path), (step.verify, (*path, "verify"))):
        if holder is None:
            continue
        if holder.http is not None:
            yield (*prefix, "http", "url"), holder.http.url
        if holder.tcp is not None:
            yield (*prefix, "tcp", "host"), holder.tcp.host
    for where, command in command_parts(placed):
        for number, argument in enumerate(command.arguments):
            yield (*where, "arguments", number), argument


def scripts_of(document: Document[Runbook]) -> list[ScriptText]:
    """Every script of a runbook, for a linter: (step id, line of the file, text)."""
    return [
        ScriptText(placed.step.id, document.places.script_line(path), script)
        for placed in placed_steps(document.value)
        for path, script in script_parts(placed)
    ]
