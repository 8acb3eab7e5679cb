"""The live screen as a picture: a pure function from a state and an instant to lines of exactly one width.

Every line is cut with an ellipsis and none is wrapped, so that a screen of any size shows whole lines. Text from hosts
is made harmless before it gets here, and is never read as markup.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.text import Text

from drctl.engine.state import RunState, Target
from drctl.model.events import Ended
from drctl.model.plan import Mode
from drctl.model.units import format_duration
from drctl.report import verdict
from drctl.report.harmless import one_line, tail_lines
from drctl.screens import steps_table
from drctl.screens.clocks import clock_lines

TALL = 32  # from this height on there is room for more of everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is to be shown. ``outputs`` are the last lines of the targets that wrote any, in the order they did."""

    state: RunState
    now: datetime
    outputs: Mapping[Target, Sequence[str]] = field(default_factory=dict)
    conducted: bool | None = None  # False: it is known that no process carries the run on


def live_picture(scene: Scene, *, width: int, height: int) -> list[Text]:
    """Exactly ``height`` lines while the run goes on; the steps' window shows the step that matters now."""
    top = [*_header(scene, width), *clock_lines(scene.state, scene.now, width=width, notes=height >= TALL)]
    bottom = [_status(scene)]
    rows = steps_table.rows(scene.state, scene.now, width=width)
    room = height - len(top) - len(bottom) - 2
    pane = min(max(3, height // 5), max(0, room - 4))
    window = min(len(rows.lines), max(1, room - pane))
    pane = max(0, room - window)
    lines = [
        *top,
        _rule(rows.title, width),
        *steps_table.window(rows, window, width=width),
        *_output_pane(scene, width, pane),
    ]
    lines = lines[: max(0, height - len(bottom))]
    lines += [Text("")] * (height - len(bottom) - len(lines))
    return [_cut(line, width) for line in (*lines, *bottom)][:height]


def final_picture(scene: Scene, *, width: int) -> list[Text]:
    """Every step, for the scrollback: how the run stands when the screen is left."""
    state = scene.state
    rows = steps_table.rows(state, scene.now, width=width)
    lines = [
        *_header(scene, width),
        *clock_lines(state, scene.now, width=width, notes=True),
        _rule(rows.title, width),
        *rows.lines,
        _rule("", width),
        *_whole_verdict(scene, width),
    ]
    for truth in verdict.truths(state):
        lines += _wrapped(truth, width, lead="   ")
    for hint in verdict.hints(state):
        lines += _wrapped(hint, width, lead=" do    ")
    for number, command in enumerate(verdict.next_commands(state, conducted=scene.conducted)):
        label = " next  " if number == 0 else "       "
        lines.append(Text.assemble((label, "dim"), (one_line(command), "bold")))
    return [_cut(line, width) for line in lines]


def _wrapped(text: str, width: int, *, lead: str) -> list[Text]:
    hang, room = " " * max(5, len(lead)), max(20, width)
    lines = textwrap.wrap(one_line(text), room, initial_indent=lead, subsequent_indent=hang, break_on_hyphens=False)
    return [Text(line) for line in lines]


def _cut(line: Text, width: int) -> Text:
    """One line of at most that width in cells, wide characters included."""
    cut = line.copy()
    cut.no_wrap = True
    cut.truncate(width, overflow="ellipsis")
    return cut


_BADGES = {
    Mode.REAL: "bold white on red",
    Mode.DRILL: "bold black on yellow",
    Mode.CHECK: "bold black on cyan",
    Mode.PLAN: "bold black on white",
}


def _header(scene: Scene, width: int) -> list[Text]:
    state, plan = scene.state, scene.state.the_plan
    left = Text.assemble(
        (f" {state.mode.value.upper()} ", _BADGES[state.mode]), " ",
        (f"{one_line(plan.runbook)} of {one_line(plan.service)}", "bold"),
        (f"  {one_line(plan.service_title)}", ""),
    )  # fmt: skip
    right = Text(state.run_id, style="dim")
    if right.cell_len + 30 > width:
        return [left]
    left.truncate(width - right.cell_len - 2, overflow="ellipsis")
    left.append(" " * (width - left.cell_len - right.cell_len))
    return [left.append_text(right)]


def _rule(title: str, width: int) -> Text:
    line = Text("── ", style="dim")
    if not title:
        return Text("─" * width, style="dim")
    line.append(one_line(title), style="bold")
    line.append(" ")
    return line.append("─" * max(0, width - line.cell_len))


def _output_pane(scene: Scene, width: int, lines: int) -> Iterator[Text]:
    """The last lines of what is running now, side by side steps sharing the pane; else of what failed last."""
    targets = shown_targets(scene)
    yield _rule(", ".join(_place(t) for t in targets) or "output", width)
    if lines <= 0 or not targets:
        return
    share, extra = divmod(lines, len(targets))
    for number, target in enumerate(targets):
        room = share + (1 if number < extra else 0)
        mark = f"{target.host or target.step} " if len(targets) > 1 else ""
        for line in tail_lines("\n".join(_lines_of(scene, target)), room):
            yield Text.assemble((f" {mark}│ ", "dim"), line)


def _place(target: Target) -> str:
    return f"{target.step} on {target.host}" if target.host else target.step


def shown_targets(scene: Scene) -> tuple[Target, ...]:
    """Whose output is of interest now, four at most."""
    state = scene.state
    moving = state.in_flight
    if moving:
        return moving[-4:]
    failed = [t for t, s in state.targets.items() if s.outcome is None and s.doubt] or [
        t for t, s in state.targets.items() if s.outcome is not None and s.outcome.value == "failed"
    ]
    if failed and (state.ended is not None or state.question is not None):
        return (failed[-1],)
    return tuple(scene.outputs)[-1:]


def _lines_of(scene: Scene, target: Target) -> Sequence[str]:
    known = scene.state.target(target)
    if scene.state.the_plan.step(target.step).sensitive:
        return ("(withheld: the step is sensitive)",)
    if target in scene.outputs:
        return scene.outputs[target]
    said = [known.detail, *(o.tail for o in (known.output, known.errors) if o is not None)]
    return [part.rstrip("\n") for part in said if part]


def _status(scene: Scene) -> Text:
    """The last line: what the run does now, and what the person can do."""
    state = scene.state
    if state.ended is not None:
        return _verdict(scene)
    if state.stop is not None:
        text = f" STOPPING ({state.stop.how}): nothing new is started; Ctrl-C again leaves at once"
        return Text(text, style="bold yellow")
    if waiting := verdict.waiting_for(state):
        waited_s = (scene.now - (state.asked_at or scene.now)).total_seconds()
        return Text(f" waiting for {format_duration(waited_s)}: {waiting} is needed", style="bold yellow")
    hint = "Ctrl-C stops after the current step"
    if verdict.in_doubt(state):
        return Text(f" finding out what became of a step in doubt; {hint}", style="magenta")
    return Text(f" {hint}; the run can be resumed", style="dim")


def _whole_verdict(scene: Scene, width: int) -> list[Text]:
    said = _verdict(scene)
    return [Text(line.plain, style=said.style) for line in _wrapped(said.plain.strip(), width, lead=" ")]


def _verdict(scene: Scene) -> Text:
    state = scene.state
    good = state.ended is Ended.DONE and not verdict.missed(state, scene.now)
    style = "bold green" if good else "bold yellow" if state.ended is Ended.PAUSED else "bold red"
    said = one_line(verdict.headline(state, scene.now, conducted=scene.conducted))
    if state.ended is None:
        return Text(f" {said}", style="bold yellow")
    return Text(f" {said} (exit code {int(verdict.exit_code(state))})", style=style)
