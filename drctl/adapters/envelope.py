"""Tells a script's own output apart from what is said about it, byte for byte.

The host's side (``files/job.sh``) writes a first line on standard output that begins with a token that only the two
sides know, the token alone on standard error, then the script's output, and for a job a last line of fixed length.
What comes before the first line was written by a login shell, a banner or sudo, and is not the script's.
"""

from __future__ import annotations

from dataclasses import dataclass

from drctl.engine.ports import OutputSink, Stream

_NOISE_KEPT = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A job's last line: its state (finished, rebooted, lost), exit code, and why drctl ended it when it did."""

    state: str
    code: int
    reason: str


class Envelope:
    """Takes the two raw streams of one exchange and hands the script's output to the sink."""

    def __init__(self, token: str, sink: OutputSink | None, *, last_line: bool) -> None:
        self._token = token.encode()
        self._sink = sink
        self._verdict_length = len(token) + len(" finished 000 timeout\n") if last_line else 0
        self._buffers: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
        self._begun: dict[Stream, bool] = {"stdout": False, "stderr": False}
        self.first: tuple[str, ...] | None = None
        """The words of the first line, without the token; None until it has come."""

    def take(self, stream: Stream, data: bytes) -> None:
        """The next bytes of a stream."""
        data = self._buffers[stream] + data
        if not self._begun[stream]:
            start = data.find(self._token + (b" " if stream == "stdout" else b"\n"))
            end = data.find(b"\n", start) if start >= 0 else -1
            if end < 0:
                self._buffers[stream] = data if start >= 0 else data[-_NOISE_KEPT:]
                return
            self._begun[stream] = True
            if stream == "stdout":
                self.first = tuple(data[start + len(self._token) + 1 : end].decode("utf-8", "replace").split())
            data = data[end + 1 :]
        keep = self._possible_verdict(data) if stream == "stdout" and self._verdict_length else len(data)
        self._buffers[stream] = data[keep:]
        self._give(stream, data[:keep])

    def end(self) -> Verdict | None:
        """Nothing more comes: give out what was kept back, and say what the last line was, if there was one."""
        held = self._buffers["stdout"]
        whole = len(held) == self._verdict_length and held.endswith(b"\n")
        if self._begun["stdout"] and self._verdict_length and whole:
            words = held[len(self._token) :].decode("ascii", "replace").split()
            if len(words) == 3 and words[1].isdecimal():
                return Verdict(state=words[0], code=int(words[1]), reason=words[2])
        if self._begun["stdout"]:
            self._give("stdout", held)
        return None

    def noise(self) -> str:
        """What came instead of the first line, for a person: what sudo said, or the last line, errors first."""
        for stream in ("stderr", "stdout"):
            lines = self._buffers[stream].decode("utf-8", "replace").split("\n")
            said = [line.strip() for line in lines if line.strip()]
            if said:
                return next((line for line in said if line.startswith("sudo: ")), said[-1])[:300]
        return ""

    def _possible_verdict(self, data: bytes) -> int:
        """Where an end begins that may be (the beginning of) the last line; everything before it may go."""
        # Only the token's own first bytes are looked for, so that live output is not held back.
        start = max(0, len(data) - self._verdict_length)
        at = data.find(self._token, start)
        if at >= 0:
            return at
        for at in range(max(start, len(data) - len(self._token) + 1), len(data)):
            if self._token.startswith(data[at:]):
                return at
        return len(data)

    def _give(self, stream: Stream, data: bytes) -> None:
        if data and self._sink is not None:
            self._sink(stream, data)
