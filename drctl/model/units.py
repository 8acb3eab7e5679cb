"""Durations and instants: as people write them, and as people read them.

Within drctl a duration is a ``float`` of seconds whose name ends in ``_s``; an instant is an aware ``datetime``
in UTC. Anything else is converted here, at the edge.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_PARTS = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``4h``, ``1h30m``.

    Raises:
        ValueError: when the text is not a duration; the message shows how one is written.
    """
    match = _PARTS.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise ValueError(f"{text!r} is not a duration: write 90s, 15m, 4h or 1h30m")
    return sum(float(number) * _SECONDS[unit] for unit, number in match.groupdict().items() if number)


def format_duration(seconds: float) -> str:
    """``0.4s``, ``47s``, ``3m 05s``, ``1h 50m``: short enough for a column, exact enough for a decision."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02d}s"
    minutes = round(seconds / 60)
    if minutes < 60 * 48:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    return f"{minutes // 1440}d {minutes % 1440 // 60:02d}h"


def parse_instant(text: str) -> datetime:
    """An instant with its offset, such as ``2026-11-23T03:12:00+02:00`` or PostgreSQL's ``2026-11-23 03:12:00.1+02``.

    Raises:
        ValueError: when it is no instant, or has no offset: a bare local time is a guess, and clocks are never guessed.
    """
    cleaned = re.sub(r"([+-]\d{2})$", r"\1:00", text.strip())
    try:
        instant = datetime.fromisoformat(cleaned)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write 2026-11-23T03:12:00+02:00") from None
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC: write 2026-11-23T03:12:00+02:00, or end it in Z")
    return instant.astimezone(UTC)


def local_time(instant: datetime, timezone: str) -> str:
    """An instant in that timezone, ``2026-11-23 03:12:00 SAST``; UTC where this machine does not know it."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def format_instant(instant: datetime) -> str:
    """UTC to the second, ``2026-11-23 01:12:00Z``."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
