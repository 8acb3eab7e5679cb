"""What the shell offers when a person presses Tab: services, runbooks, runs and hosts of the lab, as they are now.

A completion never fails and never writes: what cannot be read offers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile


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
    return _beginning(incomplete, _of_journal(context, lambda journal: journal.run_ids()[:50]))


def open_runs(context: typer.Context, incomplete: str) -> list[str]:
    """The runs that are not over, the newest first."""
    return _beginning(incomplete, _of_journal(context, lambda j: [head.run_id for head in j.heads() if head.is_open]))


def approvals(context: typer.Context, incomplete: str) -> list[str]:
    """The approval steps of the runs that are not over, as far as nobody has approved them."""
    return _beginning(incomplete, _of_journal(context, lambda j: dict.fromkeys(_not_approved(j))))


def _not_approved(journal: JournalFile) -> Iterator[str]:
    from drctl.cli.open_runs import state_of
    from drctl.engine.state import targets_of
    from drctl.model.plan import Approval

    for head in journal.heads():
        if head.is_open:
            state = state_of(journal, head.run_id)
            asking = [step for step in state.the_plan.steps() if isinstance(step.action, Approval)]
            yield from (s.id for s in asking if any(state.target(t).outcome is None for t in targets_of(s)))


def _of_journal(context: typer.Context, read: Callable[[JournalFile], Iterable[str]]) -> list[str]:
    from drctl.adapters.journal import JournalFile
    from drctl.cli.settings import state_directory

    given = context.find_root().params.get("state_dir") or ""
    path = state_directory(str(given)) / "journal.db"
    if not path.is_file():
        return []
    try:
        journal = JournalFile(path)
        try:
            return list(read(journal))
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
