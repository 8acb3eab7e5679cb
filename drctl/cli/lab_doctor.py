"""``drctl lab doctor``, and what ``lab up`` asks of it: which tier of the lab this machine gives, and what it lacks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from drctl.errors import ExitCode

if TYPE_CHECKING:
    from drctl.lab.topology import Settings


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor")(doctor)


def falls_back(settings: Settings, tell: Callable[[str], None]) -> bool:
    """Whether this lab has to do with the loopback tier, because nothing better stands here and that does."""
    from drctl.lab.prerequisites import missing_of_loopback, missing_prerequisites
    from drctl.lab.state import read_state

    if os.environ.get("DRCTL_LAB_TIER") or read_state(settings.directory) is not None or missing_of_loopback():
        return False
    missing = missing_prerequisites(settings.directory)
    for item in missing:
        tell(f"missing for a better tier: {item.what}")
    return bool(missing)


def doctor() -> None:
    """Say what this machine lacks for the lab, and what to type. Changes nothing.

    Example: drctl lab doctor
    """
    from drctl.lab import tiers
    from drctl.lab.prerequisites import install_line, missing_of_loopback, missing_prerequisites
    from drctl.lab.topology import Settings

    settings, wanted = Settings.from_environment(), os.environ.get("DRCTL_LAB_TIER")
    missing = missing_prerequisites(settings.directory)
    if wanted != "loopback" and not missing:
        typer.echo(f"the lab runs here, tier {tiers.tier()}: {tiers.LACKS[tiers.tier()]}")
        return
    least = missing_of_loopback()
    stands = wanted in (None, "", "loopback") and not least
    if stands:
        typer.echo(f"the lab runs here, tier {tiers.LOOPBACK}: {tiers.LACKS[tiers.LOOPBACK]}")
        if missing:
            typer.echo(f"for the tier {tiers.tier()} this is missing:")
    elif wanted == "loopback":
        missing = least
    for item in missing:
        typer.echo(f"missing: {item.what}")
        if not item.package:
            typer.echo(f"  {item.remedy}")
    line = install_line(missing)
    if line:
        typer.echo(f"type as root: {line}")
    raise typer.Exit(ExitCode.DONE if stands else ExitCode.STEP_FAILED)
