"""A runbook as people write it. What it means for one service is a Plan (``drctl/plan``).

Rules that concern one field stand here; rules between fields and between steps are in ``drctl/read/lint.py``, so
that all of a document's problems are found at once and each has its line.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from drctl.model.scalars import (
    Duration,
    Flag,
    InputType,
    Line,
    Port,
    ScalarText,
    Slug,
    SomeTime,
    VariableName,
)
from drctl.model.units import parse_duration

CaptureName = Literal["text", "int", "time", "duration", "bytes", "json"]
MarkName = Literal["outage_started", "detected", "declared", "service_restored", "protected"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

# Tags of unions: the reader leaves them out of the place that it names.
TEXT, COMMAND, ONE, MANY, STEP, GROUP = "<text>", "<command>", "<one>", "<many>", "<step>", "<parallel>"


class Written(BaseModel):
    """What all documents share: nothing unknown, nothing guessed, nothing changed afterwards."""

    # The texts below the fields are what an editor shows beside them (docs/schema).
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


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


class CommandUse(Written):
    """A command of the inventory's service (an argv list), with more arguments; no shell reads them."""

    command: VariableName
    """A name below commands of the service in the inventory."""
    arguments: list[ScalarText] = []
    """Words that are added at its end; ${name} is filled in."""


def _text_or_mapping(value: Any) -> str:
    return COMMAND if isinstance(value, dict | CommandUse) else TEXT


def _one_or_many(value: Any) -> str:
    return MANY if isinstance(value, list) else ONE


Script = Annotated[str, Field(min_length=1)]
ShellText = Annotated[
    Annotated[Script, Tag(TEXT)] | Annotated[CommandUse, Tag(COMMAND)], Discriminator(_text_or_mapping)
]
Hosts = Annotated[
    Annotated[Line, Tag(ONE)] | Annotated[Annotated[list[Line], Field(min_length=1)], Tag(MANY)],
    Discriminator(_one_or_many),
]


class HttpExpect(Written):
    """What the answer must be: its status, and members of the JSON object in its body."""

    status: Annotated[int, Field(ge=100, le=599)] = 200
    """The status of the answer."""
    json_: dict[str, ScalarText] = Field(default={}, alias="json")
    """Members of the JSON object in the answer, and their values."""


class HttpText(Written):
    """A request from the operator's machine."""

    url: Line
    """Where; ${name} is filled in."""
    method: Method = "GET"
    """GET and HEAD only read."""
    expect: HttpExpect = HttpExpect()
    """What the answer must be."""


class TcpText(Written):
    """A TCP connection from the operator's machine, to a role, a host or an address."""

    host: Line
    """A role, a host or an address; ${name} is filled in."""
    port: Port
    """The port."""
    expect: Literal["open", "closed"] = "open"
    """Whether it should answer."""


def _limit(value: Any) -> Any:
    """A number, a duration (kept as it is written) or the name of an objective."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be a duration such as 5m, a number, or rpo or rto")
    if isinstance(value, str) and value not in ("rpo", "rto"):
        parse_duration(value)
    return value


Limit = Annotated[
    int | float | str,
    BeforeValidator(_limit),
    WithJsonSchema({"type": ["string", "number"], "examples": ["5m", "rpo"]}),
]


class OnlyIfAbove(Written):
    """Ask only when a captured number or duration is above the limit."""

    value: VariableName
    """A name that an earlier step captures."""
    limit: Limit
    """A duration, a number, or rpo or rto."""


class ApprovalText(Written):
    """A person says yes."""

    prompt: Annotated[str, Field(min_length=1)]
    """What the person is asked; ${name} is filled in."""
    only_if_above: OnlyIfAbove | None = None
    """Ask only then."""


class VerifyText(Written):
    """Must hold after the step; a read-only probe that is repeated until it does."""

    run: ShellText | None = None
    """A script or a command on the step's hosts."""
    local: ShellText | None = None
    """A script or a command on the operator's machine."""
    http: HttpText | None = None
    """A request from the operator's machine."""
    tcp: TcpText | None = None
    """A connection from the operator's machine."""
    expect: ScalarText | None = None
    """What it must print."""
    within: SomeTime = 30.0
    """How long it may take until it holds."""
    every: SomeTime = 1.0
    """How long between two looks."""


class RetryText(Written):
    """How often a step may be tried, and how long between."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    """How many in all."""
    delay: Duration = 1.0
    """How long before the second."""
    backoff: Annotated[float, Field(ge=1, le=10, strict=False)] = 2.0
    """By how much each pause is longer than the one before."""
    max_delay: Duration = 30.0
    """How long a pause may become."""


def _mark(value: Any) -> Any:
    return {value: None} if isinstance(value, str) else value


Marks = Annotated[
    dict[MarkName, VariableName | None],
    BeforeValidator(_mark),
    Field(min_length=1, max_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["outage_started", "detected", "declared", "service_restored", "protected"]},
                {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]


class StepText(Written):
    """One step: an id, exactly one action, and what it promises."""

    id: Slug
    """Its name for the machine, once in a runbook: fence-primary."""
    name: Line | None = None
    """What it does, in one line for people; ${name} is filled in."""

    run: ShellText | None = None
    """Shell text, or a command of the inventory, on the hosts."""
    local: ShellText | None = None
    """Shell text, or a command of the inventory, on the operator's machine."""
    http: HttpText | None = None
    """A request from the operator's machine."""
    tcp: TcpText | None = None
    """A connection from the operator's machine."""
    approval: ApprovalText | None = None
    """A person says yes."""
    wait: SomeTime | None = None
    """Nothing happens for this long."""

    hosts: Hosts | None = None
    """A role of the service, a host, a group or a site, or a list of them."""
    become: Line | None = None
    """The user to run as, through sudo."""
    timeout: SomeTime | None = None
    """When it is ended: 60s unless said."""
    expected: Duration | None = None
    """How long it usually takes."""
    retry: RetryText | None = None
    """How often a failure is tried again."""
    on_failure: Literal["abort", "continue", "pause"] | None = None
    """What a failure does to the run."""
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
    capture: dict[VariableName, CaptureName] = {}
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
    failure_hint: str = ""
    """What to do or type when it fails; ${name} is filled in."""


class ParallelText(Written):
    """Steps that run side by side."""

    parallel: Annotated[list[StepText], Field(min_length=1)]
    """The steps that run side by side."""


def _step_or_group(value: Any) -> str:
    return GROUP if (isinstance(value, dict) and "parallel" in value) or isinstance(value, ParallelText) else STEP


Entry = Annotated[Annotated[StepText, Tag(STEP)] | Annotated[ParallelText, Tag(GROUP)], Discriminator(_step_or_group)]

ACTIONS = ("run", "local", "http", "tcp", "approval", "wait")


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
    inputs: dict[VariableName, Input] = {}
    """What whoever starts the run may give."""
    preconditions: list[Entry] = []
    """Must all hold, or nothing is changed. Read-only."""
    steps: Annotated[list[Entry], Field(min_length=1)]
    """What is done, in this order."""
    always: list[Entry] = []
    """What is done at the end, whatever happened."""
    on_failure: Literal["abort", "pause"] | None = None
    """What a failed step of steps does that does not say so itself."""
