"""The exercises of a service over time: a line each, and the trend of RTO and RPO drawn in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.engine.objectives import Verdict
from drctl.model.units import format_duration
from drctl.plan.codec import to_json
from drctl.report import trend
from drctl.report.card import RunCard
from drctl.screens.tables import table

_BARS = " ▏▎▍▌▋▊▉█"
_NARROW, _WIDE = 20, 40


def text(cards: Sequence[RunCard], *, width: int) -> str:
    """``cards`` are exercises, the oldest first, of any services and runbooks; each pair has its own part."""
    if not cards:
        return "no exercise yet: to do the first, drctl drill --help\n"
    return "\n".join(line for group in _groups(cards) for line in _lines(group, width)) + "\n"


def as_json(cards: Sequence[RunCard]) -> list[object]:
    """The same for programs; the steps are left out."""
    rows = []
    for card in cards:
        row = to_json(card)
        row.pop("steps")
        rows.append(row)
    return rows


def _groups(cards: Sequence[RunCard]) -> list[list[RunCard]]:
    found: dict[tuple[str, str], list[RunCard]] = {}
    for card in cards:
        found.setdefault((card.service, card.runbook), []).append(card)
    return list(found.values())


def _lines(cards: Sequence[RunCard], width: int) -> Iterator[str]:
    first = cards[0]
    targets = ", ".join(
        f"{name} {format_duration(target)}"
        for name, target in (("RTO", cards[-1].rto_target_s), ("RPO", cards[-1].rpo_target_s))
        if target is not None
    )
    yield f"{first.runbook} of {first.service}: {len(cards)} exercise{'s' if len(cards) > 1 else ''}, {targets}"
    size = _WIDE if not width or width >= 110 else _NARROW
    longest = max((c.to_restore_s or 0.0 for c in cards), default=0.0)
    rows = [_row(card, longest, size) for card in cards]
    yield table(("when (UTC)", "mode", "restored in", "", "RTO", "RPO", "run"), rows, width=width).rstrip("\n")
    yield f"trend: {trend.said([c.to_restore_s for c in cards if c.to_restore_s is not None])}"
    yield ""


def _row(card: RunCard, longest: float, size: int) -> tuple[str, ...]:
    return (
        f"{card.started_at:%Y-%m-%d %H:%M}",
        card.mode.value,
        format_duration(card.to_restore_s) if card.to_restore_s is not None else "-",
        bar(card.to_restore_s, longest, size),
        _amount(card.rto_actual_s, card.rto_verdict),
        _amount(card.rpo_actual_s, card.rpo_verdict),
        card.run_id,
    )


def _amount(actual_s: float | None, verdict: Verdict) -> str:
    if actual_s is None:
        return "not measured"
    return format_duration(actual_s) + (" MISSED" if verdict is Verdict.MISSED else "")


def bar(value: float | None, longest: float, size: int) -> str:
    """A bar of at most ``size`` columns, to an eighth of one; empty for what was not measured."""
    if value is None or longest <= 0:
        return ""
    eighths = max(1, round(value / longest * size * 8))
    return "█" * (eighths // 8) + _BARS[eighths % 8].strip()
