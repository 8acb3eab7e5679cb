"""``drctl lab``: a real disaster-recovery site on one machine. Thin: the work is in ``drctl/lab``."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion, lab_backups, lab_doctor
from drctl.cli.lab_meant import Json, meant_lab, tell
from drctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from drctl.lab.status import BackupStatus, Status
    from drctl.lab.topology import Settings

app = typer.Typer(
    help="A real lab on this machine: seven hosts with ssh, PostgreSQL and backups.\n\nExample: drctl lab up",
    no_args_is_help=True,
)
power = typer.Typer(
    help="The lab's hypervisor: switch a host or a whole site off and on.\n\nExample: drctl lab power off xneelo-jnb",
    no_args_is_help=True,
)
app.add_typer(power, name="power")
app.command("backup")(lab_backups.backup)
app.add_typer(lab_backups.backups, name="backups")
app.add_typer(lab_backups.breaking, name="break")
app.add_typer(lab_backups.mending, name="mend")

HostOrSite = Annotated[
    str, typer.Argument(metavar="HOST|SITE", help="A host or a site of the lab.", autocompletion=completion.lab_hosts)
]
HostName = Annotated[
    str, typer.Argument(metavar="HOST", help="A host of the lab.", autocompletion=completion.lab_hosts)
]


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


@power.command("off")
def power_off(name: HostOrSite) -> None:
    """Take the power away, at once, and prove it. A host that is off already stays off.

    Example: drctl lab power off xneelo-jnb
    """
    for host, was_on in meant_lab().power_off(name).items():
        typer.echo(f"{host}: power is off" + ("" if was_on else " already"))


@power.command("on")
def power_on(name: HostOrSite) -> None:
    """Give the power back, and wait until ssh answers.

    Example: drctl lab power on xneelo-jnb
    """
    for host, was_off in meant_lab().power_on(name).items():
        typer.echo(f"{host}: power is on" + (", ssh answers" if was_off else " already"))


@app.command()
def freeze(host: HostName) -> None:
    """Stop every process of a host where it is: its sessions stay open and nothing answers.

    Example: drctl lab freeze xneelo-jnb
    """
    typer.echo(f"{host}: frozen" + ("" if meant_lab().freeze(host) else " already"))


@app.command()
def thaw(host: HostName) -> None:
    """Let a frozen host go on from where it stopped.

    Example: drctl lab thaw xneelo-jnb
    """
    typer.echo(f"{host}: thawed" if meant_lab().thaw(host) else f"{host}: was not frozen")


@app.command()
def cut(
    one: HostOrSite,
    other: HostOrSite,
    one_way: Annotated[bool, typer.Option("--one-way", help="Lose only what the first sends to the second.")] = False,
) -> None:
    """Drop every packet between two hosts or sites. The operator's link is drctl's own, too.

    Example: drctl lab cut xneelo-jnb azure-san
    """
    for here, there in meant_lab().cut(one, other, one_way=one_way):
        typer.echo(f"cut one way: from {here} to {there}" if one_way else f"cut: {here} and {there}")


@app.command()
def heal(
    one: Annotated[
        str | None,
        typer.Argument(metavar="HOST|SITE", help="One end; none heals all.", autocompletion=completion.lab_hosts),
    ] = None,
    other: Annotated[
        str | None, typer.Argument(metavar="HOST|SITE", help="The other end.", autocompletion=completion.lab_hosts)
    ] = None,
) -> None:
    """Heal a link that was cut; without names, all of them.

    Example: drctl lab heal xneelo-jnb azure-san
    """
    if one is None:
        meant_lab().heal_all()
        typer.echo("healed: every link")
    elif other is None:
        raise typer.BadParameter("name both ends of the link, or none to heal all")
    else:
        healed = meant_lab().heal(one, other)
        typer.echo(f"healed: {one} and {other}" if healed else f"not cut: {one} and {other}")


@app.command()
def rate(
    host: HostName, mbit: Annotated[float, typer.Argument(metavar="MBIT", help="Mbit/s each way; 0 is unlimited.")]
) -> None:
    """Limit a host's link.

    Example: drctl lab rate cloudprox 20
    """
    meant_lab().rate(host, mbit)
    typer.echo(f"{host}: {mbit:g} Mbit/s each way" if mbit else f"{host}: unlimited")


@app.command()
def latency(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="HOST|SITE...", help="One end, or both ends, of a link.", autocompletion=completion.lab_hosts
        ),
    ],
    ms: Annotated[float, typer.Argument(metavar="MS", help="Milliseconds more for every round trip; 0 is none.")],
) -> None:
    """Make a link longer, or all links of one host: packets wait on their way, half the time in each direction.

    Example: drctl lab latency xneelo-jnb azure-san 20
    """
    for one, other in meant_lab().latency(names, ms):
        typer.echo(f"{one} and {other}: {ms:g} ms more" if ms else f"{one} and {other}: nothing added")


@app.command()
def resize(host: HostName, size: Annotated[str, typer.Argument(metavar="SIZE", help="micro or standard.")]) -> None:
    """Give a host another size. Like a cloud's resize, that reboots it; it returns when ssh answers again.

    Example: drctl lab resize azure-san standard
    """
    changed = meant_lab().resize(host, size)
    typer.echo(f"{host}: size is {size}" + (", rebooted" if changed else " already"))


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
