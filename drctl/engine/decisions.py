"""What can be decided: the closed list of what the loop may be told to do next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drctl.engine.state import Target
from drctl.model.events import Act, Ended, PersonAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Do this for a step on a host."""

    target: Target
    act: Act
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Leave a step out, and say why."""

    target: Target
    who: str
    why: str
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask a person; the run waits for the answer."""

    question: PersonAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Nothing more is to be done."""

    ended: Ended
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Nothing before this instant: a retry waits for its time."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """End what a step left running on a host, and say whether that is certain; said again until it is over."""

    target: Target
    attempt: int


Decision = Attempt | Skip | Ask | Finish | Later | End
