"""``drctl init``: a new repository of runbooks and inventories."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from drctl.errors import DrctlError, ExitCode, UsageError

Where = Annotated[Path, typer.Argument(metavar="DIR", help="The directory; it is made when it is not there.")]

RUNBOOKS = (
    "failover", "restore", "readiness", "switchover", "failback", "rebuild-standby",
    "release-wal", "restore-copy", "last-acknowledged-write", "fence-primary", "open-the-door", "protect-again",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("init")(init)


def init(directory: Where) -> int:
    """Begin a repository: runbooks, an inventory to fill in, schemas for editors, a README, a .gitignore.

    Nothing is ever overwritten: when one of the files is there already, nothing is written at all.

    Example: drctl init recovery
    """
    files = contents()
    there = [str(directory / name) for name in files if os.path.lexists(directory / name)]
    if there:
        raise UsageError(
            f"there already: {', '.join(there)}",
            state="nothing was written",
            hint="name a directory that is new or empty: drctl init recovery",
        )
    written: list[str] = []
    for name, text in files.items():
        try:
            _write(directory / name, text)
        except OSError as error:
            done = f"written before that: {', '.join(written)}" if written else "nothing was written"
            raise DrctlError(
                f"{directory / name} cannot be written: {error.strerror or error}",
                state=done,
                hint="name another directory: drctl init DIR",
                exit_code=ExitCode.USAGE,
            ) from None
        written.append(str(directory / name))
        typer.echo(directory / name)
    typer.echo("Next: fill in what the inventory marks with CHANGE, then, in that directory: drctl validate", err=True)
    return ExitCode.DONE


def contents() -> dict[str, str]:
    """Every file of a new repository, by its path in it."""
    from drctl.read.schema import schema_text

    files = {f"runbooks/{name}.yml": _runbook(name) for name in RUNBOOKS}
    return {
        "README.md": _packaged("README.md"),
        ".gitignore": _packaged("gitignore"),
        "inventories/sites.yml": _packaged("inventory.yml"),
        **files,
        "schema/runbook.json": schema_text("runbook"),
        "schema/inventory.json": schema_text("inventory"),
    }


def _runbook(name: str) -> str:
    """The runbook as drctl ships it; only the place of its schema is another one there."""
    return _packaged(f"{name}.yml").replace("$schema=../docs/schema/", "$schema=../schema/", 1)


def _packaged(name: str) -> str:
    return (resources.files("drctl.cli") / "files" / name).read_text("utf-8")


def _write(path: Path, text: str) -> None:
    """Raises OSError; FileExistsError for what has come to be there in the meantime."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
