"""``drctl report``: what a run came to, in the format that its reader needs."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.records import as_it_stands, terminal_width
from drctl.cli.settings import Settings
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.report.facts import Summary


class Format(StrEnum):
    """How a report is written. MD is MARKDOWN, for whoever types it."""

    TEXT = "text"
    HTML = "html"
    MD = "md"
    MARKDOWN = "markdown"
    JSON = "json"
    JUNIT = "junit"
    PDF = "pdf"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report")(report)


def report(
    context: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]", help="The run's id, or its end; else the newest.", autocompletion=completion.runs
        ),
    ] = "",
    form: Annotated[Format | None, typer.Option("--format", "-f", help="How it is written; text unless said.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    details: Annotated[bool, typer.Option("--details", help="In the text: each command and its output.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")] = "",
) -> int:
    """What a run came to: the verdict, RTO and RPO, every step, every decision.

    Examples:

      drctl report

      drctl report 4f2a --format html -o report.html

      drctl report --format svg > last-screen.svg
    """
    from drctl.report.corrective import with_findings
    from drctl.report.summary import summarise

    if as_json and form not in (None, Format.JSON):
        raise UsageError(f"--json and --format {form} are two forms", hint="name one of them")
    form = form or (Format.JSON if as_json else Format.TEXT)
    if form is Format.PDF and not output and sys.stdout.isatty():
        raise UsageError("a PDF is nothing for a terminal", hint="drctl report --format pdf -o report.pdf")
    settings: Settings = context.obj
    journal = settings.journal()
    try:
        run_id = journal.find(run or None)
        if form is Format.SVG:
            from drctl.screens.svg import export_svg

            written: str | bytes = export_svg(tuple(journal.events(run_id)), 120) + "\n"
        else:
            summary = with_findings(as_it_stands(settings, journal, run_id, summarise), settings.ledger())
            written = _written(summary, form, details=details)
    finally:
        journal.close()
    if not output:
        typer.echo(written, nl=False)
        return ExitCode.DONE
    try:
        Path(output).expanduser().write_bytes(written.encode() if isinstance(written, str) else written)
    except OSError as error:
        raise DrctlError(f"the report cannot be written: {error.strerror}", where=output) from None
    typer.echo(f"written to {output}", err=True)
    return ExitCode.DONE


def _written(summary: Summary, form: Format, *, details: bool) -> str | bytes:
    match form:
        case Format.TEXT:
            from drctl.report import text

            return text.render(summary, width=min(terminal_width() or 80, 120), details=details)
        case Format.HTML:
            from drctl.report import html

            return html.render(summary)
        case Format.MARKDOWN | Format.MD:
            from drctl.report import markdown

            return markdown.render(summary)
        case Format.JUNIT:
            from drctl.report import junit

            return junit.render(summary)
        case Format.PDF:
            from drctl.report import pdf

            return pdf.render(summary)
        case _:
            from drctl.report import json

            return json.render(summary)
