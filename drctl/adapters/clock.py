"""The machine's clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _wall() -> datetime:
    return datetime.now(UTC)


def _passing() -> float:
    """Seconds that nobody can set. Where the kernel counts them, those that the machine slept are among them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class SystemClock:
    """Wall time in UTC, monotonic seconds, and sleep.

    The wall clock is read once, when this clock is made. From then on ``now`` goes on with the seconds that pass, so
    whoever sets the machine's clock in the middle of a run moves none of its times.
    """

    def __init__(self, *, wall: Callable[[], datetime] = _wall, passing: Callable[[], float] = _passing) -> None:
        """``wall`` and ``passing`` are the machine's; tests put others here."""
        self._wall, self._passing = wall, passing
        self._began, self._began_s = wall(), passing()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=self._passing() - self._began_s)

    def moved_s(self) -> float:
        """By how many seconds the machine's clock was set since this one was made; negative when it was set back."""
        return (self._wall() - self.now()).total_seconds()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
