"""Rules for a runbook's inputs, and what their text must look like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from drctl.model.runbook import Runbook
from drctl.model.units import parse_duration, parse_instant
from drctl.read.diagnostics import Diagnostic, quoted
from drctl.read.document import Document

BUILT_IN = frozenset({"service", "runbook", "drctl", "inventory"})


def input_text(kind: str, text: str) -> str:
    """An input's text as scripts get it: durations as seconds, times in UTC as PostgreSQL writes them.

    Raises:
        ValueError: when the text is not of that type; the message says how one is written.
    """
    if kind == "int":
        if not re.fullmatch(r"[-+]?[0-9]{1,18}", text.strip()):
            raise ValueError(f"{quoted(text)} is not a whole number")
        return str(int(text))
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{quoted(text)} is neither true nor false")
        return text.lower()
    if kind == "duration":
        return f"{parse_duration(text):g}" if parse_duration(text) % 1 else str(int(parse_duration(text)))
    if kind == "time":
        instant = parse_instant(text).astimezone(UTC)
        return instant.strftime("%Y-%m-%d %H:%M:%S") + (f".{instant:%f}" if instant.microsecond else "") + "+00"
    return text


def input_problems(document: Document[Runbook]) -> Iterator[Diagnostic]:
    """What is wrong with the inputs as they are declared."""
    places = document.places
    for name, declared in document.value.inputs.items():
        path = ("inputs", name)
        if name == "service":
            if declared.type != "service":
                yield places.problem(path, "is always of type service", key=True)
            if declared.default is not None:
                yield places.problem((*path, "default"), "is never used: whoever starts the run names the service")
            continue
        if name in BUILT_IN:
            yield places.problem(path, "is a name that drctl sets itself: choose another", key=True)
        if declared.required and declared.default is not None:
            yield places.problem((*path, "default"), "is never used, because the input is required", key=True)
        if declared.default is not None:
            try:
                input_text(declared.type, declared.default)
            except ValueError as error:
                yield places.problem((*path, "default"), str(error))
