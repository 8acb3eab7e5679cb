"""An inventory as people write it: sites, hosts and the services on them.

Rules between its parts (a host's site must be there, data stays in its country) are in
``drctl/read/lint_inventory.py``.
"""

import re
from typing import Annotated, Literal

from drctl.model.actions import list_second, mapping_second
from drctl.model.runbook import ObjectivesText
from drctl.model.scalars import (
    Flag,
    HeadPlace,
    HostName,
    Line,
    Port,
    RoleName,
    ScalarText,
    SecretReference,
    Slug,
    SomeTime,
    VariableName,
)
from drctl.model.written import After, Choice, Limits, Written, field

MomentName = Literal[
    "started", "approval_asked", "approval_given", "glass_broken", "fact_overridden", "person_needed", "step_failed",
    "deadline_near", "service_restored", "ended",
]  # fmt: skip
SiteKind = Literal["datacentre", "cloud", "backup", "physical", "premises", "office"]

# Never a leading dash: both are handed to ssh.
ADDRESS = r"^[A-Za-z0-9_:][A-Za-z0-9._:%-]*$"
USER = r"^([A-Za-z0-9_][A-Za-z0-9._@-]*)?$"

# Roles whose hosts see that a service lives, but hold none of its data.
WITHOUT_DATA = frozenset({"monitor", "witness"})

# Roles that begin so are drill targets: hosts that a drill may change, and nothing else uses.
DRILL_ROLE = "drill"


def _country(value: str) -> str:
    if not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
        raise ValueError("a country is its two capital letters (ISO 3166), such as ZA")
    return value


Country = Annotated[str, After(_country)]


class SecretValue(Written):
    """A value that is fetched at the last moment and never written anywhere."""

    secret: SecretReference
    """env:NAME, file:/path or command:program argument."""


Value = Annotated[ScalarText | SecretValue, Choice(mapping_second)]
RoleHosts = Annotated[Line | Annotated[list[Line], Limits(shortest=1)], Choice(list_second)]
Address = Annotated[str, Limits(shortest=1, longest=253, pattern=ADDRESS)]
User = Annotated[str, Limits(pattern=USER)]


class Ssh(Written):
    """How hosts are reached: an ssh_config file in place of the user's own."""

    config: Line | None = None
    """An ssh_config in place of your own; a relative path is beside the inventory."""


class Evidence(Written):
    """What makes a run's evidence hard to write anew afterwards."""

    heads: list[HeadPlace] = field(default_factory=list)
    """Where the head of the chain is published: file:PATH, a line is added; command:PROGRAM ARGUMENTS, given a line."""
    key: Line | None = None
    """An SSH key that each published head is signed with; a relative path is beside the inventory."""


class NotifierText(Written):
    """A way to tell people of a run: a service that Apprise knows, a program, or a file. Exactly one of the three."""

    name: Slug
    """What it is called."""
    url: SecretValue | None = None
    """An Apprise URL, always as a secret: {secret: "file:/path"}."""
    command: Annotated[list[ScalarText], Limits(shortest=1)] | None = None
    """A program with its arguments, as a list. It gets a line of JSON on its standard input."""
    file: Line | None = None
    """A file that gets a line of JSON added; a relative path is beside the inventory."""
    site: Slug | None = None
    """Where what receives the message stands, when it is one of the sites below."""
    on: Annotated[list[MomentName], Limits(shortest=1)] | None = None
    """What it is told of; everything unless said. A broken glass and an override are told to all."""
    timeout: SomeTime = 10.0
    """How long one attempt may take."""


class Site(Written):
    """A place where hosts or copies of backups are. ``country`` decides whether data may be there."""

    provider: Line
    """Who runs it."""
    city: Line = ""
    """Where it is."""
    country: Country
    """Two capital letters: ZA."""
    kind: SiteKind
    """What it is."""


class Host(Written):
    """A machine reached over SSH. OpenSSH's configuration decides what is not said of address, port and user."""

    site: Slug
    """A name below sites."""
    address: Address | None = None
    """Where it is reached; its name unless said."""
    port: Port | None = None
    """Of its sshd; what OpenSSH says unless said."""
    user: User = ""
    """Who logs in; what OpenSSH says unless said."""
    groups: list[Slug] = field(default_factory=list)
    """Names for several hosts at once."""
    vars: dict[VariableName, Value] = field(default_factory=dict)
    """Values for scripts on this host; they win over the service's."""


def _clock_time(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f"{value!r} is not a time of the day: write 02:00")
    return value


def _segment_size(value: int) -> int:
    if value not in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError("a WAL file has 1, 2, 4, 8, 16, 32, 64, 128, 256, 512 or 1024 megabytes")
    return value


