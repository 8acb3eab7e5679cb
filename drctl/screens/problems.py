"""An error as a person reads it: what happened, where, what is true now, and what to type next (law 12)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO

from drctl.errors import DrctlError
from drctl.model.events import JsonObject
from drctl.report.harmless import visible
from drctl.screens.base import write

_RED, _PLAIN = "\x1b[1;31m", "\x1b[0m"


def text(error: DrctlError) -> str:
    """The error in lines; the first begins with ``error:``."""
    lines = [f"error: {visible(error.message)}"]
    if error.where:
        lines.append(f"  at {visible(error.where)}")
    lines += _labelled("Now: ", error.state)
    lines += _labelled("Next:", error.hint)
    return "\n".join(lines) + "\n"


def _labelled(label: str, said: str) -> list[str]:
    parts = visible(said).splitlines()
    return [f"  {label if n == 0 else ' ' * len(label)} {part}" for n, part in enumerate(parts)]


def as_json(error: DrctlError) -> JsonObject:
    """The error for programs; the keys are those of ``docs/reference/report.md``."""
    return {
        "type": "error",
        "message": error.message,
        "where": error.where,
        "state": error.state,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }


def show(error: DrctlError, stream: TextIO, *, environ: Mapping[str, str], as_json_line: bool = False) -> None:
    """Write the error to a stream, its first line in red when that is a terminal that shows colours."""
    if as_json_line:
        write(stream, json.dumps(as_json(error), sort_keys=True) + "\n")
        return
    said = text(error)
    if colours(stream, environ):
        first, rest = said.split("\n", 1)
        said = f"{_RED}{first}{_PLAIN}\n{rest}"
    write(stream, said)


def colours(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal that shows colours and a person who wants them."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
