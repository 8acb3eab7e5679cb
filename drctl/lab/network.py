"""The lab's WAN: a router namespace, a link to each host, and a link from the machine to the operator's office."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from drctl.errors import LabError
from drctl.lab.commands import run
from drctl.lab.topology import HOSTS, Settings

ROUTER = "wan"
_CUTS = "table inet drctl_lab {\n  set cuts { type ipv4_addr . ipv4_addr; }\n" + (
    "  chain links {\n    type filter hook forward priority 0; policy accept;\n"
    "    ip saddr . ip daddr @cuts counter drop\n  }\n}\n"
)


def inside(namespace: Path, argv: Sequence[str]) -> list[str]:
    """The words that run a program in a network namespace. Not ``ip netns exec``, which leaves mounts behind."""
    return ["nsenter", f"--net={namespace}", *argv]


class Network:
    """Makes, changes and removes the links of one lab. Every method raises LabError when the kernel refuses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _in(self, name: str, argv: Sequence[str], *, what: str, stdin: str = "", check: bool = True) -> str:
        return run(inside(self._settings.namespace(name), argv), what=what, stdin=stdin, check=check).stdout

    def _ip(self, name: str, lines: Sequence[str], *, what: str) -> None:
        self._in(name, ["ip", "-batch", "-"], what=what, stdin="\n".join(lines) + "\n")

    def _has_user_interface(self) -> bool:
        # Not by /sys, which shows the network of whoever mounted it.
        return self._settings.user_interface in (name for _, name in socket.if_nameindex())

    def refuse_if_taken(self) -> None:
        """Raise LabError when the machine already has an address, a route or an interface that the lab needs."""
        wanted = ipaddress.ip_network(self._settings.network)
        routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"], what="read the routes").stdout)
        for route in routes:
            if route["dst"] in ("default", "0.0.0.0/0"):
                continue
            with suppress(ValueError):  # a destination that is not a network, such as a named one
                if ipaddress.ip_network(route["dst"], strict=False).overlaps(wanted):
                    raise LabError(
                        f"this machine already has a route to {route['dst']} (by {route.get('dev', 'no device')}), "
                        f"which overlaps the lab's {wanted}",
                        state="nothing was changed",
                        hint="give the lab another net: DRCTL_LAB_NET=10.201 drctl lab up",
                    )
        if self._has_user_interface():
            raise LabError(
                f"this machine already has an interface called {self._settings.user_interface}",
                state="nothing was changed",
                hint="give the lab another name: DRCTL_LAB=lab2 DRCTL_LAB_NET=10.201 drctl lab up",
            )

    def up(self) -> None:
        """Make all namespaces and links, the machine's route into the lab, and the operator's masquerading."""
        settings = self._settings
        for name in (ROUTER, *HOSTS):
            place = settings.namespace(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
            run(["unshare", f"--net={place}", "true"], what=f"make the network namespace of {name}")
        lines = ["link set lo up"]
        for host, spec in HOSTS.items():
            wan = spec.wan_interface
            lines += [
                f"link add {wan} type veth peer name eth0 netns {settings.namespace(host)}",
                f"addr add {settings.gateway(host)}/24 dev {wan}",
                f"link set {wan} up",
            ]
        self._ip(ROUTER, lines, what="make the WAN")
        self._in(ROUTER, ["sysctl", "-qw", "net.ipv4.ip_forward=1"], what="let the WAN forward")
        self._in(ROUTER, ["nft", "-f", "-"], what="prepare the WAN's cuts", stdin=_CUTS)
        for host in HOSTS:
            self._ip(
                host,
                ["link set lo up", f"addr add {settings.address(host)}/24 dev eth0"],
                what=f"address {host}",
            )
            self.link_up(host)
        self._link_user()

    def _link_user(self) -> None:
        settings = self._settings
        link, interface = f"{settings.net}.8", settings.user_interface
        peer = ["peer", "name", "user", "netns", str(settings.namespace("operator"))]
        run(
            ["ip", "link", "add", interface, "type", "veth", *peer],
            what="link this machine to the operator's office",
        )
        self._ip("operator", [f"addr add {link}.1/30 dev user", "link set user up"], what="address the office's link")
        self._in("operator", ["sysctl", "-qw", "net.ipv4.ip_forward=1"], what="let the office forward")
        # So that drctl's own traffic has the operator's address, and a cut or slow link of the office is drctl's too.
        self._in(
            "operator",
            ["nft", "-f", "-"],
            what="masquerade this machine as the operator",
            stdin="table ip drctl_lab {\n  chain outgoing {\n    type nat hook postrouting priority 100;\n"
            f'    ip saddr {link}.0/30 oifname "eth0" masquerade\n  }}\n}}\n',
        )
        run(
            ["ip", "-batch", "-"],
            what="route into the lab",
            stdin=f"addr add {link}.2/30 dev {interface}\nlink set {interface} up\n"
            f"route add {settings.network} via {link}.1 dev {interface}\n",
        )

    def link_up(self, host: str) -> None:
        """Switch the host's network card on. Its default route went with the link, so that is set again."""
        gateway = self._settings.gateway(host)
        self._ip(host, ["link set eth0 up", f"route replace default via {gateway}"], what=f"{host}: network card on")

    def link_down(self, host: str) -> None:
        """Switch the host's network card off."""
        self._ip(host, ["link set eth0 down"], what=f"{host}: network card off")

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Drop every packet between two hosts, established sessions included; ``one_way``: only from ``one``."""
        ways = [(one, other)] if one_way else [(one, other), (other, one)]
        self._in(ROUTER, ["nft", f"add element inet drctl_lab cuts {self._elements(ways)}"], what="cut the link")

    def heal(self, one: str, other: str) -> bool:
        """Let packets pass between two hosts again, both ways. False when that link was not cut."""
        ways = self._lost_ways() & {(one, other), (other, one)}
        if ways:
            words = f"delete element inet drctl_lab cuts {self._elements(sorted(ways))}"
            self._in(ROUTER, ["nft", words], what="heal the link")
        return bool(ways)

    def heal_all(self) -> None:
        """Let packets pass everywhere again."""
        self._in(ROUTER, ["nft", "flush set inet drctl_lab cuts"], what="heal all links")

    def _elements(self, ways: Sequence[tuple[str, str]]) -> str:
        address = self._settings.address
        return f"{{ {', '.join(f'{address(source)} . {address(target)}' for source, target in ways)} }}"

    def cuts(self) -> set[tuple[str, str]]:
        """The links that are cut both ways, each once, by the names of its two hosts in alphabetical order."""
        ways = self._lost_ways()
        return {(one, other) for one, other in ways if one < other and (other, one) in ways}

    def one_way_cuts(self) -> set[tuple[str, str]]:
        """The links on which packets pass one way only: from which host, and to which, they are lost."""
        ways = self._lost_ways()
        return {(source, target) for source, target in ways if (target, source) not in ways}

    def _lost_ways(self) -> set[tuple[str, str]]:
        listed = json.loads(self._in(ROUTER, ["nft", "-j", "list set inet drctl_lab cuts"], what="list the cuts"))
        names = {self._settings.address(host): host for host in HOSTS}
        found: set[tuple[str, str]] = set()
        for item in listed["nftables"]:
            for element in item.get("set", {}).get("elem", []):
                source, target = element["concat"]
                found.add((names[source], names[target]))
        return found

    def rate(self, host: str, mbit: float) -> None:
        """Limit a host's link to so many Mbit/s, each way; 0 takes the limit away."""
        ends = ((ROUTER, HOSTS[host].wan_interface), (host, "eth0"))
        for name, device in ends:
            if mbit:
                words = ["replace", "dev", device, "root", "tbf", "rate", f"{round(mbit * 1000)}kbit"]
                words += ["burst", "128k", "latency", "200ms"]
                self._in(name, ["tc", "qdisc", *words], what=f"limit the link of {host}")
            else:
                self._in(name, ["tc", "qdisc", "del", "dev", device, "root"], what="", check=False)

    def down(self) -> None:
        """Remove the link, the route and all namespaces; what is gone already is no error."""
        if self._has_user_interface():
            run(["ip", "link", "del", self._settings.user_interface], what="remove the link into the lab")
        mounted = Path("/proc/self/mountinfo").read_text()
        for name in (ROUTER, *HOSTS):
            place = self._settings.namespace(name)
            if f" {place} " in mounted:
                run(["umount", str(place)], what=f"remove the network namespace of {name}")
            place.unlink(missing_ok=True)
