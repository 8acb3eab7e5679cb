"""The words that runbooks and plans share.

They stand apart from ``model/plan.py``, so that whoever only reads documents need not import what plans are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Section(StrEnum):
    """Where in the runbook a step stands."""

    PRECONDITIONS = "preconditions"
    STEPS = "steps"
    FALLBACK = "fallback"  # the steps of the runbook that takes over when this one cannot go on
    ROLLBACK = "rollback"  # the undos of the steps, the last step's first
    ALWAYS = "always"


class OnFailure(StrEnum):
    """What a failed step does to the run. DEFAULT pauses when a person is there and aborts when nobody is."""

    DEFAULT = "default"
    ABORT = "abort"
    CONTINUE = "continue"
    PAUSE = "pause"
    ROLLBACK = "rollback"
    FALLBACK = "fallback"
    NEXT = "next"  # the rest of this round is left out; the next round of the call begins, or what follows the call


STRICTEST_FIRST = (
    OnFailure.ABORT,
    OnFailure.DEFAULT,
    OnFailure.PAUSE,
    OnFailure.ROLLBACK,
    OnFailure.FALLBACK,
    OnFailure.NEXT,
    OnFailure.CONTINUE,
)
"""Of steps that fail side by side, the one that says the earliest of these decides: what lets the least happen."""


class Mark(StrEnum):
    """The points of the RTO clock."""

    OUTAGE_STARTED = "outage_started"
    DETECTED = "detected"
    DECLARED = "declared"
    SERVICE_RESTORED = "service_restored"
    PROTECTED = "protected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Which of a call's attempts a step belongs to: ``number`` counts from 1, and ``of`` is the calling step's id.

    ``within_s`` after the first attempt began no new one begins but the last; None is no such limit.
    """

    of: str
    number: int
    within_s: float | None = None
