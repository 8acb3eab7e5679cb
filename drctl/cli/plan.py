"""``drctl plan``: everything that a run would do, rendered, with nothing connected."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl import __version__
from drctl.cli import completion
from drctl.cli.schema import write_file
from drctl.cli.settings import Settings, pairs, this_program
from drctl.errors import ExitCode
from drctl.model.plan import Mode

if TYPE_CHECKING:
    from drctl.model.inventory import Inventory as InventoryModel
    from drctl.model.plan import Plan
    from drctl.read.diagnostics import Diagnostic

Runbook = Annotated[
    str, typer.Argument(metavar="RUNBOOK", help="A name in runbooks/, or a file.", autocompletion=completion.runbooks)
]
Service = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The service, as the inventory names it.", autocompletion=completion.services
    ),
]
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="An input of the runbook.")]
Json = Annotated[bool, typer.Option("--json", help="The plan as JSON, with its digest and its bounds.")]
Out = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save it, to be run by drctl run --plan FILE.")
]
CompareWith = Annotated[
    str, typer.Option("--compare", metavar="RUN", help="Show what has changed since that run's plan.")
]
AssumeDown = Annotated[
    list[str] | None,
    typer.Option(
        "--assume-down", metavar="SITE", help="Show what it needs of a lost site; exit code 7 if it cannot do."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan")(plan)


def plan(
    context: typer.Context,
    runbook: Runbook,
    service: Service,
    inventory: Inventory = None,
    inputs: Inputs = None,
    as_json: Json = False,
    output: Out = None,
    compare: CompareWith = "",
    assume_down: AssumeDown = None,
) -> int:
    """Show everything that a runbook would do for a service: hosts, scripts, values, limits. Nothing is connected.

    Examples:

      drctl plan failover taskflow-demo

      drctl plan failover taskflow-demo -o failover.plan.json

      drctl plan failover taskflow-demo --compare 4f2a

      drctl plan failover taskflow-demo --assume-down xneelo-jnb
    """
    made, world, warnings = _made(
        runbook=runbook,
        service=service,
        inventory=inventory,
        inputs=pairs("--input", inputs or []),
        mode=Mode.PLAN,
        version=__version__,
    )
    if warnings:
        from drctl.read.diagnostics import render_all

        typer.echo(render_all(warnings) + "\n", err=True)
    if compare or assume_down:
        from drctl.cli import plan_questions

        if compare:
            plan_questions.compare(context.obj, made, compare, as_json=as_json)
        code = plan_questions.assume_down(made, world, assume_down or [], as_json=as_json)
        if output is not None:
            show(made, as_json=as_json, output=output)
        return code
    show(made, as_json=as_json, output=output, settings=context.obj)
    return ExitCode.DONE


def make(
    *, runbook: str, service: str, inventory: Path | None, inputs: Mapping[str, str], mode: Mode, version: str
) -> Plan:
    """The plan of what was typed.

    Raises:
        UsageError: when a file, the service or an input is not there.
        DocumentError: when a document is not valid, or the two do not fit together.
    """
    return _made(runbook=runbook, service=service, inventory=inventory, inputs=inputs, mode=mode, version=version)[0]


def show(plan: Plan, *, as_json: bool, output: Path | None = None, settings: Settings | None = None) -> None:
    """Print the plan, or save it to a file: as JSON, whatever was asked for, so that it can be run.

    With ``settings`` what is to be expected of it is printed too, from the journal; a saved plan has none of that.
    """
    from drctl.cli.forecasts import forecast_of

    expected = forecast_of(settings, plan) if settings is not None and output is None else None
    if as_json or output is not None:
        import json

        from drctl.screens.plan import as_json_object

        text = json.dumps(as_json_object(plan, expected), indent=2, ensure_ascii=False) + "\n"
        if output is not None:
            write_file(output, text)
        else:
            typer.echo(text, nl=False)
        return
    from drctl.screens.plan import print_plan

    exposure = settings.exposure_line(plan.service) if settings is not None else ""
    print_plan(plan, sys.stdout, environ=os.environ, expected=expected, exposure=exposure)


def _made(
    *, runbook: str, service: str, inventory: Path | None, inputs: Mapping[str, str], mode: Mode, version: str
) -> tuple[Plan, InventoryModel, list[Diagnostic]]:
    from drctl.plan.bounds import bound_problems
    from drctl.plan.build import build_plan
    from drctl.read.diagnostics import Severity, raise_on_problems
    from drctl.read.documents import read_inventory, read_runbook
    from drctl.read.find import find_inventory, find_runbook

    written, problems = read_runbook(find_runbook(runbook))
    world, more = read_inventory(find_inventory(inventory))
    problems = [*problems, *more]
    raise_on_problems(problems)
    if written is None or world is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("a document without an error is missing")
    made = build_plan(
        written, world, service=service, inputs=inputs, mode=mode, version=version, program=this_program()
    )
    warnings = bound_problems(made, written, severity=Severity.WARNING)
    return made, world.value, [*problems, *warnings]
