"""Captured values: text in the journal, typed where they are captured, filled into fields that are not shell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from drctl.model.plan import Capture, CaptureType
from drctl.model.units import parse_duration, parse_instant

_NAME = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[kKMGT]i?B?)?")
_FACTORS = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def fill(text: str, values: Mapping[str, str]) -> str:
    """``${name}`` replaced by its value, ``$$`` by ``$``; a name that is not known yet stays as it is written."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group(0))

    return _NAME.sub(value, text)


def number_of(text: str) -> float:
    """A captured int, bytes or duration as a number; durations are kept in seconds.

    Raises:
        ValueError: when it is none.
    """
    return float(text)


def capture(captures: tuple[Capture, ...], output: str) -> dict[str, str]:
    """The values that an output holds: all of it for one capture, else line by line.

    Raises:
        ValueError: when the output does not hold what was promised; the message names the value and shows the text.
    """
    if not captures:
        return {}
    parts = [output.strip()] if len(captures) == 1 else output.strip().splitlines()
    if len(parts) < len(captures):
        raise ValueError(f"{len(captures)} lines were expected for {', '.join(c.name for c in captures)}")
    found = {}
    for wanted, part in zip(captures, parts, strict=False):
        try:
            found[wanted.name] = _typed(wanted.type, part.strip())
        except ValueError as error:
            raise ValueError(f"{wanted.name}: {error}") from None
    return found


def _typed(kind: CaptureType, text: str) -> str:
    match kind:
        case CaptureType.TEXT:
            return text
        case CaptureType.INT:
            if not re.fullmatch(r"[+-]?\d+", text):
                raise ValueError(f"{text[:60]!r} is not a whole number")
            return str(int(text))
        case CaptureType.TIME:
            return parse_instant(text).isoformat()
        case CaptureType.DURATION:
            plain = re.fullmatch(r"-?\d+(\.\d+)?", text)
            return str(float(text) if plain else parse_duration(text))
        case CaptureType.BYTES:
            match = _BYTES.fullmatch(text)
            if match is None:
                raise ValueError(f"{text[:60]!r} is not a size")
            return str(int(float(match.group(1)) * _FACTORS[(match.group(2) or "").rstrip("B").rstrip("i")]))
        case CaptureType.JSON:
            return json.dumps(json.loads(text), sort_keys=True)
