"""Which screen a run gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from drctl.engine.ports import Clock
from drctl.screens.base import Screen
from drctl.screens.lines import LinesScreen
from drctl.screens.ndjson import NdjsonScreen


def choose(
    *,
    stdout: TextIO,
    stderr: TextIO,
    environ: Mapping[str, str],
    clock: Clock,
    as_json: bool = False,
    plain: bool = False,
) -> Screen:
    """JSON lines on standard output when asked for; else the live screen on a terminal, and plain lines elsewhere.

    Progress goes to standard error, so that standard output holds data only. ``NO_COLOR`` keeps the live screen and
    takes its colours; FORCE_COLOR is not looked at, as cursor codes in a log help nobody.
    """
    if as_json:
        return NdjsonScreen(stdout)
    if plain or not can_be_live(stderr, environ):
        return LinesScreen(stderr)
    from drctl.screens.live import LiveScreen  # rich costs time to import, and the other screens do without it

    return LiveScreen(stderr, clock=clock, colours=not environ.get("NO_COLOR"))


def can_be_live(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that can move its cursor and show the screen's signs."""
    if not stream.isatty() or environ.get("TERM", "dumb") in ("dumb", "unknown", ""):
        return False
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
