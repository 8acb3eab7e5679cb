"""Keeps what commands print: redacted, in files named by their sha256, with only the end of it in memory."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from drctl.adapters.redact import RedactedStream, Redactor
from drctl.engine.ports import Stream
from drctl.errors import DrctlError
from drctl.model.events import Output

TAIL_BYTES = 65536
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")

Listener = Callable[[Stream, str], None]


class OutputStore:
    """A directory of outputs. Whatever goes in passes through the redactor first.

    Raises:
        DrctlError: when the directory cannot be made.
    """

    def __init__(self, directory: Path, redactor: Redactor | None = None) -> None:
        self._directory = directory
        self._redactor = redactor or Redactor()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DrctlError(f"cannot make {directory}: {error.strerror}", state="nothing was run") from error

    def recorder(self, *, keep: bool = True) -> Recorder:
        """A sink for one command's output; without ``keep`` nothing of it goes to the disk but its size and sum."""
        return Recorder(self._directory, self._redactor, keep=keep)

    def path(self, sha256: str) -> Path:
        """Where the output of that sum is kept, whether or not there is one.

        Raises:
            ValueError: when it is not a sha256 in hexadecimal.
        """
        if not _SHA256.match(sha256):
            raise ValueError(f"not a sha256: {sha256!r}")
        return self._directory / sha256

    def read(self, sha256: str) -> bytes:
        """The whole output. For one that may be large, open ``path(sha256)``.

        Raises:
            DrctlError: when it is not there, or is not what its name says.
        """
        if sha256 == hashlib.sha256().hexdigest():
            return b""
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DrctlError(f"the output {sha256[:12]} cannot be read: {error.strerror}", where=str(path)) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DrctlError(f"the output {sha256[:12]} is not what was written", where=str(path))
        return content


class Recorder:
    """An ``OutputSink`` for one command. It never raises: what goes wrong is in ``problems``.

    ``close`` must be called; it is safe to call it again.
    """

    def __init__(self, directory: Path, redactor: Redactor, *, keep: bool = True) -> None:
        self.problems: list[str] = []
        self._listeners: list[tuple[Listener, dict[Stream, codecs.IncrementalDecoder]]] = []
        self._files: dict[Stream, _File] = {
            "stdout": _File(directory, redactor.stream(), self.problems, keep=keep),
            "stderr": _File(directory, redactor.stream(), self.problems, keep=keep),
        }
        self._kept: tuple[Output | None, Output | None] | None = None

    def __call__(self, stream: Stream, data: bytes) -> None:
        self._heard(stream, self._files[stream].write(data))

    def listen(self, callback: Listener) -> None:
        """Give the redacted output to ``callback(stream, text)`` as it comes.

        A callback that raises is not called again, and its exception is added to ``problems``: a screen never stops
        a recovery.
        """
        decoder = codecs.getincrementaldecoder("utf-8")
        self._listeners.append((callback, {"stdout": decoder("replace"), "stderr": decoder("replace")}))

    def close(self) -> tuple[Output | None, Output | None]:
        """The end: what was kept of standard output and of standard error, synced to the disk; None if it was empty."""
        if self._kept is None:
            for stream, file in self._files.items():
                self._heard(stream, file.flush(), final=True)
            self._kept = (self._files["stdout"].keep(), self._files["stderr"].keep())
            self._listeners.clear()
        return self._kept

    def _heard(self, stream: Stream, data: bytes, *, final: bool = False) -> None:
        for listener in list(self._listeners):
            callback, decoders = listener
            try:
                if text := decoders[stream].decode(data, final):
                    callback(stream, text)
            except Exception as error:
                self._listeners.remove(listener)
                self.problems.append(f"a listener failed: {type(error).__name__}: {error}")


class _File:
    """One stream's file, made when its first byte comes, and the end of it in memory."""

    def __init__(self, directory: Path, redacted: RedactedStream, problems: list[str], *, keep: bool) -> None:
        self._directory = directory
        self._redacted = redacted
        self._problems = problems
        self._file: IO[bytes] | None = None
        self._name = ""
        self._broken = False
        self._keep = keep
        self._digest = hashlib.sha256()
        self._size = 0
        self._tail = bytearray()

    def write(self, data: bytes) -> bytes:
        """Keeps the data; what may be shown of it comes back."""
        return self._add(self._redacted.feed(data))

    def flush(self) -> bytes:
        return self._add(self._redacted.flush())

    def keep(self) -> Output | None:
        if not self._size:
            return None
        sha256 = self._digest.hexdigest()
        if self._file is not None:
            name = Path(self._name)
            try:
                with self._file as file:
                    file.flush()
                    os.fsync(file.fileno())
                if self._broken:
                    name.unlink()
                else:
                    name.replace(self._directory / sha256)
                    _sync_directory(self._directory)
            except OSError as error:
                self._fail(error)
        tail = bytes(self._tail[-TAIL_BYTES:])
        if self._size > len(tail):
            # Cut in the middle: not in the middle of a character.
            tail = tail.lstrip(bytes(range(0x80, 0xC0)))
        return Output(sha256=sha256, bytes=self._size, tail=tail.decode("utf-8", "replace"))

    def _add(self, data: bytes) -> bytes:
        if not data:
            return data
        self._digest.update(data)
        self._size += len(data)
        self._tail += data[-TAIL_BYTES:]
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        if self._keep and not self._broken:
            try:
                if self._file is None:
                    descriptor, self._name = tempfile.mkstemp(dir=self._directory, prefix=".new-")
                    self._file = os.fdopen(descriptor, "wb")
                self._file.write(data)
            except OSError as error:
                self._fail(error)
        return data

    def _fail(self, error: OSError) -> None:
        self._broken = True
        self._problems.append(f"the output cannot be kept: {error.strerror or error}")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
