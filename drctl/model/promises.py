"""What a plan promises beside its steps: its deadline, and the country that its data stays in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DeadlineAction(StrEnum):
    """What becomes of a run at its deadline when nobody is there to decide."""

    FALLBACK = "fallback"
    CONTINUE = "continue"
    PAUSE = "pause"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carries:
    """That a step carries the service's data somewhere, and what is known beforehand of how much and how fast.

    ``size`` names a captured value of bytes; ``size_bytes`` is what the inventory says when no run has captured it.
    ``mb_per_s`` is the inventory's stated assumption, in 10^6 bytes a second.
    """

    size: str = ""
    size_bytes: float | None = None
    mb_per_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRule:
    """What the runbook says of the last moment at which to leave it for its fallback; ``margin_s`` is kept free.

    Once the step ``until`` has succeeded the runbook is not left any more.
    """

    action: DeadlineAction = DeadlineAction.CONTINUE
    margin_s: float = 0.0
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host of the inventory and the country of its site."""

    host: str
    address: str
    country: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Residency:
    """The country that the service's data must stay in, and every machine whose country is known."""

    country: str
    places: tuple[Place, ...]
