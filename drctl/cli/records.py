"""``drctl status`` and ``drctl runs``: readings of the journal."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.settings import Settings
from drctl.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.adapters.journal import JournalFile
    from drctl.report.facts import Summary

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("status")(status)
    app.command("runs")(runs)


def _summaries(settings: Settings, limit: int) -> list[Summary]:
    from drctl.adapters.clock import SystemClock

    journal = settings.journal()
    gc.disable()  # events hold no cycles: to look for some in thousands of them is in vain
    try:
        now = SystemClock().now()
        ids = journal.run_ids()[:limit]
        return [summary_of(settings, journal, run_id, now) for run_id in ids]
    finally:
        gc.enable()
        journal.close()


def summary_of(settings: Settings, journal: JournalFile, run_id: str, now: datetime) -> Summary:
    """The run as it stands; one that has not ended is looked for among the living."""
    from drctl.adapters.lock import conducts
    from drctl.report.summary import summarise

    found = summarise(tuple(journal.events(run_id)), now=now)
    if found.ongoing:
        alive = conducts(settings.locks, service=found.service, run_id=run_id)
        # Read again: it may have ended since, and then nobody has to conduct it.
        found = summarise(tuple(journal.events(run_id)), now=now, conducted=alive)
    return found


def terminal_width() -> int:
    """The terminal's width; a pipe gets lines that are cut for nobody."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0


def status(
    context: typer.Context,
    service: Annotated[
        str,
        typer.Argument(
            metavar="[SERVICE]", help="One service; else all that ever ran.", autocompletion=completion.services
        ),
    ] = "",
    json: Json = False,
) -> int:
    """How each service stands: its last run, since when it is unprotected, and what to type next.

    Example: drctl status taskflow-demo
    """
    from drctl.screens.tables import status_json, status_text

    found = [s for s in _summaries(context.obj, 200) if service in ("", s.service)]
    settings: Settings = context.obj
    exposures = {s.service: settings.exposure_line(s.service) for s in found}
    if json:
        typer.echo(status_json(found, exposures=exposures), nl=False)
    else:
        typer.echo(status_text(found, width=terminal_width(), exposures=exposures), nl=False)
    return ExitCode.DONE


def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")] = 20,
    json: Json = False,
) -> int:
    """The runs in the journal, the newest first.

    Example: drctl runs --limit 5
    """
    from drctl.screens.tables import runs_json, runs_text

    found = _summaries(context.obj, limit)
    typer.echo(runs_json(found) if json else runs_text(found, width=terminal_width()), nl=False)
    return ExitCode.DONE
