"""The verbs of ``drctl lab`` that make backups and break them. Thin: the work is in ``drctl/lab``."""

from __future__ import annotations

import typer

from drctl.cli.lab_meant import meant_lab


def backup() -> None:
    """Run the nightly job now: a full backup, expiry, and replication to the two other locations.

    Example: drctl lab backup
    """
    typer.echo(meant_lab().backup())
