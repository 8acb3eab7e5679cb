"""``drctl failover``, ``restore``, ``switchover``, ``failback``, ``run`` and ``check``: begin a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from drctl.cli import begin, completion
from drctl.cli.order import Order
from drctl.errors import UsageError

To = Annotated[
    Literal["standby", "primary"],
    typer.Option("--to", help="Where the service goes: to the host that the inventory names standby, or primary."),
]

Backup = Annotated[
    str, typer.Option("--backup", metavar="LABEL", help="The backup to restore; the newest good one unless said.")
]
ToTime = Annotated[
    str, typer.Option("--to", metavar="TIME", help="The time to recover to; the end of the WAL unless said.")
]
Location = Annotated[
    str,
    typer.Option("--location", metavar="LOCATION", help="Where to restore from; the best copy anywhere unless said."),
]
Over = Annotated[
    Literal["standby", "primary"] | None,
    typer.Option("--to", help="The role that takes over, when drctl cannot tell which server took the writes."),
]
Target = Annotated[
    Literal["standby", "primary"] | None,
    typer.Option(
        "--target",
        help="Whose host is restored on, its data replaced: the standby's unless said. The other follows it.",
    ),
]
Lost = Annotated[
    list[str] | None,
    typer.Option("--lost", metavar="SITE", help="A lost site: copies that are only there do not exist."),
]
GiveUp = Annotated[
    bool, typer.Option("--give-up-standby", help="Restore although the standby answers and a failover loses less.")
]


_OTHER = {"primary": "standby", "standby": "primary"}


def _towards(role: str) -> dict[str, str]:
    return {"from": _OTHER[role], "to": role}


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    begin.add(app, failover, runbook="failover")
    begin.add(app, restore, runbook="restore")
    begin.add(app, switchover, runbook="switchover", planned=True)
    begin.add(app, failback, runbook="failback", planned=True)
    app.command("run")(run)
    app.command("check")(check)


def failover(to: Over = None) -> dict[str, str]:
    """Fail a service over to its HA standby, with the RTO and RPO clocks running.

    The runbook is runbooks/failover.yml. Which server takes the writes now, and which one takes over, is found out in
    the journal and from both servers, and said before it begins. A primary that still answers is refused.

    Examples:

      drctl failover taskflow-demo

      drctl failover taskflow-demo --outage-started 2026-11-23T03:12:00+02:00 --reason "INC-4711"

      drctl failover taskflow-demo --dry-run
    """
    return {} if to is None else _towards(to)


def restore(
    backup: Backup = "",
    to: ToTime = "",
    location: Location = "",
    target: Target = None,
    lost: Lost = None,
    give_up_standby: GiveUp = False,
) -> dict[str, str]:
    """Restore a service from its backups when no standby can take over, or go back to a time before a mistake.

    The runbook is runbooks/restore.yml. The best copy is tried first, and the next one when it turns out to be bad; a
    database is promoted only when all its WAL is there. See what there is with: drctl backups SERVICE

    Examples:

      drctl restore taskflow-demo

      drctl restore taskflow-demo --backup 20261123-000003F --location cloudprox

      drctl restore taskflow-demo --to 2026-11-23T14:05:00+02:00 --reason "INC-4711: a table was dropped at 14:06"

      drctl restore taskflow-demo --target primary --lost azure-san
    """
    return {
        **({} if target is None else {"target": target, "other": _OTHER[target]}),
        "backup": backup,
        "to_time": _a_time("--to", to),
        "location": location,
        "lost": " ".join(lost or []),
        "standby_given_up": "true" if give_up_standby else "false",
    }


def _a_time(option: str, text: str) -> str:
    """The text, when it is a time with its offset or empty. Raises UsageError otherwise."""
    from drctl.model.units import parse_instant

    try:
        return parse_instant(text).isoformat() if text else ""
    except ValueError as error:
        raise UsageError(f"{option}: {error}", state="nothing was connected to") from None


def switchover(to: To = "standby") -> dict[str, str]:
    """Move a service to its other server with nothing lost, and show how long writes were refused.

    The runbook is runbooks/switchover.yml. Both servers must be well: replication without lag, archiving without
    a failure, no backup running. A step that fails before the promotion gives the service back where it was.

    Examples:

      drctl switchover taskflow-demo

      drctl switchover taskflow-demo --to primary --reason "maintenance in Azure is over"

      drctl switchover taskflow-demo --check
    """
    return _towards(to)


def failback() -> dict[str, str]:
    """After a failover: rebuild the old primary as a standby, and move the service back to it.

    The runbook is runbooks/failback.yml. An old primary that still takes writes is refused.

    Examples:

      drctl failback taskflow-demo

      drctl failback taskflow-demo --reason "INC-4711: Xneelo has power again"
    """
    return {}


def run(
    context: typer.Context,
    runbook: Annotated[
        str,
        typer.Argument(metavar="RUNBOOK", help="A name in runbooks/, or a file.", autocompletion=completion.runbooks),
    ] = "",
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="The service, as the inventory names it.", autocompletion=completion.services
        ),
    ] = "",
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Run exactly this plan, saved by drctl plan -o FILE.")
    ] = None,
    inventory: begin.Inventory = None,
    inputs: begin.Inputs = None,
    outage_started: begin.OutageStarted = "",
    detected: begin.Detected = "",
    reason: begin.ReasonText = "",
    yes: begin.Yes = False,
    no_input: begin.NoInput = False,
    json: begin.Json = False,
    plain: begin.Plain = False,
    dry_run: begin.DryRun = False,
    check: begin.Check = False,
    approve: begin.Approve = None,
    override: begin.Override = None,
    break_glass: begin.BreakGlass = None,
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
    runbook: begin.Runbook,
    service: begin.Service,
    inventory: begin.Inventory = None,
    inputs: begin.Inputs = None,
    no_input: Annotated[
        bool,
        typer.Option("--no-input", show_default=False, help="Nothing is asked in a check; for scripts that say so."),
    ] = True,
    json: begin.Json = False,
    plain: begin.Plain = False,
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
        no_input=no_input,
        json=json,
        plain=plain,
        dry_run=False,
        check=True,
        approve=[],
        override=[],
    )
    return order.carry_out(context.obj)
