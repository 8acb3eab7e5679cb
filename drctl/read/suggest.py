"""Did you mean …? One place, so that every message asks in the same words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from drctl.read.diagnostics import quoted

_LONGEST = 80


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it, or None when none is like enough.

    Dashes, underscores and capitals are where fingers slip most, so they do not count.
    """
    candidates = sorted(set(known))
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(_fold(candidate), candidate)
    wanted = _fold(word)[:_LONGEST]
    near = difflib.get_close_matches(wanted, list(folded), n=5, cutoff=0.5)
    # Among equals the one with the same letters in another order is what was meant: jbn is jnb before it is dbn.
    ranked = ((_slips(wanted, candidate), sorted(candidate) != sorted(wanted), candidate) for candidate in near)
    slips, _, best = min(ranked, default=(_LONGEST, True, ""))
    return folded[best] if slips <= max(1, len(wanted) // 4) else None


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


def _slips(one: str, other: str) -> int:
    """How many letters were left out, added, exchanged or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        older, before, row = before, row, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _fold(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
