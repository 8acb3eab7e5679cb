"""Questions to a plan before anything connects: what has changed since a run, and what a lost site costs."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import typer

from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drctl.cli.settings import Settings
    from drctl.model.inventory import Inventory
    from drctl.model.plan import Endpoint, Plan


def compare(settings: Settings, plan: Plan, run: str, *, as_json: bool) -> None:
    """Print what differs between the plan of a run and this one."""
    from drctl.cli.saved_plans import of_run
    from drctl.plan.compare import compare as differences
    from drctl.screens.comparison import comparison_json, comparison_text

    run_id, before = of_run(settings, run)
    if (before.runbook, before.service) != (plan.runbook, plan.service):
        raise UsageError(
            f"the run {run_id} was {before.runbook} of {before.service}, and this plan is {plan.runbook} of "
            f"{plan.service}",
            state="nothing was connected to and nothing was changed",
            hint=f"drctl plan {before.runbook} {before.service} --compare {run_id}",
        )
    found, names = differences(before, plan), {"before": f"the run {run_id}", "after": "a run now"}
    if as_json:
        typer.echo(json.dumps(comparison_json(found, **names), indent=2, ensure_ascii=False))
    else:
        typer.echo(comparison_text(found, **names), nl=False)


def assume_down(plan: Plan, inventory: Inventory, sites: list[str], *, as_json: bool) -> int:
    """Print what the plan needs of each site; the exit code says whether the run could be carried out without them.

    Raises:
        UsageError: for a site that the inventory does not have.
    """
    from drctl.plan.assume_down import lost, needs
    from drctl.read.suggest import did_you_mean, listed
    from drctl.screens.assumption import assumption_json, assumption_text

    known = list(inventory.sites)
    for site in sites:
        if site not in known:
            raise UsageError(
                f"--assume-down {site}: there is no such site{did_you_mean(site, known)}",
                state="nothing was connected to and nothing was changed",
                hint=f"sites: {listed(known, limit=40)}",
            )
    refused, ways = False, _gateways(plan) if sites else {}
    for site in sites:
        down = lost(inventory, plan.service, site, gateways=ways, controller=socket.gethostname())
        found, name = needs(plan, down), f"{plan.runbook} of {plan.service}"
        refused = refused or any(need.refused for need in found)
        if as_json:
            said = assumption_json(found, site=site, plan=name)
            typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        else:
            typer.echo(assumption_text(found, site=site, plan=name), nl=False)
    return ExitCode.NO_GO if refused else ExitCode.DONE


def _gateways(plan: Plan) -> Mapping[str, tuple[str, ...]]:
    """Of each host of the plan the names and addresses of the gateways to it, as OpenSSH's configuration has them."""
    from drctl.adapters.ssh.hosts import route_to
    from drctl.adapters.transport import Refused

    endpoints: dict[str, Endpoint] = {e.host: e for step in plan.steps() for e in step.endpoints}
    found: dict[str, tuple[str, ...]] = {}
    for name, endpoint in endpoints.items():
        try:
            hop = route_to(endpoint).through
        except Refused as error:
            typer.echo(f"warning: the way to {name} is not known: {error}", err=True)
            continue
        way: list[str] = []
        while hop is not None:
            way += [hop.name, hop.address]
            hop = hop.through
        found[name] = tuple(way)
    return found
