"""Breaking the lab's backups as they break for real, and mending them: what was there is kept aside."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from drctl.errors import LabError, UsageError
from drctl.lab import repository
from drctl.lab.commands import run
from drctl.lab.host import Host
from drctl.lab.network import Network
from drctl.lab.repository import Repository
from drctl.lab.state import taking_turns, write_atomically
from drctl.lab.topology import COPIES, DATABASE_HOSTS, HOSTS, PGDATA, REPOSITORY, REPOSITORY_HOST, Settings

STALE_AFTER = timedelta(hours=24)
# Less than the lab's empty database needs, so that no restore fits.
TARGET_MB = 16
# Beside what is there already: less than one more backup needs.
REPOSITORY_MB = 2
_RECORD = "damage.json"


class Fault(StrEnum):
    """What can be wrong with a backup."""

    FLIP = "flip"
    TRUNCATE = "truncate"
    MISSING = "missing"
    DIRECTORY = "directory"
    WAL_FIRST = "wal-first"
    WAL_GAP = "wal-gap"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    DISK_FULL = "disk-full"


@dataclass
class Damage:
    """What was broken, and what undoes it. ``aside``: what is kept where, and where it belongs."""

    fault: str
    location: str
    host: str
    said: str
    aside: list[tuple[str, str]] = field(default_factory=list)
    cuts: list[tuple[str, str]] = field(default_factory=list)
    mounted: str = ""


def read(settings: Settings) -> list[Damage]:
    """What is broken now, in the order in which it was broken."""
    try:
        return [Damage(**entry) for entry in json.loads((settings.directory / _RECORD).read_text())]
    except FileNotFoundError:
        return []


def _write(settings: Settings, damages: Sequence[Damage]) -> None:
    write_atomically(settings.directory / _RECORD, json.dumps([asdict(damage) for damage in damages]) + "\n")


def break_backup(settings: Settings, fault: Fault, locations: Sequence[str], label: str = "") -> list[Damage]:
    """Break a backup at one place or more; what exactly was broken.

    ``label``: the newest one when empty. ``locations``: cloudprox when there is none, and for a stale one all.
    """
    if label and fault in (Fault.STALE, Fault.UNREACHABLE, Fault.DISK_FULL):
        raise UsageError(f"{fault} is about a whole place, so there is no label to choose", state="nothing was changed")
    default = [REPOSITORY_HOST, *COPIES] if fault is Fault.STALE else [REPOSITORY_HOST]
    places = [_host_at(location, fault) for location in locations or default]
    with taking_turns(settings.directory):
        done = []
        for location, host in places:
            damage = _FAULTS[fault](settings, location, host, label)
            done.append(damage)
            _write(settings, [*read(settings), damage])
        return done


def _host_at(location: str, fault: Fault) -> tuple[str, str]:
    known = {REPOSITORY_HOST: REPOSITORY_HOST, **COPIES}
    if fault is Fault.DISK_FULL:
        known.update({host: host for host in DATABASE_HOSTS})
    for name, host in known.items():
        if location in (name, host):
            return name, host
    raise UsageError(
        f"no backup is kept at {location!r}", state="nothing was changed", hint=f"locations: {', '.join(known)}"
    )


def mend(settings: Settings) -> list[str]:
    """Undo everything that is broken, the latest first; what was undone."""
    said = []
    with taking_turns(settings.directory):
        damages = read(settings)
        while damages:
            damage = damages.pop()
            said.append(_undo(settings, damage))
            _write(settings, damages)
    return said


def _undo(settings: Settings, damage: Damage) -> str:
    host = Host(settings, damage.host)
    for kept, place in damage.aside:
        _remove(Path(place))
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(kept).rename(place)
        Path(kept).parent.rmdir()
    if damage.fault == Fault.STALE:
        repository.list_anew(host)
    for pair in damage.cuts:
        Network(settings).heal(*pair)
    if damage.mounted and host.init and _is_mounted(host, damage.mounted):
        if damage.mounted == REPOSITORY:
            within = f"/proc/{host.init.pid}/root{REPOSITORY}/"
            words = ["rsync", "-a", "--delete", within, f"{settings.disk(host.name, REPOSITORY)}/"]
            run(words, what=f"keep what was written on {host.name}", timeout=600)
        host.execute(["umount", "-l", damage.mounted])
    return f"mended: {damage.said}"


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _put_aside(settings: Settings, host: str, place: Path, *, copy: bool = False) -> tuple[str, str]:
    """Move a file or a directory away, or with ``copy`` keep it as it is now; from where it can be put back.

    What is kept lies beside the host's disk, so the host does not see it.
    """
    shelf = settings.host_directory(host) / "aside"
    shelf.mkdir(exist_ok=True)
    kept = Path(tempfile.mkdtemp(dir=shelf)) / place.name
    if copy:
        run(["cp", "-a", str(place), str(kept)], what=f"keep {place.name} of {host}")
    else:
        place.rename(kept)
    return str(kept), str(place)


def _damaged_file(fault: Fault) -> Callable[[Settings, str, str, str], Damage]:
    """One of the three ways to spoil the largest data file of a backup. Its time of change stays: it rots."""

    def spoil(settings: Settings, location: str, host: str, label: str) -> Damage:
        held = Repository(settings, host)
        label = label or held.newest().label
        victim = held.largest_file(label)
        name, before = victim.relative_to(held.backup(label)), victim.stat()
        kept = _put_aside(settings, host, victim, copy=fault is not Fault.MISSING)
        middle = before.st_size // 2
        if fault is Fault.MISSING:
            what = f"the file {name} ({before.st_size} bytes) is gone"
        elif fault is Fault.TRUNCATE:
            os.truncate(victim, middle)
            what = f"the file {name} is cut off after {middle} of {before.st_size} bytes"
        else:
            with victim.open("r+b") as file:
                file.seek(middle)
                was = file.read(1)[0]
                file.seek(middle)
                file.write(bytes([was ^ 0xFF]))
            what = f"byte {middle} of {before.st_size} of {name} is 0x{was ^ 0xFF:02x} and was 0x{was:02x}"
        if fault is not Fault.MISSING:
            os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
        return Damage(fault, location, host, f"{location}: backup {label}: {what}", aside=[kept])

    return spoil


def _directory(settings: Settings, location: str, host: str, label: str) -> Damage:
    held = Repository(settings, host)
    label = label or held.newest().label
    kept = _put_aside(settings, host, held.backup(label))
    said = f"{location}: backup {label}: its whole directory is gone; backup.info still lists it"
    return Damage(Fault.DIRECTORY, location, host, said, aside=[kept])


def _wal_first(settings: Settings, location: str, host: str, label: str) -> Damage:
    held = Repository(settings, host)
    backup = held.find(label)
    kept = _put_aside(settings, host, held.segment(backup.wal_start))
    said = f"{location}: backup {backup.label}: its first file of WAL, {backup.wal_start}, is gone from the archive"
    return Damage(Fault.WAL_FIRST, location, host, said, aside=[kept])


def _wal_gap(settings: Settings, location: str, host: str, label: str) -> Damage:
    held = Repository(settings, host)
    backup = held.find(label)
    after = held.segments_after(backup.wal_stop)
    if len(after) < 3:
        raise LabError(
            f"{location}: after the backup {backup.label} the archive has {len(after)} files of WAL, and a gap in the "
            "middle takes three",
            state="nothing was changed",
            hint="name an older backup with --label, or write more and close the file, three times: drctl lab load; "
            "drctl lab ssh xneelo-jnb sudo -n -H -u postgres psql -c 'select pg_switch_wal()'",
        )
    middle = after[len(after) // 2]
    needed = [(other.wal_start, other.wal_stop) for other in held.backups()]
    # One that no backup needs for itself: then the archive is what is broken, and every backup is sound.
    free = [name for name in after[1:-1] if not any(first <= name <= last for first, last in needed)]
    gone = min(free or [middle], key=lambda name: abs(after.index(name) - len(after) // 2))
    kept = _put_aside(settings, host, held.segment(gone))
    said = (
        f"{location}: backup {backup.label}: the file of WAL {gone} is gone from the archive, "
        f"which goes on after it to {after[-1]}"
    )
    return Damage(Fault.WAL_GAP, location, host, said, aside=[kept])


def _stale(settings: Settings, location: str, host: str, label: str) -> Damage:
    """No backup of the last 24 hours, as if the nightly job had not run; what is left is listed as it should be."""
    del label
    if not Host(settings, host).is_on:
        raise LabError(f"{host}: power is off", hint=f"type: drctl lab power on {host}")
    held, limit = Repository(settings, host), datetime.now(UTC) - STALE_AFTER
    young = [backup for backup in held.backups() if backup.stopped > limit]
    old = [backup for backup in held.backups() if backup.stopped <= limit]
    if not old:
        raise LabError(
            f"{location}: every backup is younger than 24 hours, so none would be left",
            state="nothing was changed",
            hint="type: drctl lab backups history",
        )
    aside = [_put_aside(settings, host, held.backup(backup.label)) for backup in young]
    said = f"{location}: the backups of the last 24 hours are gone ({', '.join(b.label for b in young) or 'none'})"
    if held.replicated.exists():
        aside.append(_put_aside(settings, host, held.replicated, copy=True))
        held.replicated.write_text(f"{old[-1].stopped:%Y-%m-%dT%H:%M:%SZ}\n")
        said += ", and so is their replication"
    repository.list_anew(Host(settings, host))
    said += f"; the newest is {old[-1].label}"
    return Damage(Fault.STALE, location, host, said, aside=aside)


def _unreachable(settings: Settings, location: str, host: str, label: str) -> Damage:
    del label
    network = Network(settings)
    cut_already = network.cuts()
    pairs = [
        (host, other) for other in HOSTS if other != host and (min(host, other), max(host, other)) not in cut_already
    ]
    for pair in pairs:
        network.cut(*pair)
    said = f"{location}: {host} is cut off from every other host"
    return Damage(Fault.UNREACHABLE, location, host, said, cuts=pairs)


def _disk_full(settings: Settings, location: str, host: str, label: str) -> Damage:
    del label
    there = Host(settings, host)
    if host in DATABASE_HOSTS:
        place, size = str(Path(PGDATA).parent), TARGET_MB
        if there.execute(["/opt/taskflow/bin/database", "status"], check=False).stdout.startswith("running"):
            raise LabError(
                f"{host}: PostgreSQL runs, and its disk cannot be taken away under it",
                state="nothing was changed",
                hint=f"type: drctl lab ssh {host} /opt/taskflow/bin/database stop",
            )
        what = f"{host}: {place} is a disk of {size} MB, too small for a restore; what was there is hidden"
    else:
        used = sum(path.lstat().st_blocks * 512 for path in settings.disk(host, REPOSITORY).rglob("*"))
        place, size = REPOSITORY, used // (1024 * 1024) + REPOSITORY_MB
        what = f"{location}: {place} is a disk of {size} MB with room for less than one more backup"
    if _is_mounted(there, place):
        raise LabError(f"{host}: {place} is a small disk already", state="nothing was changed")
    there.execute(["sh", "-c", _SMALL_DISK, "sh", place, f"{size}m", PGDATA], timeout=300)
    return Damage(Fault.DISK_FULL, location, host, what, mounted=place)


# A database's disk comes up empty, with a data directory to restore into; a repository's has all that was there.
_SMALL_DISK = """\
set -eu
mkdir -p /mnt/small
mount -t tmpfs -o "size=$2,mode=750" small /mnt/small
chown postgres:postgres /mnt/small
case $3 in
"$1"/*) install -d -o postgres -g postgres -m 700 "/mnt/small${3#"$1"}" ;;
*) cp -a "$1/." /mnt/small/ ;;
esac
mount --move /mnt/small "$1"
"""


def _is_mounted(host: Host, place: str) -> bool:
    return host.execute(["mountpoint", "-q", place], check=False).returncode == 0


_FAULTS: dict[Fault, Callable[[Settings, str, str, str], Damage]] = {
    **{fault: _damaged_file(fault) for fault in (Fault.FLIP, Fault.TRUNCATE, Fault.MISSING)},
    Fault.DIRECTORY: _directory,
    Fault.WAL_FIRST: _wal_first,
    Fault.WAL_GAP: _wal_gap,
    Fault.STALE: _stale,
    Fault.UNREACHABLE: _unreachable,
    Fault.DISK_FULL: _disk_full,
}
