"""The chain of a pack's events: each is held against the one before it. What follows a broken link is not believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drctl.adapters.chain import FIRST_PREVIOUS, body_of
from drctl.errors import DocumentError
from drctl.model.events import Event, JsonObject, RunStarted
from drctl.report.pack_checks import Broken, NotChecked
from drctl.report.pack_files import EVENTS, HEAD


@dataclass(slots=True)
class Chain:
    """The events as far as they could be read, and the sums of all of them."""

    events: list[Event] = field(default_factory=list)
    sums: list[str] = field(default_factory=list)
    unreadable: str = ""


def read_events(pack: Path, chain: Chain) -> str:
    """Walk the chain, as far as it holds; in words, how long it is.

    Raises:
        Broken: at the first link that does not hold, or when the head is another.
        OSError: when a file cannot be read.
    """
    previous = FIRST_PREVIOUS
    with (pack / EVENTS).open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                raise Broken(f"event {number} is torn: the file ends in the middle of it")
            row = _row(line)
            if row is None:
                raise Broken(f"event {number} is not readable")
            if (row["sequence"], row["previous"]) != (number, previous):
                raise Broken(f"event {number} is not in its place: one before it was changed, added or taken out")
            previous = hashlib.sha256(line.removesuffix(b"\n")).hexdigest()
            chain.sums.append(previous)
            _read(chain, row, previous)
    told = (pack / HEAD).read_text("utf-8", "replace").split()
    if told != [str(len(chain.sums)), previous]:
        raise Broken(f"{HEAD} says {' '.join(told)[:80]}, and the events end with {len(chain.sums)} {previous}")
    return f"{len(chain.sums)} events, head {previous}"


def _row(line: bytes) -> JsonObject | None:
    try:
        row = json.loads(line)
        if isinstance(row, dict) and {"run_id", "sequence", "at", "body", "previous"} == set(row):
            return row
    except (ValueError, RecursionError):
        pass
    return None


def _read(chain: Chain, row: JsonObject, sha256: str) -> None:
    """Make an event of it; a type that this drctl does not know breaks no chain."""
    try:
        event = Event(
            run_id=str(row["run_id"]),
            sequence=int(row["sequence"]),
            at=datetime.fromisoformat(row["at"]),
            body=body_of(json.dumps(row["body"])),
            previous=row["previous"],
            sha256=sha256,
        )
    except (DocumentError, KeyError, TypeError, ValueError, RecursionError):
        chain.unreadable = chain.unreadable or f"event {row['sequence']} is of a kind that this drctl does not know"
        return
    if chain.events and event.run_id != chain.events[0].run_id:
        raise Broken(f"event {event.sequence} is of another run: {event.run_id}")
    chain.events.append(event)


def readable(chain: Chain) -> Sequence[Event]:
    """The events, when all of them could be read.

    Raises:
        NotChecked: when one is of a kind that this drctl does not know.
        Broken: when they are not those of a run.
    """
    if chain.unreadable:
        raise NotChecked(f"{chain.unreadable}: use a newer drctl")
    if not chain.events or not isinstance(chain.events[0].body, RunStarted):
        raise Broken("the events do not begin with the start of a run")
    return chain.events
