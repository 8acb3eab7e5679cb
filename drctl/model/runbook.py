"""A runbook as people write it. What it means for one service is a Plan (``drctl/plan``).

Rules that concern one field stand here; rules between fields and between steps are in ``drctl/read/lint.py``, so
that all of a document's problems are found at once and each has its line.
"""

from typing import Annotated, Any, Literal

from drctl.model.actions import (
    ApprovalText,
    Call,
    FallbackText,
    HttpText,
    Manual,
    Script,
    ShellText,
    TcpText,
    TransferText,
    VerifyText,
    Words,
    list_second,
    mapping_second,
)
from drctl.model.scalars import (
    Duration,
    Flag,
    InputType,
    Line,
    ScalarText,
    Slug,
    SomeTime,
    VariableName,
)
from drctl.model.written import Before, Choice, Limits, Schema, Written, field

CaptureName = Literal["text", "int", "time", "duration", "bytes", "json"]
MarkName = Literal["outage_started", "detected", "declared", "service_restored", "protected"]
ModeName = Literal["check", "drill", "real"]


class ObjectivesText(Written):
    """What was promised: rto is how long a service may be down, rpo how much of its latest data may be lost."""

    rto: SomeTime | None = None
    """How long the service may be down."""
    rpo: SomeTime | None = None
    """How much of the latest data may be lost."""


class Input(Written):
    """A value that whoever starts the run gives with --input NAME=VALUE."""

    type: InputType = "text"
    """What the text must look like."""
    required: Flag = False
    """Whether a run is refused without it."""
    default: ScalarText | None = None
    """What it is when nobody gives it; without one it is empty."""
    description: str = ""
    """What it is for, in one line."""


Hosts = Annotated[Line | Annotated[list[Line], Limits(shortest=1)], Choice(list_second)]


class RetryText(Written):
    """How often a step may be tried, and how long between."""

    attempts: Annotated[int, Limits(least=1, most=1000)] = 3
    """How many in all."""
    delay: Duration = 1.0
    """How long before the second."""
    backoff: Annotated[float, Limits(least=1, most=10)] = 2.0
    """By how much each pause is longer than the one before."""
    max_delay: Duration = 30.0
    """How long a pause may become."""
    within: Duration | None = None
    """Beside a call: no new attempt but the last one begins later than this after the first."""


def _mark(value: Any) -> Any:
    return {value: None} if isinstance(value, str) else value


