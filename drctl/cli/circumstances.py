"""The events that say under what circumstances a run begins (decision 34): facts from outside of it, for its report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl import __version__
from drctl.cli.settings import Settings, controller
from drctl.errors import DrctlError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from drctl.adapters.secrets import SecretResolver
    from drctl.model.circumstances import EarlierRun, Programmed
    from drctl.model.events import ClocksRead, ControllerNoted, ExerciseNoted
    from drctl.model.plan import Plan
    from drctl.report.programme import Item

EARLIER = 12
"""Earlier exercises that are looked back at."""
_LOOKED_AT = 40  # runs of the service: a journal of a thousand costs a recovery no more than one of forty


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What the operator says of an exercise."""

    scenario: str = ""
    excluded: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


def controller_noted(plan: Plan) -> ControllerNoted:
    """This machine, this drctl, and the commit of the plan's documents as they lie here now."""
    from drctl.adapters.clocks import own_clock
    from drctl.adapters.repository import repository_of
    from drctl.model.events import ControllerNoted

    site, country = _place(plan)
    sources = (plan.runbook_source, *plan.called_sources, plan.inventory_source)
    return ControllerNoted(
        site=site,
        country=country,
        drctl_version=__version__,
        clock=own_clock(),
        repository=repository_of(Path(plan.runbook_source.path), [Path(source.path) for source in sources]),
    )


def _place(plan: Plan) -> tuple[str, str]:
    """The site and country of this machine, when it is a host of the inventory by its name; else empty."""
    from drctl.read.documents import read_inventory

    try:
        document = read_inventory(Path(plan.inventory_source.path))[0]
    except DrctlError:
        return "", ""
    host = document.value.hosts.get(controller()) if document is not None else None
    if document is None or host is None:
        return "", ""
    return host.site, document.value.sites[host.site].country


def exercise_noted(settings: Settings, plan: Plan, occasion: Occasion, now: datetime) -> ExerciseNoted:
    """The exercise that begins now, with those before it. What cannot be read is left out: it stops no recovery."""
    from drctl.model.events import ExerciseNoted
    from drctl.model.plan import Mode

    try:
        before = _earlier(settings, plan)
    except DrctlError:
        before = ()
    dates = _Dates(why="it is no drill, so nobody planned it")
    if plan.mode is Mode.DRILL:
        dates = _dates(settings, plan, now)
    line = dates.before
    return ExerciseNoted(
        scenario=occasion.scenario,
        excluded=occasion.excluded,
        observers=occasion.observers,
        absent=occasion.absent,
        planned_at=line.next_at if line else None,
        next_due_at=dates.next_at,
        programme=line.why if line else dates.why,
        changed=line.changed if line else (),
        never=line.never if line else (),
        programmed=dates.programmed,
        earlier=before,
    )


def _earlier(settings: Settings, plan: Plan) -> tuple[EarlierRun, ...]:
    """The newest exercises of this service by this runbook, the oldest of them first."""
    from drctl.cli.many import cards
    from drctl.model.circumstances import EarlierRun
    from drctl.report.programme import names_of

    if not settings.journal_path.exists():
        return ()
    service = plan.drill_of or plan.service
    # The stand-in's runs are exercises of the service that it stands in for; a run's id names what it ran on.
    marks = tuple(f"-{name}-" for name in {service, plan.service})
    found = [
        card
        for card in cards(settings, wanted=lambda run_id: any(mark in run_id for mark in marks), newest=_LOOKED_AT)
        if card.exercise and card.service == service and card.runbook in names_of(plan.runbook)
    ][:EARLIER]
    with closing(settings.journal()) as journal:
        heads = dict(journal.last_sums())
    return tuple(
        EarlierRun(
            run_id=card.run_id,
            mode=card.mode.value,
            started_at=card.started_at,
            to_restore_s=card.to_restore_s,
            rto_actual_s=card.rto_actual_s,
            rto_verdict=card.rto_verdict.value,
            rpo_actual_s=card.rpo_actual_s,
            rpo_verdict=card.rpo_verdict.value,
            head=heads.get(card.run_id, ""),
        )
        for card in reversed(found)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dates:
    """This exercise's line of the programme before the run, the next date once it has come to its end, and all lines.

    ``why`` says why there is no such line.
    """

    before: Item | None = None
    next_at: datetime | None = None
    programmed: tuple[Programmed, ...] = ()
    why: str = ""


def _dates(settings: Settings, plan: Plan, now: datetime) -> _Dates:
    """What the programme says of this exercise."""
    from drctl.cli.programme import programme_of
    from drctl.model.circumstances import Programmed
    from drctl.model.events import Ended
    from drctl.report.card import RunCard
    from drctl.report.programme import names_of

    service, runbook = plan.drill_of or plan.service, names_of(plan.runbook)[0]
    this = RunCard(
        run_id="",
        runbook=plan.runbook,
        title=plan.title,
        service=service,
        service_title=plan.service_title,
        sla=plan.sla,
        mode=plan.mode,
        operator="",
        reason="",
        plan_digest="",
        started_at=now,
        last_at=now,
        ended=Ended.DONE,
        headline="",
    )
    try:
        items, afterwards = programme_of(settings, Path(plan.inventory_source.path), now, (), (this,))
    except DrctlError as error:
        return _Dates(why=f"the programme cannot be made: {error.message}")
    before, after = (
        next((i for i in found if (i.service, i.runbook) == (service, runbook)), None) for found in (items, afterwards)
    )
    return _Dates(
        before=before,
        next_at=after.next_at if after else None,
        programmed=tuple(
            Programmed(service=i.service, runbook=i.runbook, last_at=i.last_at, next_at=i.next_at, due=i.due)
            for i in items
        ),
        why=f"{runbook} of {service} is in no programme",
    )


def look_at_clocks(plan: Plan, secrets: SecretResolver, tell: Callable[[ClocksRead], None]) -> Callable[[], None]:
    """Read the clocks of the plan's hosts while the run goes on, over connections of their own; what closes these."""
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.clocks import LIMIT_S, host_clock, read_aside
    from drctl.adapters.commands import Commands
    from drctl.model.events import ClocksRead

    endpoints = {e.host: e for step in plan.steps() for e in step.endpoints}
    commands, clock = Commands(secrets), SystemClock()
    if endpoints:
        read_aside(
            tuple(endpoints.values()),
            lambda endpoint: host_clock(commands, endpoint, clock, timeout_s=LIMIT_S),
            lambda readings: tell(ClocksRead(readings=readings)),
        )
    return commands.close
