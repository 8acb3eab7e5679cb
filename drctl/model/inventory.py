"""An inventory as people write it: sites, hosts and the services on them.

Rules between its parts (a host's site must be there, data stays in its country) are in
``drctl/read/lint_inventory.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag

from drctl.model.runbook import MANY, ONE, ObjectivesText, Written
from drctl.model.scalars import Flag, HostName, Line, Port, RoleName, ScalarText, SecretReference, Slug, VariableName

SiteKind = Literal["datacentre", "cloud", "backup", "physical", "premises", "office"]

PLAIN, SECRET = "<plain>", "<secret>"  # tags of the union below, not passwords

# Roles whose hosts see that a service lives, but hold none of its data.
WITHOUT_DATA = frozenset({"monitor", "witness"})


def _country(value: str) -> str:
    if not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
        raise ValueError("a country is its two capital letters (ISO 3166), such as ZA")
    return value


Country = Annotated[str, AfterValidator(_country)]


class SecretValue(Written):
    """A value that is fetched at the last moment and never written anywhere."""

    secret: SecretReference


def _plain_or_secret(value: Any) -> str:
    return SECRET if isinstance(value, dict | SecretValue) else PLAIN


def _one_or_many(value: Any) -> str:
    return MANY if isinstance(value, list) else ONE


Value = Annotated[
    Annotated[ScalarText, Tag(PLAIN)] | Annotated[SecretValue, Tag(SECRET)], Discriminator(_plain_or_secret)
]
RoleHosts = Annotated[
    Annotated[Line, Tag(ONE)] | Annotated[Annotated[list[Line], Field(min_length=1)], Tag(MANY)],
    Discriminator(_one_or_many),
]
Address = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:%-]*$")]
User = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._@-]*)?$")]


class Ssh(Written):
    """How hosts are reached: an ssh_config file in place of the user's own."""

    config: Line | None = None


class Site(Written):
    """A place where hosts or copies of backups are. ``country`` decides whether data may be there."""

    provider: Line
    city: Line = ""
    country: Country
    kind: SiteKind


class Host(Written):
    """A machine that is reached over SSH. Without ``user``, OpenSSH's configuration decides."""

    site: Slug
    address: Address | None = None
    port: Port = 22
    user: User = ""
    groups: list[Slug] = Field(default_factory=list)
    vars: dict[VariableName, Value] = Field(default_factory=dict)


class Backup(Written):
    """A place where copies of a service's backups are; ``offline`` ones cannot be reached over the network."""

    location: Slug
    host: HostName | None = None
    kind: Slug
    stanza: Line | None = None
    offline: Flag = False


class Service(Written):
    """One client's instance of TaskFlow."""

    title: Line
    tier: Slug = "standard"
    sla: Flag = True
    roles: Annotated[dict[RoleName, RoleHosts], Field(min_length=1)]
    vars: dict[VariableName, Value] = Field(default_factory=dict)
    commands: dict[VariableName, Annotated[list[ScalarText], Field(min_length=1)]] = Field(default_factory=dict)
    backups: list[Backup] = Field(default_factory=list)
    objectives: ObjectivesText = ObjectivesText()

    def hosts_of(self, role: str) -> list[str]:
        """The hosts of a role, in the order in which they are written; none when the service has no such role."""
        hosts = self.roles.get(role, [])
        return [hosts] if isinstance(hosts, str) else list(hosts)


class Inventory(Written):
    """All that drctl knows of the world."""

    inventory: Slug
    residency: Country
    timezone: Line = "UTC"
    objectives: ObjectivesText = ObjectivesText()
    ssh: Ssh = Ssh()
    sites: Annotated[dict[Slug, Site], Field(min_length=1)]
    hosts: Annotated[dict[HostName, Host], Field(min_length=1)]
    services: dict[Slug, Service] = Field(default_factory=dict)
