"""Replay a sample run on a screen, faster than it was: ``python -m tests.support.replay_screen succeeded --speed 60``.

For eyes: what a person would see of that run on this terminal, at this size. ``--screen`` is live, lines or json, and
chosen as in a real run when it is not given. ``--ask`` asks the run's questions at the terminal, and goes on with the
recorded answers whatever is said. ``--svg WIDTH`` prints the picture of its end.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import datetime, timedelta

from drctl.engine.fold import fold
from drctl.engine.state import RunState, Target
from drctl.model import events as ev
from drctl.screens.base import Screen
from drctl.screens.choose import choose
from drctl.screens.lines import LinesScreen
from drctl.screens.ndjson import NdjsonScreen
from drctl.screens.prompt import TerminalPerson
from drctl.screens.svg import export_svg
from drctl.screens.terminal import open_terminal
from tests.support.sample_runs import SAMPLES

TICK_S = 1.0


class FastClock:
    """A clock that runs ``speed`` times as fast from a given instant on."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start, self._speed, self._began = start, speed, time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)

    def monotonic(self) -> float:
        return (self.now() - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self._speed)


def main(arguments: list[str]) -> int:
    """Replay as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", choices=sorted(SAMPLES))
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--until", type=int, default=None, help="stop after this event, as a run that goes on")
    parser.add_argument("--hold", type=float, default=0.0, help="seconds to stay at the end")
    parser.add_argument("--screen", choices=("live", "lines", "json"))
    parser.add_argument("--ask", action="store_true")
    parser.add_argument("--svg", type=int)
    found = parser.parse_args(arguments)
    events = SAMPLES[found.sample]()[: found.until]
    if found.svg:
        sys.stdout.write(export_svg(events, found.svg))
        return 0
    clock = FastClock(events[0].at, found.speed)
    screen: Screen
    match found.screen:
        case "lines":
            screen = LinesScreen(sys.stderr)
        case "json":
            screen = NdjsonScreen(sys.stdout)
        case _:
            screen = choose(stdout=sys.stdout, stderr=sys.stderr, environ=os.environ, clock=clock)
    terminal = open_terminal() if found.ask else None
    person = TerminalPerson(terminal, suspended=screen.suspended) if terminal else None
    state = RunState()
    with screen:
        for event in events:
            while clock.now() < event.at:
                screen.tick(clock.now())
                time.sleep(min(TICK_S, (event.at - clock.now()).total_seconds() / found.speed + 0.001))
            _output_before(screen, event.body)
            state = fold(state, event)
            screen.on_event(event, state)
            if person is not None and isinstance(event.body, ev.PersonAsked):
                answer = person.decide(event.body, state)
                sys.stderr.write(f"{answer}\n")
        until = time.monotonic() + found.hold
        while time.monotonic() < until:
            screen.tick(clock.now())
            time.sleep(0.1)
    return 0


def _output_before(screen: Screen, body: ev.Body) -> None:
    """What the attempt wrote, in pieces, as the recorder would hand it on before the attempt's end."""
    if isinstance(body, ev.AttemptFinished):
        for output in (body.output, body.errors):
            for start in range(0, len(output.tail) if output else 0, 40):
                screen.on_output(Target(body.step, body.host), output.tail[start : start + 40] if output else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
