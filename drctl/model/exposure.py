"""What a service would lose by a restore, as ``drctl backups`` last measured it: one line of it stands at each RPO."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drctl.model.units import format_duration, format_instant

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Measured facts; None is "not measured". ``looked_at`` is when.

    ``copy`` is the best copy that is not bad and not at the primary's own site. ``recovery_point`` is the last moment
    that it is known to reach. ``backup_s`` is the longest of the last full backups, ``replication_s`` how long after
    its end the newest one was at the last location. ``archive_timeout_s`` is the primary's setting, ``transfer_s`` the
    time from the last commit in a WAL file to the moment when the repository had the file.
    """

    looked_at: datetime
    copy: str = ""
    verdict: str = ""
    consistency_point: datetime | None = None
    recovery_point: datetime | None = None
    from_wal: bool = False
    backup_s: float | None = None
    replication_s: float | None = None
    archive_timeout_s: float | None = None
    transfer_s: float | None = None

    def nightly_s(self, now: datetime) -> float | None:
        """What is exposed now without archived WAL: the age of the consistency point."""
        return (now - self.consistency_point).total_seconds() if self.consistency_point else None

    def exposed_s(self, now: datetime) -> float | None:
        """What is exposed now, at the most: WAL that was archived since then is not counted."""
        return max(0.0, (now - self.recovery_point).total_seconds()) if self.recovery_point else None

    @property
    def nightly_worst_s(self) -> float:
        """The worst moment of the day without archived WAL: just before the new backup is at its last location."""
        return DAY_S + (self.backup_s or 0.0) + (self.replication_s or 0.0)

    @property
    def wal_worst_s(self) -> float | None:
        """The worst with WAL that is archived as it should be; None when that was not measured."""
        if not self.archive_timeout_s or self.transfer_s is None:
            return None
        return self.archive_timeout_s + self.transfer_s


def exposure_line(found: Exposure | None, *, now: datetime, service: str) -> str:
    """One line for wherever an RPO is shown."""
    if found is None:
        return f"exposure by a restore: not measured: type drctl backups {service}"
    exposed_s = found.exposed_s(now)
    if exposed_s is None or found.consistency_point is None:
        return (
            f"exposure by a restore: NO usable copy at {format_instant(found.looked_at)}: type drctl backups {service}"
        )
    point = format_instant(found.consistency_point)
    said = f"exposure by a restore: at most {format_duration(exposed_s)} ({found.copy}, consistent {point}"
    said += ", and WAL after it)" if found.from_wal else ")"
    said += f"; worst of the day {format_duration(found.nightly_worst_s)} by nightly backups alone"
    if found.replication_s is None:
        said += " and their replication"
    if found.wal_worst_s is not None:
        said += f", {format_duration(found.wal_worst_s)} with archived WAL"
    return said


def exposure_short(found: Exposure, *, now: datetime) -> str:
    """The same for a narrow screen."""
    exposed_s = found.exposed_s(now)
    if exposed_s is None:
        return "A restore: NO usable copy"
    worst = f"worst {format_duration(found.nightly_worst_s)} nightly"
    if found.wal_worst_s is not None:
        worst += f", {format_duration(found.wal_worst_s)} with WAL"
    return f"A restore would lose at most {format_duration(exposed_s)}; {worst}"
