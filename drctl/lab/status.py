"""What the lab is like now, looked up afresh: nothing here is remembered from a command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drctl.errors import LabError
from drctl.lab import backups, damage, edge
from drctl.lab.database import first_backup_code, role_of
from drctl.lab.kinds import host_at, latency_of, network_of
from drctl.lab.repository import Repository
from drctl.lab.state import LabState, machine_boot_id, read_state
from drctl.lab.topology import COPIES, DATABASE_HOSTS, HOSTS, REPOSITORY_HOST, Settings


@dataclass(frozen=True)
class HostStatus:
    """One host. ``power`` is on, off or frozen; ``database`` is primary, standby, stopped or empty."""

    name: str
    site: str
    address: str
    power: str
    size: str
    database: str = ""
    streaming_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackupStatus:
    """The backups at one location, by its own list; when the newest ended, and when a copy was last completed."""

    location: str
    host: str
    count: int
    newest: str = ""
    ended: str = ""
    replicated: str = ""


@dataclass(frozen=True)
class Status:
    """The lab. ``phase`` is down, starting (half up) or up; ``backup`` running, done, failed, none or unknown."""

    name: str
    net: str
    tier: str
    phase: str
    inventory: str = ""
    hosts: tuple[HostStatus, ...] = ()
    cuts: tuple[tuple[str, str], ...] = ()
    one_way_cuts: tuple[tuple[str, str], ...] = ()  # from which host, and to which, packets are lost
    latencies: tuple[tuple[str, str, float], ...] = ()  # between which hosts, and what is added to a round trip, in ms
    relay: str = ""  # of the slow links: running, or ended (then nothing passes on them), or empty
    application: str = ""
    application_database: str = ""
    backup: str = "unknown"
    backups: tuple[BackupStatus, ...] = ()
    history: tuple[str, ...] = ()  # which of cloudprox's were made with an injected clock
    broken: tuple[str, ...] = ()  # by `drctl lab break`


def phase_of(state: LabState | None) -> str:
    """down, starting or up. A lab whose machine was rebooted under it is down: nothing of it runs."""
    if state is None or state.machine_boot != machine_boot_id():
        return "down"
    return state.phase


def _host_status(settings: Settings, name: str) -> HostStatus:
    host = host_at(settings, name)
    power = "off" if not host.is_on else "frozen" if host.is_frozen else "on"
    role = role_of(host) if name in DATABASE_HOSTS and power == "on" else None
    return HostStatus(
        name=name,
        site=host.spec.site,
        address=settings.address(name),
        power=power,
        size=host.size,
        database=role.name if role else "",
        streaming_to=role.streaming if role else (),
    )


def _backup_status(settings: Settings, location: str, host: str) -> BackupStatus:
    held = Repository(settings, host)
    listed = held.backups()
    return BackupStatus(
        location,
        host,
        len(listed),
        newest=listed[-1].label if listed else "",
        ended=f"{listed[-1].stopped:%Y-%m-%dT%H:%M:%SZ}" if listed else "",
        replicated=held.replicated.read_text().strip() if held.replicated.exists() else "",
    )


def _first_backup(settings: Settings, *, running: bool) -> str:
    if settings.loopback:
        return "none"
    code = first_backup_code(settings)
    if code is None:
        return "running" if running else "unknown"
    return "done" if code == 0 else "failed"


def _history(settings: Settings) -> tuple[str, ...]:
    made = backups.history(settings)
    listed = {backup.label for backup in Repository(settings, REPOSITORY_HOST).backups()} if made else set()
    return tuple(label for label in made if label in listed)


def status(settings: Settings) -> Status:
    """Look at everything; takes a few tenths of a second, or a few seconds when something does not answer."""
    state = read_state(settings.directory)
    phase = phase_of(state)
    if phase != "up" or state is None:
        return Status(settings.name, settings.wan, settings.tier, phase)
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        hosts = tuple(pool.map(lambda name: _host_status(settings, name), HOSTS))
    try:
        edge.health(settings)
        application = "ok"
    except LabError as error:
        application = error.message
    try:
        target = edge.target(host_at(settings, "edge"))
    except LabError:
        target = "unknown"
    latency, network = latency_of(settings), network_of(settings)
    slow = tuple((one, other, ms) for (one, other), ms in latency.milliseconds().items())
    running = any(host.name == "cloudprox" and host.power == "on" for host in hosts)
    return Status(
        name=settings.name,
        net=settings.wan,
        tier=settings.tier,
        phase=phase,
        inventory=state.inventory,
        hosts=hosts,
        cuts=tuple(sorted(network.cuts())),
        one_way_cuts=tuple(sorted(network.one_way_cuts())),
        latencies=slow,
        relay=("running" if latency.relay else "ended") if slow else "",
        application=application,
        application_database=target,
        backup=_first_backup(settings, running=running),
        backups=()
        if settings.loopback
        else tuple(
            _backup_status(settings, location, host)
            for location, host in {REPOSITORY_HOST: REPOSITORY_HOST, **COPIES}.items()
        ),
        history=_history(settings),
        broken=tuple(done.said for done in damage.read(settings)),
    )
