"""``drctl drill``: exercises on drill targets, and the programme that says which are due."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import begin, programme
from drctl.cli.circumstances import Occasion
from drctl.cli.default_verb import DefaultVerb
from drctl.cli.order import Order
from drctl.cli.programme import inventory_read
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.model.plan import Plan
    from drctl.plan.drill import Touch

_UNTOUCHED = "nothing was connected to and nothing was changed"


class _Run(DefaultVerb):
    default = "run"


app = typer.Typer(
    cls=_Run,
    help="Exercise a runbook on drill targets: drctl drill failover SERVICE. And the programme: due, plan, schedule.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
programme.register(app)


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
    scenario: Annotated[
        str, typer.Option("--scenario", metavar="TEXT", help="What is supposed to have happened.")
    ] = "",
    excluded: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="TEXT", help="What this exercise does not cover.")
    ] = None,
    observer: Annotated[
        list[str] | None, typer.Option("--observer", metavar="NAME", help="Who is there to watch.")
    ] = None,
    absent: Annotated[
        list[str] | None,
        typer.Option("--absent", metavar="NAME", help="A key person who is supposed to be out of reach."),
    ] = None,
) -> int:
    """Carry a runbook out as a drill: the same steps and the same engine, on drill targets.

    A service that has another one with drill_of: SERVICE is exercised there: restore by drill-restore and failover by
    drill-failover, which prepare, call it, and destroy the data. A drill that would change production is refused before
    anything connects, unless --on-production names the service: for a planned switchover and failback.

    Examples:

      drctl drill failover acacia --reason "Q4 exercise"

      drctl drill restore acacia

      drctl drill restore acacia --observer "N. Dlamini, internal audit" --absent "the DBA on call"

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
        occasion=Occasion(
            scenario=scenario,
            excluded=tuple(excluded or ()),
            observers=tuple(observer or ()),
            absent=tuple(absent or ()),
        ),
    )
    return order.carry_out(context.obj)


def refuse_to_touch_production(plan: Plan, inventory: Path | None, *, typed: str) -> None:
    """Let a drill pass that changes drill targets only, or whose service was named once more.

    Raises:
        DrctlError: with every step that would change production, and how.
    """
    from drctl.plan.drill import touches

    found = touches(plan, inventory_read(inventory).value)
    if not found or typed == plan.service:
        return
    raise DrctlError(
        f"this drill would change production, in {len(found)} steps:\n{_listed(found)}",
        state=_UNTOUCHED,
        hint=f"give {plan.service} drill targets (docs/how-to/drill.md), or mean it: --on-production {plan.service}",
        exit_code=ExitCode.NO_GO,
    )


def _listed(found: tuple[Touch, ...]) -> str:
    """A line for each; of a step that stands in several attempts of a call the first only, and how many follow it."""
    alike: dict[tuple[str, str], list[Touch]] = {}
    for touch in found:
        alike.setdefault((touch.where, touch.what), []).append(touch)
    return "\n".join(
        f"  {where}: {first.step} {what}" + (f", and so do {len(more)} attempts more" if more else "")
        for (where, what), (first, *more) in alike.items()
    )


def _stand_in(service: str, inventory: Path | None) -> str:
    """The service whose hosts are drill targets in place of this one's; itself when there is none."""
    services = inventory_read(inventory).value.services
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
