"""Which lab a verb of ``drctl lab`` means, and how such a verb speaks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from drctl.cli import completion

if TYPE_CHECKING:
    from drctl.lab import Lab

HostName = Annotated[
    str, typer.Argument(metavar="HOST", help="A host of the lab.", autocompletion=completion.lab_hosts)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def meant_lab(*, make: bool = False) -> Lab:
    """The lab that is meant. Without root, this same command goes on inside the lab's namespaces, if it has any.

    ``make`` makes them when there are none, and ends them when the command has left no lab in them.
    """
    # Not at the top: `drctl --help` does not pay for the lab.
    from drctl.lab import Lab
    from drctl.lab.holder import Holder, is_outside

    lab = Lab.from_environment()
    holder = Holder(lab.settings)
    if lab.settings.loopback or not is_outside() or not (make or holder.process):
        return lab
    if make:
        holder.ensure()
    try:
        code = holder.run([sys.executable, "-m", "drctl", *sys.argv[1:]])
    finally:
        if make:
            holder.end_if_empty()
    raise typer.Exit(code)


def tell(line: str) -> None:
    """Progress: for a person, so not on standard output."""
    typer.echo(line, err=True)
