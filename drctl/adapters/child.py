"""A program on this machine: fed, read, held to a deadline, and gone when we are done."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from drctl.adapters.transport import LINGER_S

CHUNK = 262_144
_KEPT = 65_536
_GRACE_S = 2.0  # between TERM and KILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The exit status, negative for a signal, or None when it was ended because the time was over; and the last of
    its standard error."""

    status: int | None
    errors: str


def run_child(
    argv: list[str],
    *,
    left_s: Callable[[], float],
    take: Callable[[bytes], None],
    feed: Callable[[], bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run it to its end, or until ``left_s()`` is not above 0; its process group is gone when this returns.

    ``take`` gets its standard output; ``feed`` gives its standard input piece by piece, and nothing at the end.
    ``environment`` is its own in place of this process's.

    Raises:
        OSError: it cannot be started. What ``take`` and ``feed`` raise comes through, after it has been ended.
    """
    given = os.environ if environment is None else environment
    mine = {name: value for name, value in given.items() if not name.startswith("RSYNC_")}
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=mine | {"LC_ALL": "C"},  # its messages are read
        start_new_session=True,
    )
    with _Pump(child, take, feed) as pump:
        in_time = pump.go_on(left_s)
        status = pump.end()
    return Ended(status=status if in_time else None, errors=bytes(pump.errors).decode("utf-8", "replace"))


class _Pump:
    def __init__(
        self, child: subprocess.Popen[bytes], take: Callable[[bytes], None], feed: Callable[[], bytes] | None
    ) -> None:
        self._child = child
        self._take, self._feed = take, feed
        self._piece = memoryview(b"")
        self._selector = selectors.DefaultSelector()
        self._end = os.pidfd_open(child.pid)
        self._selector.register(self._end, selectors.EVENT_READ)
        self._open = [pipe for pipe in (child.stdout, child.stderr) if pipe is not None]
        for pipe in self._open:
            self._selector.register(pipe, selectors.EVENT_READ)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            self._selector.register(child.stdin, selectors.EVENT_WRITE)
        self.errors = bytearray()

    def __enter__(self) -> _Pump:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._selector.close()
        os.close(self._end)
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    def go_on(self, left_s: Callable[[], float]) -> bool:
        """Until it has ended and all its output is here; False when the time is over before it has ended."""
        ended_at: float | None = None
        while self._open or ended_at is None:
            wait_s = left_s()
            if ended_at is not None:
                wait_s = min(wait_s, ended_at + LINGER_S - time.monotonic())
            if wait_s <= 0:
                return ended_at is not None
            for key, _ in self._selector.select(wait_s):
                if key.fd == self._end:
                    self._selector.unregister(self._end)
                    ended_at = time.monotonic()
                elif key.fileobj is self._child.stdin:
                    self._write(self._child.stdin)
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
        return True

    def end(self) -> int:
        """End what is left of its process group, and give its status; again and again, if need be."""
        if self._child.returncode is None:
            # It has not been waited for, so its number is still its own, and its group's.
            os.killpg(self._child.pid, signal.SIGTERM)
            try:
                self._child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
        return self._child.returncode

    def _read(self, pipe: IO[bytes]) -> None:
        data = os.read(pipe.fileno(), CHUNK)
        if not data:
            self._selector.unregister(pipe)
            self._open.remove(pipe)
        elif pipe is self._child.stdout:
            self._take(data)
        else:
            self.errors += data
            del self.errors[:-_KEPT]

    def _write(self, pipe: IO[bytes]) -> None:
        if not self._piece and self._feed is not None:
            self._piece = memoryview(self._feed())
        try:
            if self._piece:
                self._piece = self._piece[os.write(pipe.fileno(), self._piece) :]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass  # it has ended, or will; its status says the rest
        self._selector.unregister(pipe)
        pipe.close()
