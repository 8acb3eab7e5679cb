"""Copies of backups at their locations, and the verdict on each: proven, unproven (why), bad (why)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from drctl.backups.info import Backup, Stanza
from drctl.backups.verify import Verification
from drctl.backups.wal import Archive, Continuity, Segment, UnreadableArchive, continuity
from drctl.model.units import format_duration

VERIFY_HOLDS_S = 2 * 86_400.0  # a byte that changes neither size nor date is found by reading it only


class Trust(StrEnum):
    """What is known of a copy."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place of the inventory where copies of a service's backups are. ``region`` is its site's city."""

    name: str
    site_kind: str
    country: str
    region: str
    kind: str
    host: str | None
    stanza: str
    segment_mb: int
    offline: bool
    replica_of: str | None = None
    lost: bool = False  # it stands at a site that is assumed to be lost: what is there does not exist


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a verify said of one copy, as it is kept between calls.

    ``listing`` is the sha256 of the list of the backup's files (names, sizes, dates) at that moment, ``wal_listing``
    that of its WAL up to ``wal_end``: when either is another today, what was said no longer holds.
    """

    location: str
    label: str
    at: datetime
    how: str
    problem: str
    listing: str
    wal_end: str
    wal_listing: str
    corrupt_wal: tuple[str, ...] = ()
    broke_off: bool = False  # it did not come to an end: its ``problem`` says so, and condemns nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A run that restored a copy and succeeded."""

    location: str
    label: str
    at: datetime
    run_id: str
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a location answered at ``at``. ``silent`` says why it did not; then nothing else is known.

    ``listings`` are sha256 of the lists of files per label, without those whose manifest is missing. ``last_commits``
    are the times of the last commit in the WAL up to a file, as read out of the WAL.
    """

    location: Location
    at: datetime
    silent: str = ""
    stanza: Stanza | None = None
    archives: Mapping[str, Archive] = field(default_factory=dict)
    archive_problem: str = ""
    histories: Mapping[int, str] = field(default_factory=dict)
    listings: Mapping[str, str] = field(default_factory=dict)
    last_commits: Mapping[str, datetime] = field(default_factory=dict)
    replicated_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One backup at one location, judged.

    ``point`` is the last moment that recovery from it is known to reach: its consistency point, or the last commit
    that was read out of the WAL that follows it without a gap.
    """

    location: Location
    backup: Backup
    trust: Trust
    why: tuple[str, ...]
    wal_end: str | None
    wal_missing: str | None
    wal_bytes: int  # of WAL to be replayed, as it is when unpacked
    point: datetime
    point_is_measured_in_wal: bool
    verified: Verified | None
    tested: Restored | None
    gap_only: bool  # bad for nothing but a gap in the WAL after it has become consistent
    replicated_at: datetime | None = None  # when the last replication to its location was over; None: not known

    @property
    def name(self) -> str:
        """How people and ``--except`` call it."""
        return f"{self.location.name}/{self.backup.label}"

    @property
    def restorable(self) -> bool:
        """Whether a restore could be tried at all, be it one that ends at a gap in the WAL."""
        return self.trust is not Trust.BAD or self.gap_only

    def age_s(self, now: datetime) -> float:
        """Seconds since its consistency point."""
        return (now - self.backup.consistent_at).total_seconds()

    def rpo_s(self, now: datetime) -> float:
        """Seconds of writes that a restore of it would lose, were ``now`` the moment of the outage."""
        return max(0.0, (now - self.point).total_seconds())


def wal_listing(archive: Archive, row: tuple[Segment, ...], until: str | None) -> str:
    """The sha256 over path, size and date of the row's files, up to and with the one of that name."""
    total = hashlib.sha256()
    for segment in row:
        stored = archive.segments[segment]
        total.update(f"{stored.path} {stored.size} {stored.changed}\n".encode())
        if segment.name(archive.segment_mb) == until:
            break
    return total.hexdigest()


def row_of(seen: Seen, backup: Backup, corrupt: frozenset[str] = frozenset()) -> Continuity | str:
    """The WAL that follows a backup at its location, or in words why it cannot be known."""
    if seen.archive_problem:
        return seen.archive_problem
    archive = seen.archives.get(backup.archive_id)
    if archive is None or not backup.wal_start or not backup.wal_stop:
        return f"no WAL of its cluster ({backup.archive_id or 'unknown'}) is in the archive"
    try:
        return continuity(
            archive,
            seen.histories,
            start=backup.wal_start,
            stop=backup.wal_stop,
            stop_lsn=backup.lsn_stop,
            corrupt=corrupt,
        )
    except UnreadableArchive as error:
        return str(error)


