"""Hosts and requests with faults in them, and a loop without threads: the same faults give the same run, every time.

The world keeps its own books. ``World.effects`` is what really happened to the hosts, job by job, with what was known
about each at that moment; no property is judged by what the journal says of itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from queue import Empty
from typing import Any

from drctl.engine.conduct import Conductor
from drctl.engine.decisions import Attempt
from drctl.engine.fold import fold_all
from drctl.engine.perform import World as Ports
from drctl.engine.ports import Answer, CommandResult, Ending, JobName, NetworkAnswer, OutputSink, ShellCommand
from drctl.engine.state import RunState
from drctl.model.events import AttemptStarted, Body, Event, PersonAsked, Question, RunResumed, RunStarted, StopRequested
from drctl.model.plan import Endpoint, Http, Plan, Step, Tcp
from tests.support.world import FakeClock, FakeFiles, Killed, MemoryJournal, MemoryOutputs, ends, exits


class Fault(StrEnum):
    """What one contact with a host meets. A probe knows the first six."""

    NONE = "none"
    EXIT = "exit"  # it ran, and said no
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    LOST = "lost"  # it happened, and the answer did not arrive
    NEVER_ARRIVED = "never_arrived"  # the connection died first, and nothing happened: looks like LOST from here
    REBOOTED = "rebooted"  # the host went down in the middle of it
    BAD_OUTPUT = "bad_output"  # it succeeded, and printed what it had not promised
    BUG = "bug"  # it happened, and then the adapter broke


@dataclass(frozen=True)
class Effect:
    """A changing script that really began on a host (or a request that arrived), and whether it succeeded there.

    ``ended`` is False when a reboot cut it short, so that nobody can know how much of it was done.
    """

    step: str
    host: str
    attempt: int
    succeeded: bool
    ended: bool = True


@dataclass
class Hosts:
    """All the hosts, and all that answers requests. ``faults`` are met contact by contact, by script and host."""

    faults: Mapping[tuple[str, str], tuple[Fault, ...]]
    contacts: dict[tuple[str, str], int] = field(default_factory=dict)
    claimed: dict[str, tuple[CommandResult, bytes]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)

    def copy(self) -> Hosts:
        """As it is now; what happens later to one does not happen to the other."""
        return replace(self, contacts=dict(self.contacts), claimed=dict(self.claimed), effects=list(self.effects))

    def _meet(self, script: str, host: str) -> Fault:
        number = self.contacts.get((script, host), 0)
        self.contacts[script, host] = number + 1
        planned = self.faults.get((script, host), ())
        return planned[number] if number < len(planned) else Fault.NONE

    def probe(
        self, endpoint: Endpoint | None, command: ShellCommand, *, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        match self._meet(command.script, endpoint.host if endpoint else ""):
            case Fault.EXIT:
                return exits(1)
            case Fault.UNREACHABLE | Fault.REFUSED | Fault.TIMED_OUT as fault:
                return ends(Ending(fault))
            case Fault.LOST | Fault.NEVER_ARRIVED | Fault.REBOOTED:
                return ends(Ending.LOST)
            case Fault.BAD_OUTPUT:
                output("stdout", b"not a number")
            case Fault.BUG:
                raise RuntimeError("the adapter broke")
            case Fault.NONE:
                output("stdout", b"7")
        return exits(0)

    def job(
        self, endpoint: Endpoint | None, command: ShellCommand, *, name: JobName, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        host = endpoint.host if endpoint else ""
        directory = f"{name}@{host}"
        fault = self._meet(command.script, host)
        if fault in (Fault.UNREACHABLE, Fault.REFUSED):
            return ends(Ending(fault))
        if fault is Fault.NEVER_ARRIVED:
            return ends(Ending.LOST)
        attached = directory in self.claimed
        if not attached:
            result, said = exits(0), b"7"
            match fault:
                case Fault.EXIT:
                    result = exits(1)
                case Fault.TIMED_OUT | Fault.REBOOTED:
                    result = ends(Ending(fault))
                case Fault.BAD_OUTPUT:
                    said = b"not a number"
            self.claimed[directory] = (result, said)
            ended = fault is not Fault.REBOOTED
            self.effects.append(Effect(name.step_id, host, name.attempt, result.exit_code == 0, ended))
        if fault is Fault.BUG:
            raise RuntimeError("the adapter broke")
        if fault is Fault.LOST:
            return ends(Ending.LOST)
        result, said = self.claimed[directory]
        output("stdout", said)
        return replace(result, attached=attached)

    def kill(self, endpoint: Endpoint | None, *, name: JobName, become: str | None) -> CommandResult:
        host = endpoint.host if endpoint else ""
        self.claimed.setdefault(f"{name}@{host}", (exits(137), b""))
        return exits(0)

    def close(self) -> None:
        return

    def http(self, request: Http, *, timeout_s: float) -> NetworkAnswer:
        """The URL is the step's id. Every request that arrives is an effect, unless it only asks."""
        step = request.url
        fault = self._meet(step, "")
        if fault in (Fault.UNREACHABLE, Fault.REFUSED):
            return NetworkAnswer(ok=False, detail="no connection", sent=False)
        if fault is Fault.NEVER_ARRIVED:
            return NetworkAnswer(ok=False, detail="no answer")
        if request.method != "GET":
            number = sum(1 for e in self.effects if e.step == step) + 1
            self.effects.append(Effect(step, "", number, fault is not Fault.EXIT))
        if fault is Fault.EXIT:
            return NetworkAnswer(ok=False, detail="status 500", body="no")
        if fault in (Fault.LOST, Fault.TIMED_OUT, Fault.REBOOTED):
            return NetworkAnswer(ok=False, detail="no answer")
        return NetworkAnswer(ok=True, detail="200", body="7")

    def tcp(self, request: Tcp, *, timeout_s: float) -> NetworkAnswer:
        return NetworkAnswer(ok=True, detail="open")


