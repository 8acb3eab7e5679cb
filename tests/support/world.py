"""A world without hosts for the engine's own tests: every port, deterministic, and loud about what nobody planned."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from drctl.engine.conduct import Conductor
from drctl.engine.fold import fold_all
from drctl.engine.perform import World
from drctl.engine.ports import Answer, CommandResult, Ending, JobName, NetworkAnswer, OutputSink, ShellCommand
from drctl.engine.state import RunState, Target
from drctl.model.events import Body, Event, Output, PersonAsked, RunResumed, RunStarted
from drctl.model.plan import (
    Action,
    Endpoint,
    Http,
    Mode,
    Objectives,
    OnFailure,
    Plan,
    Section,
    Shell,
    Source,
    Stage,
    Step,
    Tcp,
    Transfer,
)

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


def endpoint(host: str) -> Endpoint:
    return Endpoint(host=host, site=f"site-of-{host}", country="ZA", address="192.0.2.1", port=22, user="drctl")


def step(step_id: str, *, host: str | None = "standby", action: Action | None = None, **words: object) -> Step:
    """A step whose script is its own id, so that the fake host can be told what to do with it."""
    return Step(
        id=step_id,
        name=step_id,
        where="runbook.yml:1:1",
        action=action or Shell(script=step_id, local=host is None),
        endpoints=(endpoint(host),) if host else (),
        digest=hashlib.sha256(step_id.encode()).hexdigest(),
        **words,  # type: ignore[arg-type]
    )


def plan(*steps: Step, preconditions: Iterable[Step] = (), always: Iterable[Step] = (), mode: Mode = Mode.REAL) -> Plan:
    stages = [Stage(section=Section.PRECONDITIONS, steps=(s,)) for s in preconditions]
    stages += [Stage(section=Section.STEPS, steps=(s,)) for s in steps]
    stages += [Stage(section=Section.ALWAYS, steps=(s,)) for s in always]
    return plan_of_stages(*stages, mode=mode)


def plan_of_stages(*stages: Stage, mode: Mode = Mode.REAL) -> Plan:
    nothing = Source(path="x.yml", sha256="0" * 64, text="")
    return Plan(
        runbook="test",
        title="A test",
        service="demo",
        service_title="Demo",
        sla=True,
        mode=mode,
        objectives=Objectives(rto_s=4 * 3600, rpo_s=24 * 3600),
        timezone="Africa/Johannesburg",
        stages=stages,
        runbook_source=nothing,
        inventory_source=nothing,
        drctl_version="0",
    )


class FakeClock:
    """Time passes only when somebody sleeps, or when the test says so."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return self.passed_s

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.passed_s += seconds


class Killed(BaseException):
    """drctl dies here: nothing below may catch it as an error."""


class MemoryJournal:
    """The journal port in memory; ``die_after`` kills the process after that many events in all."""

    def __init__(self, clock: FakeClock, events: list[Event], *, die_after: int | None = None) -> None:
        self.clock, self.events, self.die_after = clock, events, die_after

    def append(self, body: Body) -> Event:
        if self.die_after is not None and len(self.events) >= self.die_after:
            raise Killed
        previous = self.events[-1].sha256 if self.events else "0" * 64
        number = len(self.events) + 1
        self.clock.passed_s += 0.001
        event = Event(
            run_id="run-1",
            sequence=number,
            at=self.clock.now(),
            body=body,
            previous=previous,
            sha256=hashlib.sha256(f"{previous}{number}".encode()).hexdigest(),
        )
        self.events.append(event)
        return event


Behaviour = Callable[[int], CommandResult | tuple[CommandResult, bytes]]


def ok(output: bytes = b"") -> tuple[CommandResult, bytes]:
    return CommandResult(ending=Ending.FINISHED, exit_code=0), output


def exits(code: int) -> CommandResult:
    return CommandResult(ending=Ending.FINISHED, exit_code=code)


def ends(ending: Ending, detail: str = "") -> CommandResult:
    return CommandResult(ending=ending, detail=detail or str(ending))


