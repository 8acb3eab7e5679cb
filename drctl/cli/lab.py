"""``drctl lab``: a real disaster-recovery site on one machine. Thin: the work is in ``drctl/lab``."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import lab_backups, lab_doctor, lab_faults
from drctl.cli.lab_meant import HostName, Json, meant_lab, tell
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.lab.status import BackupStatus, Status
    from drctl.lab.topology import Settings

app = typer.Typer(
    help="A real lab on this machine: seven hosts with ssh, PostgreSQL and backups.\n\nExample: drctl lab up",
    no_args_is_help=True,
)
app.add_typer(lab_faults.power, name="power")
app.command("backup")(lab_backups.backup)
app.add_typer(lab_backups.backups, name="backups")
app.add_typer(lab_backups.breaking, name="break")
app.add_typer(lab_backups.mending, name="mend")


def _lab_settings() -> Settings:
    from drctl.lab.topology import Settings

    return Settings.from_environment()


@app.command()
def up(
    inventory: Annotated[
        Path | None, typer.Option("--inventory", metavar="PATH", help="Where to write the inventory.")
    ] = None,
) -> None:
    """Bring the lab up and write its inventory to inventories/lab.yml. As root, or in user namespaces.

    Example: sudo drctl lab up
    """
    from drctl.lab import tiers
    from drctl.lab.holder import is_outside
    from drctl.lab.prerequisites import require

    settings = _lab_settings()
    if is_outside() and not settings.loopback and lab_doctor.falls_back(settings, tell):
        os.environ["DRCTL_LAB_TIER"] = "loopback"
        settings = _lab_settings()
    if is_outside():
        require(settings)
    lab = meant_lab(make=True)
    started = lab.up(inventory, tell)
    now = lab.status()
    tell("the lab is up" if started else "the lab is up already")
    tell(f"tier {now.tier}: {tiers.LACKS[now.tier]}")
    if now.tier == tiers.NAMESPACES:
        tell("its hosts are reached from inside: drctl lab run -- drctl failover ..., or drctl lab shell")
    typer.echo(now.inventory)


@app.command()
def down() -> None:
    """Take the lab away, and everything that it made on this machine.

    Example: sudo drctl lab down
    """
    from drctl.lab.holder import Holder

    settings = _lab_settings()
    lab = meant_lab(make=settings.directory.exists() or Holder(settings).process is not None)
    removed = lab.down(tell)
    tell("the lab is down" if removed else "no lab is up: nothing to do")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the hosts, who is primary, what is cut, and whether the application writes.

    Example: drctl lab status --json
    """
    now = meant_lab().status()
    typer.echo(json.dumps(asdict(now), indent=2) if as_json else _status_text(now))


def _status_text(now: Status) -> str:
    lines = [f"lab {now.name}: {now.phase}, net {now.net}.0.0/16, tier {now.tier}"]
    if now.phase != "up":
        return lines[0] + "; type: drctl lab up"
    for host in now.hosts:
        streaming = f", streaming to {', '.join(host.streaming_to)}" if host.streaming_to else ""
        words = f"{host.name:<11} {host.address:<15} {host.power:<7} {host.size:<9} {host.database}{streaming}"
        lines.append(words.rstrip())
    lines += [f"cut: {one} and {other}" for one, other in now.cuts]
    lines += [f"cut one way: from {source} to {target}" for source, target in now.one_way_cuts]
    lines += [f"latency: {one} and {other}, {ms:g} ms more" for one, other, ms in now.latencies]
    if now.relay == "ended":
        lines.append("the relay of the slow links has ended, nothing passes on them; type the latency again, or 0")
    lines += [
        f"application: {now.application}, its database traffic goes to {now.application_database}",
        f"first full backup: {now.backup}",
        *(_backup_text(place) for place in now.backups),
        *([f"{len(now.history)} of these are a history, made with an injected clock"] if now.history else []),
        *(f"broken: {said}" for said in now.broken),
        f"inventory: {now.inventory}",
    ]
    return "\n".join(lines)


