"""``drctl plan``: everything that a run would do, rendered, with nothing connected."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    from drctl.engine.standing import Standing
    from drctl.model.plan import Plan
    from drctl.plan.build import InventoryDocument, RunbookDocument
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
    found = make_as_it_stands(
        context.obj,
        runbook=runbook,
        service=service,
        inventory=inventory,
        inputs=pairs("--input", inputs or []),
        mode=Mode.PLAN,
    )
    made, world = found.plan, found.world.value
    if found.problems:
        from drctl.read.diagnostics import render_all

        typer.echo(render_all(found.problems) + "\n", err=True)
    say_that_it_is_turned(found)
    if compare or assume_down:
        from drctl.cli import plan_questions

        if compare:
            plan_questions.compare(context.obj, made, compare, as_json=as_json)
        code = plan_questions.assume_down(context.obj, made, world, assume_down or [], as_json=as_json)
        if output is not None:
            show(made, as_json=as_json, output=output)
        return code
    show(made, as_json=as_json, output=output, settings=context.obj)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A plan with what it was made of. ``standing`` is how the service stands, when that decided which way it goes."""

    plan: Plan
    runbook: RunbookDocument
    world: InventoryDocument
    problems: list[Diagnostic]
    standing: Standing | None = None


def make(
    *, runbook: str, service: str, inventory: Path | None, inputs: Mapping[str, str], mode: Mode, version: str
) -> Plan:
    """The plan of what was typed; inputs that were not given are as the runbook has them.

    Raises:
        UsageError: when a file, the service or an input is not there.
        DocumentError: when a document is not valid, or the two do not fit together.
    """
    written, world, problems = _read(runbook, inventory)
    return _plan_of(written, world, problems, service=service, inputs=inputs, mode=mode, version=version).plan


def make_as_it_stands(
    settings: Settings,
    *,
    runbook: str,
    service: str,
    inventory: Path | None,
    inputs: Mapping[str, str],
    mode: Mode,
) -> Made:
    """The plan of what was typed. Which way it goes, when nobody said, is looked up in the journal.

    Raises:
        UsageError, DocumentError: see ``make``.
    """
    from drctl.cli import direction

    written, world, problems = _read(runbook, inventory)
    found = None
    if direction.has_two(written.value, world.value, service):
        turned = direction.given_by_hand(inputs)
        if turned is None:
            found = direction.in_the_journal(settings, world.value, service)
            turned = found.turned
        inputs = direction.completed(written.value, inputs, turned=turned)
    made = _plan_of(written, world, problems, service=service, inputs=inputs, mode=mode, version=__version__)
    return replace(made, standing=found)


def turned_round(made: Made, *, inputs: Mapping[str, str], standing: Standing) -> Made:
    """The plan of the same order, for a service that stands like this."""
    from drctl.cli import direction

    if made.standing is not None and made.standing.turned == standing.turned:
        return replace(made, standing=standing)
    inputs = direction.completed(made.runbook.value, inputs, turned=standing.turned)
    again = _plan_of(
        made.runbook, made.world, [], service=made.plan.service, inputs=inputs, mode=made.plan.mode, version=__version__
    )
    return replace(again, standing=standing)


def say_that_it_is_turned(made: Made) -> None:
    """On stderr, for a plan that is not as the inventory has it: the other way round is no surprise for a reader."""
    if made.standing is not None and made.standing.turned:
        from drctl.cli.direction import sentence

        typer.echo(f"{sentence(made.standing, made.plan.service)}. The servers were not asked.", err=True)


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


def _read(runbook: str, inventory: Path | None) -> tuple[RunbookDocument, InventoryDocument, list[Diagnostic]]:
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory, read_runbook
    from drctl.read.find import find_inventory, find_runbook

    written, problems = read_runbook(find_runbook(runbook))
    world, more = read_inventory(find_inventory(inventory))
    problems = [*problems, *more]
    raise_on_problems(problems)
    if written is None or world is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("a document without an error is missing")
    return written, world, problems


def _plan_of(
    written: RunbookDocument,
    world: InventoryDocument,
    problems: list[Diagnostic],
    *,
    service: str,
    inputs: Mapping[str, str],
    mode: Mode,
    version: str,
) -> Made:
    from drctl.plan.bounds import bound_problems
    from drctl.plan.build import build_plan
    from drctl.read.diagnostics import Severity

    plan = build_plan(
        written, world, service=service, inputs=inputs, mode=mode, version=version, program=this_program()
    )
    warnings = bound_problems(plan, written, severity=Severity.WARNING)
    return Made(plan=plan, runbook=written, world=world, problems=[*problems, *warnings])
