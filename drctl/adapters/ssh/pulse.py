"""Is anybody there? Asked over and over, for as long as a connection is open."""

from __future__ import annotations

import contextlib
import threading

import paramiko


class Pulse(threading.Thread):
    """Asks the host for a sign of life, and closes the connection when none comes.

    TCP's own keepalive is answered by the kernel, and so by the host whose sshd hangs. Paramiko's keepalive sends and
    never looks for the answer.
    """

    def __init__(self, transport: paramiko.Transport, name: str, *, every_s: float, silence_s: float) -> None:
        super().__init__(name=f"drctl-pulse-{name}", daemon=True)
        self._transport = transport
        self._every_s = every_s
        self._silence_s = silence_s
        self._stopped = threading.Event()
        self.silent = False

    def run(self) -> None:
        """Until the connection ends."""
        while not self._stopped.wait(self._every_s) and self._transport.is_active():
            # The deadline has its own thread: sending, too, may block for ever.
            deadline = threading.Timer(self._silence_s, self._give_up)
            deadline.daemon = True
            deadline.start()
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                self._transport.global_request("keepalive@openssh.com", wait=True)
            deadline.cancel()

    def stop(self) -> None:
        """No more questions; the thread ends by itself."""
        self._stopped.set()

    def _give_up(self) -> None:
        if not self._stopped.is_set():
            self.silent = True
            self._transport.close()
