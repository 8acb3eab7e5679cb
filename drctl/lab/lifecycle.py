"""Bringing the lab up and down: the order of things, and what is cleaned when an earlier attempt died."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import backups, database, edge, ssh
from drctl.lab.commands import Progress, wait_until
from drctl.lab.disk import copy_boot_scripts
from drctl.lab.groups import groups_of
from drctl.lab.host import Host
from drctl.lab.inventory import inventory_text, write_inventory
from drctl.lab.kinds import disk_of, host_at, latency_of, network_of
from drctl.lab.network import Network
from drctl.lab.prerequisites import require
from drctl.lab.state import LabState, exclusive, machine_boot_id, read_state, write_state
from drctl.lab.status import phase_of
from drctl.lab.topology import (
    ACKNOWLEDGED_LOG,
    DATABASE,
    DATABASE_HOSTS,
    DRILL_DATABASES,
    DRILL_EDGE,
    DRILL_HOSTS,
    HOSTS,
    INITIAL_PRIMARY,
    INITIAL_STANDBY,
    PGBACKREST_HOSTS,
    Settings,
)


def up(settings: Settings, inventory: Path, progress: Progress) -> bool:
    """Bring the lab up and write its inventory. False when it was up already: then nothing is touched.

    A lab that an interrupted ``up`` left behind is removed first. When this one fails, what it made is removed too.
    Raises LabError, or LockedError when another ``up`` or ``down`` is at work.
    """
    require(settings)
    with exclusive(settings.directory):
        if phase_of(read_state(settings.directory)) == "up":
            return False
        if settings.directory.exists():
            progress("removing what an earlier, interrupted lab left behind")
            _remove(settings)
        network = network_of(settings)
        network.refuse_if_taken()
        settings.directory.mkdir(parents=True, mode=0o700)
        state = LabState(
            "starting", machine_boot_id(), settings.net, started=datetime.now(UTC).isoformat(), tier=settings.tier
        )
        write_state(settings.directory, state)
        try:
            state.system_identifier = _build(settings, network, progress)
            write_inventory(inventory, inventory_text(settings, state.system_identifier))
            state.inventory = str(inventory)
            if not settings.loopback:
                database.start_first_backup(host_at(settings, "cloudprox"))
            state.phase = "up"
            write_state(settings.directory, state)
        except BaseException:
            # Ctrl-C too: a half lab is of no use, and its route would be in the way.
            progress("the lab did not come up: removing what was made")
            _remove(settings)
            raise
    return True


def _build(settings: Settings, network: Network, progress: Progress) -> str:
    """Everything from an empty directory to an application that writes. Returns the system identifier."""
    progress("disks, keys and certificates")
    with ThreadPoolExecutor(len(HOSTS) + 3) as pool:
        wires = pool.submit(network.up)
        passwords = _write_disks(settings, pool)
        wires.result()
        hosts = {name: host_at(settings, name) for name in HOSTS}
        running = [host for name, host in hosts.items() if name not in DRILL_HOSTS]
        progress(f"booting {', '.join(host.name for host in running)}")
        # Not limited yet: the micro instance would take several times as long to be copied.
        _all(pool, [lambda host=host: _boot(host) for host in running])  # type: ignore[misc]
        primary, standby, repository = hosts[INITIAL_PRIMARY], hosts[INITIAL_STANDBY], hosts["cloudprox"]
        logins = [pool.submit(_login, settings, host.name) for host in running]
        progress(f"PostgreSQL primary on {primary.name}")
        system_identifier = database.build_primary(primary, passwords)
        progress(f"standby on {standby.name}, repository on {repository.name}, application on edge")
        _all(
            pool,
            [
                lambda: database.build_standby(standby),
                *([] if settings.loopback else [lambda: database.create_stanza(repository, primary)]),
                lambda: edge.wait_healthy(settings),
                *(lambda login=login: login.result() for login in logins),
            ],
        )
        for host in running:
            host.limit()
    _wait_for_a_first_write(settings, standby)
    # What the monitor could not write before there was a database is no failure of the service.
    settings.disk("operator", "/var/log/taskflow/failures.tsv").unlink(missing_ok=True)
    return system_identifier


def _wait_for_a_first_write(settings: Settings, standby: Host) -> None:
    """Until a client was told that a write is safe, and the standby has one: from then on a failover can be measured.

    Raises LabError when that does not come.
    """
    log = settings.disk("operator", ACKNOWLEDGED_LOG)
    if not wait_until(lambda: log.exists() and log.read_text().endswith("\n"), within=30, every=0.1):
        raise LabError("the monitor has written nothing through the client's door", hint="type: drctl lab up")
    rows = "SELECT count(*) > 0 FROM dr_heartbeat WHERE source = 'heartbeat'"
    if not wait_until(lambda: database.psql(standby, rows, database=DATABASE) == "t", within=30, every=0.1):
        raise LabError(f"{standby.name}: what the primary writes does not arrive", hint="type: drctl lab up")


def _write_disks(settings: Settings, pool: ThreadPoolExecutor) -> database.Passwords:
    copy_boot_scripts(settings)
    passwords = database.Passwords.new()
    disks = [disk_of(settings, spec.name) for spec in HOSTS.values()]
    for disk in disks:
        disk.make_directories()
    certificates = None if settings.loopback else pool.submit(database.make_certificates, settings)
    ssh.make_keys(settings)
    if certificates is not None:
        backups.make_key(settings)
        certificates.result()
    for disk in disks:
        disk.write_system()
        if certificates is not None:
            if disk.spec.name in (*PGBACKREST_HOSTS, *DRILL_DATABASES):
                database.write_pgbackrest(disk)
            backups.write_replication(disk)
        if disk.spec.name in (*DATABASE_HOSTS, *DRILL_DATABASES):
            database.write_postgresql(disk, passwords)
        if disk.spec.name in ("edge", DRILL_EDGE):
            edge.write_edge(disk, passwords)
    return passwords


def _boot(host: Host) -> None:
    host.boot(limited=False)
    host.wait_booted()


def _login(settings: Settings, name: str) -> None:
    """One real login from this machine, the way drctl comes: over the route, as the operator."""
    if not wait_until(lambda: ssh.answers(settings, name, through=[]), within=20):
        raise LabError(f"{name}: ssh does not answer from this machine: {host_at(settings, name).boot_log()}")


def _all(pool: ThreadPoolExecutor, jobs: list[Callable[[], None]]) -> None:
    """Do all at once; raise the first error after all have ended, so that none works on while things are removed."""
    futures = [pool.submit(job) for job in jobs]
    errors = [error for future in futures if (error := future.exception())]
    if errors:
        raise errors[0]


def down(settings: Settings, progress: Progress) -> bool:
    """Take everything of the lab away. False when there was no lab.

    Raises LockedError when another ``up`` or ``down`` is at work, LabError when something will not go.
    """
    if not settings.directory.exists():
        return False
    state = read_state(settings.directory)
    with exclusive(settings.directory):
        if not settings.directory.exists():
            return False
        progress("removing the lab")
        _remove(settings)
        if state and state.inventory:
            _forget_inventory(Path(state.inventory), settings)
    return True


def _forget_inventory(path: Path, settings: Settings) -> None:
    """Remove the inventory that ``up`` wrote, unless it is another lab's by now."""
    with suppress(FileNotFoundError, UnicodeDecodeError):
        if str(ssh.config_path(settings)) in path.read_text():
            path.unlink()


def _remove(settings: Settings) -> None:
    """End every process of the lab, then its links, groups and files. Works on any half of a lab."""
    for name in HOSTS:
        host_at(settings, name).end_processes()
    groups_of(settings).remove(list(HOSTS))
    latency_of(settings).end()
    network_of(settings).down()
    # An overlay leaves a directory that nobody may enter, root excepted.
    shutil.rmtree(settings.directory)
