"""The verbs of ``drctl lab`` that make backups and break them. Thin: the work is in ``drctl/lab``."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli.lab_meant import meant_lab, tell
from drctl.errors import UsageError

backups = typer.Typer(
    help="The lab's backups: their past.\n\nExample: drctl lab backups history",
    no_args_is_help=True,
)
breaking = typer.Typer(
    help="Break something as it breaks for real.\n\nExample: drctl lab break backup flip",
    no_args_is_help=True,
)
mending = typer.Typer(
    help="Mend what `drctl lab break` broke.\n\nExample: drctl lab mend backup",
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


@breaking.command("backup")
def break_backup(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="flip, truncate, missing, directory, wal-first, wal-gap, stale, unreachable or disk-full.",
        ),
    ],
    location: Annotated[
        list[str] | None,
        typer.Option("--location", help="Where; may be repeated. cloudprox unless said; for stale, all three."),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="Which backup; the newest unless said.")] = "",
) -> None:
    """Break a backup, and say exactly what was broken. What was there is kept aside for `drctl lab mend backup`.

    Example: drctl lab break backup flip --location teraco-dbn
    """
    from drctl.lab.damage import Fault

    if kind not in list(Fault):
        raise UsageError(f"a backup cannot be broken by {kind!r}", hint=f"kinds: {', '.join(Fault)}")
    for said in meant_lab().break_backup(Fault(kind), location or (), label):
        typer.echo(said)


@mending.command("backup")
def mend_backup() -> None:
    """Put everything back that `drctl lab break backup` broke.

    Example: drctl lab mend backup
    """
    said = meant_lab().mend_backup()
    typer.echo("\n".join(said) if said else "nothing is broken")
