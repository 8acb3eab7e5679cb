"""What the lab is made of: sites, hosts, sizes, and the places where things live on a host. Pure values."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import UsageError
from drctl.lab import tiers
from drctl.lab.state import read_state

POSTGRESQL_BIN = "/usr/lib/postgresql/15/bin"
PGDATA = "/var/lib/postgresql/15/main"
STANZA = "main"
DATABASE = "taskflow"
REPOSITORY = "/var/lib/pgbackrest"
MONITOR_LOGS = "/var/log/taskflow"
ACKNOWLEDGED_LOG = f"{MONITOR_LOGS}/acknowledged.tsv"
LOAD_LOG = f"{MONITOR_LOGS}/acknowledged-load.tsv"
LOGIN_USER = "drctl"


@dataclass(frozen=True)
class Size:
    """One row of the cloud's price list. Memory in MB; processor in percent of one core."""

    name: str
    memory_mb: int
    cpu_percent: int
    shared_buffers: str
    work_mem: str
    maintenance_work_mem: str


# max_connections is not part of a size: a standby whose value is below the primary's refuses to start.
SIZES: dict[str, Size] = {
    "micro": Size("micro", 512, 25, "32MB", "1MB", "16MB"),
    "standard": Size("standard", 2048, 200, "256MB", "8MB", "128MB"),
}


@dataclass(frozen=True)
class Site:
    """A place that can be lost as a whole."""

    name: str
    provider: str
    city: str
    kind: str
    country: str = "ZA"


SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site("xneelo-jnb", "Xneelo", "Johannesburg", "datacentre"),
        Site("azure-san", "Microsoft Azure", "Johannesburg", "cloud"),
        Site("teraco-cpt", "Teraco", "Cape Town", "datacentre"),
        Site("teraco-jnb", "Teraco", "Johannesburg", "datacentre"),
        Site("teraco-dbn", "Teraco", "Durban", "datacentre"),
        Site("cloudprox", "CloudProx", "Johannesburg", "backup"),
        Site("offline-store", "TaskFlow", "Johannesburg", "physical"),
        Site("operator", "TaskFlow", "Johannesburg", "office"),
    )
}


@dataclass(frozen=True)
class HostSpec:
    """A host as it is designed. ``subnet`` and ``number`` are the last two octets of its address."""

    name: str
    site: str
    subnet: int
    number: int
    group: str
    size: str
    services: tuple[str, ...]

    @property
    def wan_interface(self) -> str:
        """The router's end of this host's link."""
        return f"wan{self.subnet}"


HOSTS: dict[str, HostSpec] = {
    host.name: host
    for host in (
        HostSpec("operator", "operator", 9, 10, "monitor", "standard", ("sshd", "heartbeat")),
        HostSpec("edge", "teraco-cpt", 4, 14, "edge", "standard", ("sshd", "app", "haproxy")),
        HostSpec("xneelo-jnb", "xneelo-jnb", 1, 11, "database", "standard", ("sshd", "pgbackrest", "postgresql")),
        HostSpec("azure-san", "azure-san", 2, 12, "database", "micro", ("sshd", "pgbackrest", "postgresql")),
        HostSpec("cloudprox", "cloudprox", 3, 13, "backup", "standard", ("sshd", "pgbackrest")),
        HostSpec("teraco-dbn", "teraco-dbn", 5, 15, "backup", "standard", ("sshd", "pgbackrest")),
        HostSpec("vault", "offline-store", 6, 16, "backup", "standard", ("sshd", "pgbackrest")),
        HostSpec("drill-a", "teraco-jnb", 7, 17, "drill", "standard", ("sshd", "postgresql")),
        HostSpec("drill-b", "teraco-jnb", 8, 18, "drill", "micro", ("sshd", "postgresql")),
        HostSpec("drill-edge", "teraco-jnb", 10, 19, "drill", "standard", ("sshd", "app", "haproxy")),
    )
}

DATABASE_HOSTS = ("xneelo-jnb", "azure-san")
REPOSITORY_HOST = "cloudprox"
# Where copies of its repository are kept: location and host.
COPIES = {"teraco-dbn": "teraco-dbn", "offline-store": "vault"}
REPOSITORY_HOSTS = (REPOSITORY_HOST, *COPIES.values())
PGBACKREST_HOSTS = (*DATABASE_HOSTS, *REPOSITORY_HOSTS)
# Where drills happen: without power and without data until one begins. They may read the repositories.
DRILL_DATABASES = ("drill-a", "drill-b")
DRILL_EDGE = "drill-edge"
DRILL_HOSTS = (*DRILL_DATABASES, DRILL_EDGE)
INITIAL_PRIMARY, INITIAL_STANDBY = DATABASE_HOSTS


def slot_name(host: str) -> str:
    """The replication slot of a standby: PostgreSQL allows no dash in it."""
    return host.replace("-", "_")


def hosts_of(name: str) -> tuple[HostSpec, ...]:
    """The hosts that a host's or a site's name stands for. Raises UsageError for any other name."""
    if name in HOSTS:
        return (HOSTS[name],)
    found = tuple(host for host in HOSTS.values() if host.site == name)
    if not found:
        raise UsageError(
            f"the lab has no host or site called {name!r}",
            state="nothing was changed",
            hint=f"hosts: {', '.join(HOSTS)}; sites: {', '.join(SITES)}",
        )
    return found


def host_of(name: str) -> HostSpec:
    """The one host that a name stands for. Raises UsageError when there is none, or more than one."""
    found = hosts_of(name)
    if len(found) > 1:
        raise UsageError(f"{name} is a site of {len(found)} hosts: name one of them")
    return found[0]