@dataclass
class FakeHosts:
    """Hosts as the jobs see them: a name is claimed once, and whoever comes second gets the same result.

    ``scripts`` maps a script to what its n-th run (from 1) does; without an entry it succeeds. ``effects`` counts how
    often a script really ran, which is what no journal can be asked.
    """

    scripts: dict[str, Behaviour] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    probes: Counter[str] = field(default_factory=Counter)
    claimed: dict[str, CommandResult | tuple[CommandResult, bytes]] = field(default_factory=dict)
    lose_first_answer: set[str] = field(default_factory=set)
    commands: list[ShellCommand] = field(default_factory=list)

    def _run(self, script: str, number: int, output: OutputSink) -> CommandResult:
        result = self.scripts[script](number) if script in self.scripts else exits(0)
        return self._give(result, output)

    @staticmethod
    def _give(result: CommandResult | tuple[CommandResult, bytes], output: OutputSink) -> CommandResult:
        if isinstance(result, tuple):
            output("stdout", result[1])
            return result[0]
        return result

    def probe(
        self, endpoint: Endpoint | None, command: ShellCommand, *, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        self.commands.append(command)
        self.probes[command.script] += 1
        return self._run(command.script, self.probes[command.script], output)

    def job(
        self, endpoint: Endpoint | None, command: ShellCommand, *, name: JobName, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        self.commands.append(command)
        if str(name) not in self.claimed:
            result = self.scripts[command.script](name.attempt) if command.script in self.scripts else exits(0)
            plain = result[0] if isinstance(result, tuple) else result
            if plain.ending in (Ending.UNREACHABLE, Ending.REFUSED, Ending.HELD):
                return plain
            self.claimed[str(name)] = result
            self.effects[command.script] += 1
            if command.script in self.lose_first_answer:
                return ends(Ending.LOST)
            return self._give(result, output)
        return self._give(self.claimed[str(name)], output)

    def kill(self, endpoint: Endpoint | None, *, name: JobName, become: str | None) -> CommandResult:
        return exits(0)

    def close(self) -> None:
        return


class FakeNetwork:
    """Answers by URL or address; without an entry everything is well."""

    def __init__(self) -> None:
        self.answers: dict[str, list[NetworkAnswer]] = {}

    def _next(self, key: str) -> NetworkAnswer:
        left = self.answers.get(key)
        if not left:
            return NetworkAnswer(ok=True, detail=f"{key}: fine", body="{}")
        return left.pop(0) if len(left) > 1 else left[0]

    def http(self, request: Http, *, timeout_s: float) -> NetworkAnswer:
        return self._next(request.url)

    def tcp(self, request: Tcp, *, timeout_s: float) -> NetworkAnswer:
        return self._next(f"{request.address}:{request.port}")


class FakeFiles:
    """Every transfer succeeds."""

    def transfer(
        self, endpoint: Endpoint, order: Transfer, *, become: str | None, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        output("stdout", f"{order.local} {order.remote}".encode())
        return exits(0)


class MemoryRecorder:
    def __init__(self) -> None:
        self.streams = {"stdout": b"", "stderr": b""}

    def __call__(self, stream: str, data: bytes) -> None:
        self.streams[stream] += data

    def close(self) -> tuple[Output | None, Output | None]:
        found = [
            Output(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), tail=data.decode(errors="replace"))
            if data
            else None
            for data in self.streams.values()
        ]
        return found[0], found[1]


class MemoryOutputs:
    def recorder(self, target: Target) -> MemoryRecorder:
        return MemoryRecorder()


class Scripted:
    """A person who gives these answers in turn; after the last, nobody is there."""

    def __init__(self, *answers: Answer) -> None:
        self.left = list(answers)
        self.asked: list[PersonAsked] = []

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        self.asked.append(question)
        return self.left.pop(0) if self.left else Answer(answer=question.unattended)


@dataclass
class Bench:
    """A run of a plan in this world, that can be killed and gone on with."""

    plan: Plan
    hosts: FakeHosts = field(default_factory=FakeHosts)
    network: FakeNetwork = field(default_factory=FakeNetwork)
    clock: FakeClock = field(default_factory=FakeClock)
    person: Scripted = field(default_factory=Scripted)
    events: list[Event] = field(default_factory=list)
    listeners: list[object] = field(default_factory=list)

    def conductor(self, *, die_after: int | None = None) -> Conductor:
        world = World(
            commands=self.hosts, network=self.network, outputs=MemoryOutputs(), clock=self.clock, files=FakeFiles()
        )
        return Conductor(
            journal=MemoryJournal(self.clock, self.events, die_after=die_after),
            world=world,
            person=self.person,
            state=fold_all(self.events),
            listeners=list(self.listeners),  # type: ignore[arg-type]
        )

    def run(self, *, die_after: int | None = None) -> RunState:
        first = RunStarted(plan=self.plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=False)
        return self.conductor(die_after=die_after).conduct(first)

    def resume(self, *, die_after: int | None = None) -> RunState:
        again = RunResumed(operator="p@n", controller="n", pid=2, interactive=False)
        return self.conductor(die_after=die_after).conduct(again)


ABORT = OnFailure.ABORT
CONTINUE = OnFailure.CONTINUE
