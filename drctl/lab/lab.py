"""The lab as one object: what the command line and the tests call."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drctl.errors import LabError, UsageError
from drctl.lab import acknowledged, backups, bulk, damage, database, edge, history, inventory, lifecycle, ssh, status
from drctl.lab.commands import Progress, silent, wait_until
from drctl.lab.host import Host
from drctl.lab.kinds import disk_of, host_at, latency_of, network_of
from drctl.lab.loopback import no_such_thing
from drctl.lab.state import read_state
from drctl.lab.topology import (
    DATABASE_HOSTS,
    DRILL_DATABASES,
    HOSTS,
    REPOSITORY_HOST,
    SIZES,
    Settings,
    host_of,
    hosts_of,
)


@dataclass(frozen=True)
class Lab:
    """A lab by its settings. It holds nothing open: any number of these, in any process, mean the same lab."""

    settings: Settings

    @classmethod
    def from_environment(cls) -> Lab:
        """The lab that DRCTL_LAB, DRCTL_LAB_NET and DRCTL_LAB_DIR name. Raises UsageError when they cannot be used."""
        return cls(Settings.from_environment())

    # -- up and down --

    def up(self, inventory_path: Path | None = None, progress: Progress = silent) -> bool:
        """Bring it up; False when it was up already. ``inventory_path``: where to write the inventory."""
        path = inventory_path or inventory.default_path(self.settings, Path.cwd())
        return lifecycle.up(self.settings, path.absolute(), progress)

    def down(self, progress: Progress = silent) -> bool:
        """Take it away; False when there was none."""
        return lifecycle.down(self.settings, progress)

    def status(self) -> status.Status:
        """What it is like now."""
        return status.status(self.settings)

    def require_up(self) -> None:
        """Raise LabError with what to type unless the lab is up, UsageError when it is up on another net."""
        state = read_state(self.settings.directory)
        phase = status.phase_of(state)
        if phase != "up":
            raise LabError(
                "no lab is up" if phase == "down" else "the lab is only half up",
                state="nothing was changed",
                hint="type: drctl lab up",
            )
        if state and state.net != self.settings.net:
            raise UsageError(
                f"the lab {self.settings.name} is up on {state.net}.0.0/16, not on {self.settings.network}",
                state="nothing was changed",
                hint=f"type: export DRCTL_LAB_NET={state.net}",
            )

    def host(self, name: str) -> Host:
        """One of its hosts, by the host's or its site's name. Raises LabError when the lab is not up."""
        spec = host_of(name)
        self.require_up()
        return host_at(self.settings, spec.name)

    def _hosts(self, name: str) -> list[Host]:
        specs = hosts_of(name)
        self.require_up()
        return [host_at(self.settings, spec.name) for spec in specs]

    # -- faults --

    def power_off(self, name: str) -> dict[str, bool]:
        """Take the power of a host or a site away; returns, by host, whether it was on.

        When it returns, it is proved: nothing of these hosts runs any more. Raises LabError when it cannot be.
        """
        return {host.name: host.power_off() for host in self._hosts(name)}

    def power_on(self, name: str, *, within: float = 60.0) -> dict[str, bool]:
        """Give a host or a site its power back and wait until ssh answers; by host, whether it was off."""
        hosts = self._hosts(name)
        changed = {host.name: not host.is_on for host in hosts}
        for host in hosts:
            host.boot()
        for host in hosts:
            host.wait_booted(within=within)
            host.wait_ssh(within=within)
        return changed

    def freeze(self, name: str) -> bool:
        """Stop every process of a host where it is; False when it was frozen already."""
        host = self.host(name)
        if not host.is_on:
            raise LabError(f"{host.name}: power is off", hint=f"type: drctl lab power on {host.name}")
        if host.is_frozen:
            return False
        host.groups.freeze(host.name)
        return True

    def thaw(self, name: str) -> bool:
        """Let a frozen host go on; False when it was not frozen."""
        host = self.host(name)
        was_frozen = host.is_frozen
        host.groups.thaw(host.name)
        return was_frozen

    def cut(self, one: str, other: str, *, one_way: bool = False) -> list[tuple[str, str]]:
        """Cut the link between two hosts or sites; the pairs of hosts that are cut.

        With ``one_way`` only what ``one`` sends to ``other`` is lost.
        """
        pairs = [(a.name, b.name) for a in self._hosts(one) for b in self._hosts(other) if a.name != b.name]
        if not pairs:
            raise UsageError(f"{one} and {other} are the same host: there is no link to cut")
        for pair in pairs:
            network_of(self.settings).cut(*pair, one_way=one_way)
        return pairs

    def heal(self, one: str, other: str) -> bool:
        """Heal the link between two hosts or sites; False when it was not cut."""
        pairs = [(a.name, b.name) for a in self._hosts(one) for b in self._hosts(other) if a.name != b.name]
        healed = [network_of(self.settings).heal(*pair) for pair in pairs]
        return True in healed

    def heal_all(self) -> None:
        """Heal every link."""
        self.require_up()
        network_of(self.settings).heal_all()

    def rate(self, name: str, mbit: float) -> None:
        """Limit a host's link to so many Mbit/s each way; 0 takes the limit away."""
        if mbit < 0 or 0 < mbit < 0.01:
            raise UsageError(f"a link cannot have {mbit:g} Mbit/s", hint="0 takes the limit away; 0.01 is the least")
        network_of(self.settings).rate(self.host(name).name, mbit)

    def latency(self, names: Sequence[str], ms: float) -> list[tuple[str, str]]:
        """Add so many milliseconds to every round trip between two hosts or sites; 0 takes them away.

        One name alone means its links to every other host. Returns the pairs of hosts; raises UsageError for more
        than two names, or for a number that is not between 0 and 10000.
        """
        if not 1 <= len(names) <= 2:
            raise UsageError("a link has two ends: name one host or site, or two")
        others = self._hosts(names[1]) if len(names) == 2 else [host_at(self.settings, name) for name in HOSTS]
        pairs = [(a.name, b.name) for a in self._hosts(names[0]) for b in others if a.name != b.name]
        if not pairs:
            raise UsageError(f"{names[0]} and {names[1]} are the same host: there is no link to slow down")
        latency_of(self.settings).change(pairs, ms)
        return pairs

    def resize(self, name: str, size: str, *, within: float = 60.0) -> bool:
        """Give a host another size, which reboots it, and wait for ssh. False when it has that size already.

        PostgreSQL is stopped first, as a cloud's resize shuts a machine down. A host that is off stays off.
        """
        if size not in SIZES:
            raise UsageError(f"there is no size called {size!r}", hint=f"sizes: {', '.join(SIZES)}")
        host = self.host(name)
        if host.size == size:
            return False
        was_on = host.is_on
        if was_on and host.name in (*DATABASE_HOSTS, *DRILL_DATABASES):
            # A stop that fails or takes too long does not stop a cloud's resize either: the power goes off.
            host.execute(["/opt/taskflow/bin/database", "stop"], timeout=75, check=False)
        host.power_off()
        # Remembered last: a resize that dies before is done again by whoever asks again.
        if host.name in (*DATABASE_HOSTS, *DRILL_DATABASES):
            database.write_size(disk_of(self.settings, host.name), size)
        host.set_size(size)
        if was_on:
            self.power_on(name, within=within)
        return True

    # -- load and what became of it --

    def load(self, *, seconds: float, rate: float, background: bool = False) -> edge.LoadResult | None:
        """Write rows faster for a while through the application's door; None when it goes on in the background."""
        if not (0 < seconds <= 86_400 and 0 < rate <= 200):
            raise UsageError("a load takes up to 86400 seconds, at up to 200 rows a second")
        operator = self.host("operator")
        if background:
            edge.start_load(operator, seconds=seconds, rate=rate)
            return None
        return edge.load(operator, seconds=seconds, rate=rate)

    def bulk(self, size: str, progress: Progress = silent) -> int:
        """Fill a table of the current primary up to a size such as ``1GB``; how many MB it has then."""
        wanted = bulk.megabytes(size)
        self.require_up()
        return bulk.fill(acknowledged.current_primary(self.settings), wanted, progress)

    def acknowledged(self) -> acknowledged.Comparison:
        """Compare the monitor's log of acknowledged rows with what the primary holds now."""
        self.require_up()
        return acknowledged.compare_with_primary(self.settings)

    def _require_backups(self) -> None:
        if self.settings.loopback:
            raise no_such_thing("pgBackRest, and so no backups")

    def wait_backup(self, *, within: float = 120.0) -> None:
        """Wait for the first full backup and its replication; ``within`` is in seconds. Raises LabError otherwise."""
        self._require_backups()
        repository = self.host(REPOSITORY_HOST)

        def ended() -> bool:
            return database.first_backup_code(self.settings) is not None or not repository.is_on

        wait_until(ended, within=within, every=0.1)
        code = database.first_backup_code(self.settings)
        if code != 0:
            what = f"is not done after {within:g} s" if code is None else f"failed with exit code {code}"
            log = database.first_backup_log(self.settings)
            said = log.read_text(errors="replace").strip()[-600:] if log.exists() else ""
            raise LabError(f"the first full backup {what}: {said or 'it said nothing'}", where=str(log))

    def backup(self) -> str:
        """Run the nightly job now; what it said. Raises LabError when it failed, or refused to begin."""
        self._require_backups()
        return backups.run_nightly(self.host(REPOSITORY_HOST))

    def backups_history(self, days: int, progress: Progress = silent) -> list[str]:
        """Replace all backups by one of each of the last so many nights; their labels, oldest first."""
        self.require_up()
        self.wait_backup()
        return history.make(self.settings, days, progress)

    def break_backup(self, fault: damage.Fault, locations: Sequence[str] = (), label: str = "") -> list[str]:
        """Break a backup, at cloudprox unless places are named; what exactly was broken."""
        self.require_up()
        self._require_backups()
        return [done.said for done in damage.break_backup(self.settings, fault, locations, label)]

    def mend_backup(self) -> list[str]:
        """Undo whatever :meth:`break_backup` did; what was undone."""
        self.require_up()
        self._require_backups()
        return damage.mend(self.settings)

    # -- ways in --

    def inventory_text(self) -> str:
        """The inventory of the running lab, as YAML."""
        self.require_up()
        state = read_state(self.settings.directory)
        return inventory.inventory_text(self.settings, state.system_identifier if state else "")

    def ssh_words(self, name: str, command: Sequence[str] = ()) -> list[str]:
        """The words of a real ssh to a host, with a command or without."""
        return [*ssh.ssh_words(self.settings, self.host(name).name), *command]

    def ssh(self, name: str, command: Sequence[str], *, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on a host over real ssh, as drctl does, and keep its output. Never raises for its exit code."""
        words = self.ssh_words(name, command)
        return subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def psql(self, name: str, sql: str, *, database_name: str = "taskflow") -> str:
        """Run SQL on a host as its postgres, not over the network; unaligned text."""
        return database.psql(self.host(name), sql, database=database_name)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of all its hosts."""
        return tuple(HOSTS)
