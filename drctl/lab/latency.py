"""Distance between the hosts: packets of a slow link wait in the router, in a small relay that ends with the lab.

Not netem: many kernels of containers and of small virtual machines lack it, and one way that works on every
machine is one way to test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from drctl.errors import LabError, UsageError
from drctl.lab.commands import detach, run, wait_until
from drctl.lab.network import ROUTER, inside
from drctl.lab.state import Process, read_process, taking_turns, write_atomically, write_process
from drctl.lab.topology import HOSTS, Settings

MOST_MS = 10_000
_MARK = _TABLE = "7707"
_RULES = (
    "table inet drctl_lab_delay {\n  set slow { type ipv4_addr . ipv4_addr; }\n"
    "  chain arriving {\n    type filter hook prerouting priority -150; policy accept;\n"
    # Only what a host has sent: what comes back from delay0 has waited already.
    f'    iifname "wan*" ip saddr . ip daddr @slow meta mark set {_MARK}\n  }}\n}}\n'
)

Pair = tuple[str, str]


class Latency:
    """The slow links of one lab. Every method that changes one raises LabError when the kernel refuses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._table = settings.directory / "delay.table"
        self._applied = settings.directory / "delay.applied"
        self._remembered = settings.directory / "delay.json"

    def _in_router(self, argv: Sequence[str], *, what: str, stdin: str = "", check: bool = True) -> int:
        return run(inside(self._settings.namespace(ROUTER), argv), what=what, stdin=stdin, check=check).returncode

    @property
    def relay(self) -> Process | None:
        """The relay, when it runs."""
        process = read_process(self._remembered)
        return process if process and process.is_alive() else None

    def milliseconds(self) -> dict[Pair, float]:
        """The slow links, by the names of their two hosts in alphabetical order: what is added to a round trip."""
        names = {self._settings.address(host): host for host in HOSTS}
        try:
            lines = [line.split() for line in self._table.read_text().splitlines()]
        except FileNotFoundError:
            return {}
        found = {(names[source], names[target]): float(seconds) * 2000 for source, target, seconds in lines}
        return {(one, other): ms for (one, other), ms in sorted(found.items()) if one < other}

    def change(self, pairs: Sequence[Pair], ms: float) -> None:
        """Add so many milliseconds to every round trip between these hosts, instead of what was added before.

        Returns when it is in force. Raises UsageError for a number that no link has, LabError when the relay fails.
        """
        if not 0 <= ms <= MOST_MS:
            raise UsageError(f"{ms:g} ms cannot be added to a link", hint=f"0 to {MOST_MS}; 0 takes it away")
        with taking_turns(self._settings.directory):
            wanted = self.milliseconds()
            for one, other in pairs:
                pair = (min(one, other), max(one, other))
                wanted.pop(pair, None)
                if ms:
                    wanted[pair] = ms
            if wanted:
                self._prepare()
                self._let_relay_know(wanted)
                self._send_through(wanted)
            elif self._table.exists():
                # The other way round: first nothing more goes in, then what is in may come out.
                self._send_through(wanted)
                self._let_relay_know(wanted)

    def _prepare(self) -> None:
        if self._in_router(["ip", "link", "show", "dev", "delay0"], what="", check=False) == 0:
            return
        self._in_router(["nft", "-f", "-"], what="prepare slow links", stdin=_RULES)
        # No ARP: every frame on delay0 then bears delay0's own address, which the relay's end does not take for its
        # own, so that nobody but the relay passes it on.
        lines = ["link add delay0 type veth peer name delay1"]
        lines += [f"link set {end} arp off up" for end in ("delay1", "delay0")]
        lines += [f"route add default dev delay0 table {_TABLE}", f"rule add fwmark {_MARK} lookup {_TABLE}"]
        self._in_router(["ip", "-batch", "-"], what="make the way through the relay", stdin="\n".join(lines) + "\n")
        # What comes back has the address of a host that lies elsewhere.
        words = ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.delay0.rp_filter=0"]
        self._in_router(words, what="let delayed packets back in")

    def _let_relay_know(self, wanted: Mapping[Pair, float]) -> None:
        lines = []
        for (one, other), ms in sorted(wanted.items()):
            here, there = self._settings.address(one), self._settings.address(other)
            lines += [f"{here} {there} {ms / 2000:.6f}\n", f"{there} {here} {ms / 2000:.6f}\n"]
        text = "".join(lines)
        write_atomically(self._table, text)
        if not wanted:
            self._wait_for_the_end()
            return
        if self.relay is None:
            self._applied.unlink(missing_ok=True)
            script = str(self._settings.directory / "delay.py")
            argv = inside(self._settings.namespace(ROUTER), ["/usr/bin/python3", "-I", script])
            log = self._settings.directory / "delay.log"
            process = Process.of(detach([*argv, str(self._settings.directory)], log))
            if process:
                write_process(self._remembered, process)

        def in_force() -> bool:
            return self.relay is None or (self._applied.exists() and self._applied.read_text() == text)

        if not wait_until(in_force, within=10, every=0.01) or self.relay is None:
            said = _end_of(self._settings.directory / "delay.log")
            raise LabError(f"the relay of the slow links does not run: {said}", state="no link was made slower")

    def _send_through(self, wanted: Mapping[Pair, float]) -> None:
        address = self._settings.address
        ways = [way for one, other in sorted(wanted) for way in ((one, other), (other, one))]
        words = "flush set inet drctl_lab_delay slow\n"
        if ways:
            elements = ", ".join(f"{address(source)} . {address(target)}" for source, target in ways)
            words += f"add element inet drctl_lab_delay slow {{ {elements} }}\n"
        # One file is one change: no packet sees the set empty in between.
        self._in_router(["nft", "-f", "-"], what="send slow links through the relay", stdin=words)

    def _wait_for_the_end(self) -> None:
        if not wait_until(lambda: self.relay is None, within=MOST_MS / 1000 + 5):
            raise LabError("the relay of the slow links does not end", hint="type: drctl lab down")
        for file in (self._table, self._applied, self._remembered):
            file.unlink(missing_ok=True)

    def end(self) -> None:
        """End the relay at once, with the lab. Without its table it would end by itself within a second."""
        relay = self.relay
        if relay:
            relay.kill()
            wait_until(lambda: not relay.is_alive(), within=5)


def _end_of(log: Path) -> str:
    try:
        return log.read_text(errors="replace").strip()[-400:] or "it said nothing"
    except FileNotFoundError:
        return "it said nothing"