# An interface's name has at most 15 characters, and "-user" takes five of them.
_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
_NET = re.compile(r"(\d{1,3})\.(\d{1,3})")


def _default_parent(words: Mapping[str, str]) -> Path:
    """Where labs lie: root's on the machine, anybody else's in their own home."""
    if tiers.is_real_root():
        return Path("/var/lib/drctl-lab")
    state = words.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "drctl-lab"


def _is_loopback(wanted: str, directory: Path) -> bool:
    """Whether this lab is of the loopback tier. Raises UsageError for a tier that this person does not get here."""
    if wanted and wanted not in tiers.CHOICES:
        raise UsageError(
            f"DRCTL_LAB_TIER={wanted!r} is no tier of the lab",
            state="nothing was changed",
            hint=f"one of {', '.join(tiers.CHOICES)}, or nothing: the best that this machine gives",
        )
    state = read_state(directory)
    if state is not None:
        return state.tier == tiers.LOOPBACK
    if wanted and wanted != "loopback" and tiers.CHOICES[wanted] != tiers.tier():
        raise UsageError(
            f"DRCTL_LAB_TIER={wanted}: this process would get the tier {tiers.tier()}",
            state="nothing was changed",
            hint="type: sudo drctl lab up" if wanted == "root" else "type the same without sudo",
        )
    return wanted == "loopback"


@dataclass(frozen=True)
class Settings:
    """Which lab this is: several can stand side by side, told apart by name, net and directory."""

    name: str = "lab"
    net: str = "10.77"
    directory: Path = Path("/var/lib/drctl-lab/lab")
    loopback: bool = False  # processes of one person on loopback addresses, and no namespaces

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read DRCTL_LAB, DRCTL_LAB_NET, DRCTL_LAB_DIR and DRCTL_LAB_TIER; a lab that is up has its tier already.

        Raises UsageError when one cannot be used.
        """
        words = os.environ if environment is None else environment
        name = words.get("DRCTL_LAB") or "lab"
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"DRCTL_LAB={name!r} cannot name a lab",
                state="nothing was changed",
                hint="use a small letter and then at most nine small letters or digits: DRCTL_LAB=lab",
            )
        net = words.get("DRCTL_LAB_NET") or "10.77"
        octets = _NET.fullmatch(net)
        if not octets or not (1 <= int(octets[1]) <= 223 and int(octets[1]) != 127 and int(octets[2]) <= 255):
            raise UsageError(
                f"DRCTL_LAB_NET={net!r} is not the first two octets of a network",
                state="nothing was changed",
                hint="for example DRCTL_LAB_NET=10.77, which stands for 10.77.0.0/16",
            )
        directory = Path(words.get("DRCTL_LAB_DIR") or _default_parent(words) / name)
        if not directory.is_absolute() or any(letter in str(directory) for letter in ":, \n\\"):
            # The overlay's mount options have no safe way to say these letters.
            raise UsageError(
                f"DRCTL_LAB_DIR={str(directory)!r} must be an absolute path without colon, comma, space or backslash",
                state="nothing was changed",
            )
        return cls(name, net, directory, loopback=_is_loopback(words.get("DRCTL_LAB_TIER") or "", directory))

    def environment_words(self) -> list[str]:
        """``NAME=value`` words that make another drctl mean this same lab."""
        words = [f"DRCTL_LAB={self.name}", f"DRCTL_LAB_NET={self.net}", f"DRCTL_LAB_DIR={self.directory}"]
        return [*words, *(["DRCTL_LAB_TIER=loopback"] if self.loopback else [])]

    @property
    def tier(self) -> str:
        """What this lab is made of."""
        return tiers.LOOPBACK if self.loopback else tiers.tier()

    @property
    def ssh_port(self) -> int:
        """Of the hosts' sshd; only root may listen below 1024."""
        return 2222 if self.loopback else 22

    @property
    def login_user(self) -> str:
        """Who logs in; an sshd without root lets in nobody but who started it."""
        return getpass.getuser() if self.loopback else LOGIN_USER

    @property
    def door(self) -> str:
        """Where the clients of the service come in, as a host of the lab and this machine reach it."""
        return f"http://{self.address('edge')}" + (":8080" if self.loopback else "")

    def reached_as(self, host: str) -> str:
        """What the hosts call each other: by name where they have an /etc/hosts of their own."""
        return self.address(host) if self.loopback else host

    @property
    def wan(self) -> str:
        """The first two octets of the hosts' addresses."""
        return f"127.{self.net.split('.')[1]}" if self.loopback else self.net

    def address(self, host: str) -> str:
        """The host's address on the WAN."""
        spec = HOSTS[host]
        return f"{self.wan}.{spec.subnet}.{spec.number}"

    def gateway(self, host: str) -> str:
        """The router's address on the host's own subnet."""
        return f"{self.net}.{HOSTS[host].subnet}.1"

    @property
    def network(self) -> str:
        """Where the lab's hosts are. What comes from loopback itself may have any address there."""
        return "127.0.0.0/8" if self.loopback else f"{self.net}.0.0/16"

    @property
    def user_interface(self) -> str:
        """The machine's own end of the link into the operator's office."""
        return f"{self.name}-user"

    def host_directory(self, host: str) -> Path:
        """Everything that belongs to one host: its disk, its boot log, its boot id."""
        return self.directory / "hosts" / host

    def disk(self, host: str, path: str) -> Path:
        """Where an absolute path of the host (below /var, /opt, /root, /home) lies on the machine's own disk."""
        return self.host_directory(host) / "disk" / path.lstrip("/")

    def namespace(self, name: str) -> Path:
        """The file that keeps a network namespace alive while no process is in it."""
        return self.directory / "net" / name
