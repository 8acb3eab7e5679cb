"""Publishes the head of a run's chain of hashes while the run goes on: at its start, at each approval, and at its end.

A chain shows that nothing in the middle was changed. That its tail was not cut, and that all of it was not written
anew by whoever has the signing key, is shown only by heads that lie where the operator cannot change them any more.
"""

from __future__ import annotations

import json
import os
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

from drctl.adapters.child import run_child
from drctl.adapters.local import clean_environment
from drctl.adapters.signatures import sign
from drctl.engine.state import RunState, Target
from drctl.errors import DrctlError
from drctl.model.events import Event, MessengerFailed, PersonAnswered, Question, RunEnded, RunResumed, RunStarted
from drctl.model.units import format_instant

COMMAND_LIMIT_S = 15.0
CLOSING_LIMIT_S = 20.0
ENDING_LIMIT_S = 5.0
LOOKS_EVERY_S = 0.2
_DECISIONS = (Question.APPROVAL, Question.OVERRIDE)

NAMESPACE = "drctl-head"

Tell = Callable[[MessengerFailed], None]


def head_text(run_id: str, events: int, head: str) -> str:
    """What is signed of a head: its sum, over how many events of which run."""
    return f"drctl head\nrun: {run_id}\nevents: {events}\nhead: {head}\n"


class HeadPublisher:
    """A listener of a run. Whatever goes wrong with a place is told and journalled; the run goes on (law 10).

    Each place has a thread of its own, so that a file server or a command that hangs holds up neither the run nor the
    other places.
    """

    name = "heads"

    def __init__(self, places: Sequence[str], tell: Tell, *, key: str | None = None) -> None:
        self._tell, self._key = tell, key
        self._ended = False
        self._late: list[str] = []
        self._workers = [_Worker(place, self._failed) for place in places]
        self._heads: SimpleQueue[dict[str, object] | None] = SimpleQueue()
        self._signing = threading.Thread(target=self._sign_on, name="heads signing", daemon=True)
        self._signing.start()

    def on_event(self, event: Event, state: RunState) -> None:
        moment = _moment(event)
        if moment is None:
            return
        self._ended = isinstance(event.body, RunEnded)
        line = {
            "run_id": event.run_id,
            "events": event.sequence,
            "head": event.sha256,
            "at": format_instant(event.at),
            "moment": moment,
            "service": state.the_plan.service,
            "mode": state.mode.value,
        }
        self._heads.put(line)

    def on_output(self, target: Target, text: str) -> None:
        """Says nothing about the chain."""

    def tick(self, now: datetime) -> None:
        """Nothing happens by the clock."""

    def close(self) -> tuple[str, ...]:
        """Wait for what is under way, for a limited time, and end what is still at it then.

        What could not be told of in the journal any more comes back.
        """
        self._heads.put(None)
        self._signing.join(CLOSING_LIMIT_S)
        for worker in self._workers:
            worker.lines.put(None)
        for worker in self._workers:
            worker.thread.join(CLOSING_LIMIT_S)
            if worker.thread.is_alive():
                self._late.append(f"not published to {worker.place}: it does not answer")
                worker.give_up()
        return tuple(self._late)

    def _sign_on(self) -> None:
        """Sign each head when there is a key, in a thread of its own: a key in hardware may wait for a touch."""
        while (line := self._heads.get()) is not None:
            if self._key and self._workers:
                try:
                    text = head_text(str(line["run_id"]), int(str(line["events"])), str(line["head"]))
                    key = Path(self._key).expanduser()
                    line["signature"] = sign(text, key=key, namespace=NAMESPACE, asking=False)
                except (DrctlError, RuntimeError, OSError) as error:
                    self._say(f"not signed: {error.message if isinstance(error, DrctlError) else error}")
            for worker in self._workers:
                worker.lines.put((json.dumps(line) + "\n").encode())

    def _say(self, detail: str) -> None:
        if self._ended:
            self._late.append(detail)
        else:
            self._tell(MessengerFailed(messenger=self.name, detail=detail))

    def _failed(self, place: str, why: str) -> None:
        self._say(f"not published to {place}: {why}")


class _Worker:
    """Publishes to one place, in order."""

    def __init__(self, place: str, failed: Callable[[str, str], None]) -> None:
        self.place = place
        self.lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._failed = failed
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"heads {place}", daemon=True)
        self.thread.start()

    def give_up(self) -> None:
        """End the command that is under way, and publish nothing more."""
        self._over.set()
        self.thread.join(ENDING_LIMIT_S)

    def _work(self) -> None:
        scheme, _, rest = self.place.partition(":")
        while (line := self.lines.get()) is not None and not self._over.is_set():
            try:
                _to_file(rest, line) if scheme == "file" else self._to_command(rest, line)
            except (OSError, ValueError) as error:
                if not self._over.is_set():
                    self._failed(self.place, (error.strerror if isinstance(error, OSError) else None) or str(error))

    def _to_command(self, command: str, line: bytes) -> None:
        until_s, pieces = time.monotonic() + COMMAND_LIMIT_S, [line, b""]
        ended = run_child(
            shlex.split(command),
            left_s=lambda: 0.0 if self._over.is_set() else min(until_s - time.monotonic(), LOOKS_EVERY_S),
            take=lambda _: None,
            feed=lambda: pieces.pop(0) if pieces else b"",
            environment=clean_environment(os.environ),  # a secret that drctl was given there is not for others
        )
        if ended.status is None:
            raise ValueError(f"it did not end within {COMMAND_LIMIT_S:.0f} s")
        if ended.status != 0:
            raise ValueError(f"exit code {ended.status}")


def _moment(event: Event) -> str | None:
    match event.body:
        case RunStarted():
            return "started"
        case RunResumed():
            return "resumed"
        case PersonAnswered() as body if body.question in _DECISIONS:
            return f"{body.question.value} of {body.step}: {body.answer}"
        case RunEnded() as body:
            return f"ended: {body.ended.value}"
        case _:
            return None


def _to_file(path: str, line: bytes) -> None:
    """Add the line, whole, and return when it would survive a power cut."""
    handle = os.open(Path(path).expanduser(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, line)
        os.fsync(handle)
    finally:
        os.close(handle)
