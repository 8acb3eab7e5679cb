"""The final screen of a run as an SVG picture, for documents: made from its events, and never drawn by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from drctl.engine.fold import fold_all
from drctl.model.events import Event
from drctl.screens.picture import Scene, final_picture

# Rich's own picture fetches its font from a server; a document must not call home when it is read.
_FONTS = re.compile(r"@font-face\s*\{\{.*?\}\}", re.DOTALL)
_FORMAT = _FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")


def export_svg(events: Sequence[Event], width: int) -> str:
    """The last screen of a run, ``width`` columns wide. The same events give the same picture.

    Raises:
        ValueError: when there are no events.
    """
    if not events:
        raise ValueError("a run without events has no picture")
    state = fold_all(events)
    console = Console(
        file=StringIO(),
        record=True,
        width=width,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        markup=False,
        highlight=False,
        emoji=False,
        _environ={},
    )
    for line in final_picture(Scene(state=state, now=events[-1].at), width=width):
        console.print(line, no_wrap=True, overflow="ellipsis", crop=False)
    title = f"drctl {state.the_plan.runbook} {state.the_plan.service}"
    return console.export_svg(title=title, code_format=_FORMAT, unique_id="drctl")
