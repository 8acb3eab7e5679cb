"""Shells that wait for the next command, so that it need not wait for them.

docs/decisions/0029-the-next-shell-is-started-ahead.md says what is asked of one before it is used.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import paramiko

FAR_S = 0.01  # seconds; an answer that takes longer is a long way and not a busy processor


class SessionsFull(Exception):
    """The host lets us in, and opens no further session on this connection (MaxSessions)."""


class ShellsAhead:
    """The waiting shells of one connection: one, and of a host that is far away two.

    There a step is over before the shell that was asked for when it began is there.
    """

    def __init__(self, open_channel: Callable[[], paramiko.Channel], name: str) -> None:
        self._open_channel = open_channel
        self._name = name
        self._lock = threading.Lock()
        self._waiting: list[paramiko.Channel] = []
        self._on_their_way = 0
        self._may_start = True
        self._answer_s = 0.0  # the quickest so far

    def take(self) -> paramiko.Channel | None:
        """One that waits, and may have gone since; None when there is none."""
        with self._lock:
            return self._waiting.pop(0) if self._waiting else None

    def answered(self, after_s: float) -> None:
        """One of them has answered, so many seconds after it was asked."""
        with self._lock:
            self._answer_s = min(after_s, self._answer_s or after_s)

    def start(self, shell: str) -> None:
        """Have as many wait as should, without waiting for them."""
        with self._lock:
            wanted = 2 if self._answer_s > FAR_S else 1
            lacking = wanted - len(self._waiting) - self._on_their_way
            if not self._may_start or lacking <= 0:
                return
            self._on_their_way += lacking
        for _ in range(lacking):
            name = f"drctl-ahead-{self._name}"
            threading.Thread(target=self._start, args=(shell,), name=name, daemon=True).start()

    def _start(self, shell: str) -> None:
        started = None
        with contextlib.suppress(SessionsFull, paramiko.SSHException, EOFError, OSError):
            channel = self._open_channel()
            channel.exec_command(shell)
            started = channel
        with self._lock:
            self._on_their_way -= 1
            if started is None:
                self._may_start = False  # the host opens no more of them, or has gone
            else:
                self._waiting.append(started)
