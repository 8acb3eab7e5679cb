"""The verbs of ``drctl lab`` for what happens to hosts and links: power, frost, cuts, slow and long links."""

from __future__ import annotations

from typing import Annotated

import typer

from drctl.cli import completion
from drctl.cli.lab_meant import HostName, meant_lab

power = typer.Typer(
    help="The lab's hypervisor: switch a host or a whole site off and on.\n\nExample: drctl lab power off xneelo-jnb",
    no_args_is_help=True,
)
HostOrSite = Annotated[
    str, typer.Argument(metavar="HOST|SITE", help="A host or a site of the lab.", autocompletion=completion.lab_hosts)
]


def register(app: typer.Typer) -> None:
    """Add the verbs; ``power`` is a group of its own."""
    for verb in (freeze, thaw, cut, heal, rate, latency, resize):
        app.command(verb.__name__)(verb)


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


def freeze(host: HostName) -> None:
    """Stop every process of a host where it is: its sessions stay open and nothing answers.

    Example: drctl lab freeze xneelo-jnb
    """
    typer.echo(f"{host}: frozen" + ("" if meant_lab().freeze(host) else " already"))


def thaw(host: HostName) -> None:
    """Let a frozen host go on from where it stopped.

    Example: drctl lab thaw xneelo-jnb
    """
    typer.echo(f"{host}: thawed" if meant_lab().thaw(host) else f"{host}: was not frozen")


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


def rate(
    host: HostName, mbit: Annotated[float, typer.Argument(metavar="MBIT", help="Mbit/s each way; 0 is unlimited.")]
) -> None:
    """Limit a host's link.

    Example: drctl lab rate cloudprox 20
    """
    meant_lab().rate(host, mbit)
    typer.echo(f"{host}: {mbit:g} Mbit/s each way" if mbit else f"{host}: unlimited")


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


def resize(host: HostName, size: Annotated[str, typer.Argument(metavar="SIZE", help="micro or standard.")]) -> None:
    """Give a host another size. Like a cloud's resize, that reboots it; it returns when ssh answers again.

    Example: drctl lab resize azure-san standard
    """
    changed = meant_lab().resize(host, size)
    typer.echo(f"{host}: size is {size}" + (", rebooted" if changed else " already"))
