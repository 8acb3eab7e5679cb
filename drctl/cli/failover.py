"""``drctl failover`` and ``drctl run``: begin a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drctl.cli.order import Order
from drctl.errors import UsageError

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as the inventory names it.")]
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="An input of the runbook.")]
OutageStarted = Annotated[
    str, typer.Option("--outage-started", metavar="TIME", help="When the outage began; the RTO starts there.")
]
Detected = Annotated[str, typer.Option("--detected", metavar="TIME", help="When the outage was noticed.")]
ReasonText = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why this run: a ticket, a sentence.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin without typing the service's name.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Ask nothing; what needs a person pauses the run.")]
Json = Annotated[bool, typer.Option("--json", help="Events as NDJSON on standard output.")]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines in place of the live screen.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Render everything, connect to nothing.")]
Check = Annotated[bool, typer.Option("--check", help="Connect, and run the read-only steps only.")]
Approve = Annotated[
    list[str] | None, typer.Option("--approve", metavar="STEP=REASON", help="Approve a step beforehand.")
]
Override = Annotated[
    list[str] | None, typer.Option("--override", metavar="FACT=REASON", help="Vouch for a fact that nothing proves.")
]
BreakGlass = Annotated[
    list[str] | None,
    typer.Option(
        "--break-glass", metavar="STEP=REASON", help="Pass an approval step without its approvals; it is told."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("failover")(failover)
    app.command("run")(run)
    app.command("check")(check)


def failover(
    context: typer.Context,
    service: Service,
    inventory: Inventory = None,
    inputs: Inputs = None,
    outage_started: OutageStarted = "",
    detected: Detected = "",
    reason: ReasonText = "",
    yes: Yes = False,
    no_input: NoInput = False,
    json: Json = False,
    plain: Plain = False,
    dry_run: DryRun = False,
    check: Check = False,
    approve: Approve = None,
    override: Override = None,
    break_glass: BreakGlass = None,
) -> int:
    """Fail a service over to its HA standby, with the RTO and RPO clocks running.

    The runbook is runbooks/failover.yml. A primary that still answers is refused.

    Examples:

      drctl failover taskflow-demo

      drctl failover taskflow-demo --outage-started 2026-11-23T03:12:00+02:00 --reason "INC-4711"

      drctl failover taskflow-demo --dry-run
    """
    order = Order(
        runbook="failover",
        service=service,
        inventory=inventory,
        inputs=inputs or [],
        outage_started=outage_started,
        detected=detected,
        reason=reason,
        yes=yes,
        no_input=no_input,
        json=json,
        plain=plain,
        dry_run=dry_run,
        check=check,
        approve=approve or [],
        override=override or [],
        break_glass=break_glass or [],
    )
    return order.carry_out(context.obj)


def run(
    context: typer.Context,
    runbook: Annotated[str, typer.Argument(metavar="RUNBOOK", help="A name in runbooks/, or a file.")] = "",
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as the inventory names it.")] = "",
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Run exactly this plan, saved by drctl plan -o FILE.")
    ] = None,
    inventory: Inventory = None,
    inputs: Inputs = None,
    outage_started: OutageStarted = "",
    detected: Detected = "",
    reason: ReasonText = "",
    yes: Yes = False,
    no_input: NoInput = False,
    json: Json = False,
    plain: Plain = False,
    dry_run: DryRun = False,
    check: Check = False,
    approve: Approve = None,
    override: Override = None,
    break_glass: BreakGlass = None,
) -> int:
    """Carry out any runbook for a service, or a plan that was saved and approved.

    A saved plan is refused when its runbook, inventory or inputs have changed since.

    Examples:

      drctl run runbooks/failover.yml taskflow-demo --input name=value

      drctl run --plan failover.plan.json
    """
    if saved is not None and (runbook or service or inputs or inventory):
        raise UsageError(
            "a saved plan holds its runbook, service, inventory and inputs", hint=f"drctl run --plan {saved}"
        )
    if saved is None and not (runbook and service):
        raise UsageError(
            "a runbook and a service are needed, or a saved plan",
            hint="drctl run RUNBOOK SERVICE, or drctl run --plan FILE",
        )
    order = Order(
        saved=saved,
        runbook=runbook,
        service=service,
        inventory=inventory,
        inputs=inputs or [],
        outage_started=outage_started,
        detected=detected,
        reason=reason,
        yes=yes,
        no_input=no_input,
        json=json,
        plain=plain,
        dry_run=dry_run,
        check=check,
        approve=approve or [],
        override=override or [],
        break_glass=break_glass or [],
    )
    return order.carry_out(context.obj)


def check(
    context: typer.Context,
    runbook: Annotated[str, typer.Argument(metavar="RUNBOOK", help="A name in runbooks/, or a file.")],
    service: Service,
    inventory: Inventory = None,
    inputs: Inputs = None,
    json: Json = False,
    plain: Plain = False,
) -> int:
    """Run the read-only steps of a runbook on the real hosts, and nothing else: would it work tonight?

    Exit code 7 when a precondition says no-go, 1 when another read-only step fails.

    Example: drctl check readiness taskflow-demo
    """
    order = Order(
        runbook=runbook,
        service=service,
        inventory=inventory,
        inputs=inputs or [],
        outage_started="",
        detected="",
        reason="check",
        yes=True,
        no_input=True,
        json=json,
        plain=plain,
        dry_run=False,
        check=True,
        approve=[],
        override=[],
    )
    return order.carry_out(context.obj)
