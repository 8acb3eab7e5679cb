"""Signals as stops: the first ends the run after the current step, the second leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from drctl.cli.settings import operator
from drctl.engine.conduct import Conductor
from drctl.model.events import StopRequested

_SIGNALS: dict[int, str] = {signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}


class Signals:
    """The first signal stops after the current step; the second leaves at once, and the remote job goes on."""

    def __init__(self) -> None:
        self.conductor: Conductor | None = None
        self.stop: str = ""
        self.leaving = b""  # what gives the terminal back

    def stopping(self) -> bool:
        return bool(self.stop)

    @contextmanager
    def installed(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._came) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if self.stop:
            # Every intent is in the journal already, so there is nothing to tidy but the terminal.
            os.write(2, self.leaving + b"\ndrctl left at once. What was sent goes on; next: drctl resume\n")
            os._exit(143 if number != signal.SIGINT else 130)
        self.stop = _SIGNALS[number]
        if self.conductor is not None:
            how = self.stop
            self.conductor.inbox.put(StopRequested(by=operator(), how=how))  # type: ignore[arg-type]
        if number != signal.SIGHUP:
            os.write(2, b"\nstopping after the current step; again to leave at once\n")
