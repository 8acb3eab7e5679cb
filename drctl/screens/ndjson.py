"""One JSON object a line for each event, on standard output. The fields are the journal's own, in canonical form,
so that whoever keeps the lines can check the chain of hashes from them."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TextIO

from drctl.engine.state import RunState, Target
from drctl.model.events import Event, JsonObject
from drctl.plan.codec import to_json
from drctl.screens.base import write


def as_json(event: Event) -> JsonObject:
    """The event as the journal holds it; ``at`` with six places and a Z, as it went into the hash."""
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "run_id": event.run_id,
        "sequence": event.sequence,
        "at": at,
        "body": to_json(event.body),
        "previous": event.previous,
        "sha256": event.sha256,
    }


class NdjsonScreen:
    """Events as lines of JSON; for programs."""

    name = "json"
    leaving = b""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def on_event(self, event: Event, state: RunState) -> None:
        # ASCII only: a lone surrogate in a host's output must not break the line, and no encoding can.
        write(self._stream, json.dumps(as_json(event), sort_keys=True, separators=(",", ":")) + "\n")

    def on_output(self, target: Target, text: str) -> None:
        """Output is told of in the attempt's end, by its sha256 and its tail."""

    def tick(self, now: datetime) -> None:
        """Nothing: an event is a fact, and time is not."""

    def abandoned(self) -> None:
        """It says nothing of a run but its events."""

    def suspended(self) -> AbstractContextManager[None]:
        return nullcontext()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The stream is the caller's."""
