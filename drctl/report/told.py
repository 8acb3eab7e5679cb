"""Who was told of a run, and what became of each message: read from its events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from drctl.engine.state import RunState
from drctl.model.events import OF_MESSAGES, Event, NotificationSent, NotificationSettled
from drctl.model.messages import Fate, Moment
from drctl.model.plan import Mode
from drctl.model.units import format_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A message on one of its ways. ``settled_at`` is None when what became of it was not written down."""

    number: int
    moment: Moment
    title: str
    about: int  # the event that was the last one then
    sent_at: datetime
    notifier: str
    fate: Fate
    attempts: int
    detail: str
    settled_at: datetime | None


def of_the_run(events: Sequence[Event]) -> tuple[Event, ...]:
    """The events without those that speak of messages: the run is the same without them."""
    return tuple(event for event in events if not isinstance(event.body, OF_MESSAGES))


def messages(events: Sequence[Event], state: RunState) -> tuple[MessageRow, ...]:
    """Every message to every notifier, in the order in which they were sent."""
    settled = {
        (event.body.number, event.body.notifier): event.body
        for event in events
        if isinstance(event.body, NotificationSettled)
    }
    unknown = "under way" if state.ended is None else "drctl ended before it was known what became of it"
    found = []
    for event in events:
        if isinstance(event.body, NotificationSent):
            for name in event.body.notifiers:
                found.append(_row(event.body, name, settled.get((event.body.number, name)), unknown))
    return tuple(found)


def _row(sent: NotificationSent, name: str, known: NotificationSettled | None, unknown: str) -> MessageRow:
    return MessageRow(
        number=sent.number,
        moment=sent.moment,
        title=sent.title,
        about=sent.about,
        sent_at=sent.at,
        notifier=name,
        fate=known.fate if known else Fate.SENT,
        attempts=known.attempts if known else 0,
        detail=known.detail if known else unknown,
        settled_at=known.at if known else None,
    )


def sentences(found: Sequence[MessageRow], mode: Mode) -> Iterator[str]:
    """What was told to whom, for a reader; nothing of a run that nobody is ever told of."""
    if not found and mode in (Mode.DRILL, Mode.REAL):
        yield "drctl told nobody: the inventory names no notifier"
    for row in found:
        fate = row.fate.value if row.fate is Fate.DELIVERED else row.fate.value.upper()
        after = f" at the {row.attempts}. attempt" if row.attempts > 1 else ""
        at = f" at {format_instant(row.settled_at)}" if row.settled_at else ""
        why = f": {row.detail}" if row.detail else ""
        yield f"{format_instant(row.sent_at)} {row.moment.value} to {row.notifier}: {fate}{at}{after}{why}"
