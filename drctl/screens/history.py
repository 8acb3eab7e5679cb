"""The exercises of a service over time: a line each, and the trend of RTO and RPO drawn in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from drctl.engine.objectives import Verdict
from drctl.model.units import format_duration
from drctl.plan.codec import to_json
from drctl.report import trend
from drctl.report.card import RunCard
from drctl.screens.tables import table

_BARS = " ▏▎▍▌▋▊▉█"
_STEPS = "▁▂▃▄▅▆▇█"
_NARROW, _WIDE = 8, 40
_ALL_FITS = 140


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
    targets = (("RTO", cards[-1].rto_target_s), ("RPO", cards[-1].rpo_target_s))
    promised = ", ".join(f"{name} {format_duration(target)}" for name, target in targets if target is not None)
    yield f"{first.runbook} of {first.service}: {len(cards)} exercise{'s' if len(cards) > 1 else ''}, {promised}"
    wide = not width or width >= _ALL_FITS
    longest = max((c.to_restore_s or 0.0 for c in cards), default=0.0)
    rows = [_row(card, longest, wide=wide) for card in cards]
    yield table(("when (UTC)", "mode", "restored in", "", "RTO", "RPO", "run"), rows, width=width).rstrip("\n")
    yield f"trend: {trend.said([c.to_restore_s for c in cards if c.to_restore_s is not None])}"
    yield from _course("RTO", [card.rto_actual_s for card in cards], cards[-1].rto_target_s)
    yield from _course("RPO", [card.rpo_actual_s for card in cards], cards[-1].rpo_target_s)
    yield ""


def _course(name: str, actuals: Sequence[float | None], target_s: float | None) -> Iterator[str]:
    """How an objective went from exercise to exercise; nothing when it was measured in fewer than two."""
    known = [actual for actual in actuals if actual is not None]
    if len(known) > 1:
        promised = "" if target_s is None else f" of {format_duration(target_s)}"
        said = f"last {format_duration(known[-1])}{promised}, median {format_duration(median(known))}"
        yield f"{name:<5}  {steps(actuals)}  {said}, worst {format_duration(max(known))}"


def steps(values: Sequence[float | None]) -> str:
    """A column an exercise, from the lowest eighth up to the largest; a point for what was not measured."""
    largest = max((value for value in values if value is not None), default=0.0)
    return "".join(
        "·" if value is None else _STEPS[min(7, int(value / largest * 8)) if largest > 0 else 0] for value in values
    )


def _row(card: RunCard, longest: float, *, wide: bool) -> tuple[str, ...]:
    """Where not all of it fits, the day and the end of the run's id are enough, and no verdict is cut off."""
    return (
        f"{card.started_at:%Y-%m-%d %H:%M}" if wide else f"{card.started_at:%Y-%m-%d}",
        card.mode.value,
        format_duration(card.to_restore_s) if card.to_restore_s is not None else "-",
        bar(card.to_restore_s, longest, _WIDE if wide else _NARROW),
        _amount(card.rto_actual_s, card.rto_verdict),
        _amount(card.rpo_actual_s, card.rpo_verdict),
        card.run_id if wide else card.run_id.rsplit("-", 1)[-1],
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