class Inbox:
    """The conductor's inbox on one thread: waiting with nothing in it lets the clock go on.

    With ``last_first`` what came last is heard first, as when the second of two parallel steps ends before the first.
    """

    def __init__(self, clock: FakeClock, *, last_first: bool) -> None:
        self.clock, self.last_first = clock, last_first
        self.messages: deque[Any] = deque()

    def put(self, message: Any) -> None:
        self.messages.append(message)

    def empty(self) -> bool:
        return not self.messages

    def get(self, timeout: float | None = None) -> Any:
        if not self.messages:
            self.clock.sleep(max(timeout or 0.0, 0.001))
            raise Empty
        return self.messages.pop() if self.last_first else self.messages.popleft()


class OneThread(Conductor):
    """The real loop, but an attempt is over when it has been started; its outcome waits in the inbox."""

    def _aside(self, what: Callable[[], object]) -> None:
        what()

    def _start(self, attempt: Attempt) -> None:
        target = attempt.target
        self._record(AttemptStarted(step=target.step, host=target.host, attempt=attempt.attempt, act=attempt.act))
        self.working[target] = attempt
        self._work(attempt, self.state)


FOR_EVER = 1000
"""Events. No drawn run comes near it."""

GO_ON = {
    Question.APPROVAL: "yes",
    Question.MANUAL: "done",
    Question.FAILED: "skip",
    Question.IN_DOUBT: "succeeded",
    Question.OVERRIDE: "override",
    Question.DEADLINE: "continue",
}


@dataclass
class Crowd:
    """People who answer by chance: each drawn number picks an answer, None is nobody. Afterwards they go on."""

    choices: tuple[int | None, ...]
    asked: int = 0

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        number, self.asked = self.asked, self.asked + 1
        if number >= len(self.choices):
            return Answer(answer=GO_ON[question.question], who="ann", why="to go on")
        choice = self.choices[number]
        if choice is None:
            return Answer(answer=question.unattended)
        return Answer(answer=question.answers[choice % len(question.answers)], who="ben", why="drawn")


@dataclass
class Moment:
    """All that outlives drctl's death: the journal, the hosts, the time, and what people have said."""

    events: list[Event]
    hosts: Hosts
    passed_s: float
    asked: int


