"""What the shell offers when a person presses Tab: services, runbooks, runs and hosts of the lab, as they are now.

A completion never fails and never writes: what cannot be read offers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer


def services(context: typer.Context, incomplete: str) -> list[str]:
    """The services of the inventory that this command line means."""
    from drctl.read.documents import read_inventory
    from drctl.read.find import find_inventory

    try:
        document = read_inventory(find_inventory(context.params.get("inventory")))[0]
    except Exception:
        return []
    return _beginning(incomplete, document.value.services if document else ())


def runbooks(incomplete: str) -> list[str]:
    """The names of the runbooks in ``runbooks/``."""
    from drctl.read.find import RUNBOOKS, documents_in

    try:
        return _beginning(incomplete, (path.stem for path in documents_in(RUNBOOKS)))
    except Exception:
        return []


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """The newest runs of the journal, by their ids."""
    from drctl.adapters.journal import JournalFile
    from drctl.cli.settings import state_directory

    given = context.find_root().params.get("state_dir") or ""
    path = state_directory(str(given)) / "journal.db"
    if not path.is_file():
        return []
    try:
        journal = JournalFile(path)
        try:
            return _beginning(incomplete, journal.run_ids()[:50])
        finally:
            journal.close()
    except Exception:
        return []


def lab_hosts(incomplete: str) -> list[str]:
    """The hosts of the lab, and its sites."""
    from drctl.lab.topology import HOSTS, SITES

    return _beginning(incomplete, sorted({*HOSTS, *SITES}))


def documents(incomplete: str) -> list[str]:
    """Runbooks and inventories as paths."""
    from drctl.read.find import INVENTORIES, RUNBOOKS, documents_in

    try:
        found = [str(path) for place in (RUNBOOKS, INVENTORIES) for path in documents_in(Path(place))]
    except Exception:
        return []
    return _beginning(incomplete, found)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
