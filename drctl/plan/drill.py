"""Whether a plan may be carried out as a drill: what changes something may do so on drill targets only. Pure.

A drill target is a host with a role that begins with ``drill``, or a host of a service that says ``drill_of`` and of no
other service. A step is refused when it changes something on another host, or when its command, its request or a value
in it names one. Steps that are left out in drill mode, and those that only read, are no matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from drctl.model.inventory import DRILL_ROLE, Inventory
from drctl.model.plan import Approval, Http, Manual, Mode, Plan, Shell, Step, Tcp, Wait

_DRILL = "drill-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A step of the drill that would touch production, and how."""

    step: str
    where: str
    what: str


def drill_of(runbook: str) -> str:
    """The runbook that exercises another one on a stand-in: it prepares, calls it under its name, and cleans up."""
    return f"{_DRILL}{runbook}"


def exercised_by(runbook: str) -> str:
    """The runbook that this one exercises; empty when it is none that does."""
    return runbook.removeprefix(_DRILL) if runbook.startswith(_DRILL) else ""


def drill_targets(inventory: Inventory, service: str) -> frozenset[str]:
    """The hosts that a drill of this service may change: of a stand-in those that serve no other service."""
    mine = inventory.services[service]
    if mine.drill_of is None:
        return frozenset(host for role in mine.roles if role.startswith(DRILL_ROLE) for host in mine.hosts_of(role))
    others = [other for other in inventory.services.values() if other.drill_of is None]
    serving = {host for other in others for role in other.roles for host in other.hosts_of(role)}
    return frozenset(host for role in mine.roles for host in mine.hosts_of(role)) - serving


def touches(plan: Plan, inventory: Inventory) -> tuple[Touch, ...]:
    """Every step that would change something of production, in the order of the plan."""
    targets = drill_targets(inventory, plan.service)
    production = {name: host.address or name for name, host in inventory.hosts.items() if name not in targets}
    return tuple(touch for step in plan.steps() for touch in _of_step(step, targets, production))


def changes(step: Step) -> bool:
    """Whether the step changes something in drill mode."""
    if step.modes and Mode.DRILL not in step.modes:
        return False
    return not step.read_only and not isinstance(step.action, Approval | Manual | Wait | Tcp)


def _of_step(step: Step, targets: frozenset[str], production: dict[str, str]) -> Iterator[Touch]:
    if not changes(step):
        return
    for endpoint in step.endpoints:
        if endpoint.host not in targets:
            yield Touch(step=step.id, where=step.where, what=f"runs on {endpoint.host}")
    if step.endpoints:
        return  # what it reads from elsewhere, a backup for one, is no change of it
    for word in _words(step):
        for name, address in production.items():
            if _names(word, name) or _names(word, address):
                yield Touch(step=step.id, where=step.where, what=f"names {name}: {word}")
                return


def _words(step: Step) -> Iterator[str]:
    match step.action:
        case Shell() as shell:
            yield from shell.words
            yield from (v.text for v in step.variables if v.text is not None and not shell.words)
        case Http() as http:
            yield http.url


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", text) is not None
