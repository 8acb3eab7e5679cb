"""What will happen: a plan is a runbook and an inventory resolved into values, and nothing else.

A plan is complete. It names every host as it is reached, every script as it is sent and every variable but those
that a step captures while the run goes on. So a run that began carries on from its plan alone, whatever happens to
the files (design, law 5). Secrets are in it as references only. ``drctl/plan/`` makes plans; ``codec.py`` there
turns them into JSON and digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal

from drctl.model.messages import Notifier
from drctl.model.promises import Carries, DeadlineRule, Residency
from drctl.model.words import Mark, OnFailure, Round, Section


class Mode(StrEnum):
    """The levels of safety that a run can have; only drill and real count as an exercise."""

    PLAN = "plan"
    CHECK = "check"
    DRILL = "drill"
    REAL = "real"


class OnUnreachable(StrEnum):
    """What a host that cannot be reached does to the run."""

    FAIL = "fail"
    CONTINUE = "continue"


class CaptureType(StrEnum):
    """What a step's output is read as."""

    TEXT = "text"
    INT = "int"
    TIME = "time"
    DURATION = "duration"
    BYTES = "bytes"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A name and its value as text, or a reference to a secret; exactly one of ``text`` and ``secret`` is set."""

    name: str
    text: str | None = None
    secret: str | None = None  # "env:NAME", "file:PATH", "command:ARGV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A host as it is reached over SSH. ``variables`` are the host's own; they win over the service's.

    OpenSSH's configuration decides what the inventory does not say: ``port`` 0, ``user`` empty, ``address`` the name.
    """

    host: str
    site: str
    country: str
    address: str
    port: int
    user: str
    ssh_config: str | None = None
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A script for ``sh -s``, unchanged from the runbook; ``words`` become its positional parameters.

    ``local`` runs it on the operator's machine. An inventory's command (an argv list) is the constant script
    ``exec "$@"`` with its words: no shell ever reads a value as code.
    """

    kind: Literal["shell"] = "shell"
    script: str
    local: bool = False
    words: tuple[str, ...] = ()
    command: str | None = None  # the inventory's name of it, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """A request from the operator's machine. ``expect_json`` are top-level members that must be equal."""

    kind: Literal["http"] = "http"
    url: str
    method: str = "GET"
    expect_status: int = 200
    expect_json: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """A TCP connection from the operator's machine. ``expect`` says whether the port should answer."""

    kind: Literal["tcp"] = "tcp"
    address: str
    port: int
    expect: Literal["open", "closed"] = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person says yes. ``only_if`` asks only when a captured number or duration is above the limit.

    With a ``minimum`` so many others than the requester approve it with signatures that are at most ``within_s`` old.
    """

    kind: Literal["approval"] = "approval"
    prompt: str
    only_if_above: tuple[str, float] | None = None  # (captured name, limit; durations in seconds)
    minimum: int = 0  # 0: whoever sits at the terminal says yes
    within_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing happens for ``seconds``."""

    kind: Literal["wait"] = "wait"
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Manual:
    """A person does it, and says that it is done."""

    kind: Literal["manual"] = "manual"
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A file between the operator's machine and a host, resumed where it broke off, its sha256 compared at the end.

    ``put`` sends ``local`` to ``remote``; ``get`` fetches ``remote`` to ``local``. ``${name}`` stands in both.
    ``sha256`` is what the file must have; without it the two ends are compared with each other.
    """

    kind: Literal["transfer"] = "transfer"
    direction: Literal["put", "get"]
    local: str
    remote: str
    sha256: str | None = None


Action = Shell | Http | Tcp | Approval | Wait | Manual | Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """A read-only action, repeated every ``every_s`` until it holds, for ``within_s`` at most."""

    action: Shell | Http | Tcp
    expect: str | None = None  # the output, stripped, must equal it
    within_s: float = 30.0
    every_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a step that may be tried again is tried, and how long between: delay x backoff^n <= max_delay."""

    attempts: int = 1
    delay_s: float = 1.0
    backoff: float = 2.0
    max_delay_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """The step's output, stripped, becomes the value ``name``; with several, line n belongs to capture n."""

    name: str
    type: CaptureType = CaptureType.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. It runs once for each endpoint; with none it runs on the operator's machine.

    ``id`` is unique in the plan, and ``digest`` covers all that decides what it does: a resume matches by both.
    """

    id: str
    name: str
    where: str  # file:line:column in the runbook
    action: Action
    endpoints: tuple[Endpoint, ...] = ()
    become: str | None = None
    variables: tuple[Variable, ...] = ()
    unless: Shell | None = None
    verify: Verify | None = None
    expect: str | None = None
    timeout_s: float = 60.0
    expected_s: float | None = None
    retry: Retry = field(default_factory=Retry)
    on_failure: OnFailure = OnFailure.DEFAULT
    on_unreachable: OnUnreachable = OnUnreachable.FAIL
    read_only: bool = False
    idempotent: bool = False
    sensitive: bool = False
    captures: tuple[Capture, ...] = ()
    mark: Mark | None = None
    mark_value: str | None = None  # a captured time; without it the mark is the step's end
    recovery_point: str | None = None  # a captured time: what the data was recovered to
    last_write: str | None = None  # a captured time: the last write that a client was told had succeeded
    proves: str | None = None  # a fact that holds once this step succeeded, such as primary_fenced
    requires: str | None = None  # a fact without which this step does not start
    unless_proved: str | None = None  # a fact that makes this step needless: a second fence after the first held
    failure_hint: str = ""  # what to type when this step says no
    when: tuple[tuple[str, str], ...] = ()  # (value's name, text that it must be); all of them, or the step is left out
    modes: tuple[Mode, ...] = ()  # the modes in which it runs; empty is all
    max_parallel: int | None = None  # how many hosts at once; None is all
    undoes: str | None = None  # in the rollback: the step that this one undoes
    round: Round | None = None  # in a call that is tried several times
    carries: Carries | None = None  # the service's data goes through this step
    digest: str = ""

    @property
    def is_repeat(self) -> bool:
        """Whether it belongs to a later attempt of a call: the first one usually succeeds."""
        return self.round is not None and self.round.number > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Steps that run side by side; nearly always one."""

    section: Section
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Targets in seconds; None is "no such promise"."""

    rto_s: float | None
    rpo_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document as it was when the plan was made."""

    path: str
    sha256: str
    text: str


