"""From when to when a service had no second copy that could take over, told by the clock points of all its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drctl.model.plan import Mode
from drctl.model.words import Mark
from drctl.report.facts import Brief


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One such time: the run that restored the service, and the one that protected it again; None while it lasts."""

    since: datetime
    restored_by: Brief
    until: datetime | None = None
    protected_by: Brief | None = None

    def lasts_s(self, now: datetime) -> float:
        """Seconds, up to ``now`` while it goes on."""
        return max(0.0, ((self.until or now) - self.since).total_seconds())


def periods(found: Sequence[Brief]) -> tuple[Period, ...]:
    """The periods of one service, the oldest first; ``found`` are its runs, the newest first.

    Only real runs count: a drill neither endangers nor protects what clients use. A service that moves again before it
    was protected has been unprotected since the first time.
    """
    done: list[Period] = []
    open_one: Period | None = None
    for run in reversed(found):
        if run.mode is not Mode.REAL:
            continue
        for row in run.clock:
            if row.mark is Mark.SERVICE_RESTORED and open_one is None:
                open_one = Period(since=row.at, restored_by=run)
            elif row.mark is Mark.PROTECTED and open_one is not None:
                done.append(
                    Period(since=open_one.since, restored_by=open_one.restored_by, until=row.at, protected_by=run)
                )
                open_one = None
    return (*done, *([open_one] if open_one else []))


def cure(period: Period) -> str:
    """What to type so that the service is protected again; empty when it is."""
    if period.until is not None:
        return ""
    run = period.restored_by
    given = {given.name: given.text for given in run.inputs}
    match run.runbook:
        case "failover" if given.get("to", "standby") == "standby":
            return f"drctl failback {run.service}"
        case "release-wal":
            source, target = given.get("from") or "primary", given.get("to") or "standby"
        case "switchover" | "failover":
            source, target = given.get("to") or "standby", given.get("from") or "primary"
        case "restore":
            source, target = given.get("target") or "standby", given.get("other") or "primary"
        case "failback":
            source, target = "primary", "standby"
        case _:
            return f"drctl report {run.run_id}"
    return f"drctl run rebuild-standby {run.service} --input source={source} --input target={target}"