class BackupSchedule(Written):
    """What was promised of backups: ``drctl backups`` says where it is not kept."""

    at: Annotated[Line, After(_clock_time)]
    """When a full backup begins every day, in the inventory's time zone: 02:00."""
    within: SomeTime = 2 * 3600.0
    """How long after that it must have ended."""
    keep: SomeTime = 7 * 86_400.0
    """How far back the backups reach."""
    replicated_within: SomeTime = 6 * 3600.0
    """How long after its end a backup must be at every location that is a copy."""
    regions: Annotated[int, Limits(least=1)] = 1
    """In how many regions (cities) there must be a copy; physical locations are not counted."""
    physical: Flag = False
    """Whether there must be a copy at a physical location too."""


class Backup(Written):
    """A place where copies of a service's backups are; ``offline`` ones cannot be reached over the network."""

    location: Slug
    """A name below sites."""
    host: HostName | None = None
    """The host that serves it; none for a copy that is off line."""
    kind: Slug
    """What made it: pgbackrest."""
    stanza: Line | None = None
    """Its name there."""
    offline: Flag = False
    """It cannot be reached over the network."""
    replica_of: Slug | None = None
    """The location that this one is a copy of; none for what the backup itself writes."""
    wal_segment_mb: Annotated[int, After(_segment_size)] = 16
    """Megabytes of a WAL file, when the database was made with another size than PostgreSQL's usual one."""


class Service(Written):
    """One client's instance of TaskFlow."""

    title: Line
    """The client, in one line."""
    tier: Slug = "standard"
    """What the client pays for."""
    sla: Flag = True
    """Whether the promises of availability, RTO and RPO hold for it."""
    roles: Annotated[dict[RoleName, RoleHosts], Limits(shortest=1)]
    """Who does what: primary, standby, backup, app, monitor, witness, or a name of your own."""
    vars: dict[VariableName, Value] = field(default_factory=dict)
    """Values for scripts and texts."""
    commands: dict[VariableName, Annotated[list[ScalarText], Limits(shortest=1)]] = field(default_factory=dict)
    """Programs with their arguments, as lists, that runbooks call by name."""
    backups: list[Backup] = field(default_factory=list)
    """Where copies of its backups are."""
    backup_schedule: BackupSchedule | None = None
    """What was promised of its backups, when it is not what all are."""
    objectives: ObjectivesText = ObjectivesText()
    """What this client was promised, when it is not what all are."""
    drill_of: Slug | None = None
    """The service whose drills this one is for: all its hosts are drill targets, and it is under no SLA."""

    def hosts_of(self, role: str) -> list[str]:
        """The hosts of a role, in the order in which they are written; none when the service has no such role."""
        hosts = self.roles.get(role, [])
        return [hosts] if isinstance(hosts, str) else list(hosts)


class Approvals(Written):
    """Who may approve, and how many must. With it an approval is a signature, and never the requester's own."""

    allowed_signers: Line
    """A file as ssh-keygen(1) describes it under ALLOWED SIGNERS; a relative path is beside the inventory."""
    minimum: Annotated[int, Limits(least=1, most=20)] = 1
    """How many different people must approve a step."""
    within: SomeTime = 3600.0
    """How old an approval may be, and how long one is waited for."""


class Drills(Written):
    """How often what is exercised. Without it: each service every quarter, each database restored within a year."""

    every: SomeTime = 92 * 86_400.0
    """How long after an exercise the next one is due: 92d, a quarter."""
    restored_within: SomeTime = 365 * 86_400.0
    """Within how long each service's database has been restored once; they take turns."""
    runbooks: Annotated[list[Slug], Limits(shortest=1)] = field(default_factory=lambda: ["failover", "restore"])
    """Which runbooks are exercised; restore goes by turns."""


class Inventory(Written):
    """All that drctl knows of the world."""

    inventory: Slug
    """Its name."""
    residency: Country
    """The country that data must stay in."""
    timezone: Line = "UTC"
    """For times that people read."""
    objectives: ObjectivesText = ObjectivesText()
    """What every service is promised."""
    backup_schedule: BackupSchedule | None = None
    """What every service is promised of its backups."""
    ssh: Ssh = Ssh()
    """How hosts are reached."""
    drills: Drills = Drills()
    """How often what is exercised."""
    approvals: Approvals | None = None
    """Who may approve; without it whoever sits at the terminal says yes."""
    evidence: Evidence = Evidence()
    """Where the head of a run's chain is published."""
    notify: list[NotifierText] = field(default_factory=list)
    """Who is told of a run."""
    sites: Annotated[dict[Slug, Site], Limits(shortest=1)]
    """The places."""
    hosts: Annotated[dict[HostName, Host], Limits(shortest=1)]
    """The machines."""
    services: dict[Slug, Service] = field(default_factory=dict)
    """The clients' instances."""