@dataclass(frozen=True, kw_only=True)  # without slots: the indexes below are kept beside the fields
class Plan:
    """A runbook for one service, ready to be carried out."""

    runbook: str
    title: str
    service: str
    service_title: str
    sla: bool
    mode: Mode
    objectives: Objectives
    timezone: str
    stages: tuple[Stage, ...]
    inputs: tuple[Variable, ...] = ()
    runbook_source: Source
    inventory_source: Source
    drctl_version: str
    called_sources: tuple[Source, ...] = ()  # the other runbooks that steps of this plan come from
    drill_of: str | None = None  # the service that this one's drills are for
    allowed_signers: Source | None = None  # who may approve, as ssh-keygen -Y verify reads it
    head_places: tuple[str, ...] = ()  # "file:PATH", "command:ARGV": where the head of the chain is published
    head_key: str | None = None  # an SSH key that signs them
    notifiers: tuple[Notifier, ...] = ()
    deadline: DeadlineRule | None = None
    residency: Residency | None = None  # when a step carries data

    @cached_property
    def _all(self) -> tuple[Step, ...]:
        return tuple(step for stage in self.stages for step in stage.steps)

    @cached_property
    def _by_id(self) -> Mapping[str, Step]:
        return {step.id: step for step in self._all}

    @cached_property
    def _sections(self) -> Mapping[str, Section]:
        return {step.id: stage.section for stage in self.stages for step in stage.steps}

    def steps(self, section: Section | None = None) -> tuple[Step, ...]:
        """The steps in order, of one section or of all."""
        return self._all if section is None else tuple(s for g in self.stages if g.section is section for s in g.steps)

    def step(self, step_id: str) -> Step:
        """The step of that id; KeyError when there is none."""
        return self._by_id[step_id]

    def section_of(self, step_id: str) -> Section:
        """Where the step stands.

        Raises:
            KeyError: when there is none of that id.
        """
        return self._sections[step_id]
