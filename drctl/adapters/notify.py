"""Tells people of a run while it goes on. Nothing that a notifier does delays the run or fails it (law 10).

Each notifier has a thread and a queue of its own, so that one that hangs holds up neither the run nor the others.
What became of each message is told as an event, also after the run's end, for which this waits a limited time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from queue import SimpleQueue
from typing import Protocol

from tenacity import RetryCallState, Retrying, retry_if_result, wait_exponential

from drctl.adapters.deliver import Delivery, Left
from drctl.engine.messages import Message, Near, message, moments, near
from drctl.engine.state import RunState, Target
from drctl.model.events import Event, NotificationSent, NotificationSettled
from drctl.model.messages import Fate, Moment, Notifier

ATTEMPTS = 6
ATTEMPTS_AT_THE_END = 3
FIRST_PAUSE_S = 2.0  # then twice as long each time
LONGEST_PAUSE_S = 30.0
MOST_WAITING = 100
CLOSING_LIMIT_S = 20.0
_GRACE_S = 3.0  # for programs that are ended at the limit
_LOOK_S = 1.0

Tell = Callable[[NotificationSent | NotificationSettled], None]


class Deliver(Protocol):
    """One attempt; see ``Deliverer.deliver``."""

    def __call__(self, notifier: Notifier, message: Message, *, at: datetime, left_s: Left) -> Delivery: ...


class Notifications:
    """A listener of a run. ``known`` is the run as it was before this process, ``clean`` is what texts go through."""

    name = "notifications"

    def __init__(
        self,
        notifiers: Sequence[Notifier],
        deliver: Deliver,
        *,
        tell: Tell,
        known: RunState,
        now: Callable[[], datetime],
        clean: Callable[[str], str],
    ) -> None:
        self._tell, self._now, self._clean = tell, now, clean
        self._known, self._number = known, known.notifications
        self._workers = [_Worker(notifier, deliver, tell, now) for notifier in notifiers]
        self._lock = threading.Lock()  # a deadline is noticed by another thread than the run's
        self._last: Event | None = None
        self._near: Near | None = None
        self._told_near: set[datetime] = set()
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="notify deadline", daemon=True).start()

    def on_event(self, event: Event, state: RunState) -> None:
        with self._lock:
            before, self._known, self._last = self._known, state, event
            for moment, sentence in moments(before, event, state):
                self._say(moment, sentence)
            self._near = near(state)

    def on_output(self, target: Target, text: str) -> None:
        """Nobody is told of output."""

    def tick(self, now: datetime) -> None:
        """A deadline is watched by a thread: while a person is asked, nothing ticks."""

    def waiting(self) -> tuple[str, ...]:
        """The notifiers that have something left to deliver."""
        return tuple(worker.notifier.name for worker in self._workers if worker.busy)

    def close(self) -> None:
        """Deliver what is left, for a limited time, and say what became of all of it."""
        self._over.set()
        until_s = time.monotonic() + CLOSING_LIMIT_S
        for worker in self._workers:
            worker.hurry(until_s)
        for worker in self._workers:
            worker.thread.join(max(0.0, until_s + _GRACE_S - time.monotonic()))
            worker.give_up()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            with self._lock:
                found = self._near
                if found is None or found.late_at in self._told_near or self._now() < found.told_at:
                    continue
                self._told_near.add(found.late_at)
                self._say(Moment.DEADLINE_NEAR, found.what)

    def _say(self, moment: Moment, sentence: str) -> None:
        workers = [worker for worker in self._workers if worker.notifier.hears(moment)]
        if not workers or self._last is None:
            return
        at, self._number = self._now(), self._number + 1
        made = message(moment, sentence, self._last, self._known, now=at)
        made = _cleaned(made, self._clean)
        self._tell(
            NotificationSent(
                number=self._number,
                moment=moment,
                about=made.events,
                title=made.title,
                text=made.text,
                notifiers=tuple(worker.notifier.name for worker in workers),
                at=at,
            )
        )
        for worker in workers:
            worker.take(self._number, made)


def _cleaned(made: Message, clean: Callable[[str], str]) -> Message:
    from dataclasses import replace

    return replace(made, title=clean(made.title), text=clean(made.text))


class _Worker:
    """Delivers to one notifier, in order."""

    def __init__(self, notifier: Notifier, deliver: Deliver, tell: Tell, now: Callable[[], datetime]) -> None:
        self.notifier = notifier
        self._deliver, self._tell, self._now = deliver, tell, now
        self._queue: SimpleQueue[tuple[int, Message] | None] = SimpleQueue()
        self._open: dict[int, int] = {}  # messages whose fate is not known, with the attempts that were begun
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._until_s = float("inf")
        self.thread = threading.Thread(target=self._work, name=f"notify {notifier.name}", daemon=True)
        self.thread.start()

    @property
    def busy(self) -> bool:
        with self._lock:
            return bool(self._open)

    def take(self, number: int, message: Message) -> None:
        """Deliver this in its turn; refused at once when too much waits already."""
        with self._lock:
            full = len(self._open) >= MOST_WAITING
            self._open[number] = 0
        if full:
            self._settle(number, Delivery(fate=Fate.FAILED, detail=f"{MOST_WAITING} messages waited before it"))
        else:
            self._queue.put((number, message))

    def hurry(self, until_s: float) -> None:
        """Be done by this monotonic time, with short pauses between attempts."""
        self._until_s = until_s
        self._hurry.set()
        self._queue.put(None)

    def give_up(self) -> None:
        """Nobody waits any longer: what is not known by now stays so."""
        with self._lock:
            left = dict(self._open)
        for number, attempts in left.items():
            fate, what = (Fate.SENT, "it may have arrived") if attempts else (Fate.FAILED, "it was not sent")
            self._settle(number, Delivery(fate=fate, detail=f"{what}: the time for the last messages was over"))

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            number, message = job
            again = Retrying(
                stop=self._enough,
                wait=wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
                sleep=self._pause,
                retry=retry_if_result(lambda delivery: delivery.fate is not Fate.DELIVERED),
                retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
            )
            self._settle(number, again(self._attempt, number, message))

    def _enough(self, state: RetryCallState) -> bool:
        most = ATTEMPTS_AT_THE_END if self._hurry.is_set() else ATTEMPTS
        return state.attempt_number >= most or time.monotonic() >= self._until_s

    def _pause(self, seconds: float) -> None:
        if self._hurry.wait(seconds):
            time.sleep(min(seconds, FIRST_PAUSE_S))

    def _attempt(self, number: int, message: Message) -> Delivery:
        until_s = time.monotonic() + self.notifier.timeout_s
        if time.monotonic() >= self._until_s:
            return Delivery(fate=Fate.FAILED, detail="it was not sent: the time for the last messages was over")
        with self._lock:
            if number in self._open:
                self._open[number] += 1
        try:
            return self._deliver(
                self.notifier,
                message,
                at=self._now(),
                # Never for long: the end of the run moves the limit while somebody waits for it.
                left_s=lambda: min(until_s - time.monotonic(), self._until_s - time.monotonic(), _LOOK_S),
            )
        except Exception as error:  # a bug in a messenger must not leave a message without its fate
            return Delivery(fate=Fate.FAILED, detail=f"{type(error).__name__} within drctl")

    def _settle(self, number: int, delivery: Delivery) -> None:
        with self._lock:
            attempts = self._open.pop(number, None)
        if attempts is None:
            return  # it was given up
        self._tell(
            NotificationSettled(
                number=number,
                notifier=self.notifier.name,
                fate=delivery.fate,
                attempts=attempts,
                detail=delivery.detail,
                at=self._now(),
            )
        )
