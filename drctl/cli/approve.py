"""``drctl approve``: another person says yes, in another terminal or on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.elsewhere import OpenRun, Why, the_open_run
from drctl.cli.settings import Settings, operator
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile
    from drctl.engine.approvals import Statement
    from drctl.engine.state import RunState
    from drctl.model.events import PersonAsked

_NOTHING = "this command changed nothing"

Step = Annotated[str, typer.Argument(metavar="[STEP]", help="The approval step.", autocompletion=completion.approvals)]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Your SSH key, or the public half of one in your agent.")
]
AskOnly = Annotated[bool, typer.Option("--ask", help="Print what is to be signed, to be sent to another machine.")]
Sign = Annotated[
    Path | None, typer.Option("--sign", metavar="FILE", help="Sign what --ask printed; needs no journal. Printed.")
]
Accept = Annotated[
    Path | None, typer.Option("--accept", metavar="FILE", help="Hand in what --sign printed on another machine.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("approve")(approve)


def approve(
    context: typer.Context,
    step: Step = "",
    run: OpenRun = "",
    reason: Why = "",
    key: Key = None,
    ask: AskOnly = False,
    sign: Sign = None,
    accept: Accept = None,
) -> int:
    """Approve a step of a run from another terminal, or from another machine.

    Where the inventory names allowed signers, an approval is a signature by somebody else than who runs it. A run that
    asks at its own terminal goes on at once; one that is paused goes on with drctl resume.

    Examples:

      drctl approve approve-the-loss 4f2a --reason "the client agreed, INC-4711" --key ~/.ssh/id_ed25519

      drctl approve approve-the-loss 4f2a --ask > ask.txt

      drctl approve --sign ask.txt --reason "the client agreed" --key ~/.ssh/id_ed25519 > yes.txt

      drctl approve --accept yes.txt
    """
    if sum((ask, sign is not None, accept is not None)) > 1:
        raise UsageError("--ask, --sign and --accept are three different things", state=_NOTHING)
    if sign is not None:
        return _sign(sign, reason, key)
    settings: Settings = context.obj
    journal = settings.journal()
    try:
        if accept is not None:
            return _accept(journal, settings, accept)
        if not step:
            raise UsageError("which step is approved?", state=_NOTHING, hint="drctl status names what a run waits for")
        if not ask and not reason.strip():
            raise UsageError("an approval needs a reason", state=_NOTHING, hint=f'drctl approve {step} --reason "…"')
        state = the_open_run(settings, journal, run)
        _must_have(state, step)
        if ask:
            typer.echo(_text(_statement(journal, state, step, "")), nl=False)
            return ExitCode.DONE
        if state.the_plan.allowed_signers is None:
            _say_yes(journal, state, step, reason)
        else:
            _sign_here(journal, state, step, reason, key)
        typer.echo(f"approved; when the run is paused: drctl resume {state.run_id}", err=True)
        return ExitCode.DONE
    finally:
        journal.close()


def _must_have(state: RunState, step: str) -> None:
    from drctl.model.plan import Approval
    from drctl.read.suggest import did_you_mean

    steps = {s.id for s in state.the_plan.steps() if isinstance(s.action, Approval)}
    if step not in steps:
        raise UsageError(
            f"the run {state.run_id} has no approval step {step}{did_you_mean(step, steps)}",
            state=_NOTHING,
            hint=f"drctl report {state.run_id}",
        )


def _say_yes(journal: JournalFile, state: RunState, step: str, reason: str) -> None:
    from drctl.adapters.journal import Request

    journal.ask(state.run_id, Request(kind="approve", step=step, who=operator(), why=reason, at=_now()))


def _sign_here(journal: JournalFile, state: RunState, step: str, reason: str, key: Path | None) -> None:
    from drctl.adapters.journal import Signed

    statement = _statement(journal, state, step, reason)
    text = _text(statement)
    signature = _signature(text, key)
    _hold_against(state, _asked(journal, state, step), statement, text, signature)
    signed = Signed(step=step, statement=text, signature=signature, at=_now())
    journal.hand_in(state.run_id, signed)


def _sign(file: Path, reason: str, key: Path | None) -> int:
    """Sign what another machine printed, and print it with its signature."""
    from dataclasses import replace

    from drctl.engine.approvals import parse, render

    text = _read(file)
    try:
        asked = parse(text)
    except ValueError as error:
        raise UsageError(f"{file}: {error}", state="nothing was signed", hint="drctl approve STEP --ask") from None
    if not reason.strip():
        raise UsageError("an approval needs a reason", state="nothing was signed", hint='add --reason "…"')
    signed = render(replace(asked, reason=" ".join(reason.split())))
    typer.echo(signed + _signature(signed, key), nl=False)
    typer.echo(f"signed; whoever runs it hands it in: drctl approve --accept {file}", err=True)
    return ExitCode.DONE


def _accept(journal: JournalFile, settings: Settings, file: Path) -> int:
    from drctl.adapters.journal import Signed
    from drctl.adapters.signatures import split_signed
    from drctl.engine.approvals import parse

    try:
        text, signature = split_signed(_read(file))
        statement = parse(text)
    except ValueError as error:
        raise UsageError(f"{file} is no signed approval: {error}", state=_NOTHING) from None
    state = the_open_run(settings, journal, statement.run)
    _must_have(state, statement.step)
    who = _hold_against(state, _asked(journal, state, statement.step), statement, text, signature)
    journal.hand_in(state.run_id, Signed(step=statement.step, statement=text, signature=signature, at=_now()))
    typer.echo(f"handed in: {who}; when the run is paused: drctl resume {state.run_id}", err=True)
    return ExitCode.DONE


def _hold_against(state: RunState, question: PersonAsked, statement: Statement, text: str, signature: str) -> str:
    """Refuse here what the run would refuse, so that whoever approves hears of it. The name of who signed."""
    from drctl.adapters.clock import SystemClock
    from drctl.cli.requests import judged

    answer = judged(text, signature, state=state, question=question, now=SystemClock().now())
    if answer.answer == "refused":
        raise DrctlError(
            f"this approval of {statement.step} does not count: {answer.why}",
            state="it was not handed in; the run waits as before",
            hint=f"drctl approve {statement.step} {state.run_id} --ask prints what is to be signed now",
        )
    return answer.who


def _statement(journal: JournalFile, state: RunState, step: str, reason: str) -> Statement:
    from drctl.adapters.clock import SystemClock
    from drctl.engine.approvals import statement_of

    if state.the_plan.allowed_signers is None:
        raise UsageError(
            "this run was begun without allowed signers: an approval of it is no signature",
            state=_NOTHING,
            hint=f'drctl approve {step} {state.run_id} --reason "…"',
        )
    question = _asked(journal, state, step)
    return statement_of(state, question, issued=SystemClock().now(), reason=reason)


def _asked(journal: JournalFile, state: RunState, step: str) -> PersonAsked:
    """The question that was put last: what is signed is an answer to it, with the figures that were in it."""
    from drctl.model.events import PersonAsked, Question

    found = [
        event.body
        for event in journal.events(state.run_id)
        if isinstance(event.body, PersonAsked) and event.body.step == step
        if event.body.question is Question.APPROVAL
    ]
    if not found:
        raise UsageError(
            f"the run {state.run_id} has not come to {step} yet: nobody can approve what has not been asked",
            state=_NOTHING,
            hint=f"drctl watch {state.run_id}",
        )
    return found[-1]


def _signature(text: str, key: Path | None) -> str:
    from drctl.adapters.signatures import sign
    from drctl.engine.approvals import NAMESPACE

    if key is None:
        hint = "add --key ~/.ssh/id_ed25519"
        raise UsageError("with which key is it signed?", state="nothing was signed", hint=hint)
    return sign(text, key=key.expanduser(), namespace=NAMESPACE)


def _text(statement: Statement) -> str:
    from drctl.engine.approvals import render

    return render(statement)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{file} cannot be read: {why}", state=_NOTHING) from None


def _now() -> str:
    from drctl.adapters.clock import SystemClock

    return SystemClock().now().isoformat(timespec="seconds")
