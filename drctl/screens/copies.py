"""Copies of backups as people and programs read them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drctl.backups.choose import Choice
from drctl.backups.copies import Copy, Seen, Trust, Verified
from drctl.backups.schedule import Finding
from drctl.model.events import JsonObject
from drctl.model.exposure import Exposure
from drctl.model.units import format_duration
from drctl.report.harmless import one_line


def utc(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC with a Z, as every program reads it."""
    return instant.isoformat().replace("+00:00", "Z") if instant else None


def local(instant: datetime, timezone: str) -> str:
    """The time of the place, with its zone: ``2026-11-23 02:06 SAST``."""
    return instant.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M %Z")


def amount(size: int) -> str:
    """Bytes for people: ``107 MB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size // factor} {unit}"
    return f"{size} B"


def verdict(copy: Copy) -> str:
    """``proven``, ``unproven (why)``, ``BAD (why)``."""
    word = "BAD" if copy.trust is Trust.BAD else copy.trust.value
    return f"{word} ({one_line('; '.join(copy.why))})" if copy.why else word


def rpo_s(copy: Copy, now: datetime, to: datetime | None = None) -> float:
    """Seconds of writes that a restore would lose; with ``to``, what goes back further is lost on purpose too."""
    return max(copy.rpo_s(now), (now - to).total_seconds() if to else 0.0)


def copy_json(copy: Copy, *, now: datetime) -> JsonObject:
    """The members are those of ``docs/reference/backups.md``."""
    backup = copy.backup
    return {
        "location": copy.location.name,
        "host": copy.location.host,
        "stanza": copy.location.stanza,
        "country": copy.location.country,
        "region": copy.location.region,
        "label": backup.label,
        "type": backup.type,
        "started_at": utc(backup.started_at),
        "consistency_point": utc(backup.consistent_at),
        "age_s": copy.age_s(now),
        "size_bytes": backup.size,
        "stored_bytes": backup.stored,
        "wal_start": backup.wal_start,
        "wal_stop": backup.wal_stop,
        "wal_end": copy.wal_end,
        "wal_missing": copy.wal_missing,
        "wal_bytes": copy.wal_bytes,
        "recovery_point": utc(copy.point),
        "recovery_point_from": "wal" if copy.point_is_measured_in_wal else "backup",
        "rpo_s": copy.rpo_s(now) if copy.restorable else None,
        "verdict": copy.trust.value,
        "why": list(copy.why),
        "verified": _verified_json(copy.verified),
        "restore_tested": (
            {"at": utc(copy.tested.at), "run_id": copy.tested.run_id, "mode": copy.tested.mode} if copy.tested else None
        ),
    }


def _verified_json(verified: Verified | None) -> JsonObject | None:
    if verified is None:
        return None
    return {"at": utc(verified.at), "how": verified.how, "problem": verified.problem, "wal_end": verified.wal_end}


def choice_json(choice: Choice, *, service: str, now: datetime) -> JsonObject:
    """The chosen copy, those that come after it, and the others with the reason."""
    order = [copy_json(copy, now=now) for copy in choice.order]
    return {
        "type": "pick",
        "service": service,
        "at": utc(now),
        "chosen": order[0] if order else None,
        "order": order,
        "rejected": [{"copy": r.name, "why": r.why} for r in choice.rejected],
    }


def choice_lines(copy: Copy, *, now: datetime, to: datetime | None = None) -> str:
    """One value on a line; runbooks capture them by their place."""
    values = (
        copy.location.name,
        copy.location.host or "",
        copy.backup.label,
        utc(copy.backup.consistent_at),
        copy.wal_end or "",
        str(round(rpo_s(copy, now, to))),
        str(copy.backup.size),
        copy.trust.value,
        copy.location.stanza,
        str(copy.wal_bytes),
        utc(copy.point),
        utc(copy.replicated_at) or "-",  # a shell drops lines that are empty at the end
    )
    return "".join(f"{one_line(value or '')}\n" for value in values)


def choice_text(choice: Choice, *, now: datetime, timezone: str, width: int = 0) -> str:
    """The order in which copies are tried, and why the others are not."""
    return "".join(f"{part}\n" for line in _choice(choice, now, timezone) for part in wrapped(line, width))


def wrapped(line: str, width: int) -> list[str]:
    """The line, in parts of that width when it is longer: the others stand below its second column, or further in."""
    if not width or len(line) <= width:
        return [line]
    column = re.match(r" *\S+( \S+)*  +", line)
    further = column.end() if column and column.end() < width // 2 else len(line) - len(line.lstrip()) + 4
    hang = " " * further
    return textwrap.wrap(line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)


def _choice(choice: Choice, now: datetime, timezone: str) -> Iterator[str]:
    for number, copy in enumerate(choice.order, start=1):
        yield f"{number:2}  {copy.name}  {verdict(copy)}" + ("   <- this one" if number == 1 else "")
        since = local(copy.backup.consistent_at, timezone)
        yield f"      consistent at {since}, {amount(copy.backup.size)}; {wal(copy)}"
        yield f"      it would lose {format_duration(copy.rpo_s(now))} {basis(copy, timezone)}"
    if choice.rejected:
        yield "not tried:"
    for rejected in choice.rejected:
        yield f"    {rejected.name}: {one_line(rejected.why)}"


def wal(copy: Copy) -> str:
    """How far its WAL goes without a gap."""
    if copy.wal_missing is not None:
        return f"WAL breaks off before {copy.wal_missing}"
    return f"WAL unbroken to {copy.wal_end}" if copy.wal_end else "WAL not known"


def basis(copy: Copy, timezone: str) -> str:
    """What the RPO was measured from."""
    if copy.point_is_measured_in_wal:
        return f"(last commit in its WAL: {local(copy.point, timezone)})"
    return "at the most (from its consistency point: no later commit was read out of its WAL)"


def listing_json(
    seen: Sequence[Seen],
    copies: Sequence[Copy],
    findings: Sequence[Finding],
    exposure: Exposure | None,
    *,
    service: str,
    now: datetime,
) -> JsonObject:
    """Every location, every copy and every finding; the members are those of ``docs/reference/backups.md``."""
    return {
        "type": "backups",
        "service": service,
        "at": utc(now),
        "well": not findings,
        "findings": [{"kind": f.kind, "location": f.location, "text": f.text} for f in findings],
        "exposure": None if exposure is None else _exposure_json(exposure, now),
        "locations": [
            {
                "location": one.location.name,
                "host": one.location.host,
                "country": one.location.country,
                "region": one.location.region,
                "replica_of": one.location.replica_of,
                "replicated_at": utc(one.replicated_at),
                "problem": one.silent or one.archive_problem,
            }
            for one in seen
        ],
        "copies": [copy_json(copy, now=now) for copy in copies],
    }


def _exposure_json(found: Exposure, now: datetime) -> JsonObject:
    return {
        "copy": found.copy,
        "consistency_point": utc(found.consistency_point),
        "recovery_point": utc(found.recovery_point),
        "exposed_s": found.exposed_s(now),
        "exposed_without_wal_s": found.nightly_s(now),
        "backup_s": found.backup_s,
        "replication_s": found.replication_s,
        "worst_of_day_without_wal_s": found.nightly_worst_s,
        "archive_timeout_s": found.archive_timeout_s,
        "transfer_s": found.transfer_s,
        "worst_with_wal_s": found.wal_worst_s,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The listing for people: a block for each location, the findings, and what the RPO comes to."""

    service: str
    now: datetime
    timezone: str
    rpo_s: float | None

    def text(
        self,
        seen: Sequence[Seen],
        copies: Sequence[Copy],
        findings: Sequence[Finding],
        exposure: Exposure | None,
        *,
        width: int = 0,
    ) -> str:
        """All of it; what is longer than ``width`` goes on in the next line, and 0 is no such limit."""
        lines = [line for one in seen for line in self._location(one, copies)]
        if exposure is not None:
            lines += ["", *self._exposure(exposure)]
        lines += ["", *self._findings(findings)]
        return "".join(f"{part}\n" for line in lines for part in wrapped(line, width))

    def _location(self, one: Seen, copies: Sequence[Copy]) -> Iterator[str]:
        place = one.location
        kept = f", a copy of {place.replica_of}" if place.replica_of else ""
        upto = f", completed {local(one.replicated_at, self.timezone)}" if one.replicated_at else ""
        yield f"{place.name} ({place.region}, {place.country}){kept}{upto}"
        if one.silent:
            yield f"  NOT KNOWN: {one_line(one.silent)}"
        for copy in (c for c in copies if c.location.name == place.name):
            since = local(copy.backup.consistent_at, self.timezone)
            age = format_duration(copy.age_s(self.now))
            yield f"  {copy.backup.label}  {verdict(copy)}"
            yield f"    consistent at {since} ({age} ago), {amount(copy.backup.size)}; {wal(copy)}"
            lost = f"{format_duration(copy.rpo_s(self.now))} {basis(copy, self.timezone)}"
            yield f"    restored now it would lose {lost}" if copy.restorable else "    it cannot be restored"
            yield f"    {checked(copy, self.now)}"

    def _exposure(self, found: Exposure) -> Iterator[str]:
        """The RPO in full: now, at the worst moment of the day, and what archived WAL changes."""
        target = f" (promised: RPO {format_duration(self.rpo_s)})" if self.rpo_s is not None else ""
        yield f"What a restore would lose{target}"
        exposed_s, nightly_s = found.exposed_s(self.now), found.nightly_s(self.now)
        if exposed_s is None or nightly_s is None:
            yield "  now                  everything: there is no usable copy away from the primary's site"
        else:
            yield f"  now                  {format_duration(exposed_s)}, from {found.copy} ({found.verdict})"
            yield f"  now, without WAL     {format_duration(nightly_s)}, the age of its consistency point"
        taken = "not measured" if found.backup_s is None else format_duration(found.backup_s)
        sent = "not measured" if found.replication_s is None else format_duration(found.replication_s)
        parts = f"24 h, the backup's own time ({taken}) and its replication ({sent})"
        late = self.rpo_s is not None and found.nightly_worst_s > self.rpo_s
        yield f"  worst of the day     {format_duration(found.nightly_worst_s)} by nightly backups alone: {parts}"
        if late:
            yield "                       so nightly backups alone break this RPO every night, until the copy is there"
        if found.wal_worst_s is not None and found.archive_timeout_s is not None and found.transfer_s is not None:
            parts = (
                f"archive_timeout {format_duration(found.archive_timeout_s)}, and {format_duration(found.transfer_s)}"
            )
            parts += " from the last commit in a WAL file to the repository"
            yield f"  worst, with WAL      {format_duration(found.wal_worst_s)}: {parts}"
        else:
            yield "  worst, with WAL      not measured: the primary did not say when it last archived what"

    @staticmethod
    def _findings(findings: Sequence[Finding]) -> Iterator[str]:
        if not findings:
            yield "All is well: every copy is proven, and every promise is kept."
            return
        yield f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
        for found in findings:
            where = f"{found.location}: " if found.location else ""
            yield f"  {found.kind:<11} {where}{one_line(found.text)}"


def checked(copy: Copy, now: datetime) -> str:
    """When and how it was verified, and when it was last restored."""
    verified = "never verified"
    if copy.verified is not None:
        ago = format_duration((now - copy.verified.at).total_seconds())
        verified = f"verified {ago} ago by {copy.verified.how}"
    if copy.tested is None:
        return f"{verified}; never restored by drctl"
    ago = format_duration((now - copy.tested.at).total_seconds())
    return f"{verified}; restored {ago} ago ({copy.tested.mode}, run {copy.tested.run_id})"
