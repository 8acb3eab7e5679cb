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
from drctl.model.units import format_duration

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
PATIENCE_S = 60.0  # a process that conducts a run looks about once a second, but for the end of a job that it waits for
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
    from drctl.cli.open_runs import open_run, state_to_go_on_from

    run_id = run or open_run(settings, None)
    if run_id is None:
        raise UsageError("no run is open", state="this command changed nothing", hint="drctl runs")
    return state_to_go_on_from(journal, journal.find(run_id))


def abort(context: typer.Context, run: OpenRun = "", reason: Why = "") -> int:
    """Give a run up: end what runs on the hosts, do what must always be done, and say what is left half done.

    This waits until a run in another terminal has heard of it; one that is paused or dead by then is ended here.

    Example: drctl abort 4f2a --reason "the data centre is back"
    """
    from drctl.adapters.lock import refuse_if_held
    from drctl.cli.session import Manner, give_up

    settings: Settings = context.obj
    if not reason:
        raise UsageError(
            "an abort needs a reason", state="this command changed nothing", hint='drctl abort --reason "…"'
        )
    journal = settings.journal()
    try:
        state = the_open_run(settings, journal, run)
        while True:
            try:
                return give_up(settings, state, Manner(plain=True), why=reason)
            except LockedError:
                if not _is_conducted(settings, state):
                    refuse_if_held(settings.locks, state.the_plan.service)  # it is another run's
                    continue
            # Somebody conducts it: they do it, and this terminal only asks.
            if _heard(settings, journal, state, why=reason):
                typer.echo(f"{state.run_id} is being given up; to follow it: drctl watch {state.run_id}", err=True)
                return ExitCode.DONE
    finally:
        journal.close()


def _is_conducted(settings: Settings, state: RunState) -> bool:
    from drctl.adapters.lock import conducts

    return conducts(settings.locks, service=state.the_plan.service, run_id=state.run_id)


def _heard(settings: Settings, journal: JournalFile, state: RunState, *, why: str) -> bool:
    """Ask whoever conducts the run to abort it; whether they took it up. False: nobody conducts it any more.

    Raises:
        DrctlError: when they live and do not look; then the request stands.
        UsageError: when the run came to its end first.
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.journal import Request
    from drctl.cli.open_runs import refuse_what_is_over, state_of

    clock, run = SystemClock(), state.run_id
    now = clock.now().isoformat(timespec="seconds")
    journal.ask(run, Request(kind="abort", step="", who=operator(), why=why, at=now))
    typer.echo(f"asked the run {run} to abort", err=True)
    since_s = clock.monotonic()
    while clock.monotonic() - since_s < PATIENCE_S:
        # Asked before the events are read: what is heard in between is in them.
        goes_on = _is_conducted(settings, state)
        known = state_of(journal, run)
        if known.abort:
            return True
        refuse_what_is_over(known, so="the abort came too late, and changed nothing")
        if not goes_on:
            return False
        clock.sleep(0.5)
    raise DrctlError(
        f"whoever conducts the run {run} has not taken the abort up for {format_duration(PATIENCE_S)}",
        state="the run is as it was, and the abort stands: that process hears of it when it looks, or the next resume",
        hint=f"drctl status, then: drctl watch {run}",
        exit_code=ExitCode.NEEDS_A_PERSON,
    )


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
