"""An error as a person reads it: what happened, where, what is true now, and what to type next (law 12)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO

from drctl.errors import DrctlError
from drctl.model.events import JsonObject
from drctl.report.harmless import visible

_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"


def render_error(error: DrctlError, *, color: bool = False, as_json: bool = False) -> str:
    """The error in lines without a last line end, the first in red with ``color``; or as one line of JSON."""
    if as_json:
        return json.dumps(json_of(error), sort_keys=True)
    first = f"error: {visible(error.message)}"
    lines = [f"{_RED}{first}{_PLAIN}" if color else first]
    if error.where:
        lines.append(f"  at {visible(error.where)}")
    lines += _labelled("Now: ", error.state)
    lines += _labelled("Next:", error.hint)
    return "\n".join(lines)


def _labelled(label: str, said: str) -> list[str]:
    parts = visible(said).splitlines()
    return [f"  {label if n == 0 else ' ' * len(label)} {part}" for n, part in enumerate(parts)]


def json_of(error: DrctlError) -> JsonObject:
    """The error for programs; the keys are those of ``docs/reference/report.md``."""
    return {
        "type": "error",
        "message": error.message,
        "where": error.where,
        "state": error.state,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }


def colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours to a person who wants them."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