def judge(seen: Seen, verified: Mapping[str, Verified], tested: Mapping[str, Restored]) -> tuple[Copy, ...]:
    """The copies of a location that answered, the newest first; ``verified`` and ``tested`` by label."""
    if seen.stanza is None:
        return ()
    judged: dict[str, Copy] = {}
    for backup in seen.stanza.backups:  # the oldest first: what it is based on has been judged before it
        judged[backup.label] = _copy(seen, backup, verified.get(backup.label), tested.get(backup.label), judged)
    return tuple(reversed(judged.values()))


def _copy(
    seen: Seen, backup: Backup, verified: Verified | None, tested: Restored | None, before: Mapping[str, Copy]
) -> Copy:
    row = row_of(seen, backup)
    holds = verified is not None and isinstance(row, Continuity) and _unchanged(seen, backup, row, verified)
    if verified is not None and holds and verified.corrupt_wal:
        row = row_of(seen, backup, frozenset(verified.corrupt_wal))
    bad, doubts, gap = _faults(seen, backup, row)
    if verified is None:
        doubts.append("never verified")
    elif not holds:
        doubts.append("its files or its WAL have changed since it was verified")
    elif verified.problem:
        (doubts if verified.broke_off else bad).append(f"verify: {verified.problem}")
    elif (age_s := (seen.at - verified.at).total_seconds()) > VERIFY_HOLDS_S:
        doubts.append(f"last verified {format_duration(age_s)} ago")
    for reference in backup.references:
        base = before.get(reference)
        if base is None or base.trust is Trust.BAD:
            bad.append(f"it builds on {reference}, which is {'bad' if base else 'gone'}")
        elif base.trust is Trust.UNPROVEN:
            doubts.append(f"it builds on {reference}, which is unproven")
    end = row.end if isinstance(row, Continuity) else None
    commit = seen.last_commits.get(end or "")
    measured = commit is not None and commit > backup.consistent_at
    return Copy(
        location=seen.location,
        backup=backup,
        trust=Trust.BAD if bad or gap else Trust.UNPROVEN if doubts else Trust.PROVEN,
        why=(*bad, *gap, *doubts),
        wal_end=end,
        wal_missing=row.missing if isinstance(row, Continuity) else None,
        wal_bytes=len(row.row) * seen.location.segment_mb * 1024 * 1024 if isinstance(row, Continuity) else 0,
        point=commit if measured and commit is not None else backup.consistent_at,
        point_is_measured_in_wal=measured,
        verified=verified,
        tested=tested,
        gap_only=bool(gap) and not bad,
        replicated_at=seen.replicated_at,
    )


def _faults(seen: Seen, backup: Backup, row: Continuity | str) -> tuple[list[str], list[str], list[str]]:
    """What makes it bad whatever else is true, what makes it doubtful, and the gap in the WAL after it."""
    bad: list[str] = []
    doubts: list[str] = []
    gap: list[str] = []
    if backup.damaged:
        bad.append("pgBackRest saw damaged pages when it was taken")
    if backup.label not in seen.listings:
        bad.append("its directory or its manifest is gone, though the repository lists it")
    if isinstance(row, str):
        doubts.append(row)
    elif not row.consistent:
        bad.append(row.why)
    elif row.why:
        gap.append(row.why)
    return bad, doubts, gap


def _unchanged(seen: Seen, backup: Backup, row: Continuity, verified: Verified) -> bool:
    """Whether the files are still those that the last verify looked at."""
    archive = seen.archives[backup.archive_id]
    same_files = verified.listing == seen.listings.get(backup.label, "")
    return same_files and verified.wal_listing == wal_listing(archive, row.row, verified.wal_end)


def outcomes(seen: Seen, verification: Verification, *, at: datetime, how: str) -> tuple[Verified, ...]:
    """What a verify said of each backup of a location, bound to the files as they were listed just before it."""
    kept = []
    for backup in seen.stanza.backups if seen.stanza else ():
        row = row_of(seen, backup)
        if isinstance(row, str):
            continue  # nothing that it said could be bound to WAL
        checked = verification.backup(backup.label)
        wal = next((a for a in verification.archives if a.name == backup.archive_id), None)
        unnamed = wal is not None and wal.problem and not verification.corrupt_wal
        problem = verification.problem or (
            "it did not speak of this backup"
            if checked is None
            else checked.problem or (f"WAL: {wal.problem}" if wal is not None and unnamed else "")
        )
        kept.append(
            Verified(
                location=seen.location.name,
                label=backup.label,
                at=at,
                how=how,
                problem=problem,
                listing=seen.listings.get(backup.label, ""),
                wal_end=row.end or "",
                wal_listing=wal_listing(seen.archives[backup.archive_id], row.row, row.end),
                corrupt_wal=tuple(sorted(verification.corrupt_wal)),
                broke_off=bool(verification.problem),
            )
        )
    return tuple(kept)
