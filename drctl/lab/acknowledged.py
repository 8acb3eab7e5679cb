"""Was anything that a client was told is safe lost? The monitor's log against what the database holds now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drctl.errors import LabError
from drctl.lab import edge
from drctl.lab.database import psql, role_of
from drctl.lab.host import Host
from drctl.lab.kinds import host_at
from drctl.lab.topology import ACKNOWLEDGED_LOG, DATABASE, DATABASE_HOSTS, LOAD_LOG, Settings

_ROWS = """\
SELECT id, to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM dr_heartbeat WHERE source = 'heartbeat' ORDER BY id
"""


@dataclass(frozen=True)
class Row:
    """An acknowledged row. Its number alone does not name it: a new primary may give a lost row's number again."""

    id: int
    ts: str
    acknowledged_at: str = ""


@dataclass(frozen=True)
class Comparison:
    """What was acknowledged, and what of it the primary ``server`` holds."""

    server: str
    acknowledged: int
    present: int
    missing: tuple[Row, ...]
    last_acknowledged: str
    last_present: str


def read_log(text: str) -> list[Row]:
    """The rows of a log. A last line that was cut short by a power failure was never complete, and is left out."""
    rows = []
    for line in text.splitlines(keepends=True):
        fields = line.rstrip("\n").split("\t")
        if line.endswith("\n") and len(fields) == 3 and fields[0].isdigit():
            rows.append(Row(int(fields[0]), fields[1], fields[2]))
    return rows


def compare(server: str, acknowledged: list[Row], held: set[tuple[int, str]]) -> Comparison:
    """Compare by number and time of writing."""
    ordered = sorted(acknowledged, key=lambda row: row.ts)
    present = [row for row in ordered if (row.id, row.ts) in held]
    missing = tuple(row for row in ordered if (row.id, row.ts) not in held)
    return Comparison(
        server=server,
        acknowledged=len(ordered),
        present=len(present),
        missing=missing,
        last_acknowledged=ordered[-1].ts if ordered else "",
        last_present=present[-1].ts if present else "",
    )


def _log(settings: Settings, path: str) -> list[Row]:
    place: Path = settings.disk("operator", path)
    return read_log(place.read_text()) if place.exists() else []


def current_primary(settings: Settings) -> Host:
    """The database host that takes the service's writes. Two primaries: the one that the application is sent to.

    Raises LabError when there is none, or when that cannot be told.
    """
    primaries = [
        host
        for name in DATABASE_HOSTS
        if (host := host_at(settings, name)).is_on and not host.is_frozen and role_of(host).name == "primary"
    ]
    if not primaries:
        raise LabError("no database host is a primary now", hint="type: drctl lab status")
    if len(primaries) == 1:
        return primaries[0]
    address = edge.target(host_at(settings, "edge"))
    for host in primaries:
        if settings.address(host.name) == address:
            return host
    raise LabError(
        f"{' and '.join(host.name for host in primaries)} are both primaries, and the application uses neither",
        hint="type: drctl lab status",
    )


def compare_with_primary(settings: Settings) -> Comparison:
    """Read the monitor's logs first and the primary second: what is acknowledged meanwhile cannot look lost."""
    acknowledged = _log(settings, ACKNOWLEDGED_LOG) + _log(settings, LOAD_LOG)
    primary = current_primary(settings)
    held = set()
    for line in psql(primary, _ROWS, database=DATABASE, timeout=60).splitlines():
        number, _, ts = line.partition("|")
        held.add((int(number), ts))
    return compare(primary.name, acknowledged, held)
