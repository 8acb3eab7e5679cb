"""``drctl status`` and ``drctl runs``: readings of the journal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from drctl.cli import completion
from drctl.cli.settings import Settings
from drctl.errors import ExitCode

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile
    from drctl.report.facts import Brief

Told = TypeVar("Told", bound="Brief")
_RECENT = 200  # runs in which every service that matters has its last one

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("status")(status)
    app.command("runs")(runs)


def as_it_stands(settings: Settings, journal: JournalFile, run_id: str, read: Callable[..., Told]) -> Told:
    """The run as ``read`` tells it now; one that has not ended is looked for among the living."""
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.lock import conducts

    now = SystemClock().now()
    found = read(tuple(journal.events(run_id)), now=now)
    if found.ongoing:
        alive = conducts(settings.locks, service=found.service, run_id=run_id)
        # Read again: it may have ended since, and then nobody has to conduct it.
        found = read(tuple(journal.events(run_id)), now=now, conducted=alive)
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
    from drctl.cli.many import briefs
    from drctl.screens.tables import status_json, status_text

    found = [s for s in briefs(context.obj, _RECENT) if service in ("", s.service)]
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
    from drctl.cli.many import briefs
    from drctl.screens.tables import runs_json, runs_text

    found = briefs(context.obj, limit)
    typer.echo(runs_json(found) if json else runs_text(found, width=terminal_width()), nl=False)
    return ExitCode.DONE
