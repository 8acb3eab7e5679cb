"""What a command says, kept, and waited for."""

from __future__ import annotations

import threading

from drctl.engine.ports import Stream
from tests.contract.sshd import PATIENCE_S


class Ear:
    """A sink that keeps what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._changed = threading.Condition()

    def __call__(self, stream: Stream, data: bytes) -> None:
        with self._changed:
            self.heard[stream] += data
            self._changed.notify_all()

    @property
    def out(self) -> bytes:
        return bytes(self.heard["stdout"])

    @property
    def err(self) -> bytes:
        return bytes(self.heard["stderr"])

    def wait_for(self, text: bytes, stream: Stream = "stdout") -> None:
        """Until it was said."""
        with self._changed:
            said = self._changed.wait_for(lambda: text in self.heard[stream], timeout=PATIENCE_S)
        assert said, f"{text!r} was never said: {self.heard}"
