"""Did you mean …? One place, so that every message asks in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from drctl.read.diagnostics import quoted


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it, or None when none is like enough.

    Dashes, underscores and capitals are where fingers slip most, so they do not count.
    """
    candidates = sorted(set(known))
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(_fold(candidate), candidate)
    found = difflib.get_close_matches(_fold(word)[:80], list(folded), n=1, cutoff=0.68)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean "timeout"?)``, or nothing."""
    match = closest(word, known)
    return f" (did you mean {quoted(match)}?)" if match is not None else ""


def listed(words: Iterable[str], *, limit: int = 12) -> str:
    """``a, b and c``, cut after ``limit``; ``none`` when there are none."""
    shown = sorted(set(words))
    if not shown:
        return "none"
    if len(shown) > limit:
        return ", ".join(shown[:limit]) + f" and {len(shown) - limit} more"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _fold(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
