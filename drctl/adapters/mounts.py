"""Where a file really is: the source of the file system that its path is on, such as ``192.0.2.2:/export``."""

from __future__ import annotations

import re
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")


def source_of(path: Path, mountinfo: str | None = None) -> str:
    """The source of the mount that holds ``path``; empty when that is not known.

    ``mountinfo`` is a text as proc(5) describes it; without it this process's own is read.
    """
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
        except OSError:
            return ""
    found, depth = "", -1
    whole = path.expanduser().resolve()
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        words, kind = before.split(" "), after.split(" ")
        if not dash or len(words) < 5 or len(kind) < 2:
            continue
        point = Path(_plain(words[4]))
        # Of two mounts at one place the later one is what is seen.
        if whole.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = _plain(kind[1]), len(point.parts)
    return found


def _plain(text: str) -> str:
    """Blanks and the like are written as octal numbers there."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
