"""Questions to a plan before anything connects: what has changed since a run, and what a lost site costs."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.cli.settings import Settings
    from drctl.model.inventory import Inventory
    from drctl.model.plan import Endpoint, Plan
    from drctl.plan.assume_down import Kept, Ways


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


def assume_down(settings: Settings, plan: Plan, inventory: Inventory, sites: list[str], *, as_json: bool) -> int:
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
    if not sites:
        return ExitCode.DONE
    refused, ways = False, _ways(settings, plan)
    for site in sites:
        down = lost(inventory, plan.service, site, ways=ways)
        found, name = needs(plan, down), f"{plan.runbook} of {plan.service}"
        refused = refused or any(need.refused for need in found)
        if as_json:
            said = assumption_json(found, site=site, plan=name)
            typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        else:
            typer.echo(assumption_text(found, site=site, plan=name), nl=False)
    return ExitCode.NO_GO if refused else ExitCode.DONE


def _ways(settings: Settings, plan: Plan) -> Ways:
    """The gateways to each host of the plan and the keys for it, as OpenSSH's configuration has them."""
    from drctl.adapters.ssh.hosts import Route, route_to
    from drctl.adapters.transport import Refused
    from drctl.plan.assume_down import Ways

    endpoints: dict[str, Endpoint] = {e.host: e for step in plan.steps() for e in step.endpoints}
    gateways: dict[str, tuple[str, ...]] = {}
    keys: dict[str, tuple[Kept, ...]] = {}
    for name, endpoint in endpoints.items():
        try:
            route: Route | None = route_to(endpoint)
        except Refused as error:
            typer.echo(f"warning: the way to {name} is not known: {error}", err=True)
            continue
        way: list[str] = []
        needed: list[Kept] = []
        while route is not None:
            way += [route.name, route.address] if route.name != name else []
            way += route.proxy_command.split() if route.proxy_command else []
            # A key that is offered and not there is no need: OpenSSH has names that it tries by itself.
            needed += [_kept(key) for key in route.identities if Path(key).expanduser().exists()]
            needed += [_kept(route.agent)] if route.agent else []
            route = route.through
        gateways[name], keys[name] = tuple(way), tuple(dict.fromkeys(needed))
    return Ways(gateways=gateways, keys=keys, controller=socket.gethostname(), journal=_kept(str(settings.state_dir)))


def _kept(path: str) -> Kept:
    from drctl.adapters.mounts import source_of
    from drctl.plan.assume_down import Kept

    return Kept(path=path, source=source_of(Path(path)))
