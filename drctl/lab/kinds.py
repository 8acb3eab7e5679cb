"""What the lab is made of in this lab's tier: hosts, their disks, and the links between them."""

from __future__ import annotations

from drctl.lab.disk import Accounts, Disk
from drctl.lab.host import Host
from drctl.lab.latency import Latency
from drctl.lab.loopback import LoopbackDisk, LoopbackHost, NoLatency, NoNetwork
from drctl.lab.network import Network
from drctl.lab.topology import HOSTS, Settings


def host_at(settings: Settings, name: str) -> Host:
    """A host by its name."""
    return LoopbackHost(settings, name) if settings.loopback else Host(settings, name)


def disk_of(settings: Settings, name: str) -> Disk:
    """A host's disk."""
    spec = HOSTS[name]
    return LoopbackDisk(settings, spec) if settings.loopback else Disk(settings, spec, Accounts.of_machine())


def network_of(settings: Settings) -> Network:
    """The links between the hosts."""
    return NoNetwork(settings) if settings.loopback else Network(settings)


def latency_of(settings: Settings) -> Latency:
    """How long the links are."""
    return NoLatency(settings) if settings.loopback else Latency(settings)
