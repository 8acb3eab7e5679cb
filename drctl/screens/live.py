"""The live screen: the picture of a run, painted on the alternate screen of a terminal and left in its scrollback.

The alternate screen keeps a resized window in order, and what was in the terminal before comes back at the end. A
screen that fails gives way to plain lines: the operator must never be left without any (law 10).
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from threading import Event as Flag
from threading import RLock, Thread
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from drctl.engine.ports import Clock
from drctl.engine.state import RunState, Target
from drctl.model.events import AttemptStarted, Event
from drctl.screens.base import LEAVE_ALTERNATE_SCREEN
from drctl.screens.lines import LinesScreen
from drctl.screens.picture import Scene, final_picture, live_picture
from drctl.screens.tails import Tails

REFRESH_S = 0.25


class LiveScreen:
    """The run on a terminal. Safe to call from several threads; ``refresh_s`` 0 leaves the painting to the caller."""

    name = "live"
    leaving = LEAVE_ALTERNATE_SCREEN

    def __init__(self, stream: TextIO, *, clock: Clock, colours: bool = True, refresh_s: float = REFRESH_S) -> None:
        self._stream = stream
        self._clock = clock
        self._refresh_s = refresh_s
        self._console = Console(
            file=stream,
            force_terminal=True,
            force_interactive=True,
            no_color=not colours,
            markup=False,
            highlight=False,
            emoji=False,
            legacy_windows=False,
        )
        self._lock = RLock()
        self._state: RunState | None = None
        self._tails = Tails()
        self._live: Live | None = None
        self._conducted: bool | None = None
        self._held = 0  # how many times the screen was asked to stay away
        self._painted: tuple[object, ...] = ()
        self._instead: LinesScreen | None = None
        self._over = Flag()
        self._painter: Thread | None = None

    def __enter__(self) -> Self:
        atexit.register(self._leave)
        if self._refresh_s > 0:
            self._painter = Thread(target=self._paint_on, name="drctl-screen", daemon=True)
            self._painter.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, and leave the last picture in it."""
        self._over.set()
        if self._painter is not None:
            self._painter.join(timeout=2)
        atexit.unregister(self._leave)
        with self._lock, suppress(OSError, ValueError):
            self._leave()
            if self._state is not None and self._instead is None:
                scene = self._scene(self._state)
                for line in final_picture(scene, width=self._console.width):
                    self._console.print(line, soft_wrap=False, no_wrap=True, overflow="ellipsis")

    def on_event(self, event: Event, state: RunState) -> None:
        with self._lock:
            self._state = state
            if isinstance(event.body, AttemptStarted):
                self._tails.begin(Target(event.body.step, event.body.host))
            self._painted = ()
            self._paint()
            if self._instead is not None:
                self._instead.on_event(event, state)

    def on_output(self, target: Target, text: str) -> None:
        with self._lock:
            self._tails.add(target, text)
            self._painted = ()

    def tick(self, now: datetime) -> None:
        """The screen keeps its own time; its stand-in needs to be told."""
        with self._lock:
            if self._instead is not None:
                self._instead.tick(now)
            elif self._refresh_s <= 0:
                self._paint()

    def abandoned(self) -> None:
        with self._lock:
            self._conducted = False

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Give the terminal back for as long as a person is asked."""
        with self._lock:
            self._held += 1
            with suppress(OSError, ValueError):
                self._leave()
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                self._painted = ()
                self._paint()

    def _paint_on(self) -> None:
        while not self._over.wait(self._refresh_s):
            with self._lock:
                self._paint()

    def _paint(self) -> None:
        """Paint when there is something new: an event, output, another second, another size."""
        state = self._state
        if state is None or self._held or self._over.is_set() or self._instead is not None:
            return
        try:
            new = (int(self._clock.now().timestamp()), self._console.size)
            if new == self._painted and self._live is not None:
                return
            self._painted = new
            if self._live is None:
                self._live = self._begin()
            self._live.refresh()
        except Exception:  # plain lines are better than a broken picture, and than none
            with suppress(Exception):
                self._leave()
            self._instead = LinesScreen(self._stream)

    def _begin(self) -> Live:
        live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
            get_renderable=self._picture,
        )
        live.start()
        return live

    def _picture(self) -> Group:
        if self._state is None:
            return Group(Text(""))
        width, height = self._console.size
        return Group(*live_picture(self._scene(self._state), width=width, height=height))

    def _scene(self, state: RunState) -> Scene:
        return Scene(state=state, now=self._clock.now(), outputs=self._tails.lines(), conducted=self._conducted)

    def _leave(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
