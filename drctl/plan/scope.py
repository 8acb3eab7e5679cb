"""The names that a runbook may use for one service, and their values.

Whoever starts the run knows best, so an input wins over a host's variable, and that over the service's. What drctl
sets itself (``service``, ``primary_host``) nobody may set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drctl.model.inventory import Host, Inventory, SecretValue
from drctl.model.plan import Variable
from drctl.model.runbook import Runbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Values by name. ``hosts`` are the variables of each host; ``later`` is not here: captures are the steps' own."""

    built_in: Mapping[str, Variable]
    inputs: Mapping[str, Variable]
    service: Mapping[str, Variable]
    hosts: Mapping[str, Mapping[str, Variable]] = field(default_factory=dict)
    standing_for: Mapping[str, str] = field(default_factory=dict)
    """Inputs of type role, with their roles: ``NAME_x`` is the value of ``ROLE_x``."""

    def common(self, name: str) -> Variable | None:
        """The value that is the same on every host, unless a host has its own."""
        for values in (self.built_in, self.inputs, self.service):
            if name in values:
                return values[name]
        for alias, role in self.standing_for.items():
            of_role = f"{_prefix(role)}{name.removeprefix(f'{alias}_')}"
            if name.startswith(f"{alias}_") and of_role != name:
                found = self.common(of_role)
                return Variable(name=name, text=found.text, secret=found.secret) if found is not None else None
        return None

    def of_host(self, host: str, name: str) -> Variable | None:
        """The host's own value; None when there is none, or when an input of that name wins."""
        if name in self.built_in or name in self.inputs:
            return None
        return self.hosts.get(host, {}).get(name)

    def names(self) -> set[str]:
        """All names that are known before the run."""
        own = {name for values in self.hosts.values() for name in values}
        known = {*self.built_in, *self.inputs, *self.service, *own}
        for alias, role in self.standing_for.items():
            known |= {f"{alias}_{name.removeprefix(_prefix(role))}" for name in known if name.startswith(_prefix(role))}
        return known


def built_in(inventory: Inventory, *, runbook: str, service: str) -> dict[str, Variable]:
    """``service``, ``runbook`` and, for every role R, ``R_host``, ``R_address``, ``R_site`` and ``R_addresses``."""
    values = {"service": service, "runbook": runbook}
    for role in inventory.services[service].roles:
        hosts = [(name, inventory.hosts[name]) for name in inventory.services[service].hosts_of(role)]
        prefix = _prefix(role)
        name, first = hosts[0]
        values[f"{prefix}host"] = name
        values[f"{prefix}address"] = address_of(name, first)
        values[f"{prefix}site"] = first.site
        values[f"{prefix}addresses"] = " ".join(address_of(*host) for host in hosts)
    return {name: Variable(name=name, text=text) for name, text in values.items()}


def of_this_program(program: str, inventory_file: str) -> dict[str, Variable]:
    """``drctl`` and ``inventory``: this program and the file it was given, for a step that asks drctl itself."""
    texts = {"drctl": program, "inventory": str(Path(inventory_file).absolute())}
    return {name: Variable(name=name, text=text) for name, text in texts.items()}


def variables(values: Mapping[str, str | SecretValue]) -> dict[str, Variable]:
    """An inventory's ``vars`` as variables; secrets stay references."""
    return dict(_variables(values))


def roles_given(runbook: Runbook, inputs: Mapping[str, Variable]) -> dict[str, str]:
    """A runbook's inputs of type role, with the roles that they stand for in this run."""
    return {
        name: inputs[name].text or ""
        for name, declared in runbook.inputs.items()
        if declared.type == "role" and name in inputs and inputs[name].text
    }


def address_of(name: str, host: Host) -> str:
    """Where the host is reached: its address, or its name for OpenSSH to look up."""
    return host.address or name


def _prefix(role: str) -> str:
    """What the names of a role's values begin with."""
    return f"{role.replace('-', '_')}_"


def _variables(values: Mapping[str, str | SecretValue]) -> Iterator[tuple[str, Variable]]:
    for name, value in values.items():
        if isinstance(value, SecretValue):
            yield name, Variable(name=name, secret=value.secret)
        else:
            yield name, Variable(name=name, text=value)
