"""Which file a person means: a runbook by its name or path, an inventory by its path or because it is the only one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from drctl.errors import UsageError
from drctl.read.diagnostics import quoted
from drctl.read.suggest import did_you_mean, listed

RUNBOOKS = Path("runbooks")
INVENTORIES = Path("inventories")
SUFFIXES = (".yml", ".yaml")
INVENTORY_SUFFIXES = (*SUFFIXES, ".json")  # what ansible-inventory writes
STDIN = "-"
ENVIRONMENT_VARIABLE = "DRCTL_INVENTORY"

_NOTHING_DONE = "nothing was connected to and nothing was changed"


def documents_in(directory: Path) -> list[Path]:
    """The YAML files of a directory, by name, and JSON in inventories/; none when there is no such directory."""
    if not directory.is_dir():
        return []
    suffixes = INVENTORY_SUFFIXES if directory.name == INVENTORIES.name else SUFFIXES
    return sorted(path for path in directory.iterdir() if path.suffix in suffixes and not path.name.startswith("."))


def find_runbook(name: str | Path, *, directory: Path = RUNBOOKS) -> Path:
    """The runbook's path. ``failover`` is ``runbooks/failover.yml``; anything with a suffix or a slash is a path.

    Raises:
        UsageError: when there is none; it lists those that there are.
    """
    given = Path(name)
    if given.is_file():
        return given
    for suffix in SUFFIXES:
        found = directory / f"{name}{suffix}"
        if found.is_file():
            return found
    if _is_path(str(name)):
        return _existing(given)
    known = [path.stem for path in documents_in(directory)]
    raise UsageError(
        f"there is no runbook {quoted(str(name))} in {directory}/{did_you_mean(str(name), known)}",
        state=_NOTHING_DONE,
        hint=f"runbooks: {listed(known)}; or give the path of a file",
    )


def called_runbook(name: str, *, by: Path, directory: Path = RUNBOOKS) -> Path | None:
    """The file that a runbook means by the name of another: beside itself, else in ``runbooks/``; None without one."""
    for place in (by.parent, directory):
        for suffix in SUFFIXES:
            found = place / f"{name}{suffix}"
            if found.is_file():
                return found
    return None


def callable_runbooks(by: Path, directory: Path = RUNBOOKS) -> list[str]:
    """The names that ``called_runbook`` finds, without the runbook's own."""
    found = {path.stem for place in (by.parent, directory) for path in documents_in(place)}
    return sorted(found - {by.stem})


def is_example(path: Path) -> bool:
    """``taskflow.example.yml`` shows how an inventory is written, and is never used by default."""
    return path.stem.endswith(".example")


def find_inventory(
    given: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path = INVENTORIES,
) -> Path:
    """The inventory's path: what was given, else ``DRCTL_INVENTORY``, else the only real one in ``inventories/``.

    ``-`` is standard input.

    Raises:
        UsageError: when there is none, or when there are several and none was named.
    """
    named = str(given) if given else (os.environ if environ is None else environ).get(ENVIRONMENT_VARIABLE, "")
    if named:
        return _named(named, directory)
    real = [path for path in documents_in(directory) if not is_example(path)]
    if len(real) == 1:
        return real[0]
    if real:
        raise UsageError(
            f"there are {len(real)} inventories in {directory}/: {listed(path.name for path in real)}",
            state=_NOTHING_DONE,
            hint=f"say which one: --inventory {real[0]}, or export {ENVIRONMENT_VARIABLE}={real[0]}",
        )
    raise UsageError(
        f"there is no inventory in {directory}/",
        state=_NOTHING_DONE,
        hint="drctl lab up makes one for the lab; for real sites copy inventories/taskflow.example.yml and change it",
    )


def _named(named: str, directory: Path) -> Path:
    path = Path(named)
    if named == STDIN:
        return path
    if path.is_file() or _is_path(named):
        return _existing(path)
    for suffix in INVENTORY_SUFFIXES:
        found = directory / f"{named}{suffix}"
        if found.is_file():
            return found
    known = [path.stem for path in documents_in(directory)]
    raise UsageError(
        f"there is no inventory {quoted(named)} in {directory}/{did_you_mean(named, known)}",
        state=_NOTHING_DONE,
        hint=f"inventories: {listed(known)}; or give the path of a file",
    )


def _is_path(name: str) -> bool:
    return "/" in name or Path(name).suffix in INVENTORY_SUFFIXES


def _existing(path: Path) -> Path:
    """The path itself; a directory or an unreadable file is told by whoever reads it."""
    if path.exists():
        return path
    known = [str(other) for other in documents_in(path.parent)]
    raise UsageError(
        f"there is no file {quoted(str(path))}{did_you_mean(str(path), known)}",
        state=_NOTHING_DONE,
        hint=f"in {path.parent}/: {listed(other.name for other in documents_in(path.parent))}",
    )
