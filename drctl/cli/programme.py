"""``drctl drill due``, ``plan`` and ``schedule``: the programme that says which exercises are due."""

from __future__ import annotations

import json as jsonlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import begin
from drctl.cli.schema import write_file
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.cli.settings import Settings
    from drctl.model.inventory import Inventory
    from drctl.read.document import Document
    from drctl.report.card import RunCard
    from drctl.report.programme import Exercised, Item

Detail = Annotated[bool, typer.Option("--detail", help="Name the steps that have changed or were never exercised.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (due, plan, schedule):
        app.command(verb.__name__)(verb)


def due(
    context: typer.Context,
    inventory: begin.Inventory = None,
    detail: Detail = False,
    json: JsonOption = False,
) -> int:
    """What is due now: exit code 1 when something is, 0 when nothing is, for a scheduler.

    Example: drctl drill due --inventory inventories/taskflow.yml || mail -s "a DR drill is due" oncall
    """
    items = [item for item in _programme(context.obj, inventory) if item.due]
    _print(items, detail=detail, as_json=json)
    return ExitCode.STEP_FAILED if items else ExitCode.DONE


def plan(
    context: typer.Context,
    inventory: begin.Inventory = None,
    detail: Detail = False,
    json: JsonOption = False,
    calendar: Annotated[
        Path | None, typer.Option("--calendar", metavar="FILE", help="Write it as an .ics file for a calendar.")
    ] = None,
) -> int:
    """The programme: each service and runbook, when it was exercised last, when it is next, and what has changed since.

    Examples:

      drctl drill plan --detail

      drctl drill plan --calendar drills.ics
    """
    from drctl.adapters.clock import SystemClock
    from drctl.screens import programme

    items = _programme(context.obj, inventory)
    if calendar is not None:
        write_file(calendar, programme.calendar(items, made_at=SystemClock().now()).decode())
        return ExitCode.DONE
    _print(items, detail=detail, as_json=json)
    return ExitCode.DONE


def schedule(
    inventory: begin.Inventory = None,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the units there; else they are printed.")
    ] = None,
    when: Annotated[
        str, typer.Option("--when", metavar="CALENDAR", help="When to look, as systemd.time(7) writes it.")
    ] = "Mon *-*-* 08:00:00",
) -> int:
    """systemd units that look once a week whether a drill is due, and fail when one is, so that monitoring sees it.

    Example: drctl drill schedule -o /etc/systemd/system --inventory inventories/taskflow.yml
    """
    from drctl.read.find import find_inventory
    from drctl.screens.units import units

    if "\n" in when or "\r" in when:
        raise UsageError("--when is one line", state="nothing was written")
    program = shutil.which(sys.argv[0]) or str(Path(sys.argv[0]).absolute())
    for name, text in units(program, Path(find_inventory(inventory)).absolute(), when).items():
        if directory is None:
            typer.echo(f"# {name}\n{text}")
        else:
            write_file(directory / name, text)
    return ExitCode.DONE


def _print(items: list[Item] | tuple[Item, ...], *, detail: bool, as_json: bool) -> None:
    from drctl.cli.records import terminal_width
    from drctl.screens import programme

    if as_json:
        typer.echo(jsonlib.dumps(programme.as_json(items), indent=2))
    elif not items:
        typer.echo("no exercise is due")
    else:
        typer.echo(programme.text(items, width=terminal_width(), detail=detail), nl=False)


def inventory_read(inventory: Path | None) -> Document[Inventory]:
    """The inventory that is meant, valid.

    Raises:
        DrctlError: when there is none, or it is not valid.
    """
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    world, problems = read_inventory(find_inventory(inventory))
    raise_on_problems(problems)
    if world is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("an inventory without an error is missing")
    return world


def _programme(settings: Settings, inventory: Path | None) -> tuple[Item, ...]:
    from drctl.adapters.clock import SystemClock

    return programme_of(settings, inventory, SystemClock().now(), ())[0]


def programme_of(
    settings: Settings, inventory: Path | None, now: datetime, *supposed: tuple[RunCard, ...]
) -> list[tuple[Item, ...]]:
    """The programme, once for each of ``supposed``: what it would be if those had been carried out besides.

    Raises:
        DrctlError: when the inventory or a runbook of the programme is not valid.
    """
    from drctl.cli.many import cards
    from drctl.report.programme import Policy, programme

    world = inventory_read(inventory)
    drills = world.value.drills
    policy = Policy(every_s=drills.every, restored_within_s=drills.restored_within, runbooks=tuple(drills.runbooks))
    wanted, known = _wanted(world, policy.runbooks), cards(settings)
    return [programme(wanted, [*more, *known], policy, now) for more in supposed]


def _wanted(world: Document[Inventory], runbooks: tuple[str, ...]) -> list[Exercised]:
    """Each service under the SLA with each runbook of the programme that fits it, and the steps as they are now."""
    from drctl.model.words import Section
    from drctl.plan.build import missing_roles, try_plan
    from drctl.plan.codec import work_digest
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_runbook
    from drctl.read.find import find_runbook
    from drctl.report.programme import Exercised

    found = []
    for name in runbooks:
        written, problems = read_runbook(find_runbook(name))
        raise_on_problems(problems)
        if written is None:  # pragma: no cover - absent only when there are errors, which were raised
            continue
        for service, one in world.value.services.items():
            if not one.sla or one.drill_of is not None or missing_roles(written, world, service=service):
                continue
            made, _ = try_plan(written, world, service=service)
            steps = {s.id: work_digest(s) for s in made.steps() if not s.is_repeat} if made is not None else {}
            ways = made.steps(Section.FALLBACK) if made is not None else ()
            fallback = ways[0].id.partition("/")[0] if ways else ""
            found.append(Exercised(service=service, runbook=name, steps=steps, fallback=fallback))
    return found
