"""How one try of a step ended: what a port came back with, by the one table ``_BY_ENDING``, held to the step's word."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drctl.engine.ports import CommandResult, Ending
from drctl.engine.values import capture
from drctl.model.events import Outcome, Output, Reason
from drctl.model.plan import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one try ended, before it is put into an event."""

    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    exit_code: int | None = None
    attached: bool = False
    output: Output | None = None
    errors: Output | None = None


_BY_ENDING: dict[Ending, tuple[Outcome, Reason]] = {
    Ending.UNREACHABLE: (Outcome.FAILED, Reason.UNREACHABLE),
    Ending.REFUSED: (Outcome.FAILED, Reason.REFUSED),
    Ending.HELD: (Outcome.FAILED, Reason.HELD),
    Ending.TIMED_OUT: (Outcome.FAILED, Reason.TIMED_OUT),
    Ending.ENDED: (Outcome.FAILED, Reason.ABORTED),
    Ending.LOST: (Outcome.IN_DOUBT, Reason.LOST),
    Ending.REBOOTED: (Outcome.IN_DOUBT, Reason.REBOOTED),
}


def end_of(result: CommandResult, output: Output | None, errors: Output | None) -> End:
    """What a command's result says of the try."""
    detail, reason = result.detail, None
    if result.ending is not Ending.FINISHED:
        outcome, reason = _BY_ENDING[result.ending]
    elif result.exit_code == 0:
        outcome = Outcome.SUCCEEDED
    else:
        outcome, reason = Outcome.FAILED, Reason.EXIT_CODE
        detail = detail or f"exit code {result.exit_code}"
    return End(
        outcome=outcome,
        reason=reason,
        detail=detail,
        exit_code=result.exit_code,
        attached=result.attached,
        output=output,
        errors=errors,
    )


def held_to_its_word(step: Step, end: End) -> tuple[End, dict[str, str]]:
    """Compare a success with what the step promised to print."""
    text = end.output.tail if end.output else ""
    if step.expect is not None and text.strip() != step.expect:
        return unexpected(step, end, step.expect, text), {}
    try:
        return end, capture(step.captures, end.output)
    except ValueError as error:
        # The command itself did succeed, so trying it again would change nothing but the number of times it ran.
        why = f"it ran, but its output is not what capture expects: {error}"
        return replace(end, outcome=Outcome.FAILED, reason=Reason.CAPTURE, detail=why), {}


def unexpected(step: Step, end: End, wanted: str, text: str) -> End:
    """The failure of a try that ran well, and printed something else than was expected."""
    printed = "something else (withheld: the step is sensitive)" if step.sensitive else repr(text.strip()[:200])
    why = f"it printed {printed}, and {wanted!r} was expected"
    return replace(end, outcome=Outcome.FAILED, reason=Reason.EXPECTATION, detail=why)
