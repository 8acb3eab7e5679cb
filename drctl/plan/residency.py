"""Data stays in its country: every machine that a data-carrying step passes through is looked at before it is sent.

``drctl validate`` has looked at the documents. This looks at what they have become: the address that a URL was filled
with, and the gateways that OpenSSH's configuration puts on the way, on this machine and now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from drctl.model.inventory import Inventory
from drctl.model.plan import Http, Plan, Step, Tcp, Transfer
from drctl.model.promises import Place, Residency
from drctl.plan.scope import address_of


class Hop(NamedTuple):
    """A machine on the way: what it is called, and where it is reached."""

    name: str
    address: str


def residency_of(world: Inventory) -> Residency:
    """The country of every host."""
    return Residency(
        country=world.residency,
        places=tuple(
            Place(host=name, address=address_of(name, host), country=world.sites[host.site].country)
            for name, host in world.hosts.items()
        ),
    )


def carries_data(step: Step) -> bool:
    """Whether the service's data goes through the step: it says so, or moves a file."""
    return step.carries is not None or isinstance(step.action, Transfer)


def url_hop(url: str) -> Hop:
    """The machine that a URL names."""
    host = urlsplit(url).hostname or ""
    return Hop(host, host)


def refusal(plan: Plan, step: Step, way: Iterable[Hop]) -> str:
    """Why the step may not be sent that way; empty when it may."""
    if plan.residency is None or not carries_data(step):
        return ""
    for hop in way:
        why = abroad(plan.residency, hop)
        if why:
            return (
                f"data must stay in {plan.residency.country}, and {why}: nothing was sent. Correct hosts or sites in "
                f"{plan.inventory_source.path} or the way there, then begin anew: a run carries its own plan"
            )
    return ""


def abroad(residency: Residency, hop: Hop) -> str:
    """What is wrong with passing through there; empty when nothing is. An address counts for more than a name."""
    by_address = [place for place in residency.places if place.address == hop.address]
    by_name = [place for place in residency.places if place.host == hop.name]
    said = hop.name if hop.name == hop.address else f"{hop.name} ({hop.address})"
    for place in by_address or by_name:
        if place.country != residency.country:
            other = f", which is {place.host}," if place.host != hop.name else ""
            return f"{said}{other} is in {place.country}"
    if not (by_address or by_name):
        return f"{said} is no host of the inventory, so nobody knows in which country it is"
    return ""


def asked_of(action: object) -> Hop | None:
    """The machine that a request goes to, for a request whose text is complete."""
    match action:
        case Http(url=url):
            return url_hop(url)
        case Tcp(address=address):
            return Hop(address, address)
        case _:
            return None
