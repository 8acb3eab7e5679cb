"""``drctl backups``: every copy of a service's backups, whether it may be trusted, and which one to restore from."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from drctl.cli.settings import Settings
from drctl.errors import DrctlError, ExitCode, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from drctl.adapters.copies import Place
    from drctl.adapters.verified import VerifiedFile
    from drctl.backups.choose import Wish
    from drctl.backups.copies import Copy, Seen
    from drctl.model.inventory import Inventory as InventoryText

Service = Annotated[str, typer.Argument(metavar="SERVICE", help="The service, as the inventory names it.")]
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", envvar="DRCTL_INVENTORY", metavar="FILE", help="The inventory.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
At = Annotated[str, typer.Option("--location", metavar="LOCATION", help="Ask this location only.")]
Lost = Annotated[
    list[str] | None,
    typer.Option("--assume-lost", metavar="SITE", help="As if this site were lost: what is there does not exist."),
]


class _WithUsualVerb(TyperGroup):
    """``drctl backups SERVICE`` is short for ``drctl backups list SERVICE``."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]  # typer's own signature is private
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_WithUsualVerb, no_args_is_help=True, help="Which backups there are, and which may be trusted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What a call knows: the locations as they answered, and their copies, judged."""

    service: str
    inventory: InventoryText
    now: datetime
    seen: tuple[Seen, ...]
    copies: tuple[Copy, ...]


@app.command("list")
def listing(
    context: typer.Context,
    service: Service,
    inventory: Inventory = None,
    location: At = "",
    assume_lost: Lost = None,
    json: Json = False,
) -> int:
    """Every copy of a service's backups, and whether it may be trusted. Read-only.

    Example: drctl backups taskflow-demo
    """
    from drctl.backups.copies import Trust
    from drctl.screens import copies as screen

    found = _gathered(context.obj, service, inventory, location=location, lost=assume_lost or [])
    if json:
        typer.echo(
            jsonlib.dumps(screen.listing_json(found.seen, found.copies, service=service, now=found.now), indent=2)
        )
    else:
        timezone = found.inventory.timezone
        typer.echo(screen.listing_text(found.seen, found.copies, now=found.now, timezone=timezone), nl=False)
    all_well = all(copy.trust is Trust.PROVEN for copy in found.copies) and not any(s.silent for s in found.seen)
    return ExitCode.DONE if all_well else ExitCode.STEP_FAILED


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
    lines: Annotated[bool, typer.Option("--lines", help="One value on a line, for a step's capture.")] = False,
    json: Json = False,
) -> int:
    """The copy to restore from, the order in which others would be tried, and why the rest would not. Read-only.

    Proven copies come first, the newest first; a bad one is never chosen. Exit code 7 when there is none.

    Examples:

      drctl backups pick taskflow-demo --assume-lost xneelo-jnb

      drctl backups pick taskflow-demo --except cloudprox/20261123-000003F --lines
    """
    from drctl.backups.choose import Wish, choose
    from drctl.screens import copies as screen

    moment = _instant("--to", to)
    since = _instant("--outage-started", outage_started)
    _known_copies(excepted or [])
    found = _gathered(context.obj, service, inventory, location=location, lost=assume_lost or [])
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
        typer.echo(screen.choice_text(choice, now=when, timezone=found.inventory.timezone), nl=False, err=lines)
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


def _known_copies(excepted: Sequence[str]) -> None:
    for text in excepted:
        if text.count("/") != 1 or not all(text.split("/")):
            raise UsageError(f"--except {text}: this is not LOCATION/LABEL", hint="drctl backups pick --help")


def _gathered(
    settings: Settings, service: str, inventory: Path | None, *, location: str, lost: Sequence[str]
) -> Gathered:
    """Ask the locations, and judge what they hold.

    Raises:
        UsageError: when the service, the location or a site is not in the inventory, or an option is no time.
        DocumentError: when the inventory is not valid.
    """
    from drctl.adapters.clock import SystemClock
    from drctl.adapters.commands import Commands
    from drctl.adapters.copies import look
    from drctl.adapters.redact import Redactor
    from drctl.adapters.secrets import SecretResolver

    document, places = _places(service, inventory, location=location, lost=lost)
    clock = SystemClock()
    with closing(Commands(SecretResolver(Redactor()))) as commands:
        seen = look(commands, places, now=clock.now)
    return Gathered(
        service=service,
        inventory=document,
        now=clock.now(),
        seen=seen,
        copies=_judged(settings, service, seen),
    )


def _places(
    service: str, inventory: Path | None, *, location: str, lost: Sequence[str]
) -> tuple[InventoryText, tuple[Place, ...]]:
    from drctl.adapters.copies import Place
    from drctl.backups.places import locations
    from drctl.plan.build import known_service, ssh_config_of
    from drctl.plan.hosts import HostWords
    from drctl.read.diagnostics import raise_on_problems
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    document, problems = read_inventory(find_inventory(inventory))
    raise_on_problems(problems)
    if document is None:  # pragma: no cover - absent only when there are errors, which were raised
        raise AssertionError("a document without an error is missing")
    world = document.value
    known_service(document, service)
    for site in lost:
        _known("site", site, world.sites)
    found = locations(world, service, frozenset(lost))
    if location:
        _known("location of its backups", location, [p.name for p in found])
    words = HostWords(inventory=world, service=service, ssh_config=ssh_config_of(document))
    pgbin = world.services[service].vars.get("pgbin")
    return world, tuple(
        Place(
            location=one,
            endpoint=words.endpoint(one.host, ()) if one.host is not None else None,
            pgbin=pgbin if isinstance(pgbin, str) else "",
        )
        for one in found
        if location in ("", one.name)
    )


def _known(what: str, name: str, known: Iterable[str]) -> None:
    from drctl.read.diagnostics import quoted
    from drctl.read.suggest import did_you_mean, listed

    names = list(known)
    if name not in names:
        raise UsageError(
            f"there is no {what} {quoted(name)}{did_you_mean(name, names)}",
            state="nothing was connected to",
            hint=f"there is: {listed(names)}",
        )


def _kept(settings: Settings, service: str) -> VerifiedFile:
    from drctl.adapters.verified import VerifiedFile

    return VerifiedFile(settings.state_dir / "verified", service)


def _judged(settings: Settings, service: str, seen: Sequence[Seen]) -> tuple[Copy, ...]:
    from drctl.backups.copies import judge

    verified = _kept(settings, service).last()
    copies: list[Copy] = []
    for place in seen:
        mine = {label: one for (name, label), one in verified.items() if name == place.location.name}
        copies += judge(place, mine, {})
    return tuple(copies)
