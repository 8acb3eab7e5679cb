"""The verbs of ``drctl lab`` that make backups and break them. Thin: the work is in ``drctl/lab``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.lab_meant import meant_lab, tell

backups = typer.Typer(
    help="The lab's backups: their past.\n\nExample: drctl lab backups history",
    no_args_is_help=True,
)


def backup() -> None:
    """Run the nightly job now: a full backup, expiry, and replication to the two other locations.

    Example: drctl lab backup
    """
    typer.echo(meant_lab().backup())


@backups.command()
def history(days: Annotated[int, typer.Option("--days", help="How many nights.")] = 7) -> None:
    """Make the backups of the last nights, each with the database's clock set to its 02:00; needs libfaketime.

    The service is down meanwhile. Its rows, the monitor's log and the earlier backups are replaced.

    Example: drctl lab backups history --days 7
    """
    for label in meant_lab().backups_history(days, tell):
        typer.echo(label)
