"""``drctl findings``: what must be better next time, who does it and by when, across runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli.default_verb import DefaultVerb
from drctl.cli.settings import Settings, operator
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.report.facts import Finding

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _ListUnlessSaid(DefaultVerb):
    default = "list"


app = typer.Typer(
    cls=_ListUnlessSaid,
    help="What must be better next time, who does it and by when; drctl findings is drctl findings list.",
)


@app.command("list")
def list_(
    context: typer.Context,
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="One service; else all.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Those that were closed, too.")] = False,
    json: Json = False,
) -> int:
    """The findings that are open, the earliest due first.

    Example: drctl findings taskflow-demo --all
    """
    from drctl.adapters.clock import SystemClock
    from drctl.report.corrective import all_findings

    settings: Settings = context.obj
    found = all_findings(settings.ledger(), now=SystemClock().now())
    shown = [f for f in found if service in ("", f.service) and (everything or f.closed_at is None)]
    typer.echo(_json(shown) if json else _text(shown), nl=False)
    return ExitCode.DONE


@app.command("add")
def add(
    context: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was found.")],
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Who sees to it.")],
    due: Annotated[datetime, typer.Option("--due", formats=["%Y-%m-%d"], help="The last day for it.")],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The run that showed it; else the newest.")] = "",
    action: Annotated[str, typer.Option("--action", metavar="TEXT", help="What is to be done.")] = "",
) -> int:
    """Open a finding: what a run showed, what is done about it, by whom and by when.

    Example: drctl findings add "the resize took 12 minutes" --action "keep it warm" --owner thandi --due 2026-12-15
    """
    from drctl.adapters.clock import SystemClock
    from drctl.engine.fold import fold
    from drctl.engine.state import RunState
    from drctl.report.corrective import Opened, open_finding

    if not text.strip() or not owner.strip():
        raise UsageError("a finding needs a text and an owner", hint="drctl findings add --help")
    settings: Settings = context.obj
    journal = settings.journal()
    try:
        run_id = journal.find(run or None)
        service = fold(RunState(), next(journal.events(run_id))).the_plan.service
        opened = Opened(
            service=service, run=run_id, text=text, action=action, owner=owner, due=due.date(), who=operator()
        )
        name = open_finding(settings.ledger(), opened, now=SystemClock().now())
    finally:
        journal.close()
    typer.echo(name)
    typer.echo(f'opened; when it is dealt with: drctl findings close {name} --how "…"', err=True)
    return ExitCode.DONE


@app.command("close")
def close(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(metavar="ID", help="Which one, as drctl findings lists it.")],
    how: Annotated[str, typer.Option("--how", metavar="TEXT", help="What was done, and where that can be seen.")],
) -> int:
    """Close a finding, with what was done about it.

    Example: drctl findings close taskflow-demo-1 --how "the standby is kept big, change 4711"
    """
    from drctl.adapters.clock import SystemClock
    from drctl.report.corrective import close_finding

    if not how.strip():
        raise UsageError("say what was done", hint=f'drctl findings close {finding} --how "…"')
    settings: Settings = context.obj
    found = close_finding(settings.ledger(), finding, how=how, who=operator(), now=SystemClock().now())
    typer.echo(f"closed {found.id}", err=True)
    return ExitCode.DONE


def _text(found: list[Finding]) -> str:
    from drctl.report.harmless import one_line
    from drctl.report.words import finding_state

    if not found:
        return "no findings are open\n"
    lines = []
    for row in found:
        lines.append(f"{row.id}  {finding_state(row)}  {one_line(row.owner)}")
        lines.append(f"    {one_line(row.text)}")
        if row.action:
            lines.append(f"    to do: {one_line(row.action)}")
        if row.how:
            lines.append(f"    done: {one_line(row.how)}")
    return "\n".join(lines) + "\n"


def _json(found: list[Finding]) -> str:
    import json

    from drctl.plan.codec import to_json

    return json.dumps(to_json(found), indent=2) + "\n"
