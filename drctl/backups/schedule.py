"""What was promised of a service's backups, held against what is there. Each broken promise is a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from drctl.backups.copies import Copy, Seen, Trust
from drctl.backups.exposed import Archiver
from drctl.model.inventory import BackupSchedule
from drctl.model.units import format_duration

_EARLY = timedelta(minutes=10)  # a job's clock may run ahead of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as promised. ``kind`` is one of a closed list (``docs/reference/backups.md``)."""

    kind: str
    location: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """What the copies are held against. ``rpo_s`` None is no such promise; ``primary_sites`` may be lost."""

    schedule: BackupSchedule | None
    rpo_s: float | None
    residency: str
    primary_sites: frozenset[str]
    timezone: str


def nights(schedule: BackupSchedule, timezone: str, now: datetime, *, after_s: float) -> list[datetime]:
    """The times of the last ``keep`` at which a backup was due and must have ended ``after_s`` later; newest first."""
    zone = ZoneInfo(timezone)
    hour, minute = (int(part) for part in schedule.at.split(":"))
    today = now.astimezone(zone)
    found = []
    for back in range(int(schedule.keep // 86_400) + 2):
        day = today - timedelta(days=back)
        due = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if due + timedelta(seconds=after_s) <= now and due > now - timedelta(seconds=schedule.keep + after_s):
            found.append(due)
    return found[: max(1, int(schedule.keep // 86_400))]


def findings(
    seen: Sequence[Seen],
    copies: Sequence[Copy],
    promises: Promises,
    now: datetime,
    archiver: Archiver | None = None,
) -> tuple[Finding, ...]:
    """All broken promises, those that matter most first."""
    usable = [c for c in copies if c.trust is not Trust.BAD]
    found = [*_none(usable), *_silent(seen), *_trust(copies), *_rpo(usable, promises, now)]
    if archiver is not None and archiver.failing:
        found.append(Finding(kind="archiving", location="", text="the primary's last try to archive WAL failed"))
    found += [*_abroad(seen, promises), *_one_site(usable, promises)]
    if promises.schedule is not None:
        found += _missed(seen, copies, promises, promises.schedule, now)
        found += _regions(usable, promises.schedule)
        found += _behind(seen, copies, promises.schedule, now)
    return tuple(found)


def _none(usable: Sequence[Copy]) -> Iterator[Finding]:
    if not usable:
        yield Finding(kind="none", location="", text="no copy could be restored from now")


def _silent(seen: Sequence[Seen]) -> Iterator[Finding]:
    for one in seen:
        if one.silent:
            yield Finding(
                kind="lost" if one.location.lost else "not-asked", location=one.location.name, text=one.silent
            )


def _trust(copies: Sequence[Copy]) -> Iterator[Finding]:
    for copy in copies:
        if copy.trust is Trust.BAD:
            yield Finding(kind="bad", location=copy.location.name, text=f"{copy.backup.label}: {'; '.join(copy.why)}")
    for name in dict.fromkeys(c.location.name for c in copies):
        mine = [c for c in copies if c.location.name == name]
        doubtful = [c for c in mine if c.trust is Trust.UNPROVEN]
        if doubtful:
            text = f"{len(doubtful)} of {len(mine)} copies are unproven; {doubtful[0].backup.label}: "
            yield Finding(kind="unproven", location=name, text=text + "; ".join(doubtful[0].why))


def _rpo(usable: Sequence[Copy], promises: Promises, now: datetime) -> Iterator[Finding]:
    best_s = min((c.rpo_s(now) for c in usable), default=None)
    if promises.rpo_s is not None and best_s is not None and best_s > promises.rpo_s:
        text = f"a restore now would lose {format_duration(best_s)}, and {format_duration(promises.rpo_s)} is promised"
        yield Finding(kind="rpo", location="", text=text)


def _abroad(seen: Sequence[Seen], promises: Promises) -> Iterator[Finding]:
    for one in seen:
        if one.location.country != promises.residency:
            text = f"it is in {one.location.country}, and data must stay in {promises.residency}"
            yield Finding(kind="abroad", location=one.location.name, text=text)


def _one_site(usable: Sequence[Copy], promises: Promises) -> Iterator[Finding]:
    places = {c.location.name for c in usable}
    if places and places <= promises.primary_sites:
        text = "the only usable copies are at the primary's own site: when it is lost they do not exist"
        yield Finding(kind="one-site", location=sorted(places)[0], text=text)


def _missed(
    seen: Sequence[Seen], copies: Sequence[Copy], promises: Promises, schedule: BackupSchedule, now: datetime
) -> Iterator[Finding]:
    for one in seen:
        if one.silent:
            continue
        replica = one.location.replica_of is not None
        after_s = schedule.within + (schedule.replicated_within if replica else 0.0)
        due = nights(schedule, promises.timezone, now, after_s=after_s)
        mine = [c for c in copies if c.location.name == one.location.name]
        if due and not replica and not any(_of(due[0], c, schedule) for c in mine):
            text = f"the backup of {due[0]:%Y-%m-%d %H:%M} did not happen"
            yield Finding(kind="missed", location=one.location.name, text=text)
        good = [c for c in mine if c.trust is not Trust.BAD]
        without = [night for night in due if not any(_of(night, c, schedule) for c in good)]
        if without:
            days = ", ".join(f"{night:%m-%d}" for night in reversed(without))
            text = f"{len(due) - len(without)} of the last {len(due)} nights are here; without a usable backup: {days}"
            yield Finding(kind="few-nights", location=one.location.name, text=text)


def _of(night: datetime, copy: Copy, schedule: BackupSchedule) -> bool:
    """Whether a backup is the one that was due then."""
    ended_by = night + timedelta(seconds=schedule.within)
    return night - _EARLY <= copy.backup.started_at and copy.backup.consistent_at <= ended_by


def _regions(usable: Sequence[Copy], schedule: BackupSchedule) -> Iterator[Finding]:
    regions = {c.location.region for c in usable if c.location.site_kind != "physical"}
    if len(regions) < schedule.regions:
        where = ", ".join(sorted(regions)) or "none"
        text = f"usable copies are in {len(regions)} of {schedule.regions} regions ({where})"
        yield Finding(kind="regions", location="", text=text)
    if schedule.physical and not any(c.location.site_kind == "physical" for c in usable):
        yield Finding(kind="physical", location="", text="no usable copy is at a physical location")


def _behind(seen: Sequence[Seen], copies: Sequence[Copy], schedule: BackupSchedule, now: datetime) -> Iterator[Finding]:
    """Replicas that have not got what their source had long enough ago."""
    for one in seen:
        if one.silent or one.location.replica_of is None:
            continue
        due = now - timedelta(seconds=schedule.replicated_within)
        mine = [c.backup.consistent_at for c in copies if c.location.name == one.location.name]
        newest = max(mine, default=None)  # what is older, and not here, has expired here first
        owed = [
            c.backup.label
            for c in copies
            if c.location.name == one.location.replica_of
            and c.backup.consistent_at <= due
            and (newest is None or c.backup.consistent_at > newest)
        ]
        if owed:
            text = f"{len(owed)} backups of {one.location.replica_of} are not here, the newest {owed[0]}"
            yield Finding(kind="behind", location=one.location.name, text=text)
