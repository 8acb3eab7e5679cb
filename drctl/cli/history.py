"""``drctl history``: what each exercise came to, and the trend."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from drctl.cli import completion
from drctl.errors import ExitCode


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("history")(history)


def history(
    context: typer.Context,
    service: Annotated[
        str, typer.Argument(metavar="[SERVICE]", help="One service; else all.", autocompletion=completion.services)
    ] = "",
    runbook: Annotated[str, typer.Option("--runbook", metavar="NAME", help="Only this runbook.")] = "",
    last: Annotated[int, typer.Option("--last", min=1, help="So many exercises of each, the newest.")] = 12,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """RTO and RPO of each exercise (drills and real runs that came to their end), with the trend.

    Example: drctl history acacia --runbook failover
    """
    from drctl.cli.many import cards
    from drctl.cli.records import terminal_width
    from drctl.screens import history as screen

    taken: dict[tuple[str, str], int] = {}
    found = []
    for card in cards(context.obj):
        pair = (card.service, card.runbook)
        wanted = card.exercise and service in ("", card.service) and runbook in ("", card.runbook)
        if wanted and taken.get(pair, 0) < last:
            taken[pair] = taken.get(pair, 0) + 1
            found.append(card)
    found.reverse()
    typer.echo(
        jsonlib.dumps(screen.as_json(found), indent=2) if json else screen.text(found, width=terminal_width()),
        nl=json,
    )
    return ExitCode.DONE
