"""The outside world as the engine sees it. The adapters stand behind these; tests put fakes here.

A shell command can end in seven ways, and only one of them has an exit code. The difference between them is the
heart of drctl (design, law 3): "unreachable" means that nothing was sent, "lost" that we do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from drctl.engine.state import RunState, Target
from drctl.model.events import Body, Event, Output, PersonAsked, StopRequested
from drctl.model.plan import Endpoint, Http, Tcp, Transfer
from drctl.plan.residency import Hop

Stream = Literal["stdout", "stderr"]


class Ending(StrEnum):
    """How a command ended, as far as we know."""

    FINISHED = "finished"  # it has an exit code
    UNREACHABLE = "unreachable"  # no connection: nothing was sent
    REFUSED = "refused"  # host key, authentication or sudo said no: nothing was run
    HELD = "held"  # another run may change the service on that host: nothing was run
    LOST = "lost"  # it was sent, and what became of it is not known
    TIMED_OUT = "timed_out"  # it ran too long; its process group was killed, and that was confirmed
    ENDED = "ended"  # drctl was told to end it: its process group was killed, and that was confirmed
    REBOOTED = "rebooted"  # the job's host started anew (boot id differs) before the job left an exit code


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellCommand:
    """A script as it will be sent on standard input: the quoted variables go ahead of the unchanged script.

    ``secrets`` map a variable's name to a reference; the adapter resolves it at the last moment. ``become`` is the
    user to run as through ``sudo -n``. ``words`` become the positional parameters.
    """

    script: str
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    become: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobName:
    """What makes an action happen once only: the directory of that name is claimed on the host."""

    run_id: str
    step_id: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.step_id}.{self.attempt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What is known of a command. ``detail`` says in words what happened when there is no exit code."""

    ending: Ending
    exit_code: int | None = None
    detail: str = ""
    attached: bool = False  # the job had been started before, by us or by another
    held_by: str = ""  # the run that holds the service there
    duration_s: float = 0.0  # monotonic, as seen from here


class OutputSink(Protocol):
    """Takes output as it comes, in bytes of any encoding. It must not raise."""

    def __call__(self, stream: Stream, data: bytes) -> None: ...


class CommandRunner(Protocol):
    """Runs shell commands on a host (over SSH) or, with ``endpoint=None``, on the operator's machine."""

    def probe(
        self, endpoint: Endpoint | None, command: ShellCommand, *, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        """Run a read-only command. Nothing of it stays on the host; a lost one may be sent again."""
        ...

    def job(
        self,
        endpoint: Endpoint | None,
        command: ShellCommand,
        *,
        name: JobName,
        timeout_s: float,
        output: OutputSink,
    ) -> CommandResult:
        """Start the durable job of that name, or attach to it when it was started before; wait for its end."""
        ...

    def kill(self, endpoint: Endpoint | None, *, name: JobName, become: str | None) -> CommandResult:
        """End the job's process group. FINISHED with exit code 0 when it is confirmed that nothing of it runs."""
        ...

    def close(self) -> None:
        """Let the connections go. Running jobs go on."""
        ...


class Files(Protocol):
    """Moves files between the operator's machine and hosts. A transfer may be repeated: it goes on where it broke."""

    def transfer(
        self, endpoint: Endpoint, order: Transfer, *, become: str | None, timeout_s: float, output: OutputSink
    ) -> CommandResult:
        """Send or fetch the file, compare its sha256 at both ends, and print one line about it to the output.

        The file appears under its own name only when it is whole and right. FINISHED with exit code 0 when it is;
        with another when the file is not there, does not fit or has the wrong sum (said on stderr); else as a command.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkAnswer:
    """What an HTTP or TCP request from the operator's machine gave. ``sent`` is False when nothing left."""

    ok: bool
    detail: str
    body: str = ""
    sent: bool = True


class Routes(Protocol):
    """The machines on the way to a host, as they are resolved on this machine and now."""

    def way_to(self, endpoint: Endpoint) -> tuple[Hop, ...]:
        """The gateways, the first one first, and at last the host itself. Nothing is connected to."""
        ...


class Network(Protocol):
    """Requests from the operator's machine, each with its own deadline."""

    def http(self, request: Http, *, timeout_s: float) -> NetworkAnswer: ...

    def tcp(self, request: Tcp, *, timeout_s: float) -> NetworkAnswer: ...


class Clock(Protocol):
    """``now`` is UTC wall time, for across processes; ``monotonic`` seconds are for durations within one."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class OutputRecorder(OutputSink, Protocol):
    """Keeps one attempt's output, redacted, and tells what was kept."""

    def close(self) -> tuple[Output | None, Output | None]:
        """Standard output and standard error as they were kept; None for one that was empty."""
        ...


class Outputs(Protocol):
    """Where outputs are kept."""

    def recorder(self, target: Target) -> OutputRecorder:
        """A place for the output of one attempt of this target; listeners see it as it comes."""
        ...


class Journal(Protocol):
    """The run's events on disk. ``append`` returns only when the event would survive a power cut."""

    def append(self, body: Body) -> Event:
        """Write the next event of this run.

        Raises:
            JournalError: when it cannot be written; then nothing may be done.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a person decided. ``who`` is empty when nobody was there."""

    answer: str
    who: str = ""
    why: str = ""
    statement: str = ""
    signature: str = ""
    fingerprint: str = ""


class Person(Protocol):
    """Whoever decides: at the terminal, by flags given beforehand, or nobody."""

    def decide(self, question: PersonAsked, state: RunState) -> Answer: ...


class Listener(Protocol):
    """A screen or another reader of a run while it goes on. What it raises is journalled, and it is let go (law 10)."""

    name: str

    def on_event(self, event: Event, state: RunState) -> None:
        """An event was written; ``state`` includes it."""
        ...

    def on_output(self, target: Target, text: str) -> None:
        """Redacted output of the attempt in flight, decoded, in pieces of any size."""
        ...

    def tick(self, now: datetime) -> None:
        """About once a second, so that clocks move while nothing else happens."""
        ...


class Mailbox(Protocol):
    """What people at other terminals want of this run."""

    def stop(self) -> StopRequested | None:
        """An abort that somebody has asked for; the run may have heard of it before."""
        ...
