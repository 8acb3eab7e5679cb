"""Takes secret values out of everything that is written, by value, whatever form they come in (design, law 8)."""

from __future__ import annotations

import base64
import json
import re
import threading
from urllib.parse import quote, quote_plus

from drctl.adapters.payload import shell_quote

MASK = b"[redacted]"
SHORTEST = 4
"""A shorter secret is refused: taking out every "ab" would ruin the output, and show where the secret stood."""
_SHORTEST_LINE = 8
_HEAD = 4  # bytes of a needle that are looked for before it is compared whole


class Redactor:
    """The secret values that are known, and every form that they are looked for in. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._needles: tuple[bytes, ...] = ()
        self._pattern: re.Pattern[bytes] | None = None

    def add(self, value: str) -> None:
        """Take this value out of everything from now on.

        Raises:
            ValueError: when it is shorter than ``SHORTEST`` characters. The message does not show it.
        """
        if len(value) < SHORTEST:
            raise ValueError(f"a secret of fewer than {SHORTEST} characters cannot be kept out of the output")
        with self._lock:
            needles = set(self._needles) | _forms(value)
            # Longest first: of two that begin at the same place, the longer one is the whole secret.
            self._needles = tuple(sorted(needles, key=lambda needle: (-len(needle), needle)))
            self._pattern = re.compile(b"|".join(re.escape(needle) for needle in self._needles))

    def clean(self, data: bytes) -> bytes:
        """``data`` with every known value masked. For output that comes in pieces, take ``stream()``."""
        pattern, needles = self._snapshot()
        if pattern is None or not any(needle in data for needle in needles):
            return data
        return pattern.sub(lambda _: MASK, data)

    def clean_text(self, text: str) -> str:
        """The same for text."""
        return self.clean(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def stream(self) -> RedactedStream:
        """A filter for one stream of bytes that comes in pieces."""
        return RedactedStream(self)

    def _snapshot(self) -> tuple[re.Pattern[bytes] | None, tuple[bytes, ...]]:
        with self._lock:
            return self._pattern, self._needles


class RedactedStream:
    """Masks across the borders of pieces. What it lets out is what ``clean`` would make of the whole.

    It keeps back only an end that may be the beginning of a secret, so live output is not delayed by more than that.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece in, what may be shown of it out."""
        pattern, needles = self._redactor._snapshot()
        if pattern is None:
            return data
        data = self._held + data
        hold = _first_beginning(data, needles, 0)
        done: list[bytes] = []
        at = 0
        if any(needle in data for needle in needles):
            for match in pattern.finditer(data):
                if match.start() >= hold:
                    break
                done += data[at : match.start()], MASK
                at = match.end()
                if at > hold:  # what was held back began within this secret: look again behind it
                    hold = _first_beginning(data, needles, at)
        done.append(data[at:hold])
        self._held = data[hold:]
        return b"".join(done)

    def flush(self) -> bytes:
        """What was kept back, now that nothing more comes."""
        held, self._held = self._held, b""
        return self._redactor.clean(held)


def _first_beginning(data: bytes, needles: tuple[bytes, ...], start: int) -> int:
    """The first place from ``start`` on where a needle begins that ``data`` ends in the middle of; else its length."""
    first = len(data)
    for needle in needles:
        low = max(start, len(data) - len(needle) + 1)
        # Whole heads are found quickly; an end shorter than a head is compared byte by byte.
        at = data.find(needle[:_HEAD], low, first + _HEAD - 1 if first < len(data) else len(data))
        while at != -1 and at < first:
            if needle.startswith(data[at:]):
                first = at
                break
            at = data.find(needle[:_HEAD], at + 1)
        for at in range(max(low, len(data) - _HEAD + 1), min(first, len(data))):
            if needle.startswith(data[at:]):
                first = at
                break
    return first


def _forms(value: str) -> set[bytes]:
    raw = value.encode("utf-8", "surrogateescape")
    texts = {
        shell_quote(value)[1:-1],
        value.replace("'", "'\"'\"'"),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }
    forms = {raw} | {text.encode("utf-8", "surrogateescape") for text in texts}
    forms |= {quote(raw, safe="").encode(), quote(raw).encode(), quote_plus(raw).encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms.add(encode(raw).rstrip(b"="))
        # Inside a longer text ("user:password") it begins at any of the three places of a base64 group. The
        # characters at its edges are mixed with its neighbours, so only those between them can be looked for.
        for shift in (0, 1, 2):
            first = shift + 1 if shift else 0
            forms.add(encode(b"\0" * shift + raw)[first : 8 * (len(raw) + shift) // 6])
    # A key in several lines is often printed with something before each line.
    forms |= {line.strip() for line in raw.splitlines() if len(line.strip()) >= _SHORTEST_LINE}
    return {form for form in forms if len(form) >= SHORTEST}
