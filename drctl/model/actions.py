"""What a step can do, as people write it: scripts, words, requests, files, questions and other runbooks."""

from typing import Annotated, Any, Literal

from drctl.model.scalars import Line, Port, ScalarText, Slug, SomeTime, VariableName, scalar_text
from drctl.model.units import parse_duration
from drctl.model.written import Before, Choice, Limits, Schema, Written, field

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

ACTIONS = (
    "run", "argv", "local", "http", "tcp", "put", "get", "manual", "approval", "runbook", "wait",
)  # fmt: skip


class CommandUse(Written):
    """A command of the inventory's service (an argv list), with more arguments; no shell reads them."""

    command: VariableName
    """A name below commands of the service in the inventory."""
    arguments: list[ScalarText] = field(default_factory=list)
    """Words that are added at its end; ${name} is filled in."""


Words = Annotated[list[ScalarText], Limits(shortest=1)]


class ArgvUse(Written):
    """A program and its arguments; no shell reads them."""

    argv: Words
    """The program and its arguments, each a word; ${name} is filled in."""


def _how_written(value: Any) -> int:
    if not isinstance(value, dict):
        return 0
    return 2 if "argv" in value else 1


def mapping_second(value: Any) -> int:
    """Which it is of two, when the second is a mapping."""
    return int(isinstance(value, dict))


def list_second(value: Any) -> int:
    """Which it is of two, when the second is a list."""
    return int(isinstance(value, list))


Script = Annotated[str, Limits(shortest=1)]
ShellText = Annotated[Script | CommandUse | ArgvUse, Choice(_how_written)]


class HttpExpect(Written):
    """What the answer must be: its status, and members of the JSON object in its body."""

    status: Annotated[int, Limits(least=100, most=599)] = 200
    """The status of the answer."""
    json_: dict[str, ScalarText] = field(default_factory=dict)
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


def _number_or_text(value: Any) -> int:
    return 2 if isinstance(value, str) else int(isinstance(value, float))


Limit = Annotated[
    int | float | str,
    Before(_limit),
    Choice(_number_or_text),
    Schema({"type": ["string", "number"], "examples": ["5m", "rpo"]}),
]


class OnlyIfAbove(Written):
    """Ask only when a captured number or duration is above the limit."""

    value: VariableName
    """A name that an earlier step captures."""
    limit: Limit
    """A duration, a number, or rpo or rto."""


class ApprovalText(Written):
    """A person says yes."""

    prompt: Annotated[str, Limits(shortest=1)]
    """What the person is asked; ${name} is filled in."""
    only_if_above: OnlyIfAbove | None = None
    """Ask only then."""
    minimum: Annotated[int, Limits(least=1, most=20)] | None = None
    """How many different people must approve, when it is not what the inventory says."""
    within: SomeTime | None = None
    """How old an approval may be, and how long one is waited for, when it is not what the inventory says."""


class ManualText(Written):
    """A person does something that drctl cannot do, and says that it is done."""

    prompt: Annotated[str, Limits(shortest=1)]
    """What is to be done; ${name} is filled in."""


Manual = Annotated[Script | ManualText, Choice(mapping_second)]

SHA256 = r"^[0-9a-fA-F]{64}$"


class TransferText(Written):
    """A file that is sent or fetched."""

    source: Line
    """The file as it is: on this machine for put, on the host for get; ${name} is filled in."""
    destination: Line
    """The file as it will be, with its name; ${name} is filled in."""
    sha256: Annotated[str, Before(scalar_text), Limits(pattern=SHA256)] | None = None
    """What the file must have; else both ends are compared."""


class CallText(Written):
    """Another runbook whose steps are done here."""

    name: Slug
    """The runbook: the file of that name beside this one, or in runbooks/."""
    inputs: dict[VariableName, ScalarText] = field(default_factory=dict)
    """Values for its inputs; ${name} is filled in."""


Call = Annotated[Slug | CallText, Choice(mapping_second)]


class FallbackText(Written):
    """Another runbook that takes over when this one cannot go on."""

    runbook: Slug
    """The runbook: the file of that name beside this one, or in runbooks/."""
    inputs: dict[VariableName, ScalarText] = field(default_factory=dict)
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
