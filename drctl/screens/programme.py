"""The programme of exercises for a person, a program and a calendar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from drctl.model.events import JsonObject
from drctl.plan.codec import to_json
from drctl.report.programme import Item
from drctl.screens.tables import table

_NEXT = 3  # commands that a person is told to type


def text(items: Sequence[Item], *, width: int, detail: bool) -> str:
    """A line for each service and runbook; with ``detail`` the steps that have changed since, by name."""
    if not items:
        return "nothing to exercise: no service of the inventory is under the SLA and fits a runbook of the programme\n"
    return "\n".join(_lines(items, width=width, detail=detail)) + "\n"


def as_json(items: Sequence[Item]) -> JsonObject:
    """The same for programs."""
    return {"type": "drill_programme", "due": sum(item.due for item in items), "items": to_json(tuple(items))}


def calendar(items: Sequence[Item], *, made_at: datetime) -> bytes:
    """An iCalendar file (RFC 5545) with a day for each exercise that comes."""
    from icalendar import Calendar, Event

    found = Calendar()
    found.add("prodid", "-//drctl//drill programme//EN")
    found.add("version", "2.0")
    for item in items:
        event = Event()
        event.add("uid", f"{item.runbook}.{item.service}@drctl")  # a new file moves the day and adds no second one
        event.add("dtstamp", made_at)
        event.add("dtstart", item.next_at.date())
        event.add("summary", f"DR drill: {item.runbook} of {item.service}")
        event.add("description", f"{_command(item)}\n{item.why}; last: {_last(item)}")
        found.add_component(event)
    written: bytes = found.to_ical()
    return written


def _lines(items: Sequence[Item], *, width: int, detail: bool) -> Iterator[str]:
    due = sum(item.due for item in items)
    yield f"{due} of {len(items)} exercises are due" if due else f"no exercise is due, of {len(items)}"
    names = ("service", "runbook", "last", "next", "why", "steps since")
    yield table(names, [_row(item) for item in items], width=width).rstrip("\n")
    for number, item in enumerate([item for item in items if item.due][:_NEXT]):
        yield f"{'next:' if number == 0 else '     '} {_command(item)}"
    if not detail:
        return
    for item in items:
        for what, steps in (("changed", item.changed), ("never exercised", item.never)):
            if steps:
                yield f"{item.runbook} of {item.service}, {what} since the last exercise: {', '.join(steps)}"


def _row(item: Item) -> tuple[str, ...]:
    when = "DUE" if item.due else f"{item.next_at:%Y-%m-%d}"
    since = [f"{len(steps)} {word}" for steps, word in ((item.changed, "changed"), (item.never, "never")) if steps]
    return (item.service, item.runbook, _last(item), when, item.why, ", ".join(since) or "as exercised")


def _command(item: Item) -> str:
    return f"drctl drill {item.runbook} {item.service}"


def _last(item: Item) -> str:
    return f"{item.last_at:%Y-%m-%d} {item.last_mode}" if item.last_at else "never"
