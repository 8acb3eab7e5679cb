"""``drctl resume``: go on with a run that was paused, stopped, or whose drctl died."""

from __future__ import annotations

import typer

from drctl.cli.begin import Approve, BreakGlass, Json, NoInput, Override, Plain
from drctl.cli.elsewhere import OpenRun
from drctl.cli.settings import Settings
from drctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("resume")(resume)


def resume(
    context: typer.Context,
    run: OpenRun = "",
    no_input: NoInput = False,
    json: Json = False,
    plain: Plain = False,
    approve: Approve = None,
    override: Override = None,
    break_glass: BreakGlass = None,
) -> int:
    """Go on with a run from its journal alone: attach to what was sent, settle what is in doubt, do the rest.

    A runbook that was edited meanwhile does not change the run.

    Examples:

      drctl resume

      drctl resume 4f2a --override primary_fenced="the rack is dark, seen by Thandi"
    """
    from drctl.cli.open_runs import open_run, state_to_go_on_from
    from drctl.cli.session import go_on, manner_of

    settings: Settings = context.obj
    run_id = run or open_run(settings, None)
    if run_id is None:
        raise UsageError("no run is open", state="all runs are over", hint="drctl runs")
    journal = settings.journal()
    try:
        state = state_to_go_on_from(journal, journal.find(run_id))
    finally:
        journal.close()
    manner = manner_of(
        state.the_plan,
        json=json,
        plain=plain,
        no_input=no_input,
        approve=approve,
        override=override,
        break_glass=break_glass,
    )
    return go_on(settings, state, manner)
