"""Downtime against what was promised: a year's outages of each service, from real runs and from declared outages. Pure.

The allowances are TaskFlow's (a year of 365 days): 99.9 % leave 8.76 hours. An hour in which two sources say that the
service was down counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drctl.model.plan import Mode
from drctl.report.card import RunCard

YEAR_S = 365 * 86_400.0
LEVELS = (99.0, 99.9, 99.99, 99.999, 99.9999)
PROMISED = 99.9
RECOVERY_S = 4 * 3_600.0  # one recovery that just keeps the RTO


def allowed_s(percent: float) -> float:
    """Seconds of downtime a year that an availability leaves."""
    return YEAR_S * (100.0 - percent) / 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a service was down. ``until`` None: it still is. ``source`` is a run's id or a note's number."""

    service: str
    since: datetime
    until: datetime | None
    source: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A service's year. ``covered`` False: outside the SLA, so there is no allowance. Seconds throughout."""

    service: str
    title: str
    covered: bool
    down_s: float
    allowed_s: float
    outages: tuple[Outage, ...] = ()

    @property
    def left_s(self) -> float:
        """What may still be lost this year; negative once it is overdrawn."""
        return self.allowed_s - self.down_s

    @property
    def used(self) -> float:
        """The used part of the allowance; 1 is all of it."""
        return self.down_s / self.allowed_s

    @property
    def used_after_another(self) -> float:
        """The same after one more recovery of four hours."""
        return (self.down_s + RECOVERY_S) / self.allowed_s

    @property
    def availability(self) -> float:
        """Of the whole year in percent, if nothing more happens in it."""
        return 100.0 * (1.0 - self.down_s / YEAR_S)

    @property
    def kept(self) -> bool:
        """Whether the promise still holds; outside the SLA there is none to break."""
        return not self.covered or self.left_s >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is known of services: their titles, and whether they are under the SLA."""

    titles: Mapping[str, str] = field(default_factory=dict)
    covered: Mapping[str, bool] = field(default_factory=dict)


def of_runs(cards: Iterable[RunCard]) -> list[Outage]:
    """The outages that real runs measured. One whose service is not restored yet goes on."""
    found = []
    for card in cards:
        if card.mode is Mode.REAL and card.outage_started is not None:
            until = card.service_restored
            why = f"{card.runbook}{': ' + card.reason if card.reason else ''}"
            outage = Outage(service=card.service, since=card.outage_started, until=until, source=card.run_id, why=why)
            found.append(outage)
    return _closed(found)


def _closed(outages: list[Outage]) -> list[Outage]:
    """A run that did not restore the service leaves the end to the next one of the same service that did."""
    found = []
    for outage in outages:
        until = outage.until
        if until is None:
            later = [o.until for o in outages if o.service == outage.service and o.until and o.until > outage.since]
            until = min(later, default=None)
        found.append(
            Outage(service=outage.service, since=outage.since, until=until, source=outage.source, why=outage.why)
        )
    return found


def standings(
    outages: Sequence[Outage], services: Services, *, year: int, now: datetime, percent: float = PROMISED
) -> tuple[Standing, ...]:
    """Each service's year, by name; a service without an outage has lost nothing."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    names = sorted({*services.titles, *(outage.service for outage in outages)})
    found = []
    for name in names:
        mine = [o for o in outages if o.service == name and o.since < end and (o.until or now) > begin]
        spans = [(max(o.since, begin), min(o.until or now, end)) for o in mine]
        found.append(
            Standing(
                service=name,
                title=services.titles.get(name, ""),
                covered=services.covered.get(name, True),
                down_s=union(spans).total_seconds(),
                allowed_s=allowed_s(percent),
                outages=tuple(sorted(mine, key=lambda o: o.since)),
            )
        )
    return tuple(found)


def union(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """How long all of them are together, what overlaps counted once."""
    total, reached = timedelta(), None
    for since, until in sorted(spans):
        begin = since if reached is None else max(since, reached)
        if until > begin:
            total += until - begin
            reached = until
    return total
