"""WAL in an archive: names, timelines, and how far recovery from a backup would get without a gap.

A WAL file's name is 24 hexadecimal digits: timeline, the upper 32 bits of the position, and the number of the file
within them (PostgreSQL 15, section 30.6). pgBackRest keeps it as ``15-1/0000000100000000/NAME-sha1.zst``, and a
timeline's history as ``15-1/00000002.history``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

_SEGMENT = re.compile(r"^(?P<archive>[\w.]+-\d+)/[0-9A-F]{16}/(?P<name>[0-9A-F]{24})-[0-9a-f]{40}(\.\w+)?$")
_HISTORY = re.compile(r"^(?P<archive>[\w.]+-\d+)/(?P<timeline>[0-9A-F]{8})\.history$")
_SWITCH = re.compile(r"^\s*(\d+)\s+([0-9A-F]{1,8})/([0-9A-F]{1,8})(\s|$)")
_MB = 1024 * 1024
DEFAULT_SEGMENT_MB = 16


class UnreadableArchive(ValueError):
    """What was printed is no listing of an archive, or its names do not fit the size of a WAL file."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A WAL file: its timeline, and its number counted from the beginning of all WAL."""

    timeline: int
    number: int

    @classmethod
    def of(cls, name: str, segment_mb: int) -> Segment:
        """From a name of 24 digits.

        Raises:
            UnreadableArchive: when it is none, or cannot be one for files of that size.
        """
        if not re.fullmatch("[0-9A-F]{24}", name):
            raise UnreadableArchive(f"{name!r} is not the name of a WAL file")
        per_log, low = 4096 // segment_mb, int(name[16:], 16)
        if low >= per_log:
            raise UnreadableArchive(f"{name} cannot be a WAL file of {segment_mb} MB: say wal_segment_mb")
        return cls(int(name[:8], 16), int(name[8:16], 16) * per_log + low)

    def name(self, segment_mb: int) -> str:
        """The 24 digits."""
        per_log = 4096 // segment_mb
        return f"{self.timeline:08X}{self.number // per_log:08X}{self.number % per_log:08X}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of the archive as the repository lists it. ``changed`` is its date, which proves nothing by itself."""

    path: str
    size: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The WAL of one database version and cluster, such as ``15-1``."""

    id: str
    segment_mb: int
    segments: Mapping[Segment, Stored]
    histories: frozenset[int]  # timelines that have a history file


def lsn(text: str) -> int:
    """``0/1300050`` as a number of bytes.

    Raises:
        ValueError: when it is no position.
    """
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def parse_listing(text: str, segment_mb: int = DEFAULT_SEGMENT_MB) -> dict[str, Archive]:
    """Archives by their id, from ``pgbackrest repo-ls --recurse --output=json archive/STANZA``.

    Raises:
        UnreadableArchive: when it is not that, or a name does not fit the size of a WAL file.
    """
    try:
        listed = json.loads(text)
        files = {str(path): entry for path, entry in listed.items() if entry.get("type") == "file"}
    except (ValueError, AttributeError):
        raise UnreadableArchive("the listing of the archive is not pgBackRest's JSON") from None
    segments: dict[str, dict[Segment, Stored]] = {}
    histories: dict[str, set[int]] = {}
    for path, entry in files.items():
        if found := _SEGMENT.fullmatch(path):
            stored = Stored(path, int(entry.get("size", 0)), int(entry.get("time", 0)))
            segments.setdefault(found["archive"], {})[Segment.of(found["name"], segment_mb)] = stored
        elif found := _HISTORY.fullmatch(path):
            histories.setdefault(found["archive"], set()).add(int(found["timeline"], 16))
    return {
        name: Archive(
            id=name,
            segment_mb=segment_mb,
            segments=segments.get(name, {}),
            histories=frozenset(histories.get(name, ())),
        )
        for name in sorted({*segments, *histories})
    }


def parse_history(text: str) -> tuple[tuple[int, int], ...]:
    """The timelines that a history file names, oldest first, each with the position (bytes) at which it was left."""
    found = (_SWITCH.match(line) for line in text.splitlines())
    return tuple((int(m[1]), int(m[2], 16) << 32 | int(m[3], 16)) for m in found if m)


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuity:
    """How far recovery gets from a backup's first WAL file.

    ``end`` is the last file of the unbroken row, None when the first is missing. ``missing`` is the file at which the
    row breaks although later WAL is there; ``why`` says so, and is empty when nothing is wrong. ``consistent`` says
    whether the row reaches the file that makes the backup consistent.
    """

    start: str
    end: str | None
    missing: str | None
    consistent: bool
    why: str
    row: tuple[Segment, ...]

    @property
    def whole(self) -> bool:
        """Whether recovery from the backup would reach the end of what was archived."""
        return self.consistent and not self.why


def continuity(
    archive: Archive,
    histories: Mapping[int, str],
    *,
    start: str,
    stop: str,
    stop_lsn: int | None,
    corrupt: Set[str] = frozenset(),
) -> Continuity:
    """The unbroken row of WAL from ``start`` on, along the timelines as PostgreSQL's recovery follows them.

    Recovery goes to the newest timeline that it finds by asking for the history files one after the other, and is
    refused when that is no descendant of the backup's. ``histories`` are their texts; ``corrupt`` are WAL files that
    are known to be damaged, and count as missing.

    Raises:
        UnreadableArchive: when a name is no WAL file's.
    """
    size = archive.segment_mb
    first, last = Segment.of(start, size), Segment.of(stop, size)
    stored = frozenset(archive.segments)
    there = {s for s in stored if s.name(size) not in corrupt}
    branches, why = _branches(archive, histories, first.timeline, stop_lsn)
    row: list[Segment] = []
    missing: Segment | None = None
    for wanted in _wanted(branches, first.number, stored):
        if wanted in there:
            row.append(wanted)
            continue
        missing = wanted
        break
    reached = bool(row) and row[-1].number >= last.number
    if missing is not None:
        why = f"WAL {missing.name(size)} is {'damaged' if missing.name(size) in corrupt else 'missing'}"
        why += ": recovery would end before it" if row else ", the first that it needs"
    elif not reached:
        why = f"WAL {stop}, which makes it consistent, is missing"
    return Continuity(
        start=start,
        end=row[-1].name(size) if row else None,
        missing=missing.name(size) if missing else None,
        consistent=reached,
        why=why,
        row=tuple(row),
    )


def _branches(
    archive: Archive, histories: Mapping[int, str], timeline: int, stop_lsn: int | None
) -> tuple[list[tuple[int, int | None]], str]:
    """The timelines from the backup's on, each with the number of the file in which it was left; and what is wrong."""
    newest = timeline
    while newest + 1 in archive.histories:
        newest += 1
    stray = sorted({s.timeline for s in archive.segments if s.timeline > newest})
    why = f"WAL of timeline {stray[0]} is there without its history file: recovery would not find it" if stray else ""
    if newest == timeline:
        return [(timeline, None)], why
    switches = parse_history(histories.get(newest, ""))
    if not switches:
        return [(timeline, None)], f"the history file of timeline {newest} could not be read"
    left_at = dict(switches)
    if timeline not in left_at:
        return [(timeline, None)], f"timeline {newest} does not descend from its timeline {timeline}"
    if stop_lsn is not None and left_at[timeline] < stop_lsn:
        return [(timeline, None)], f"timeline {newest} left its timeline {timeline} before the backup's end"
    bytes_each = archive.segment_mb * _MB
    later = [(number, position // bytes_each) for number, position in switches if number >= timeline]
    return [*later, (newest, None)], why


def _wanted(branches: list[tuple[int, int | None]], first: int, stored: Set[Segment]) -> Iterator[Segment]:
    """The files that recovery asks for, up to the last that is stored on any of the branches."""
    number = first
    for place, (timeline, left_in) in enumerate(branches):
        ahead = {name for name, _ in branches[place:]}
        newest = max((s.number for s in stored if s.timeline in ahead), default=first)
        until = newest if left_in is None else left_in - 1
        later = any(s.timeline in ahead - {timeline} for s in stored)
        if left_in is not None and not later:
            # Nothing of the new timeline was archived yet: recovery ends with the file in which the old one was left.
            until = max((s.number for s in stored if s.timeline == timeline and s.number <= left_in), default=first)
        for n in range(number, until + 1):
            yield Segment(timeline, n)
        number = max(number, until + 1)
