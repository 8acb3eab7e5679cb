"""A year's downtime against the promise, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drctl.model.events import JsonObject
from drctl.model.units import format_duration, format_instant
from drctl.plan.codec import to_json
from drctl.report.harmless import one_line
from drctl.report.service_level import LEVELS, RECOVERY_S, Standing, allowed_s
from drctl.screens.tables import table


def text(found: Sequence[Standing], *, year: int, percent: float, width: int, detail: bool) -> str:
    """A line for each service, and what the promise means; with ``detail`` each outage too."""
    return "\n".join(_lines(found, year=year, percent=percent, width=width, detail=detail)) + "\n"


def as_json(found: Sequence[Standing], *, year: int, percent: float) -> JsonObject:
    """The same for programs; seconds throughout."""
    rows = []
    for standing in found:
        row = {"service": standing.service, "title": standing.title, "covered": standing.covered}
        row |= {"down_s": standing.down_s, "availability_percent": standing.availability, "kept": standing.kept}
        if standing.covered:
            row |= {
                "allowed_s": standing.allowed_s,
                "left_s": standing.left_s,
                "used": standing.used,
                "used_after_another_recovery": standing.used_after_another,
            }
        rows.append({**row, "outages": to_json(standing.outages)})
    levels = [{"percent": level, "allowed_s": allowed_s(level)} for level in LEVELS]
    return {"type": "service_levels", "year": year, "percent": percent, "services": rows, "levels": levels}


def _lines(found: Sequence[Standing], *, year: int, percent: float, width: int, detail: bool) -> Iterator[str]:
    yield f"{year}: {percent:g} % allows {format_duration(allowed_s(percent))} of downtime"
    yield ""
    names = ("service", "down", "used", "left", "one more 4 h recovery", "verdict")
    yield table(names, [_row(standing) for standing in found], width=width).rstrip("\n") if found else "no services"
    if detail:
        for standing in found:
            yield from _outages(standing)
    yield ""
    share = RECOVERY_S / allowed_s(percent)
    months = share * 12
    yield f"One recovery of 4 h uses {share:.0%} of a year's {percent:g} %, {months:.1f} months' share of it."
    yield "Allowed a year: " + ", ".join(f"{level:g} % {_long(allowed_s(level))}" for level in LEVELS) + "."


def _row(standing: Standing) -> tuple[str, ...]:
    if not standing.covered:
        return (standing.service, format_duration(standing.down_s), "-", "-", "-", "outside the SLA")
    verdict = "kept" if standing.kept else f"BROKEN by {format_duration(-standing.left_s)}"
    if any(outage.until is None for outage in standing.outages):
        verdict += ", DOWN NOW"
    another = f"{standing.used_after_another:.0%}" + ("" if standing.used_after_another <= 1 else ": would break it")
    left = format_duration(standing.left_s) if standing.left_s >= 0 else "none"
    down = format_duration(standing.down_s)
    return (standing.service, down, f"{standing.used:.0%}", left, another, verdict)


def _outages(standing: Standing) -> Iterator[str]:
    if standing.outages:
        yield ""
        yield f"{standing.service}: {one_line(standing.title)}"
    for outage in standing.outages:
        until = format_instant(outage.until) if outage.until else "now"
        why = f"  {one_line(outage.why)}" if outage.why else ""
        yield f"  {format_instant(outage.since)} to {until}  {one_line(outage.source)}{why}"


def _long(seconds: float) -> str:
    """As TaskFlow's table has it: days, hours, minutes, seconds, each with its fraction."""
    for size, name in ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes")):
        if seconds >= size:
            return f"{_two(seconds / size)} {name}"
    return f"{seconds:.3g} seconds"


def _two(number: float) -> str:
    """At most two digits behind the point."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
