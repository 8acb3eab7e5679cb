"""The machines that what is sent to a host passes through, as OpenSSH's configuration has them."""

from __future__ import annotations

from drctl.adapters.ssh.hosts import Route, route_to
from drctl.adapters.transport import Refused
from drctl.model.plan import Endpoint
from drctl.plan.residency import Hop


class SshRoutes:
    """The engine's ``Routes`` port. A ProxyCommand is a program of this machine: where it leads nobody can be asked."""

    def way_to(self, endpoint: Endpoint) -> tuple[Hop, ...]:
        """The gateways and the host. A configuration that cannot be read will be told when the host is reached."""
        try:
            route: Route | None = route_to(endpoint)
        except Refused:
            return (Hop(endpoint.host, endpoint.address),)
        hops: list[Hop] = []
        while route is not None:
            hops.insert(0, Hop(route.name, route.address))
            route = route.through
        return tuple(hops)
