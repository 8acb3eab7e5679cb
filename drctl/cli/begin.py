"""The options of every verb that begins a run, written once.

A verb is a function of its own options alone. It returns the runbook's inputs that they mean, and its docstring is its
help. ``add`` gives it the options that all have, and carries the order out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from drctl.cli import completion
from drctl.cli.order import Order

Service = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The service, as the inventory names it.", autocompletion=completion.services
    ),
]
Runbook = Annotated[
    str, typer.Argument(metavar="RUNBOOK", help="A name in runbooks/, or a file.", autocompletion=completion.runbooks)
]
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Inputs = Annotated[list[str] | None, typer.Option("--input", metavar="NAME=VALUE", help="An input of the runbook.")]
OutageStarted = Annotated[
    str, typer.Option("--outage-started", metavar="TIME", help="When the outage began; the RTO starts there.")
]
Detected = Annotated[str, typer.Option("--detected", metavar="TIME", help="When the outage was noticed.")]
ReasonText = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why this run: a ticket, a sentence.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin without typing the service's name.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Ask nothing; what needs a person pauses the run.")]
Json = Annotated[bool, typer.Option("--json", help="Events as NDJSON on standard output.")]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines in place of the live screen.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Render everything, connect to nothing.")]
Check = Annotated[bool, typer.Option("--check", help="Connect, and run the read-only steps only.")]
Approve = Annotated[
    list[str] | None, typer.Option("--approve", metavar="STEP=REASON", help="Approve a step beforehand.")
]
Override = Annotated[
    list[str] | None, typer.Option("--override", metavar="FACT=REASON", help="Vouch for a fact that nothing proves.")
]
BreakGlass = Annotated[
    list[str] | None,
    typer.Option(
        "--break-glass", metavar="STEP=REASON", help="Pass an approval step without its approvals; it is told."
    ),
]


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


_OUTAGE = (_parameter("outage_started", OutageStarted, ""), _parameter("detected", Detected, ""))
_COMMON = (
    _parameter("reason", ReasonText, ""),
    _parameter("yes", Yes, False),
    _parameter("no_input", NoInput, False),
    _parameter("json", Json, False),
    _parameter("plain", Plain, False),
    _parameter("dry_run", DryRun, False),
    _parameter("check", Check, False),
    _parameter("approve", Approve, None),
    _parameter("override", Override, None),
    _parameter("break_glass", BreakGlass, None),
)


def add(app: typer.Typer, verb: Callable[..., dict[str, str]], *, runbook: str, planned: bool = False) -> None:
    """Add a verb that begins a run of that runbook.

    A ``planned`` move has no outage that began before it, so nobody can give its time.
    """
    own = tuple(inspect.signature(verb, eval_str=True).parameters.values())

    def begin(context: typer.Context, **given: Any) -> int:
        inputs = verb(**{option.name: given.pop(option.name) for option in own})
        named = {"runbook": runbook, "outage_started": "", "detected": ""} | given
        for several in ("approve", "override", "break_glass"):
            named[several] = named[several] or []
        # An input that is given both ways is refused where NAME=VALUE pairs are read.
        named["inputs"] = [f"{name}={value}" for name, value in inputs.items()] + (named["inputs"] or [])
        return Order(**named).carry_out(context.obj)

    begin.__doc__ = verb.__doc__
    begin.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            _parameter("context", typer.Context),
            _parameter("service", Service),
            *(option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in own),
            _parameter("inventory", Inventory, None),
            _parameter("inputs", Inputs, None),
            *(() if planned else _OUTAGE),
            *_COMMON,
        ]
    )
    app.command(verb.__name__)(begin)
