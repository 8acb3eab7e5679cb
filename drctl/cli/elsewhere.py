"""People at other terminals: ``drctl abort`` and ``drctl watch``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.begin import Json, Plain
from drctl.cli.settings import Settings, operator
from drctl.errors import DrctlError, ExitCode, LockedError, UsageError

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile
    from drctl.engine.state import RunState

Run = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]", help="The run's id, or its end; else the newest open one.", autocompletion=completion.runs
    ),
]
OpenRun = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]",
        help="The run's id, or its end; else the newest open one.",
        autocompletion=completion.open_runs,
    ),
]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it goes into the report.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("watch")(watch)
    app.command("abort")(abort)


def the_open_run(settings: Settings, journal: JournalFile, run: str) -> RunState:
    """The state of the run that is meant.

    Raises:
        UsageError: when no run is open, or this one is over.
    """
    from drctl.cli.open_runs import open_run, state_of
    from drctl.model.events import Ended

    run_id = run or open_run(settings, None)
    if run_id is None:
        raise UsageError("no run is open", state="this command changed nothing", hint="drctl runs")
    state = state_of(journal, journal.find(run_id))
    if state.ended not in (None, Ended.PAUSED):
        raise UsageError(
            f"the run {state.run_id} is over: {state.ended}",
            state="this command changed nothing",
            hint=f"drctl report {state.run_id}",
        )
    return state


def abort(context: typer.Context, run: OpenRun = "", reason: Why = "") -> int:
    """Give a run up: end what runs on the hosts, do what must always be done, and say what is left half done.

    A run in another terminal hears of it within a second; one that is paused or dead is ended here.

    Example: drctl abort 4f2a --reason "the data centre is back"
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.journal import Request
    from drctl.cli.session import Manner, give_up

    settings: Settings = context.obj
    if not reason:
        raise UsageError(
            "an abort needs a reason", state="this command changed nothing", hint='drctl abort --reason "…"'
        )
    journal = settings.journal()
    try:
        state = the_open_run(settings, journal, run)
        try:
            return give_up(settings, state, Manner(plain=True), why=reason)
        except LockedError:
            # Somebody conducts it: they do it, and this terminal only asks.
            now = SystemClock().now().isoformat(timespec="seconds")
            journal.ask(state.run_id, Request(kind="abort", step="", who=operator(), why=reason, at=now))
    finally:
        journal.close()
    typer.echo(f"asked the run {state.run_id} to abort; to follow it: drctl watch {state.run_id}", err=True)
    return ExitCode.DONE


def watch(context: typer.Context, run: Run = "", json: Json = False, plain: Plain = False) -> int:
    """Follow a run live from another terminal. Read-only; Ctrl-C leaves the run alone.

    A run that no drctl carries on any more is not waited for.

    Example: drctl watch
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.lock import conducts
    from drctl.engine.fold import fold
    from drctl.engine.state import RunState
    from drctl.report.verdict import exit_code, headline, next_commands, truths
    from drctl.screens.choose import choose

    settings: Settings = context.obj
    journal, clock = settings.journal(), SystemClock()
    try:
        run_id = journal.find(run or None)
        state, seen = RunState(), 0
        screen = choose(
            stdout=sys.stdout, stderr=sys.stderr, environ=os.environ, clock=clock, as_json=json, plain=plain
        )
        alive = True
        with screen:
            while state.ended is None and alive:
                # Asked before the events are read: a run that ends in between is over, and not abandoned.
                alive = not seen or conducts(settings.locks, service=state.the_plan.service, run_id=run_id)
                for event in journal.events(run_id, after=seen):
                    state, seen = fold(state, event), event.sequence
                    screen.on_event(event, state)
                screen.tick(clock.now())
                if state.ended is None and alive:
                    clock.sleep(0.5)
            if state.ended is None:
                screen.abandoned()
        if state.ended is None:
            raise DrctlError(
                f"{run_id}: {headline(state, clock.now(), conducted=False)}",
                state="\n".join(truths(state)),
                hint="\n".join(next_commands(state, conducted=False)),
                exit_code=ExitCode.NEEDS_A_PERSON,
            )
        return int(exit_code(state))
    finally:
        journal.close()
