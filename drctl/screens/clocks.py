"""The RTO and RPO clocks as a person under pressure reads them: what is used, what is left, where it is heading."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from drctl.engine import deadline, objectives
from drctl.engine.objectives import Reading, Verdict
from drctl.engine.state import RunState
from drctl.model.exposure import exposure_short
from drctl.model.units import format_duration
from drctl.model.words import Mark
from drctl.report import verdict
from drctl.report.harmless import one_line
from drctl.report.words import amount

SHORT_NOTE = "A nightly backup alone breaks this every night until its copy is off site."
NEARLY = 0.75  # of the target: from here on the clock is yellow


def clock_lines(state: RunState, now: datetime, *, width: int, notes: bool) -> Iterator[Text]:
    """Two to four lines; with ``notes`` also what has to be known about the RPO."""
    yield _rto_line(state, now, width)
    if due := verdict.deadline_lines(state, now):
        found = deadline.deadline(state)
        late = found is not None and now >= found.at
        yield Text(_fitting(width, *(f"     {one_line(words)}" for words in due)), style="bold red" if late else "")
    yield _rpo_line(state, width)
    if notes and verdict.exercise(state):
        yield from _rpo_note(state, now, width)
    restored = state.clock.get(Mark.SERVICE_RESTORED)
    if restored is not None and verdict.runs_alone(state):
        spent = format_duration(max(0.0, (now - restored.at).total_seconds()))
        text = f" UNPROTECTED for {spent}: the service is back, and no second copy can take over"
        yield Text(text, style="bold yellow")


def _rpo_note(state: RunState, now: datetime, width: int) -> Iterator[Text]:
    if state.exposure is not None:
        said = one_line(exposure_short(state.exposure, now=now))
        yield Text(_fitting(width, f"      {said}", f"      {said.rpartition(',')[0] or said}"), style="dim")
    elif note := verdict.nightly_note(state.the_plan.objectives.rpo_s):
        yield Text(_fitting(width, f"      {note}", f"      {SHORT_NOTE}"), style="dim")


def _fitting(width: int, *texts: str) -> str:
    """The first that is not too wide, else the last. What is cut off a clock is what a decision would rest on."""
    return next((text for text in texts if Text(text).cell_len <= width), texts[-1])


def _rto_line(state: RunState, now: datetime, width: int) -> Text:
    reading = verdict.rto(state, now)
    line = Text.assemble((" RTO ", "bold"))
    if reading.actual_s is None:
        return line.append_text(_no_rto(state, now, reading, width - line.cell_len))
    restored = Mark.SERVICE_RESTORED in state.clock
    if restored:
        line.append(f" {reading.verdict.upper()} ", style=_verdict_style(reading))
        line.append(f"{amount(reading.actual_s)} of {amount(reading.target_s)}, the service is restored")
        return line
    line.append(f" {format_duration(reading.actual_s)} used", style=_used_style(reading))
    if reading.left_s is not None and reading.target_s is not None:
        _left(line, reading.left_s, reading.target_s)
    forecast_s = objectives.forecast_rto_s(state, now) if state.ended is None else None
    if forecast_s is not None:
        late = reading.target_s is not None and forecast_s > reading.target_s
        line.append(f" · forecast {format_duration(forecast_s)}", style="bold red" if late else "")
    room = min(width - line.cell_len - 2, 60)
    if reading.target_s and room >= 10:
        line.append(" ").append_text(_bar(reading.actual_s / reading.target_s, room, _used_style(reading)))
    return line


def _no_rto(state: RunState, now: datetime, reading: Reading, width: int) -> Text:
    """Why there is no RTO, and what else is known of the time."""
    target = "" if reading.target_s is None else f", target {format_duration(reading.target_s)}"
    elapsed = "" if state.started_at is None else f"; this run {_since(state, now)}"
    basis = one_line(reading.basis)
    if not verdict.exercise(state):
        return Text(_fitting(width, f" not measured: {basis}", f" {basis}"), style="dim")
    if Mark.OUTAGE_STARTED in state.clock:  # what begins the outage and what ends it contradict each other
        return Text(
            _fitting(width, f" not measured: {basis}", " not measured: the clocks do not agree"), style="yellow"
        )
    if objectives.begins_with(state) is not None:
        shorter = (f" {basis}{elapsed}", f" not begun yet{target}{elapsed}")
        return Text(_fitting(width, f" {basis}{target}{elapsed}", *shorter), style="dim")
    short = " outage start not known (--outage-started)"
    texts = (
        f" outage start not known: give it with --outage-started{target}{elapsed}",
        f"{short}{target}{elapsed}",
        f"{short}{elapsed}",
        " outage start not known",
    )
    return Text(_fitting(width, *texts), style="yellow")


def _left(line: Text, left_s: float, target_s: float) -> None:
    if left_s < 0:
        line.append(f" · MISSED by {format_duration(-left_s)}", style="bold red")
        line.append(f" of {format_duration(target_s)}")
    else:
        line.append(f" · {format_duration(left_s)} left of {format_duration(target_s)}")


def _since(state: RunState, now: datetime) -> str:
    began = state.started_at or now
    return format_duration(max(0.0, ((state.ended_at or now) - began).total_seconds()))


def _used_style(reading: Reading) -> str:
    if reading.actual_s is None or not reading.target_s:
        return "bold"
    share = reading.actual_s / reading.target_s
    return "bold red" if share >= 1 else "bold yellow" if share >= NEARLY else "bold green"


def _verdict_style(reading: Reading) -> str:
    return {Verdict.MET: "bold green", Verdict.MISSED: "bold red"}.get(reading.verdict, "bold")


def _bar(share: float, width: int, style: str) -> Text:
    full = round(min(1.0, share) * width)
    return Text.assemble(("━" * full, style), ("╌" * (width - full), "bright_black"))


def _rpo_line(state: RunState, width: int) -> Text:
    reading = verdict.rpo(state)
    line = Text.assemble((" RPO ", "bold"))
    target = "no target" if reading.target_s is None else f"target {format_duration(reading.target_s)}"
    if reading.actual_s is None:
        why = f" not measured: {one_line(reading.basis)}"
        return line.append(_fitting(width - line.cell_len, f"{why} ({target})", why, " not measured"), style="dim")
    lost = format_duration(reading.actual_s)
    too_much = reading.target_s is not None and reading.actual_s > reading.target_s
    if reading.verdict in (Verdict.MET, Verdict.MISSED):
        line.append(f" {reading.verdict.upper()} ", style=_verdict_style(reading))
        return line.append(f"{lost} of data lost ({target})")
    style = "bold red" if too_much else "bold green"
    return line.append(f" {lost}", style=style).append(f" of data would be lost ({target})")
