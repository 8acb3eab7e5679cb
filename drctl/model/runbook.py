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

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ObjectivesText(Written):
    """What was promised: rto is how long a service may be down, rpo how much of its latest data may be lost."""

    rto: SomeTime | None = None
    rpo: SomeTime | None = None


class Input(Written):
    """A value that whoever starts the run gives with --input NAME=VALUE."""

    type: InputType = "text"
    required: Flag = False
    default: ScalarText | None = None
    description: str = ""


class CommandUse(Written):
    """A command of the inventory's service (an argv list), with more arguments; no shell reads them."""

    command: VariableName
    arguments: list[ScalarText] = []


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
    json_: dict[str, ScalarText] = Field(default={}, alias="json")


class HttpText(Written):
    """A request from the operator's machine."""

    url: Line
    method: Method = "GET"
    expect: HttpExpect = HttpExpect()


class TcpText(Written):
    """A TCP connection from the operator's machine, to a role, a host or an address."""

    host: Line
    port: Port
    expect: Literal["open", "closed"] = "open"


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
    limit: Limit


class ApprovalText(Written):
    """A person says yes."""

    prompt: Annotated[str, Field(min_length=1)]
    only_if_above: OnlyIfAbove | None = None


class VerifyText(Written):
    """Must hold after the step; a read-only probe that is repeated until it does."""

    run: ShellText | None = None
    local: ShellText | None = None
    http: HttpText | None = None
    tcp: TcpText | None = None
    expect: ScalarText | None = None
    within: SomeTime = 30.0
    every: SomeTime = 1.0


class RetryText(Written):
    """How often a step may be tried, and how long between."""

    attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    delay: Duration = 1.0
    backoff: Annotated[float, Field(ge=1, le=10, strict=False)] = 2.0
    max_delay: Duration = 30.0


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
    name: Line | None = None

    run: ShellText | None = None
    local: ShellText | None = None
    http: HttpText | None = None
    tcp: TcpText | None = None
    approval: ApprovalText | None = None
    wait: SomeTime | None = None

    hosts: Hosts | None = None
    become: Line | None = None
    timeout: SomeTime | None = None
    expected: Duration | None = None
    retry: RetryText | None = None
    on_failure: Literal["abort", "continue", "pause"] | None = None
    on_unreachable: Literal["fail", "continue"] | None = None
    read_only: Flag | None = None
    idempotent: Flag | None = None
    sensitive: Flag | None = None
    unless: Script | None = None
    expect: ScalarText | None = None
    verify: VerifyText | None = None
    capture: dict[VariableName, CaptureName] = {}
    marks: Marks | None = None
    recovery_point: VariableName | None = None
    last_write: VariableName | None = None
    proves: VariableName | None = None
    requires: VariableName | None = None
    unless_proved: VariableName | None = None
    failure_hint: str = ""


class ParallelText(Written):
    """Steps that run side by side."""

    parallel: Annotated[list[StepText], Field(min_length=1)]


def _step_or_group(value: Any) -> str:
    return GROUP if (isinstance(value, dict) and "parallel" in value) or isinstance(value, ParallelText) else STEP


Entry = Annotated[Annotated[StepText, Tag(STEP)] | Annotated[ParallelText, Tag(GROUP)], Discriminator(_step_or_group)]

ACTIONS = ("run", "local", "http", "tcp", "approval", "wait")


class Runbook(Written):
    """A runbook: what must hold, what is done, what is done whatever happened."""

    runbook: Slug
    title: Line
    description: str = ""
    objectives: ObjectivesText = ObjectivesText()
    inputs: dict[VariableName, Input] = {}
    preconditions: list[Entry] = []
    steps: Annotated[list[Entry], Field(min_length=1)]
    always: list[Entry] = []
    on_failure: Literal["abort", "pause"] | None = None
