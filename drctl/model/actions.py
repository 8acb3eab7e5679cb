"""What a step can do, as people write it: scripts, words, requests, files, questions and other runbooks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
)

from drctl.model.scalars import Line, Port, ScalarText, Slug, SomeTime, VariableName, scalar_text
from drctl.model.units import parse_duration

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

# Tags of unions: the reader leaves them out of the place that it names.
TEXT, COMMAND, WORDS, MAPPING = "<text>", "<command>", "<words>", "<mapping>"

ACTIONS = (
    "run", "argv", "local", "http", "tcp", "put", "get", "manual", "approval", "runbook", "wait",
)  # fmt: skip


class Written(BaseModel):
    """What all documents share: nothing unknown, nothing guessed, nothing changed afterwards."""

    # The texts below the fields are what an editor shows beside them (docs/schema): read/schema.py looks them up.
    # defer_build: only the document that is read builds its validator, and once, with all that it contains.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class CommandUse(Written):
    """A command of the inventory's service (an argv list), with more arguments; no shell reads them."""

    command: VariableName
    """A name below commands of the service in the inventory."""
    arguments: list[ScalarText] = []
    """Words that are added at its end; ${name} is filled in."""


Words = Annotated[list[ScalarText], Field(min_length=1)]


class ArgvUse(Written):
    """A program and its arguments; no shell reads them."""

    argv: Words
    """The program and its arguments, each a word; ${name} is filled in."""


def _how_written(value: Any) -> str:
    if isinstance(value, ArgvUse) or (isinstance(value, dict) and "argv" in value):
        return WORDS
    return COMMAND if isinstance(value, dict | CommandUse) else TEXT


def _text_or_mapping(value: Any) -> str:
    return MAPPING if isinstance(value, dict | BaseModel) else TEXT


Script = Annotated[str, Field(min_length=1)]
ShellText = Annotated[
    Annotated[Script, Tag(TEXT)] | Annotated[CommandUse, Tag(COMMAND)] | Annotated[ArgvUse, Tag(WORDS)],
    Discriminator(_how_written),
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
    minimum: Annotated[int, Field(ge=1, le=20)] | None = None
    """How many different people must approve, when it is not what the inventory says."""
    within: SomeTime | None = None
    """How old an approval may be, and how long one is waited for, when it is not what the inventory says."""


class ManualText(Written):
    """A person does something that drctl cannot do, and says that it is done."""

    prompt: Annotated[str, Field(min_length=1)]
    """What is to be done; ${name} is filled in."""


Manual = Annotated[Annotated[Script, Tag(TEXT)] | Annotated[ManualText, Tag(MAPPING)], Discriminator(_text_or_mapping)]

SHA256 = r"^[0-9a-fA-F]{64}$"


class TransferText(Written):
    """A file that is sent or fetched."""

    source: Line
    """The file as it is: on this machine for put, on the host for get; ${name} is filled in."""
    destination: Line
    """The file as it will be, with its name; ${name} is filled in."""
    sha256: Annotated[str, BeforeValidator(scalar_text), StringConstraints(pattern=SHA256)] | None = None
    """What the file must have; else both ends are compared."""


class CallText(Written):
    """Another runbook whose steps are done here."""

    name: Slug
    """The runbook: the file of that name beside this one, or in runbooks/."""
    inputs: dict[VariableName, ScalarText] = {}
    """Values for its inputs; ${name} is filled in."""


Call = Annotated[Annotated[Slug, Tag(TEXT)] | Annotated[CallText, Tag(MAPPING)], Discriminator(_text_or_mapping)]


class FallbackText(Written):
    """Another runbook that takes over when this one cannot go on."""

    runbook: Slug
    """The runbook: the file of that name beside this one, or in runbooks/."""
    inputs: dict[VariableName, ScalarText] = {}
    """Values for its inputs; ${name} is filled in."""


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
