"""How exercises of a service compare over time: the one before this one, and the median of all before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from drctl.model.circumstances import EarlierRun
from drctl.model.units import format_duration

_AS_USUAL = 0.1  # a tenth more or less is no news


def said(times_s: Sequence[float]) -> str:
    """The trend in words. ``times_s`` are what exercises took to restore the service, the oldest first."""
    if len(times_s) < 2:
        return "it takes two exercises that restored the service to see one"
    usual_s, last_s = median(times_s[:-1]), times_s[-1]
    against = f"(median {format_duration(usual_s)})"
    if abs(last_s - usual_s) <= _AS_USUAL * usual_s:
        return f"the last took {format_duration(last_s)}, as usual {against}"
    word = "slower" if last_s > usual_s else "quicker"
    return f"the last took {format_duration(last_s)}, {word} than usual {against}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A run in a chart of 1000 by 100: where its bar stands, how tall it is, and what is said of it."""

    left: float
    width: float
    height: float
    standing: str  # good, bad or open (nothing was promised, or it is not over)
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One figure over the exercises. ``line`` is how high the promise is drawn; None when it is far above the bars."""

    title: str
    bars: tuple[Bar, ...]
    line: float | None
    longest_s: float
    target_s: float | None


def charts(runs: Sequence[EarlierRun], *, rto_s: float | None, rpo_s: float | None) -> tuple[Chart, ...]:
    """What was measured at least twice, so that there is something to compare. A run without the figure has a gap."""
    figures = (
        ("From the start of the run until the service was restored", None, [(r.to_restore_s, "") for r in runs]),
        ("RTO", rto_s, [(r.rto_actual_s, r.rto_verdict) for r in runs]),
        ("RPO", rpo_s, [(r.rpo_actual_s, r.rpo_verdict) for r in runs]),
    )
    return tuple(
        _chart(title, target_s, values, runs)
        for title, target_s, values in figures
        if sum(value is not None for value, _ in values) > 1
    )


def _chart(
    title: str, target_s: float | None, values: Sequence[tuple[float | None, str]], runs: Sequence[EarlierRun]
) -> Chart:
    longest_s = max(value for value, _ in values if value is not None)
    top_s = target_s if target_s is not None and longest_s >= target_s / 2 else longest_s
    top_s = max(top_s, longest_s) or 1.0
    room = 1000 / len(values)
    return Chart(
        title=title,
        bars=tuple(
            Bar(
                left=round(number * room + room * 0.1, 1),
                width=round(min(room * 0.8, 90), 1),
                height=round(max(2.0, value / top_s * 96), 1),
                standing={"met": "good", "missed": "bad"}.get(verdict, "open"),
                label=f"{run.started_at:%Y-%m-%d}: {format_duration(value)} {verdict}".rstrip(),
            )
            for number, ((value, verdict), run) in enumerate(zip(values, runs, strict=True))
            if value is not None
        ),
        line=round(target_s / top_s * 96, 1) if target_s is not None and target_s <= top_s else None,
        longest_s=longest_s,
        target_s=target_s,
    )
