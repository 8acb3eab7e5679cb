"""The last lines that the attempts under way have written, held within bounds however much they write."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from drctl.engine.state import Target
from drctl.report.harmless import screen_lines

KEPT_LINES = 60
LONGEST_LINE = 2_000


@dataclass(slots=True)
class _Tail:
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    begun: str = ""  # the line that has no end yet


class Tails:
    """Output by target, in the order in which they last wrote. Not safe for threads: its owner holds the lock."""

    def __init__(self) -> None:
        self._tails: dict[Target, _Tail] = {}

    def begin(self, target: Target) -> None:
        """Another attempt: what the one before wrote is not its own."""
        self._tails.pop(target, None)

    def add(self, target: Target, text: str) -> None:
        """A piece of output; it may end anywhere, in the middle of an escape sequence too."""
        tail = self._tails.pop(target, None) or _Tail()
        self._tails[target] = tail  # at the end again: the last that wrote
        *whole, begun = (tail.begun + text).split("\n")
        # What is dropped is the front: a progress bar that writes over itself is one endless line.
        tail.lines.extend(line[-LONGEST_LINE:] for line in whole[-KEPT_LINES:])
        tail.begun = begun[-LONGEST_LINE:]

    def lines(self) -> dict[Target, list[str]]:
        """The lines as they look on a screen, harmless."""
        return {
            target: screen_lines("\n".join((*tail.lines, tail.begun) if tail.begun else tail.lines))
            for target, tail in self._tails.items()
        }
