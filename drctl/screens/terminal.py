"""A person's terminal: lines in, text out, and nothing that was typed before the question.

Only a real terminal counts: a decision to promote must not come from a pipe that happened to hold a "y".
"""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from drctl.screens.base import write

POLL_S = 0.2


class Terminal:
    """A terminal that can be asked. ``descriptor`` is read, ``stream`` is written to."""

    def __init__(self, descriptor: int, stream: TextIO, *, own: bool = False) -> None:
        """``own``: both were opened for this, and ``close`` closes them."""
        self._descriptor = descriptor
        self._stream = stream
        self._own = own
        self._pending = b""

    def close(self) -> None:
        """Let the terminal go."""
        if self._own:
            self._own = False
            with suppress(OSError):
                self._stream.close()
            with suppress(OSError):
                os.close(self._descriptor)

    def __del__(self) -> None:
        self.close()

    @property
    def columns(self) -> int:
        """The width in columns; 80 when it does not say."""
        with suppress(OSError):
            return os.get_terminal_size(self._descriptor).columns or 80
        return 80

    def say(self, text: str = "") -> None:
        """Write a line. A terminal that is gone is found out by reading from it."""
        with suppress(OSError):
            write(self._stream, text + "\n")

    def interrupt(self, text: str, prompt: str) -> None:
        """Say something, with the bell, while a line is waited for, and put the prompt below it again."""
        with suppress(OSError):
            write(self._stream, f"\a\n{text}\n{prompt}")

    def forget_what_was_typed(self) -> None:
        """Throw away what was typed before the question was on the screen: it was no answer to it."""
        self._pending = b""
        with suppress(termios.error, OSError):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def ask(self, prompt: str, *, stopping: Callable[[], bool] = lambda: False) -> str | None:
        """One line, stripped; None at the end of the input, on Ctrl-C, or when the run is to stop."""
        with suppress(OSError):
            write(self._stream, prompt)
        try:
            line = self._line(stopping)
        except (KeyboardInterrupt, OSError):
            line = None
        if line is None:
            self.say()
        return line

    def _line(self, stopping: Callable[[], bool]) -> str | None:
        while b"\n" not in self._pending:
            if stopping():
                return None
            if not select.select([self._descriptor], [], [], POLL_S)[0]:
                continue
            data = os.read(self._descriptor, 4096)
            if not data:
                return None
            self._pending += data
        line, self._pending = self._pending.split(b"\n", 1)
        return line.decode("utf-8", "replace").strip()


def open_terminal() -> Terminal | None:
    """The terminal that the operator sits at, or None when there is none: then nobody is asked."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        if sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty():
            return Terminal(sys.stdin.fileno(), sys.stderr)
        return None
    stream = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace")
    return Terminal(descriptor, stream, own=True)
