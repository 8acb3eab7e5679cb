"""The steps of a runbook in the order of time, each with its path in the document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from drctl.model.actions import ACTIONS, ArgvUse, CommandUse, ManualText, ShellText, TransferText
from drctl.model.runbook import ParallelText, Runbook, StepText, UndoText
from drctl.model.words import Section
from drctl.read.document import Document

Path = tuple[str | int, ...]


DEFAULT_TIMEOUT_S = 60.0  # of a step that does not say

# What runs on the step's hosts, and not on the operator's machine.
REMOTE = ("run", "argv", "put", "get")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A step and where it is written; steps of one ``stage`` stand one after the other, and run side by side.

    ``gate`` is True for what was a precondition where it is written: it only reads, wherever it stands now.
    """

    section: Section
    stage: int
    path: Path
    step: StepText
    gate: bool = False

    @property
    def action(self) -> str | None:
        """The name of its action: the first, when a broken step has several."""
        return next((name for name in ACTIONS if getattr(self.step, name) is not None), None)

    @property
    def remote(self) -> bool:
        """Whether anything of it runs on its hosts."""
        verify = self.step.verify
        return acts_remotely(self.step) or (verify is not None and verify.run is not None)

    @property
    def read_only(self) -> bool:
        """What the step says of itself, else what follows from what it is."""
        if self.step.read_only is not None:
            return self.step.read_only
        if self.gate or self.action in ("tcp", "approval", "wait"):
            return True
        return self.step.http is not None and self.step.http.method in ("GET", "HEAD")


def acts_remotely(step: StepText) -> bool:
    """Whether the step's action runs on its hosts."""
    return any(getattr(step, name) is not None for name in REMOTE)


class ScriptText(NamedTuple):
    """A script of a step for a linter; ``line`` of the file is where its first line stands."""

    step: str
    line: int
    text: str


def placed_steps(runbook: Runbook) -> Iterator[Placed]:
    """All steps, preconditions first and always last."""
    stage = 0
    for section in (Section.PRECONDITIONS, Section.STEPS, Section.ALWAYS):
        gate = section is Section.PRECONDITIONS
        for position, entry in enumerate(getattr(runbook, section.value)):
            path: Path = (section.value, position)
            if isinstance(entry, ParallelText):
                for number, step in enumerate(entry.parallel):
                    yield Placed(section=section, stage=stage, path=(*path, "parallel", number), step=step, gate=gate)
            else:
                yield Placed(section=section, stage=stage, path=path, step=entry, gate=gate)
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
    for path, shell in _shells(placed):
        if isinstance(shell, CommandUse):
            yield path, shell


def template_parts(placed: Placed) -> Iterator[tuple[Path, str]]:
    """The texts of a step in which ``${name}`` is filled in, with their paths; but for a called runbook's inputs."""
    step, path = placed.step, placed.path
    for name in ("name", "failure_hint"):
        if getattr(step, name):
            yield (*path, name), getattr(step, name)
    if step.approval is not None:
        yield (*path, "approval", "prompt"), step.approval.prompt
    if step.manual is not None:
        yield manual_part(placed, step.manual)
    for word in ("put", "get"):
        transfer: TransferText | None = getattr(step, word)
        if transfer is not None:
            yield (*path, word, "source"), transfer.source
            yield (*path, word, "destination"), transfer.destination
    for holder, prefix in ((step, path), (step.verify, (*path, "verify"))):
        if holder is None:
            continue
        if holder.http is not None:
            yield (*prefix, "http", "url"), holder.http.url
        if holder.tcp is not None:
            yield (*prefix, "tcp", "host"), holder.tcp.host
    for where, shell in _shells(placed):
        words = shell.arguments if isinstance(shell, CommandUse) else shell.argv
        under = "arguments" if isinstance(shell, CommandUse) else "argv"
        yield from (((*where, under, number), word) for number, word in enumerate(words))
    yield from (((*path, "argv", number), word) for number, word in enumerate(step.argv or ()))


def manual_part(placed: Placed, manual: str | ManualText) -> tuple[Path, str]:
    """The text of a manual step, with its path."""
    if isinstance(manual, str):
        return (*placed.path, "manual"), manual
    return (*placed.path, "manual", "prompt"), manual.prompt


def _shells(placed: Placed) -> Iterator[tuple[Path, CommandUse | ArgvUse]]:
    step, path = placed.step, placed.path
    for holder, prefix in ((step, path), (step.verify, (*path, "verify"))):
        for name in ("run", "local"):
            shell = getattr(holder, name, None)
            if isinstance(shell, CommandUse | ArgvUse):
                yield (*prefix, name), shell


def undo_step(step: StepText) -> StepText | None:
    """The step that undoes this one, with what it takes over from it; None when the step does not say how."""
    written = step.rollback
    if written is None:
        return None
    undo = written if isinstance(written, UndoText) else UndoText()
    remote = acts_remotely(step)
    run, local = undo.run, undo.local
    short: ShellText | None = written if isinstance(written, str) else None
    if undo.command is not None:
        short = CommandUse(command=undo.command, arguments=undo.arguments)
    if short is not None:
        run, local = (short, local) if remote else (run, short)
    there = run is not None or undo.argv is not None
    return StepText(
        id=step.id,
        name=f"Undo: {step.name or step.id.replace('-', ' ')}",
        run=run,
        argv=undo.argv,
        local=local,
        hosts=(undo.hosts or step.hosts) if there else None,
        become=(undo.become or step.become) if there else None,
        timeout=undo.timeout or step.timeout,
        expected=undo.expected,
        max_parallel=step.max_parallel,
        idempotent=undo.idempotent,
        sensitive=step.sensitive,
    )


def scripts_of(document: Document[Runbook]) -> list[ScriptText]:
    """Every script of a runbook, for a linter: (step id, line of the file, text)."""
    return [
        ScriptText(placed.step.id, document.places.script_line(path), script)
        for placed in _with_undos(document.value)
        for path, script in script_parts(placed)
    ]


def _with_undos(runbook: Runbook) -> Iterator[Placed]:
    for placed in placed_steps(runbook):
        yield placed
        undo = undo_step(placed.step)
        if undo is not None:
            yield replace(placed, path=(*placed.path, "rollback"), step=undo)
