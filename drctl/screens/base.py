"""What every screen of a run can do, so that the command line need not know which one it has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, TextIO

from drctl.engine.ports import Listener
from drctl.engine.state import RunState, Target, TargetState
from drctl.model.plan import Step
from drctl.model.words import Section

LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l\x1b[?25h"


class Screen(Listener, Protocol):
    """A listener with a beginning and an end. Use it as a context manager around the run."""

    leaving: bytes
    """What a process that leaves at once, without unwinding, must write to the terminal to give it back."""

    def tick(self, now: datetime) -> None:
        """About a second has gone by; the loop's owner calls it."""
        ...

    def abandoned(self) -> None:
        """No process carries the run on any more; what is shown last must not say that it goes on."""
        ...

    def suspended(self) -> AbstractContextManager[None]:
        """Leave the terminal alone while a person is asked."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def write(stream: TextIO, text: str) -> None:
    """Write and flush. What the stream's encoding has no sign for is written as an escape, never raised.

    Raises:
        OSError: when the stream is gone; the engine then lets the screen go (law 10).
    """
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def place(target: Target) -> str:
    """``step @ host``, or the step alone on the operator's machine; a question about no step is about the run."""
    return f"{target.step} @ {target.host}" if target.host else target.step or "the run"


def numbers(state: RunState) -> dict[str, int]:
    """Each step's number, counted from 1 as in every screen and report."""
    return {step.id: n for n, step in enumerate(state.the_plan.steps(), start=1)}


def section_of(state: RunState, step_id: str) -> Section:
    """The section that a step stands in."""
    stages = state.the_plan.stages
    return next(stage.section for stage in stages if any(s.id == step_id for s in stage.steps))


def spent_s(known: TargetState, now: datetime) -> float | None:
    """Seconds since a target began, up to its end; None before it began."""
    if known.started_at is None:
        return None
    return max(0.0, ((known.finished_at or now) - known.started_at).total_seconds())


def over_expected(step: Step, seconds: float | None) -> bool:
    """Whether a step has taken longer than it usually does."""
    return seconds is not None and step.expected_s is not None and seconds > step.expected_s
