"""``drctl show``: a runbook as a page that a person can follow by hand, to print and keep."""

from __future__ import annotations

import typer

from drctl.cli.plan import Inputs, Inventory, Out, Runbook, Service, make_as_it_stands, say_that_it_is_turned
from drctl.cli.schema import write_file
from drctl.cli.settings import pairs
from drctl.errors import ExitCode
from drctl.model.plan import Mode


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("show")(show)


def show(
    context: typer.Context,
    runbook: Runbook,
    service: Service,
    inventory: Inventory = None,
    inputs: Inputs = None,
    output: Out = None,
) -> int:
    """Print a runbook as a page (Markdown) that a person can follow by hand when drctl cannot run.

    The commands are the real ones for this service, with blanks for times, initials and measured values. Nothing is
    connected, and no secret is shown. Print it, and keep it where it can be read when everything else is down.

    Examples:

      drctl show failover taskflow-demo

      drctl show failover taskflow-demo -o failover-taskflow-demo.md
    """
    from drctl.report.page import render

    made = make_as_it_stands(
        context.obj,
        runbook=runbook,
        service=service,
        inventory=inventory,
        inputs=pairs("--input", inputs or []),
        mode=Mode.REAL,
    )
    say_that_it_is_turned(made)
    page = render(made.plan)
    if output is not None:
        write_file(output, page)
    else:
        typer.echo(page, nl=False)
    return ExitCode.DONE
