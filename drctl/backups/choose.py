"""The order in which copies are tried when a service has to be restored, and why each of the others is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from drctl.backups.copies import Copy, Seen, Trust
from drctl.model.units import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for. ``to`` is a point in time; ``accept_gap`` takes copies whose WAL breaks off, as the last."""

    label: str = ""
    location: str = ""
    to: datetime | None = None
    excepted: frozenset[str] = frozenset()  # LOCATION/LABEL
    accept_gap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A copy, or a whole location, that is not tried, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The copies in the order in which they are tried, and all the others."""

    order: tuple[Copy, ...]
    rejected: tuple[Rejected, ...]


def choose(seen: Iterable[Seen], copies: Iterable[Copy], wish: Wish) -> Choice:
    """The one that loses least first; of those that lose the same the proven ones, the newest first; bad ones never.

    What is unproven costs an attempt at the most, as a restore reads every file and follows the WAL; an older copy
    costs data. One that is bad for nothing but a gap in the WAL after its consistency point is tried last, when the
    loss is accepted. Of two that are alike the location that the inventory names first wins.
    """
    places = list(seen)
    rejected = [Rejected(name=s.location.name, why=s.silent) for s in places if s.silent]
    rank = {s.location.name: number for number, s in enumerate(places)}
    wanted: list[Copy] = []
    for copy in copies:
        why = _against(copy, wish)
        if why:
            rejected.append(Rejected(name=copy.name, why=why))
        else:
            wanted.append(copy)

    def turn(copy: Copy) -> tuple[bool, float, bool, float, int]:
        reaches = min(copy.point, wish.to) if wish.to is not None else copy.point
        since = copy.backup.consistent_at
        proven = copy.trust is Trust.PROVEN
        bad = copy.trust is Trust.BAD
        return bad, -reaches.timestamp(), not proven, -since.timestamp(), rank.get(copy.location.name, 0)

    return Choice(order=tuple(sorted(wanted, key=turn)), rejected=tuple(rejected))


def _against(copy: Copy, wish: Wish) -> str:
    """Why a copy is not tried; empty when nothing is against it."""
    if copy.name in wish.excepted:
        return "left out with --except"
    if wish.location and copy.location.name != wish.location:
        return f"it is not at {wish.location}"
    if wish.label and copy.backup.label != wish.label:
        return f"it is not {wish.label}"
    if wish.to is not None and copy.backup.consistent_at > wish.to:
        return f"it is consistent only from {format_instant(copy.backup.consistent_at)} on"
    if copy.trust is Trust.BAD and not (wish.accept_gap and copy.gap_only):
        return f"bad: {'; '.join(copy.why)}"
    if wish.to is not None and copy.point_is_measured_in_wal and copy.point < wish.to:
        return f"its WAL ends with a commit of {format_instant(copy.point)}"
    return ""
