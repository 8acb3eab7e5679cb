"""``drctl backups``: every copy of a service's backups, whether it may be trusted, and which one to restore from."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from drctl.cli import completion
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.backups.choose import Wish

Service = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", help="The service, as the inventory names it.", autocompletion=completion.services
    ),
]
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[str, typer.Option("--location", metavar="LOCATION", help="Ask this location only.")]
Lost = Annotated[
    list[str] | None,
    typer.Option("--assume-lost", metavar="SITE", help="As if this site were lost: what is there does not exist."),
]

Verify = Annotated[bool, typer.Option("--verify", help="First have every file read and its checksum compared.")]
VerifyTimeout = Annotated[
    str, typer.Option("--verify-timeout", metavar="DURATION", help="How long a location may take for that.")
]


class _WithUsualVerb(TyperGroup):
    """``drctl backups SERVICE`` is short for ``drctl backups list SERVICE``."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # typer's own signature is private
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_WithUsualVerb, no_args_is_help=True, help="Which backups there are, and which may be trusted.")


@app.command("list")
def listing(
    context: typer.Context,
    service: Service,
    inventory: Inventory = None,
    location: At = "",
    assume_lost: Lost = None,
    verify: Verify = False,
    verify_timeout: VerifyTimeout = "4h",
    json: Json = False,
) -> int:
    """Every copy of a service's backups, whether it may be trusted, and what was promised and is not so. Read-only.

    `drctl backups SERVICE` is short for `drctl backups list SERVICE`. Exit code 0 when all is well, 1 when there are
    findings, 7 when no copy could be restored from.

    Examples:

      drctl backups taskflow-demo

      drctl backups taskflow-demo --verify

      drctl backups taskflow-demo --assume-lost cloudprox --json
    """
    from drctl.backups.schedule import findings
    from drctl.cli.copies import asked, gathered, promises_of
    from drctl.cli.records import terminal_width
    from drctl.screens import copies as screen

    limit_s = _duration("--verify-timeout", verify_timeout)
    question = asked(service, inventory, location=location, lost=assume_lost or [])
    found = gathered(context.obj, question, verify_timeout_s=limit_s if verify else None, all_facts=True)
    broken = findings(found.seen, found.copies, promises_of(question), found.now, found.archiver)
    if json:
        listed = screen.listing_json(found.seen, found.copies, broken, found.exposure, service=service, now=found.now)
        typer.echo(jsonlib.dumps(listed, indent=2))
    else:
        timezone = question.inventory.timezone
        screens = screen.Listing(service=service, now=found.now, timezone=timezone, rpo_s=promises_of(question).rpo_s)
        text = screens.text(found.seen, found.copies, broken, found.exposure, width=terminal_width())
        typer.echo(text, nl=False)
    if any(f.kind == "none" for f in broken):
        return ExitCode.NO_GO
    return ExitCode.STEP_FAILED if broken else ExitCode.DONE


@app.command("pick")
def pick(
    context: typer.Context,
    service: Service,
    inventory: Inventory = None,
    backup: Annotated[str, typer.Option("--backup", metavar="LABEL", help="This backup only.")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="To restore to this moment.")] = "",
    location: At = "",
    assume_lost: Lost = None,
    excepted: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="LOCATION/LABEL", help="Not this copy; may be given again."),
    ] = None,
    accept_gap: Annotated[
        bool, typer.Option("--accept-gap", help="At the last also copies whose WAL breaks off after their end.")
    ] = False,
    outage_started: Annotated[
        str, typer.Option("--outage-started", metavar="TIME", help="The RPO as seen from then, instead of now.")
    ] = "",
    verify: Verify = False,
    verify_timeout: VerifyTimeout = "4h",
    lines: Annotated[bool, typer.Option("--lines", help="One value on a line, for a step's capture.")] = False,
    json: Json = False,
) -> int:
    """The copy to restore from, the order in which others would be tried, and why the rest would not. Read-only.

    The one that loses least comes first, and of those that lose the same a proven one; a bad one is never chosen. Exit
    code 7 when there is none.

    Examples:

      drctl backups pick taskflow-demo --assume-lost xneelo-jnb

      drctl backups pick taskflow-demo --except cloudprox/20261123-000003F --lines
    """
    from drctl.backups.choose import Wish, choose
    from drctl.cli.copies import asked, gathered
    from drctl.cli.records import terminal_width
    from drctl.screens import copies as screen

    limit_s = _duration("--verify-timeout", verify_timeout)
    moment = _instant("--to", to)
    since = _instant("--outage-started", outage_started)
    _known_copies(excepted or [])
    question = asked(service, inventory, location=location, lost=assume_lost or [])
    found = gathered(context.obj, question, verify_timeout_s=limit_s if verify else None)
    wish = Wish(
        label=backup,
        location=location,
        to=moment,
        excepted=frozenset(excepted or ()),
        accept_gap=accept_gap,
    )
    choice = choose(found.seen, found.copies, wish)
    when = min(found.now, since) if since else found.now
    if json:
        typer.echo(jsonlib.dumps(screen.choice_json(choice, service=service, now=when), indent=2))
    else:
        # The reasons are no data of --lines: they go where progress goes.
        width = 0 if lines else terminal_width()
        text = screen.choice_text(choice, now=when, timezone=question.inventory.timezone, width=width)
        typer.echo(text, nl=False, err=lines)
        if lines and choice.order:
            typer.echo(screen.choice_lines(choice.order[0], now=when, to=moment), nl=False)
    if choice.order:
        return ExitCode.DONE
    if json:
        return ExitCode.NO_GO
    raise DrctlError(
        f"no copy of the backups of {service} can be restored from",
        where="; ".join(f"{r.name}: {r.why}" for r in choice.rejected) or "the inventory names no location",
        state="nothing was changed: the locations were only asked",
        hint=_next(wish, service),
        exit_code=ExitCode.NO_GO,
    )


def _next(wish: Wish, service: str) -> str:
    if wish.accept_gap:
        return f"drctl backups {service} --verify"
    return f"drctl backups pick {service} --accept-gap takes one whose WAL breaks off, and loses what comes after"


def _instant(option: str, text: str) -> datetime | None:
    from drctl.model.units import parse_instant

    if not text:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint=f"{option} 2026-11-23T03:12:00+02:00") from None


def _duration(option: str, text: str) -> float:
    from drctl.model.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint=f"{option} 4h") from None


def _known_copies(excepted: Sequence[str]) -> None:
    for text in excepted:
        if text.count("/") != 1 or not all(text.split("/")):
            raise UsageError(f"--except {text}: this is not LOCATION/LABEL", hint="drctl backups pick --help")
