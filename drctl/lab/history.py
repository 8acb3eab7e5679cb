"""The past week's backups: real ones, made within a minute by a database whose clock is set back for each of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from drctl.errors import LabError, UsageError
from drctl.lab import backups, edge
from drctl.lab.commands import Progress, wait_until
from drctl.lab.database import psql, role_of
from drctl.lab.host import Host
from drctl.lab.topology import (
    ACKNOWLEDGED_LOG,
    COPIES,
    DATABASE,
    INITIAL_PRIMARY,
    INITIAL_STANDBY,
    LOAD_LOG,
    PGDATA,
    POSTGRESQL_BIN,
    REPOSITORY,
    REPOSITORY_HOST,
    STANZA,
    Settings,
    slot_name,
)

TIMEZONE = ZoneInfo("Africa/Johannesburg")
NIGHT, MIDDAY = 2, 14  # hours of the day
MOST_DAYS = 7  # what is older would expire at once
# Debian's package libfaketime, by the machine's architecture.
_LIBRARY = "lib/*/faketime/libfaketime.so.1"
_CLOCK = "/var/lib/postgresql/clock"
_ROWS = "INSERT INTO dr_heartbeat (source) SELECT 'heartbeat' FROM generate_series(1, 5);\n"
# Starts PostgreSQL with the clock that a file sets. What archives its WAL keeps the machine's clock: at a past date
# the lab's certificates would not be valid yet. No TCP: what the monitor wrote now would be dated in the past.
_START = """\
set -eu
export LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
export NO_FAKE_STAT=1
exec "$bin/pg_ctl" -D "$data" -w -t 60 -l /var/log/postgresql/start.log -o "-c listen_addresses='' \
    -c archive_command='env -u LD_PRELOAD pgbackrest --stanza=main archive-push %p'" start
"""
_WIPE = 'rm -rf "$1/backup/$2" "$1/archive/$2" "$1/.replicated"'


@dataclass(frozen=True)
class Day:
    """A night's backup, and when the day's rows are dated that come after it; None when that is still to come."""

    night: datetime
    midday: datetime | None


def days_before(now: datetime, count: int) -> list[Day]:
    """The latest ``count`` times of 02:00 in Johannesburg that have passed, oldest first; ``now`` is in UTC."""
    local = now.astimezone(TIMEZONE)
    last = local.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    if last > local:
        last -= timedelta(days=1)
    nights = [last - timedelta(days=back) for back in range(count - 1, -1, -1)]
    middays = [night.replace(hour=MIDDAY) for night in nights]
    return [
        Day(night.astimezone(UTC), midday.astimezone(UTC) if midday < local else None)
        for night, midday in zip(nights, middays, strict=True)
    ]


def make(settings: Settings, count: int, progress: Progress) -> list[str]:
    """Replace all backups by one of each of the last ``count`` nights; their labels, oldest first.

    The service's rows and the monitor's log begin anew with the oldest, so that what a restore of each backup finds
    is of its own day. Raises LabError, after the database was given its clock back.
    """
    if not 1 <= count <= MOST_DAYS:
        raise UsageError(f"a history has 1 to {MOST_DAYS} days, not {count}")
    library = clock_library()
    primary, repository = Host(settings, INITIAL_PRIMARY), Host(settings, REPOSITORY_HOST)
    if role_of(primary).name != "primary" or not repository.is_on:
        raise LabError(
            f"a history begins with {primary.name} as the primary, and {repository.name} on",
            state="nothing was changed",
            hint="type: drctl lab status; or: drctl lab down, then: drctl lab up",
        )
    backups.refuse_when_frozen(repository)
    progress(f"the service is down: {primary.name} gets a clock of its own, and a repository without backups")
    with _own_clock(settings, primary, library):
        labels = [_one_day(primary, repository, day, progress) for day in days_before(datetime.now(UTC), count)]
    progress("the service is up again; replicating")
    backups.replicate(repository)
    backups.remember_history(settings, labels)
    return labels


def clock_library(root: Path = Path("/usr")) -> Path:
    """libfaketime, as the hosts see it. Raises LabError when it is not installed."""
    found = sorted(root.glob(_LIBRARY))
    if not found:
        raise LabError(
            "libfaketime is not installed, which sets the clock of a single program",
            state="nothing was changed",
            hint="type: RUNLEVEL=1 apt-get install -y libfaketime",
        )
    return found[0]


@contextmanager
def _own_clock(settings: Settings, primary: Host, library: Path) -> Iterator[None]:
    """The primary with a clock that :func:`_set_clock` sets and without clients; afterwards as it always is."""
    database = "/opt/taskflow/bin/database"
    primary.execute([database, "stop"], timeout=75)
    try:
        for host in (REPOSITORY_HOST, *COPIES.values()):
            Host(settings, host).execute(["sh", "-c", _WIPE, "sh", REPOSITORY, STANZA], user="postgres")
        create = ["pgbackrest", f"--stanza={STANZA}", "--log-level-console=error", "--no-online", "stanza-create"]
        Host(settings, REPOSITORY_HOST).execute(create, user="postgres")
        for log in (ACKNOWLEDGED_LOG, LOAD_LOG):
            settings.disk("operator", log).unlink(missing_ok=True)
        _set_clock(primary, datetime.now(UTC))
        values = {"library": str(library), "clock": _CLOCK, "bin": POSTGRESQL_BIN, "data": PGDATA}
        ahead = "".join(f"{name}='{value}'\n" for name, value in values.items())
        primary.execute(["sh", "-s"], user="postgres", stdin=ahead + _START, timeout=75)
        psql(primary, "TRUNCATE dr_heartbeat", database=DATABASE)
        yield
    finally:
        primary.execute([database, "stop"], timeout=75)
        primary.execute([database, "start"], timeout=75)
        primary.execute(["rm", "-f", _CLOCK])
    edge.wait_healthy(settings)
    standby = slot_name(INITIAL_STANDBY)
    if not wait_until(lambda: standby in role_of(primary).streaming, within=60, every=0.2):
        raise LabError(f"{INITIAL_STANDBY} does not stream from {primary.name} again", hint="type: drctl lab status")


def _set_clock(primary: Host, at: datetime) -> None:
    """Set the clock of the running PostgreSQL. It is written as a distance, so that it goes on from there."""
    # Rounded up: a row of 02:00 is not to be dated 01:59.
    seconds = math.ceil((at - datetime.now(UTC)).total_seconds())
    script = f'printf %s "$1" >{_CLOCK}.new && mv {_CLOCK}.new {_CLOCK}'
    primary.execute(["sh", "-c", script, "sh", f"{seconds:+d}"], user="postgres")


def _one_day(primary: Host, repository: Host, day: Day, progress: Progress) -> str:
    """One night's full backup with rows before it, and the rows of the day after it in the archive; its label."""
    _set_clock(primary, day.night)
    # Whatever archives are complete before a backup begins: it asks for the segment before its first.
    psql(primary, f"{_ROWS}SELECT pg_switch_wal()", database=DATABASE)
    said = repository.execute(
        ["pgbackrest", f"--stanza={STANZA}", "--type=full", "--log-level-console=info", "backup"],
        user="postgres",
        timeout=300,
    ).stdout
    label = next(line.split("=")[1].strip() for line in said.splitlines() if "new backup label" in line)
    if day.midday:
        _set_clock(primary, day.midday)
        psql(primary, f"{_ROWS}SELECT pg_switch_wal()", database=DATABASE)
    progress(f"{day.night.astimezone(TIMEZONE):%Y-%m-%d %H:%M} in Johannesburg: {label}")
    return label
