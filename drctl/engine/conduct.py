"""The loop: decide, write the intent, act, write the outcome, fold. Everything else happens elsewhere.

Attempts run in threads of their own, so that the steps of a ``parallel`` go side by side; every event is written and
folded by this one thread, in one order. The threads are daemons: a second Ctrl-C leaves at once, and what was sent
goes on as a durable job on its host, to be attached to by a resume.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import inf
from queue import Empty, SimpleQueue

from drctl.engine.decide import decide
from drctl.engine.decisions import Ask, Attempt, End, Finish, Later, Skip
from drctl.engine.fold import fold
from drctl.engine.perform import Interrupted, World, end_job, perform
from drctl.engine.ports import Journal, Listener, Mailbox, Person
from drctl.engine.state import RunState, Target
from drctl.errors import DrctlError, ExitCode
from drctl.model.events import (
    OF_MESSAGES,
    Act,
    AttemptFinished,
    AttemptStarted,
    Body,
    ClocksRead,
    Ended,
    MessengerFailed,
    NotificationSent,
    NotificationSettled,
    Outcome,
    PersonAnswered,
    Reason,
    RunEnded,
    StepSkipped,
    StopRequested,
)

TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class _Left:
    """A thread that came back with nothing to write: its intent stays open."""

    target: Target


Message = (
    AttemptFinished | StopRequested | MessengerFailed | NotificationSent | NotificationSettled | ClocksRead | _Left
)


@dataclass(slots=True)
class Conductor:
    """One run in this process. ``inbox`` takes what comes from threads and signal handlers (its put is re-entrant)."""

    journal: Journal
    world: World
    person: Person
    state: RunState = field(default_factory=RunState)
    listeners: list[Listener] = field(default_factory=list)
    inbox: SimpleQueue[Message] = field(default_factory=SimpleQueue)
    working: dict[Target, Attempt] = field(default_factory=dict)
    ending: set[Target] = field(default_factory=set)  # jobs that are being ended, so that each is ended once
    mailbox: Mailbox | None = None
    looked_s: float = -inf  # monotonic: when the mailbox was last looked into

    def conduct(self, *first: Body) -> RunState:
        """Write the first events (started or resumed, points that were given), then go on to the end or a pause.

        Raises:
            JournalError: when an event cannot be written. Nothing is sent without its intent on disk.
            DrctlError: with ExitCode.BUG when nothing is decided and nothing is under way.
        """
        for body in first:
            self._take(body)
        self._look_into_the_mailbox()  # what was asked for while nobody conducted the run comes before the next step
        while self.state.ended is None:
            wake = self._act()
            if wake is not None and self.state.ended is None:
                self._await(wake)
        return self.state

    def afterwards(self) -> None:
        """Write down what became of messages once the run has ended. The run is the same without it.

        Raises:
            JournalError: when it cannot be written.
        """
        while not self.inbox.empty():
            message = self.inbox.get()
            if isinstance(message, OF_MESSAGES):
                self._record(message)

    def _act(self) -> datetime | None:
        """Carry out what is decided; the time to look again when nothing more can be done now."""
        now = self.world.clock.now()
        decisions = decide(self.state, now)
        moved = False
        wake = datetime.max.replace(tzinfo=now.tzinfo)
        for decision in decisions:
            match decision:
                case Attempt():
                    self._start(decision)
                    moved = True
                case Skip(target=target, who=who, why=why, simulated=simulated):
                    self._record(StepSkipped(step=target.step, host=target.host, who=who, why=why, simulated=simulated))
                    moved = True
                case Ask():
                    self._ask(decision)
                    moved = True
                case Finish(ended=ended, why=why):
                    self._record(RunEnded(ended=ended, why=why))
                case End(target=target, attempt=number):
                    moved |= self._end(Attempt(target=target, act=Act.SETTLE, attempt=number))
                case Later(at=at):
                    wake = min(wake, at)
        if moved or self.state.ended is not None:
            return None
        if not self.working and not any(isinstance(d, Later) for d in decisions):
            self._nothing_under_way()
            return None
        return wake

    def _nothing_under_way(self) -> None:
        if self.state.stop is None:
            raise DrctlError(
                "drctl does not know how to go on with this run",
                state="nothing is in flight, and all that happened is in the journal",
                hint=f"drctl report {self.state.run_id}, and please report this as a bug",
                exit_code=ExitCode.BUG,
            )
        self._record(RunEnded(ended=Ended.PAUSED, why=f"stopped by {self.state.stop.how}"))

    def _start(self, attempt: Attempt) -> None:
        target = attempt.target
        self._record(AttemptStarted(step=target.step, host=target.host, attempt=attempt.attempt, act=attempt.act))
        self.working[target] = attempt
        threading.Thread(
            target=self._work, args=(attempt, self.state), name=f"{target.step}@{target.host}", daemon=True
        ).start()

    def _end(self, attempt: Attempt) -> bool:
        """End a job that was left for the fallback; False when that has been asked for already."""
        target = attempt.target
        if target in self.ending:
            return False
        self.ending.add(target)
        ends = partial(end_job, state=self.state, world=self.world, by="the run, which left for its fallback")
        if target in self.working:
            self._aside(partial(ends, attempt))  # the thread that waits for the job sees its end, and writes it
            return True
        self._record(AttemptStarted(step=target.step, host=target.host, attempt=attempt.attempt, act=attempt.act))
        self._record(ends(attempt))
        return True

    def _aside(self, what: Callable[[], object]) -> None:
        """Do it in a thread of its own; nobody waits for it."""
        threading.Thread(target=what, daemon=True).start()

    def _work(self, attempt: Attempt, state: RunState) -> None:
        try:
            self.inbox.put(perform(attempt, state, self.world))
        except Interrupted:
            self.inbox.put(_Left(attempt.target))
        except Exception as error:  # a bug in an adapter must neither lose the outcome nor end the recovery
            read_only = state.the_plan.step(attempt.target.step).read_only or attempt.act in (Act.UNLESS, Act.VERIFY)
            self.inbox.put(
                AttemptFinished(
                    step=attempt.target.step,
                    host=attempt.target.host,
                    attempt=attempt.attempt,
                    act=attempt.act,
                    outcome=Outcome.FAILED if read_only else Outcome.IN_DOUBT,
                    reason=Reason.LOST,
                    detail=f"{type(error).__name__} within drctl: {error}",
                )
            )

    def _ask(self, ask: Ask) -> None:
        question = ask.question
        self._record(question)
        answer = self.person.decide(question, self.state)
        self._record(
            PersonAnswered(
                question=question.question,
                step=question.step,
                host=question.host,
                answer=answer.answer,
                who=answer.who,
                why=answer.why,
                statement=answer.statement,
                signature=answer.signature,
                fingerprint=answer.fingerprint,
            )
        )
        while not self.inbox.empty():  # a Ctrl-C at the question is a stop, and not only a pause
            self._heard(self.inbox.get())

    def _await(self, wake: datetime) -> None:
        self._look_into_the_mailbox()
        now = self.world.clock.now()
        try:
            self._heard(self.inbox.get(timeout=min(TICK_S, max(0.0, (wake - now).total_seconds()))))
        except Empty:
            self._tell(lambda listener: listener.tick(self.world.clock.now()))

    def _heard(self, message: Message) -> None:
        if isinstance(message, AttemptFinished):
            self.working.pop(Target(message.step, message.host), None)
        if isinstance(message, _Left):
            self.working.pop(message.target, None)
            return
        self._take(message)

    def _look_into_the_mailbox(self) -> None:
        now_s = self.world.clock.monotonic()
        if self.mailbox is None or now_s - self.looked_s < TICK_S:
            return
        self.looked_s = now_s
        stop = self.mailbox.stop()
        if stop is not None and not self.state.abort:  # an abort is more than the stop that a signal asked for
            self._take(stop)

    def _take(self, body: Body) -> None:
        """Write a message down, and do what an abort needs done at once."""
        self._record(body)
        if isinstance(body, StopRequested) and body.how == "abort":
            for attempt in self.working.values():
                # The thread that waits for the job sees its end, and writes it.
                self._aside(partial(end_job, attempt, self.state, self.world))
            for target, known in self.state.targets.items():
                if known.doubt and target not in self.working:
                    attempt = Attempt(target=target, act=Act.SETTLE, attempt=known.attempts)
                    self._record(
                        AttemptStarted(step=target.step, host=target.host, attempt=attempt.attempt, act=Act.SETTLE)
                    )
                    self._record(end_job(attempt, self.state, self.world))

    def _record(self, body: Body) -> None:
        event = self.journal.append(body)
        self.state = fold(self.state, event)
        state = self.state
        self._tell(lambda listener: listener.on_event(event, state))

    def _tell(self, say: Callable[[Listener], None]) -> None:
        for listener in tuple(self.listeners):
            try:
                say(listener)
            except Exception as error:  # a messenger never stops a recovery (law 10)
                self.listeners.remove(listener)
                self._record(MessengerFailed(messenger=listener.name, detail=f"{type(error).__name__}: {error}"))
