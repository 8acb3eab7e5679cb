"""``drctl status``, ``runs`` and ``report``: readings of the journal."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.settings import Settings
from drctl.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.adapters.journal import JournalFile
    from drctl.report.facts import Summary

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("status")(status)
    app.command("runs")(runs)
    app.command("report")(report)


def _summaries(settings: Settings, limit: int) -> list[Summary]:
    from drctl.adapters.clock import SystemClock

    journal = settings.journal()
    try:
        now = SystemClock().now()
        ids = journal.run_ids()[:limit]
        return [_summary(settings, journal, run_id, now) for run_id in ids]
    finally:
        journal.close()


def _summary(settings: Settings, journal: JournalFile, run_id: str, now: datetime) -> Summary:
    """The run as it stands; one that has not ended is looked for among the living."""
    from drctl.adapters.lock import conducts
    from drctl.report.summary import summarise

    found = summarise(tuple(journal.events(run_id)), now=now)
    if not found.ongoing:
        return found
    alive = conducts(settings.locks, service=found.service, run_id=run_id)
    # Read again: it may have ended since, and then nobody has to conduct it.
    return summarise(tuple(journal.events(run_id)), now=now, conducted=alive)


def _width() -> int:
    """The terminal's width; a pipe gets lines that are cut for nobody."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0


def status(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="One service; else all that ever ran.")] = "",
    json: Json = False,
) -> int:
    """How each service stands: its last run, since when it is unprotected, and what to type next.

    Example: drctl status taskflow-demo
    """
    from drctl.screens.tables import status_json, status_text

    found = [s for s in _summaries(context.obj, 200) if service in ("", s.service)]
    typer.echo(status_json(found) if json else status_text(found, width=_width()), nl=False)
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
    typer.echo(runs_json(found) if json else runs_text(found, width=_width()), nl=False)
    return ExitCode.DONE


def report(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="The run's id, or its end; else the newest.")] = "",
    form: Annotated[Format, typer.Option("--format", "-f", help="How it is written.")] = Format.TEXT,
    details: Annotated[bool, typer.Option("--details", help="In the text: each command and its output.")] = False,
) -> int:
    """What a run came to: the verdict, RTO and RPO, every step, every decision.

    Examples:

      drctl report

      drctl report 4f2a --format markdown > report.md

      drctl report --format svg > last-screen.svg
    """
    from drctl.adapters.clock import SystemClock

    settings: Settings = context.obj
    journal = settings.journal()
    try:
        run_id = journal.find(run or None)
        if form is Format.SVG:
            from drctl.screens.svg import export_svg

            typer.echo(export_svg(tuple(journal.events(run_id)), 120))
            return ExitCode.DONE
        summary = _summary(settings, journal, run_id, SystemClock().now())
    finally:
        journal.close()
    typer.echo(_written(summary, form, details=details), nl=False)
    return ExitCode.DONE


def _written(summary: Summary, form: Format, *, details: bool) -> str:
    match form:
        case Format.TEXT:
            from drctl.report import text

            return text.render(summary, width=min(_width() or 80, 120), details=details)
        case Format.MARKDOWN:
            from drctl.report import markdown

            return markdown.render(summary)
        case _:
            from drctl.report import json

            return json.render(summary)
