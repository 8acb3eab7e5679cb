"""The programme of exercises: what was exercised when, what is due, whose turn it is, and what has changed since. Pure.

Only drills and real runs that came to their end count. A service without an exercise is due now. Restores go by turns:
in each period so many databases are restored that within ``restored_within`` each has been.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from drctl.model.events import Outcome
from drctl.model.words import Section
from drctl.plan.drill import drill_of, exercised_by
from drctl.report.card import RunCard, StepCard

RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often, in seconds; see ``drills`` in the inventory."""

    every_s: float
    restored_within_s: float
    runbooks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercised:
    """What could be exercised: a service and a runbook that fits it, with its steps' digests as they are now.

    ``fallback`` is the runbook that this one falls back on; its steps are among these under its name.
    """

    service: str
    runbook: str
    steps: Mapping[str, str]
    fallback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A line of the programme. ``last_at`` None: never exercised. ``due`` says that ``next_at`` has come.

    ``changed`` are steps that are not as they were when they last succeeded in an exercise; ``never`` never did.
    ``why`` says what decides the date.
    """

    service: str
    runbook: str
    last_at: datetime | None
    last_run: str
    last_mode: str
    next_at: datetime
    due: bool
    why: str
    changed: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


def names_of(runbook: str) -> tuple[str, str]:
    """The two runbooks whose runs exercise the same: the one itself, and the drill around it; either may be given."""
    inner = exercised_by(runbook) or runbook
    return inner, drill_of(inner)


def programme(wanted: Sequence[Exercised], cards: Sequence[RunCard], policy: Policy, now: datetime) -> tuple[Item, ...]:
    """The whole programme, what is due first. ``cards`` come newest first."""
    exercises = [card for card in cards if card.exercise]
    turns = _turns([w for w in wanted if w.runbook == RESTORE], exercises, policy, now)
    items = []
    for one in wanted:
        mine = [c for c in exercises if c.service == one.service and c.runbook in names_of(one.runbook)]
        last = mine[0] if mine else None
        if one.runbook == RESTORE:
            next_at, why = turns[one.service]
        elif last is None:
            next_at, why = now, "never exercised"
        else:
            next_at, why = last.started_at + timedelta(seconds=policy.every_s), "the period since the last one is over"
        changed, never = _steps(one, [card for card in exercises if card.service == one.service])
        items.append(
            Item(
                service=one.service,
                runbook=one.runbook,
                last_at=last.started_at if last else None,
                last_run=last.run_id if last else "",
                last_mode=last.mode.value if last else "",
                next_at=max(next_at, now) if next_at <= now else next_at,
                due=next_at <= now,
                why=why,
                changed=changed,
                never=never,
            )
        )
    return tuple(sorted(items, key=lambda item: (not item.due, item.next_at, item.service, item.runbook)))


def _turns(
    wanted: Sequence[Exercised], exercises: Sequence[RunCard], policy: Policy, now: datetime
) -> dict[str, tuple[datetime, str]]:
    """When each database is restored next, and why then: who waited longest comes first."""
    last = {w.service: _last_restore(w.service, exercises) for w in wanted}
    period = timedelta(seconds=policy.every_s)
    each_period = max(1, math.ceil(len(wanted) * policy.every_s / policy.restored_within_s))
    recent = sum(1 for at in last.values() if at is not None and at > now - period)
    queue = sorted(last, key=lambda name: (last[name] is not None, last[name] or now, name))
    found: dict[str, tuple[datetime, str]] = {}
    for place, name in enumerate(queue):
        # Those that were restored in this period have had their turn; the others fill it, and then the next ones.
        rounds = (place + recent) // each_period if recent < each_period else 1 + place // each_period
        turn = now + rounds * period
        at = last[name]
        latest = at + timedelta(seconds=policy.restored_within_s) if at is not None else None
        if latest is not None and latest <= turn:
            found[name] = (latest, "it must be restored again by then")
        elif at is None and rounds == 0:
            found[name] = (now, "never restored, and it is its turn")
        else:
            found[name] = (turn, "its turn")
    return found


def _last_restore(service: str, exercises: Sequence[RunCard]) -> datetime | None:
    """Of the runbook itself, or of a run that fell back on it and restored the data."""
    for card in exercises:
        if card.service != service:
            continue
        called = any(s.id.startswith(f"{RESTORE}/") and s.outcome for s in card.steps)
        if called or card.runbook in (RESTORE, drill_of(RESTORE)):
            return card.started_at
    return None


def _steps(one: Exercised, exercises: Iterable[RunCard]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What has changed, and what was never done. ``exercises`` are the service's, the newest first."""
    done: dict[str, str] = {}
    for card in exercises:
        for step in card.steps:
            own = _own_id(one, card, step)
            if own is not None and step.outcome is Outcome.SUCCEEDED:
                done.setdefault(own, step.digest)
    changed = tuple(i for i, digest in one.steps.items() if i in done and done[i] != digest)
    return changed, tuple(i for i in one.steps if i not in done)


def _own_id(one: Exercised, card: RunCard, step: StepCard) -> str | None:
    """What a step of that run is called in this runbook; None for one that this runbook does not have.

    A fallback's steps are those of the runbook that it is: a drill of that one is an exercise of them, and a run that
    fell back exercises that one.
    """
    called, _, inner = step.id.partition("/")
    if step.section is Section.FALLBACK:
        of, name = called, inner
    elif around := exercised_by(card.runbook):
        of, name = (around, inner) if called == around else ("", "")
    else:
        of, name = card.runbook, step.id
    if of == one.runbook:
        return name
    return f"{of}/{name}" if of and of == one.fallback else None
