"""``drctl sla``: a year's downtime of each service against what was promised."""

from __future__ import annotations

import json as jsonlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion
from drctl.cli.default_verb import DefaultVerb
from drctl.cli.settings import Settings, operator
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.adapters.ledger import Ledger, Note
    from drctl.report.service_level import Outage, Services

_NOTHING = "nothing was written down"
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="What happened, or why; it is evidence.")]


class _Show(DefaultVerb):
    default = "show"


app = typer.Typer(
    cls=_Show,
    help="Downtime of each service in a year, against the promised availability. Without a verb: show.",
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("show")
def show(
    context: typer.Context,
    service: Annotated[
        str, typer.Argument(metavar="[SERVICE]", help="One service; else all.", autocompletion=completion.services)
    ] = "",
    year: Annotated[
        int | None, typer.Option("--year", min=2000, max=9998, help="Which year (UTC); this one unless said.")
    ] = None,
    percent: Annotated[float, typer.Option("--percent", min=0.0, max=99.99999, help="The promise.")] = 99.9,
    inventory: Inventory = None,
    detail: Annotated[bool, typer.Option("--detail", help="Each outage too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """How much of the year's allowed downtime each service has used, and what one more recovery would cost.

    Counted are the outages that real runs measured and those that were declared; drills never, on-premises clients'
    services are outside the SLA. Exit code 4 when a promise is broken.

    Examples:

      drctl sla

      drctl sla acacia --detail --year 2026
    """
    from drctl.adapters.clock import SystemClock
    from drctl.cli.records import terminal_width
    from drctl.report.service_level import standings
    from drctl.screens import service_level

    now = SystemClock().now()
    wanted = year or now.year
    services, outages = _known(context.obj, inventory)
    found = standings(outages, services, year=wanted, now=now, percent=percent)
    found = tuple(one for one in found if service in ("", one.service))
    if service and not found:
        raise UsageError(f"nothing is known of a service {service}", hint="drctl sla")
    if json:
        typer.echo(jsonlib.dumps(service_level.as_json(found, year=wanted, percent=percent), indent=2))
    else:
        said = service_level.text(
            found, year=wanted, percent=percent, width=terminal_width(), detail=detail or bool(service)
        )
        typer.echo(said, nl=False)
    return ExitCode.DONE if all(one.kept for one in found) else ExitCode.OBJECTIVE_MISSED


@app.command("declare")
def declare(
    context: typer.Context,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="The service that was down.", autocompletion=completion.services)
    ],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="When it began.")],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="When it was over.")],
    reason: Reason = "",
) -> int:
    """Declare an outage that no run of drctl measured, so that it counts.

    Example: drctl sla declare acacia --from 2026-11-02T10:00+02:00 --to 2026-11-02T10:25+02:00 --reason "a full disk"
    """
    from drctl.adapters.clock import SystemClock

    if not reason.strip():
        raise UsageError("an outage needs a reason", state=_NOTHING, hint='add --reason "…"')
    now = SystemClock().now()
    began, ended = _instant("--from", since, now), _instant("--to", until, now)
    if ended <= began:
        raise UsageError(f"--to {until} is not after --from {since}", state=_NOTHING)
    body = {"service": service, "since": began.isoformat(), "until": ended.isoformat(), "why": reason.strip()}
    note = context.obj.ledger().append(kind="outage_declared", who=operator(), body=body, at=now)
    typer.echo(f"declared as note {note.number}; to take it back: drctl sla withdraw {note.number}", err=True)
    return ExitCode.DONE


@app.command("withdraw")
def withdraw(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="NOTE", help="The number of the declaration.")],
    reason: Reason = "",
) -> int:
    """Take a declared outage back. Both the declaration and the withdrawal stay in the ledger.

    Example: drctl sla withdraw 7 --reason "it was the client's own network"
    """
    from drctl.adapters.clock import SystemClock

    if not reason.strip():
        raise UsageError("a withdrawal needs a reason", state=_NOTHING, hint='add --reason "…"')
    ledger = context.obj.ledger()
    standing = {note.number for note in _declared(ledger)}
    if number not in standing:
        known = ", ".join(map(str, sorted(standing))) or "none"
        raise UsageError(f"note {number} is no declared outage that stands", state=_NOTHING, hint=f"they are: {known}")
    body = {"number": number, "why": reason.strip()}
    ledger.append(kind="outage_withdrawn", who=operator(), body=body, at=SystemClock().now())
    typer.echo(f"withdrawn: note {number}", err=True)
    return ExitCode.DONE


def _known(settings: Settings, inventory: Path | None) -> tuple[Services, list[Outage]]:
    from drctl.cli.many import cards
    from drctl.report.service_level import Outage, Services, of_runs

    runs = cards(settings)
    titles = {card.service: card.service_title for card in reversed(runs)}
    covered = {card.service: card.sla for card in reversed(runs)}
    for name, title, sla in _of_inventory(inventory):
        titles[name], covered[name] = title, sla
    outages = of_runs(runs)
    for note in _declared(settings.ledger()):
        body = note.body
        outages.append(
            Outage(
                service=str(body["service"]),
                since=datetime.fromisoformat(body["since"]),
                until=datetime.fromisoformat(body["until"]),
                source=f"note {note.number}",
                why=str(body["why"]),
            )
        )
    return Services(titles=titles, covered=covered), outages


def _of_inventory(inventory: Path | None) -> list[tuple[str, str, bool]]:
    """The services that the inventory knows; without one only those that ever ran are known."""
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    try:
        path = find_inventory(inventory)
    except DrctlError:
        if inventory is not None:
            raise
        return []
    world, problems = read_inventory(path)
    raise_on_problems(problems)
    services = world.value.services.items() if world else ()
    return [(name, one.title, one.sla) for name, one in services if one.drill_of is None]


def _declared(ledger: Ledger) -> list[Note]:
    """The declarations that nobody has taken back."""
    notes = list(ledger.notes())
    gone = {note.body["number"] for note in notes if note.kind == "outage_withdrawn"}
    return [note for note in notes if note.kind == "outage_declared" and note.number not in gone]


def _instant(option: str, text: str, now: datetime) -> datetime:
    from drctl.model.units import parse_instant

    try:
        at = parse_instant(text)
    except ValueError as error:
        hint = f"{option} {now:%Y-%m-%dT%H:%M:%SZ}"
        raise UsageError(f"{option}: {error}", state=_NOTHING, hint=hint) from None
    if at > now:
        raise UsageError(
            f"{option}: {text} is in the future", state=_NOTHING, hint=f"it is {now:%Y-%m-%dT%H:%M:%SZ} now"
        )
    return at
