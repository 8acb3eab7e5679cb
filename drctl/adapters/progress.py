"""How far a transfer is, in lines for people; and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Callable

from drctl.engine.ports import CommandResult, OutputSink
from drctl.model.units import format_duration

_EVERY_S = 1.0
_SELDOM_S = 10.0


class Ended(Exception):
    """The transfer ends here, with this result: what a caller further up need not know about."""

    def __init__(self, result: CommandResult) -> None:
        super().__init__(result.detail)
        self.result = result


class Deadline:
    """``timeout_s`` seconds from now."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.timeout_s = timeout_s
        self._clock = clock
        self._began = clock()

    def passed_s(self) -> float:
        """Seconds since it was set."""
        return self._clock() - self._began

    def left_s(self) -> float:
        """Seconds that are left; 0 or less when the time is over."""
        return self.timeout_s - self.passed_s()


class Progress:
    """A line on standard error at most once a second, and when it goes slowly once in ten seconds or each percent:
    a night's transfer must not bury what is said at its end."""

    def __init__(
        self, output: OutputSink, what: str, total: int, at: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.there = at
        """Bytes that have arrived, as far as is known."""
        self._output, self._what, self._total, self._clock = output, what, total, clock
        self._began_at, self._began = at, clock()
        self._said_at, self._said = at, self._began

    def __call__(self, there: int) -> None:
        """So many bytes are there now."""
        self.there = there
        now = self._clock()
        waited = now - self._said
        if waited < _EVERY_S or (waited < _SELDOM_S and (there - self._said_at) * 100 < self._total):
            return
        self._said_at, self._said = there, now
        rate = (there - self._began_at) / (now - self._began)
        left = f"{format_duration((self._total - there) / rate)} left" if rate > 0 else "nothing has moved yet"
        done = 100 * there // self._total if self._total else 100
        self._output(
            "stderr",
            f"{self._what}: {size(there)} of {size(self._total)} ({done} %), {size(rate)}/s, {left}\n".encode(
                "utf-8", "surrogateescape"
            ),
        )


def size(count: float) -> str:
    """``512 bytes``, ``1.5 MiB``."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"
