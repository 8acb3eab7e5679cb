"""What goes wrong beside a run and never stops it: it is said once, and it is in the journal (design, law 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from drctl.adapters.clock import SystemClock
from drctl.adapters.outputs import Recorder
from drctl.engine.ports import Stream
from drctl.engine.state import RunState, Target
from drctl.model.events import Event, MessengerFailed, Output
from drctl.model.units import format_duration

NOTICED_S = 2.0
"""A clock that was set by less is nobody's concern."""

Tell = Callable[[MessengerFailed], None]


class ClockWatch:
    """A listener that notices when the machine's clock is set while a run goes on."""

    name = "clock"

    def __init__(self, clock: SystemClock, tell: Tell) -> None:
        self._clock, self._tell = clock, tell
        self._known_s = 0.0

    def on_event(self, event: Event, state: RunState) -> None:
        self._look()

    def on_output(self, target: Target, text: str) -> None:
        """Says nothing about clocks."""

    def tick(self, now: datetime) -> None:
        self._look()

    def behind(self, last_at: datetime | None) -> None:
        """Say so when a run is taken up at a time before its last event."""
        left_s = (last_at - self._clock.now()).total_seconds() if last_at else 0.0
        if left_s >= NOTICED_S:
            self._say(
                f"it is {format_duration(left_s)} behind the last event of this run: how much time has passed since is "
                "not known, and the RTO may read too small"
            )

    def _look(self) -> None:
        moved_s = self._clock.moved_s()
        set_by_s = moved_s - self._known_s
        if abs(set_by_s) >= NOTICED_S:
            self._known_s = moved_s
            how = f"{'forward' if set_by_s > 0 else 'back'} by {format_duration(abs(set_by_s))}"
            self._say(f"it was set {how} while the run goes on: the run's times and its RTO leave the jump out")

    def _say(self, what: str) -> None:
        self._tell(MessengerFailed(messenger=self.name, detail=what))


@dataclass(frozen=True, slots=True)
class TellingRecorder:
    """A recorder of output that says when the output could not be kept."""

    recorder: Recorder
    target: Target
    tell: Tell

    def __call__(self, stream: Stream, data: bytes) -> None:
        self.recorder(stream, data)

    def close(self) -> tuple[Output | None, Output | None]:
        kept = self.recorder.close()
        while self.recorder.problems:
            problem = f"{self.target.step}: {self.recorder.problems.pop(0)}"
            self.tell(MessengerFailed(messenger="outputs", detail=problem))
        return kept
