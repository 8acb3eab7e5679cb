"""Words for hosts → hosts: a role of the service, a host, a group or a site, looked for in that order.

A group and a site mean those of their hosts that this service has a role on: a runbook for one client never reaches
another client's machines because they stand in the same rack. A host that is named outright is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from drctl.model.inventory import Inventory, Service
from drctl.model.plan import Endpoint, Variable
from drctl.plan.scope import address_of
from drctl.read.diagnostics import quoted
from drctl.read.suggest import did_you_mean, listed

USUAL_ROLES = frozenset({"primary", "standby", "backup", "app", "monitor", "witness"})


class UnknownHosts(ValueError):
    """A word that means no host of this service; ``hint`` says what there is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class MissingRole(UnknownHosts):
    """The service has no such role; one message says so for all the steps that need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWords:
    """What the words mean for one service. ``standing_for`` are a runbook's inputs of type role, with their roles."""

    inventory: Inventory
    service: str
    ssh_config: str | None = None
    standing_for: Mapping[str, str] = field(default_factory=dict)

    def standing(self, standing_for: Mapping[str, str]) -> HostWords:
        """The same words in a runbook with these inputs of type role."""
        return replace(self, standing_for=standing_for)

    def role(self, word: str) -> str:
        """The role that an input of type role stands for; any other word is itself."""
        return self.standing_for.get(word, word)

    def command(self, name: str) -> str:
        """The inventory's name of a command: ``resize_to`` is ``resize_ROLE`` when the input ``to`` is ROLE."""
        verb, _, last = name.rpartition("_")
        return f"{verb}_{self.standing_for[last]}" if verb and last in self.standing_for else name

    def hosts(self, word: str) -> list[str]:
        """The hosts that a word means, in the inventory's order.

        Raises:
            UnknownHosts: when it means none.
        """
        service = self._service
        word = self.role(word)
        if word in service.roles:
            return service.hosts_of(word)
        if word in self.inventory.hosts:
            return [word]
        if self.missing_role(word):
            raise MissingRole(f"{self.service} has no role {quoted(word)}", f"its roles: {listed(service.roles)}")
        mine = self._mine()
        grouped = [name for name in mine if word in self.inventory.hosts[name].groups]
        at_site = [name for name in mine if self.inventory.hosts[name].site == word]
        if grouped or at_site:
            return grouped or at_site
        groups = {group for host in self.inventory.hosts.values() for group in host.groups}
        if word in groups or word in self.inventory.sites:
            what = "group" if word in groups else "site"
            raise UnknownHosts(f"{self.service} has no role on a host of the {what} {quoted(word)}")
        # Never another client's host: a suggestion is soon typed.
        known = {*service.roles, *mine, *groups, *self.inventory.sites}
        raise UnknownHosts(
            f"{quoted(word)} is no role of {self.service}, and no host, group or site{did_you_mean(word, known)}",
            f"roles: {listed(service.roles)}; their hosts: {listed(mine)}",
        )

    def missing_role(self, word: str) -> bool:
        """Whether the word is a role that other services have, or that every service may have, and this one has not."""
        word = self.role(word)
        if word in self._service.roles or word in self.inventory.hosts:
            return False
        return word in USUAL_ROLES or any(word in other.roles for other in self.inventory.services.values())

    def address(self, word: str) -> str:
        """The address of a role's first host or of a host; a text with a dot or a colon is an address itself.

        Raises:
            UnknownHosts: when it is none of these.
        """
        word = self.role(word)
        if word in self._service.roles:
            word = self._service.hosts_of(word)[0]
        if word in self.inventory.hosts:
            return address_of(word, self.inventory.hosts[word])
        if "." in word or ":" in word or word == "localhost":
            return word
        if self.missing_role(word):
            raise MissingRole(f"{self.service} has no role {quoted(word)}", f"its roles: {listed(self._service.roles)}")
        mine = self._mine()
        known = {*self._service.roles, *mine}
        raise UnknownHosts(
            f"{quoted(word)} is no role of {self.service}, no host and no address{did_you_mean(word, known)}",
            f"roles: {listed(self._service.roles)}; their hosts: {listed(mine)}",
        )

    def endpoint(self, name: str, variables: Iterable[Variable]) -> Endpoint:
        """The host as it is reached, with those of its own variables that a step uses."""
        host = self.inventory.hosts[name]
        return Endpoint(
            host=name,
            site=host.site,
            country=self.inventory.sites[host.site].country,
            address=address_of(name, host),
            port=host.port or 0,
            user=host.user,
            ssh_config=self.ssh_config,
            variables=tuple(sorted(variables, key=lambda variable: variable.name)),
        )

    @property
    def _service(self) -> Service:
        return self.inventory.services[self.service]

    def _mine(self) -> list[str]:
        service = self._service
        having = {name for role in service.roles for name in service.hosts_of(role)}
        return [name for name in self.inventory.hosts if name in having]
