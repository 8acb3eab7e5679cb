"""``drctl drill``: exercises on drill targets, and the programme that says which are due."""

from __future__ import annotations

import json as jsonlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import begin
from drctl.cli.default_verb import DefaultVerb
from drctl.cli.order import Order
from drctl.cli.schema import write_file
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.cli.settings import Settings
    from drctl.model.inventory import Inventory
    from drctl.model.plan import Plan
    from drctl.read.document import Document
    from drctl.report.programme import Exercised, Item

_UNTOUCHED = "nothing was connected to and nothing was changed"


class _Run(DefaultVerb):
    default = "run"


app = typer.Typer(
    cls=_Run,
    help="Exercise a runbook on drill targets: drctl drill failover SERVICE. And the programme: due, plan, schedule.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Detail = Annotated[bool, typer.Option("--detail", help="Name the steps that have changed or were never exercised.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("run")
def run(
    context: typer.Context,
    runbook: begin.Runbook,
    service: begin.Service,
    inventory: begin.Inventory = None,
    inputs: begin.Inputs = None,
    outage_started: begin.OutageStarted = "",
    reason: begin.ReasonText = "",
    yes: begin.Yes = False,
    no_input: begin.NoInput = False,
    json: begin.Json = False,
    plain: begin.Plain = False,
    dry_run: begin.DryRun = False,
    approve: begin.Approve = None,
    override: begin.Override = None,
    break_glass: begin.BreakGlass = None,
    on_production: Annotated[
        str,
        typer.Option(
            "--on-production", metavar="SERVICE", help="The service's name once more: this drill may change it."
        ),
    ] = "",
) -> int:
    """Carry a runbook out as a drill: the same steps and the same engine, on drill targets.

    A service that has another one with drill_of: SERVICE is exercised there: restore by drill-restore and failover by
    drill-failover, which prepare, call it, and destroy the data. A drill that would change production is refused before
    anything connects, unless --on-production names the service: for a planned switchover and failback.

    Examples:

      drctl drill failover acacia --reason "Q4 exercise"

      drctl drill restore acacia

      drctl drill switchover acacia --on-production acacia
    """
    if on_production and on_production != service:
        raise UsageError(
            f"--on-production {on_production}: the service is {service}, and its name has to be typed",
            state=_UNTOUCHED,
            hint=f"--on-production {service}",
        )
    stand_in = service if on_production else _stand_in(service, inventory)
    order = Order(
        runbook=runbook if stand_in == service else _exercise(runbook, service),
        service=stand_in,
        inventory=inventory,
        inputs=inputs or [],
        outage_started=outage_started,
        detected="",
        reason=reason,
        yes=yes,
        no_input=no_input,
        json=json,
        plain=plain,
        dry_run=dry_run,
        check=False,
        approve=approve or [],
        override=override or [],
        break_glass=break_glass or [],
        drill=True,
        on_production=on_production,
    )
    return order.carry_out(context.obj)


def refuse_to_touch_production(plan: Plan, inventory: Path | None, *, typed: str) -> None:
    """Let a drill pass that changes drill targets only, or whose service was named once more.

    Raises:
        DrctlError: with every step that would change production, and how.
    """
    from drctl.plan.drill import touches

    found = touches(plan, _world(inventory).value)
    if not found or typed == plan.service:
        return
    said = "\n".join(f"  {touch.where}: {touch.step} {touch.what}" for touch in found)
    raise DrctlError(
        f"this drill would change production, in {len(found)} steps:\n{said}",
        state=_UNTOUCHED,
        hint=f"give {plan.service} drill targets (docs/how-to/drill.md), or mean it: --on-production {plan.service}",
        exit_code=ExitCode.NO_GO,
    )


@app.command("due")
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


@app.command("plan")
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


@app.command("schedule")
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


def _world(inventory: Path | None) -> Document[Inventory]:
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    world, problems = read_inventory(find_inventory(inventory))
    raise_on_problems(problems)
    if world is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("an inventory without an error is missing")
    return world


def _stand_in(service: str, inventory: Path | None) -> str:
    """The service whose hosts are drill targets in place of this one's; itself when there is none."""
    services = _world(inventory).value.services
    return next((name for name, one in services.items() if one.drill_of == service), service)


def _exercise(runbook: str, service: str) -> str:
    """The runbook that exercises this one on a stand-in: it calls it, and prepares and cleans up around it.

    Raises:
        UsageError: when there is none: whatever the drill restored would stay where it is.
    """
    from drctl.plan.drill import drill_of
    from drctl.read.find import find_runbook

    try:
        find_runbook(drill_of(runbook))
    except DrctlError:
        raise UsageError(
            f"there is no runbook {drill_of(runbook)} that prepares {runbook} on a stand-in and cleans up after it",
            state=_UNTOUCHED,
            hint=f"drctl drill failover {service}, drctl drill restore {service}; a planned move of the real pair: "
            f"drctl drill switchover {service} --on-production {service}",
        ) from None
    return drill_of(runbook)


def _programme(settings: Settings, inventory: Path | None) -> tuple[Item, ...]:
    from drctl.adapters.clock import SystemClock
    from drctl.cli.many import cards
    from drctl.report.programme import Policy, programme

    world = _world(inventory)
    drills = world.value.drills
    policy = Policy(every_s=drills.every, restored_within_s=drills.restored_within, runbooks=tuple(drills.runbooks))
    return programme(_wanted(world, policy.runbooks), cards(settings), policy, SystemClock().now())


def _wanted(world: Document[Inventory], runbooks: tuple[str, ...]) -> list[Exercised]:
    """Each service under the SLA with each runbook of the programme that fits it, and the steps as they are now."""
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
            steps = {s.id: work_digest(s) for s in made.steps()} if made is not None else {}
            found.append(Exercised(service=service, runbook=name, steps=steps))
    return found
