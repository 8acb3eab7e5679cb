"""Captured values: text in the journal, typed where they are captured, filled into fields that are not shell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from drctl.model.events import Output
from drctl.model.plan import Capture, CaptureType
from drctl.model.units import parse_duration, parse_instant

_NAME = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(B|[kKMGT]i?B?)?")
_FACTORS = {"": 1, "k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_LONGEST = 100  # characters of a number: the largest of 256 bits has 78 digits
_LONGEST_S = 100 * 365 * 86_400.0
_LARGEST = 2**63 - 1  # bytes


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


def capture(captures: tuple[Capture, ...], output: Output | None) -> dict[str, str]:
    """The values that an output holds: all of it for one capture, else line by line.

    Raises:
        ValueError: when the output does not hold what was promised; the message names the value and shows the text.
    """
    if not captures:
        return {}
    text = _whole(output).strip()
    parts = [text] if len(captures) == 1 else text.splitlines()
    if len(parts) < len(captures):
        raise ValueError(f"{len(captures)} lines were expected for {', '.join(c.name for c in captures)}")
    found = {}
    for wanted, part in zip(captures, parts, strict=False):
        try:
            found[wanted.name] = _typed(wanted.type, part.strip())
        except ValueError as error:
            raise ValueError(f"{wanted.name}: {error}") from None
    return found


def _whole(output: Output | None) -> str:
    """Its text, when that is all of it: a value that is a part of itself would go into later scripts unnoticed."""
    if output is None:
        return ""
    kept = len(output.tail.encode())
    if output.bytes > kept:
        raise ValueError(f"it is {output.bytes} bytes long, and only the last {kept} are at hand: print less")
    if "\ufffd" in output.tail or "\0" in output.tail:
        raise ValueError(f"it is not UTF-8, or holds a NUL: {output.tail.strip()[:60]!r}")
    return output.tail


def _typed(kind: CaptureType, text: str) -> str:
    if kind not in (CaptureType.TEXT, CaptureType.JSON) and len(text) > _LONGEST:
        raise ValueError(f"{text[:60]!r}, and {len(text) - 60} characters more, is too long for the type {kind}")
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
            seconds = float(text) if plain else parse_duration(text)
            if abs(seconds) > _LONGEST_S:
                raise ValueError(f"{text!r} is more than 100 years")
            return str(seconds)
        case CaptureType.BYTES:
            match = _BYTES.fullmatch(text)
            if match is None:
                raise ValueError(f"{text[:60]!r} is not a size")
            size = int(float(match.group(1)) * _FACTORS[(match.group(2) or "").rstrip("B").rstrip("i")])
            if size > _LARGEST:
                raise ValueError(f"{text!r} is more than 8 EiB")
            return str(size)
        case CaptureType.JSON:
            return _json(text)


def _json(text: str) -> str:
    def refuse(constant: str) -> None:
        raise ValueError(constant)  # NaN and Infinity: Python's words, and not JSON's

    try:
        return json.dumps(json.loads(text, parse_constant=refuse), sort_keys=True)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{text[:60]!r} is not JSON that drctl can read{where}") from None