class Watched(MemoryJournal):
    """Keeps every moment at which drctl may die: when an event is on disk, and just before the next one is.

    The two differ: what is sent between an intent and its outcome happens there. A record that is torn by the death is
    not there afterwards (SQLite takes it back), so a torn record is the second kind.
    """

    def __init__(self, run: Run, *, die_after: int | None = None) -> None:
        super().__init__(run.clock, run.events)
        self.run, self.left = run, die_after
        self.moments: list[Moment] = []

    def append(self, body: Body) -> Event:
        if self.events:
            self._keep()
        assert len(self.events) < FOR_EVER, "it goes on and on"
        event = super().append(body)
        self._keep()
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                raise Killed
        for number, message in self.run.sent_in:
            if number == len(self.events):
                self.run.inbox.put(message)
        return event

    def _keep(self) -> None:
        now = self.run.moment()
        last = self.moments[-1] if self.moments else None
        if last is None or len(last.events) != len(now.events) or last.hosts != now.hosts:
            self.moments.append(now)


@dataclass(repr=False)
class Run:
    """A plan in this world. ``at`` takes it up from a moment."""

    plan: Plan
    hosts: Hosts
    people: Crowd
    last_first: bool = False
    sent_in: tuple[tuple[int, Any], ...] = ()  # (after this event, this message): signals
    given: tuple[Body, ...] = ()  # what is known when it begins: the start of the outage, the forecast
    letter_at: int | None = None  # from this event on an abort lies in the mailbox
    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.clock, last_first=self.last_first)

    def __repr__(self) -> str:
        """What matters when a property fails: the words that are not the usual ones."""
        lines = [f"Run in mode {self.plan.mode}, last_first={self.last_first}, sent_in={self.sent_in}, {self.people}"]
        for stage in self.plan.stages:
            for step in stage.steps:
                usual = Step(id=step.id, name=step.id, where=step.where, action=step.action, digest=step.digest)
                words = {f.name: getattr(step, f.name) for f in fields(step)}
                told = {n: v for n, v in words.items() if n not in ("endpoints",) and v != getattr(usual, n)}
                hosts = ",".join(e.host for e in step.endpoints) or "here"
                lines.append(f"  {stage.section} {step.id} {type(step.action).__name__} on {hosts} {told}")
        lines += [f"  {script}@{host}: {[str(f) for f in met]}" for (script, host), met in self.hosts.faults.items()]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would write out every field of every step

    def stop(self) -> StopRequested | None:
        """The run's mailbox."""
        asked = self.letter_at is not None and len(self.events) >= self.letter_at
        return StopRequested(by="thandi", how="abort") if asked else None

    def moment(self) -> Moment:
        return Moment(list(self.events), self.hosts.copy(), self.clock.passed_s, self.people.asked)

    def at(self, moment: Moment) -> Run:
        """Another life that begins there."""
        clock = FakeClock()
        clock.passed_s = moment.passed_s
        people = copy(self.people)
        people.asked = moment.asked
        return replace(
            self, hosts=moment.hosts.copy(), people=people, clock=clock, events=list(moment.events), sent_in=()
        )

    def conduct(self, *first: Body, die_after: int | None = None) -> tuple[RunState, Watched]:
        self.inbox = Inbox(self.clock, last_first=self.last_first)
        journal = Watched(self, die_after=die_after)
        ports = Ports(
            commands=self.hosts, network=self.hosts, outputs=MemoryOutputs(), clock=self.clock, files=FakeFiles()
        )
        conductor = OneThread(
            journal=journal, world=ports, person=self.people, state=fold_all(self.events), inbox=self.inbox,  # type: ignore[arg-type]
            mailbox=self,
        )  # fmt: skip
        return conductor.conduct(*first), journal

    def begin(self) -> tuple[RunState, Watched]:
        return self.conduct(
            RunStarted(plan=self.plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=False),
            *self.given,
        )

    def resume(self, *, die_after: int | None = None) -> RunState:
        again = RunResumed(operator="p@n", controller="n", pid=2, interactive=False)
        return self.conduct(again, die_after=die_after)[0]


def faults_of(drawn: Iterable[tuple[str, str, tuple[Fault, ...]]]) -> dict[tuple[str, str], tuple[Fault, ...]]:
    """The table that ``Hosts`` wants."""
    return {(script, host): faults for script, host, faults in drawn}
