"""From what was seen of the copies and the primary to the figures that stand at every RPO."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from drctl.backups.copies import Copy, Seen, Trust
from drctl.model.exposure import Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Archiver:
    """What the primary says of its archiving. ``archived_at`` is when the repository had ``archived``."""

    archive_timeout_s: float
    archived: str = ""
    archived_at: datetime | None = None
    failing: bool = False


def exposure(
    seen: Sequence[Seen],
    copies: Sequence[Copy],
    archiver: Archiver | None,
    *,
    primary_sites: Set[str],
    now: datetime,
) -> Exposure:
    """The exposure as it is measured now."""
    away = [c for c in copies if c.trust is not Trust.BAD and c.location.name not in primary_sites]
    best = max(away, key=lambda c: (c.point, c.backup.consistent_at), default=None)
    return Exposure(
        looked_at=now,
        copy=best.name if best else "",
        verdict=best.trust.value if best else "",
        consistency_point=best.backup.consistent_at if best else None,
        recovery_point=best.point if best else None,
        from_wal=best.point_is_measured_in_wal if best else False,
        backup_s=max((c.backup.duration_s for c in copies), default=None),
        replication_s=_replication_s(seen),
        archive_timeout_s=archiver.archive_timeout_s if archiver and not archiver.failing else None,
        transfer_s=_transfer_s(seen, archiver),
    )


def _replication_s(seen: Sequence[Seen]) -> float | None:
    """How long after the newest backup's end the last replica that has it was completed, at the most."""
    newest = {s.location.name: s.stanza.backups[-1] for s in seen if s.stanza and s.stanza.backups}
    lags = []
    for one in seen:
        source, mine = newest.get(one.location.replica_of or ""), newest.get(one.location.name)
        if one.location.replica_of is None:
            continue
        if source is None or mine is None or mine.label != source.label or one.replicated_at is None:
            return None
        lags.append((one.replicated_at - mine.consistent_at).total_seconds())
    return max(lags) if lags and min(lags) >= 0 else None


def _transfer_s(seen: Sequence[Seen], archiver: Archiver | None) -> float | None:
    if archiver is None or archiver.archived_at is None:
        return None
    commits = [s.last_commits[archiver.archived] for s in seen if archiver.archived in s.last_commits]
    return max(0.0, (archiver.archived_at - max(commits)).total_seconds()) if commits else None
