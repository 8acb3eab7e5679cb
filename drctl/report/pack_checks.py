"""How one check of an evidence pack ends: it holds, it is broken, or it could not be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Result(StrEnum):
    """How a check ended."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: Result
    text: str


class Broken(Exception):
    """A check that does not hold, and why."""


class NotChecked(Exception):
    """A check that could not be made, and why."""


def checked(name: str, check: Callable[[], str]) -> Check:
    """Make a check, which says in words what holds."""
    try:
        return Check(name=name, result=Result.HOLDS, text=check())
    except Broken as error:
        return Check(name=name, result=Result.BROKEN, text=str(error))
    except NotChecked as error:
        return Check(name=name, result=Result.NOT_CHECKED, text=str(error))
    except OSError as error:
        return Check(name=name, result=Result.BROKEN, text=f"{Path(str(error.filename)).name}: {error.strerror}")


def few(texts: Sequence[str]) -> str:
    """Five of them at most, and how many more there are."""
    more = f"; and {len(texts) - 5} more" if len(texts) > 5 else ""
    return "; ".join(texts[:5]) + more
