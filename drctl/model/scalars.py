"""The small values that documents are made of: durations, names, text that may look like a number.

YAML turns ``15.10`` into a number and loses its last nought. So the reader hands numbers over together with the
text that was written, and a field that wants text gets exactly that text.
"""

import re
from typing import Annotated, Any, Literal

from drctl.model.units import parse_duration
from drctl.model.written import After, Before, Limits, Schema

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
VARIABLE_NAME = r"^[a-z_][a-z0-9_]*$"
HOST_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # never a leading dash: it is handed to ssh
ROLE_NAME = r"^[a-z][a-z0-9_-]*$"

DURATION_PATTERN = r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$"


class WrittenInt(int):
    """A whole number that remembers how it was written."""

    written: str


class WrittenFloat(float):
    """A number that remembers how it was written."""

    written: str


def scalar_text(value: Any) -> Any:
    """The text of a scalar as it was written; anything else is passed on, to be refused."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return getattr(value, "written", str(value))
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"a duration is written with its unit, not as {_kind(value)}: 90s, 15m, 4h or 1h30m")
    return parse_duration(value)


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def _flag(value: Any) -> Any:
    """YAML 1.2 also knows ``True`` and ``TRUE``; the reader leaves them text, so that no text is ever lost."""
    return {"True": True, "TRUE": True, "False": False, "FALSE": False}.get(value, value) if _is_text(value) else value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return f"the bare number {scalar_text(value)}"
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a mapping"


def _secret(value: str) -> str:
    scheme, _, rest = value.partition(":")
    if scheme not in ("env", "file", "command") or not rest.strip():
        raise ValueError("a secret is a reference: env:NAME, file:/path or command:program argument ...")
    if scheme == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        raise ValueError("env: takes the name of an environment variable, such as env:TASKFLOW_PASSWORD")
    return value


def _head_place(value: str) -> str:
    scheme, _, rest = value.partition(":")
    if scheme not in ("file", "command") or not rest.strip():
        raise ValueError("a place for heads is file:/path or command:program argument ...")
    return value


_DURATION_SCHEMA = Schema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "15m", "4h", "1h30m"]})

ScalarText = Annotated[str, Before(scalar_text), Schema({"type": ["string", "number", "boolean"]})]
Duration = Annotated[float, Before(_seconds), _DURATION_SCHEMA]
SomeTime = Annotated[float, Before(_seconds), After(_above_zero), _DURATION_SCHEMA]
Flag = Annotated[bool, Before(_flag), Schema({"type": "boolean"})]
Line = Annotated[str, Limits(shortest=1, pattern=r"^[^\r\n]*$")]
Slug = Annotated[str, Limits(pattern=SLUG, longest=64)]
VariableName = Annotated[str, Limits(pattern=VARIABLE_NAME, longest=64)]
HostName = Annotated[str, Limits(pattern=HOST_NAME, longest=253)]
RoleName = Annotated[str, Limits(pattern=ROLE_NAME, longest=64)]
Port = Annotated[int, Limits(least=1, most=65_535)]
SecretReference = Annotated[str, After(_secret), Schema({"type": "string", "pattern": "^(env|file|command):.+"})]
HeadPlace = Annotated[str, After(_head_place), Schema({"type": "string", "pattern": "^(file|command):.+"})]
InputType = Literal["text", "int", "bool", "duration", "time", "service", "role"]