Marks = Annotated[
    dict[MarkName, VariableName | None],
    Before(_mark),
    Limits(shortest=1, longest=1),
    Schema(
        {
            "anyOf": [
                {"enum": ["outage_started", "detected", "declared", "service_restored", "protected"]},
                {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]


class VolumeText(Written):
    """How much of the service's data a step carries, and how fast."""

    size: VariableName | None = None
    """A captured value of type bytes, or a variable of the inventory: as the newest run captured it."""
    mb_per_s: VariableName | None = None
    """A variable of the inventory: millions of bytes a second, an assumption for when there is no history."""


CarriesText = Annotated[Literal["data"] | VolumeText, Choice(mapping_second)]


class DeadlineText(Written):
    """The last moment at which to leave this runbook for its fallback, and still be inside the RTO."""

    action: Literal["fallback", "continue", "pause", "abort"]
    """What is done then when nobody is there; a person who is there is asked."""
    margin: Duration = 0.0
    """How much earlier it is, so that there is time to decide."""
    until: Slug | None = None
    """A step of steps: once it has succeeded the runbook is not left any more."""


class UndoText(Written):
    """How a step is undone. What is not said here is as in the step: hosts, become and timeout."""

    run: ShellText | None = None
    """A script or a command on the step's hosts."""
    argv: Words | None = None
    """A program and its arguments on the step's hosts; no shell reads them."""
    local: ShellText | None = None
    """A script or a command on the operator's machine."""
    command: VariableName | None = None
    """A command of the inventory, run where the step runs."""
    arguments: list[ScalarText] = field(default_factory=list)
    """Words that are added at the end of the command."""
    hosts: Hosts | None = None
    """Where, when it is not where the step runs."""
    become: Line | None = None
    """As whom, when it is not who the step runs as."""
    timeout: SomeTime | None = None
    """When it is ended."""
    expected: Duration | None = None
    """How long it usually takes."""
    idempotent: Flag | None = None
    """Doing it twice does no harm, so what is in doubt may be done again."""


Undo = Annotated[Script | UndoText, Choice(mapping_second)]
OnStepFailure = Annotated[
    Literal["abort", "ask", "continue", "pause", "rollback"] | FallbackText, Choice(mapping_second)
]
OnRunFailure = Annotated[Literal["abort", "pause", "rollback"] | FallbackText, Choice(mapping_second)]


class StepText(Written):
    """One step: an id, exactly one action, and what it promises."""

    id: Slug
    """Its name for the machine, once in a runbook: fence-primary."""
    name: Line | None = None
    """What it does, in one line for people; ${name} is filled in."""

    run: ShellText | None = None
    """Shell text, or a command of the inventory, on the hosts."""
    argv: Words | None = None
    """A program and its arguments on the hosts; no shell reads them."""
    local: ShellText | None = None
    """Shell text, or a command of the inventory, on the operator's machine."""
    http: HttpText | None = None
    """A request from the operator's machine."""
    tcp: TcpText | None = None
    """A connection from the operator's machine."""
    put: TransferText | None = None
    """A file of this machine is sent to the hosts."""
    get: TransferText | None = None
    """A file of the host is fetched to this machine."""
    manual: Manual | None = None
    """A person does it, and says that it is done."""
    approval: ApprovalText | None = None
    """A person says yes."""
    runbook: Call | None = None
    """Another runbook, whose steps are done here."""
    wait: SomeTime | None = None
    """Nothing happens for this long."""

    hosts: Hosts | None = None
    """A role of the service, a host, a group or a site, or a list of them."""
    max_parallel: Annotated[int, Limits(least=1)] | None = None
    """How many of the hosts at once; all unless said."""
    become: Line | None = None
    """The user to run as, through sudo."""
    when: Annotated[dict[VariableName, ScalarText], Limits(shortest=1)] = field(default_factory=dict)
    """Only when each of these inputs and captured values is so."""
    modes: Annotated[list[ModeName], Limits(shortest=1)] = field(default_factory=list)
    """Only in these modes; in all unless said."""
    timeout: SomeTime | None = None
    """When it is ended: 60s unless said."""
    expected: Duration | None = None
    """How long it usually takes."""
    retry: RetryText | None = None
    """How often a failure is tried again."""
    on_failure: OnStepFailure | None = None
    """What a failure does to the run."""
    rollback: Undo | None = None
    """How it is undone: a script, or more."""
    on_unreachable: Literal["fail", "continue"] | None = None
    """What a host that cannot be reached does to the run."""
    read_only: Flag | None = None
    """It changes nothing, so it may be sent again."""
    idempotent: Flag | None = None
    """Doing it twice does no harm, so what is in doubt may be done again."""
    sensitive: Flag | None = None
    """Its output is not kept."""
    unless: Script | None = None
    """A read-only script; when it succeeds there is nothing to do."""
    expect: ScalarText | None = None
    """What it must print."""
    verify: VerifyText | None = None
    """What must hold afterwards."""
    capture: dict[VariableName, CaptureName] = field(default_factory=dict)
    """Names for its output, with their types; with several, one for each line."""
    marks: Marks | None = None
    """A point of the RTO clock: the end of the step, or a captured time."""
    recovery_point: VariableName | None = None
    """The captured time that the data was recovered to."""
    last_write: VariableName | None = None
    """The captured time of the last write that a client was told had succeeded."""
    proves: VariableName | None = None
    """A fact that holds once it succeeded: primary_fenced."""
    requires: VariableName | None = None
    """A fact without which it does not begin."""
    unless_proved: VariableName | None = None
    """A fact that makes it needless."""
    carries: CarriesText | None = None
    """The service's data goes through it: data, or how much and how fast."""
    failure_hint: str = ""
    """What to do or type when it fails; ${name} is filled in."""


class ParallelText(Written):
    """Steps that run side by side."""

    parallel: Annotated[list[StepText], Limits(shortest=1)]
    """The steps that run side by side."""


def _step_or_group(value: Any) -> int:
    return int(isinstance(value, dict) and "parallel" in value)


Entry = Annotated[StepText | ParallelText, Choice(_step_or_group)]


class Runbook(Written):
    """A runbook: what must hold, what is done, what is done whatever happened."""

    runbook: Slug
    """Its name, as it is typed."""
    title: Line
    """One line; ${name} is filled in."""
    description: str = ""
    """What it is for, and when it is not."""
    objectives: ObjectivesText = ObjectivesText()
    """What this runbook is held to, unless the service promises something else."""
    inputs: dict[VariableName, Input] = field(default_factory=dict)
    """What whoever starts the run may give."""
    preconditions: list[Entry] = field(default_factory=list)
    """Must all hold, or nothing is changed. Read-only."""
    steps: Annotated[list[Entry], Limits(shortest=1)]
    """What is done, in this order."""
    always: list[Entry] = field(default_factory=list)
    """What is done at the end, whatever happened."""
    on_failure: OnRunFailure | None = None
    """What a failed step of steps does that does not say so itself."""
    deadline: DeadlineText | None = None
    """What happens at the last moment at which the fallback could still restore the service within the RTO."""
