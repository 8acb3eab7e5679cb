"""``drctl schema``: what belongs in a document, for editors and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drctl.errors import ExitCode, UsageError

Name = Annotated[Literal["runbook", "inventory"], typer.Argument(metavar="runbook|inventory", help="Which document.")]
Out = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there instead.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("schema")(schema)


def schema(name: Name, output: Out = None) -> int:
    """Print the JSON Schema of a runbook or of an inventory, for an editor to complete and to check.

    Example: drctl schema runbook -o runbook.schema.json
    """
    from drctl.read.schema import schema_text

    text = schema_text(name)
    if output is None:
        typer.echo(text, nl=False)
        return ExitCode.DONE
    write_file(output, text)
    return ExitCode.DONE


def write_file(path: Path, text: str) -> None:
    """Write a file that was asked for with ``-o``, and say where it is.

    Raises:
        UsageError: when it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}",
            state="nothing was connected to and nothing was changed",
            hint="name another file with -o",
        ) from None
    typer.echo(f"written: {path}", err=True)