def _backup_text(place: BackupStatus) -> str:
    newest = f", newest {place.newest}, ended {place.ended}" if place.newest else ""
    copied = f", replicated {place.replicated}" if place.replicated else ""
    return f"backups at {place.location}: {place.count}{newest}{copied}"


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def ssh(
    host: HostName,
    command: Annotated[list[str] | None, typer.Argument(metavar="CMD...", help="What to run there.")] = None,
) -> None:
    """Log in to a host with real ssh and the lab's own configuration, or run a command there.

    Example: drctl lab ssh azure-san sudo -n -H -u postgres psql -c 'select pg_is_in_recovery()'
    """
    words = command[1:] if command and command[0] == "--" else command or []
    raise typer.Exit(subprocess.run(meant_lab().ssh_words(host, words), check=False).returncode)


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def run(command: Annotated[list[str], typer.Argument(metavar="CMD...", help="What to run.")]) -> None:
    """Run a program where the lab's hosts can be reached: without root, that is inside the lab's namespaces.

    Example: drctl lab run -- drctl failover taskflow-demo --inventory inventories/lab.yml
    """
    lab = meant_lab()
    lab.require_up()
    words = command[1:] if command[0] == "--" else command
    raise typer.Exit(_run(words))


@app.command()
def shell() -> None:
    """Open a shell where the lab's hosts can be reached; `exit` leaves it.

    Example: drctl lab shell
    """
    meant_lab().require_up()
    raise typer.Exit(_run([os.environ.get("SHELL") or "/bin/sh"]))


def _run(words: list[str]) -> int:
    try:
        return subprocess.run(words, check=False).returncode
    except OSError as error:
        raise UsageError(f"{words[0]} cannot be run: {error.strerror}") from error


lab_faults.register(app)


@app.command()
def load(
    seconds: Annotated[float, typer.Option("--seconds", help="How long.")] = 10,
    rate: Annotated[float, typer.Option("--rate", help="Rows a second.")] = 10,
    background: Annotated[bool, typer.Option("--background", help="Do not wait; it ends by itself.")] = False,
    bulk: Annotated[
        str, typer.Option("--bulk", metavar="SIZE", help="Instead: fill a table up to a size such as 1GB.")
    ] = "",
) -> None:
    """Write faster through the application's own door, and log what was acknowledged.

    With --bulk, write much: into a table of its own, on the primary, no faster than the archive and the standby follow.

    Example: drctl lab load --seconds 30 --rate 10 --background
    """
    if bulk:
        typer.echo(f"dr_bulk has {meant_lab().bulk(bulk, tell)} MB, and the archive has all of its WAL")
        return
    result = meant_lab().load(seconds=seconds, rate=rate, background=background)
    if result is None:
        tell(f"the load runs for {seconds:g} s in the background")
    else:
        typer.echo(f"asked {result.asked}, acknowledged {result.acknowledged}")


@app.command()
def inventory(
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PATH", help="Write it there.")] = None,
) -> None:
    """Print the inventory of the running lab, or write it to a file.

    Example: drctl lab inventory -o inventories/lab.yml
    """
    text = meant_lab().inventory_text()
    if output is None:
        typer.echo(text, nl=False)
        return
    from drctl.lab.inventory import write_inventory

    write_inventory(output, text)
    tell(f"written: {output}")


@app.command()
def acknowledged(as_json: Json = False) -> None:
    """Compare the rows that clients were told are safe with those that the primary holds now.

    Exit code 1 when one is missing.

    Example: drctl lab acknowledged
    """
    found = meant_lab().acknowledged()
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        typer.echo(f"primary {found.server}: acknowledged {found.acknowledged}, present {found.present}")
        for row in found.missing:
            typer.echo(f"missing {row.id}, written {row.ts}, acknowledged {row.acknowledged_at}")
    if found.missing:
        raise typer.Exit(ExitCode.STEP_FAILED)


@app.command("wait-backup")
def wait_backup(
    timeout: Annotated[float, typer.Option("--timeout", help="How long to wait, in seconds.")] = 120,
) -> None:
    """Wait until the first full backup is done.

    Example: drctl lab wait-backup --timeout 60
    """
    meant_lab().wait_backup(within=timeout)
    typer.echo("first full backup: done")


lab_doctor.register(app)
