"""What earlier runs tell of how long things take, read from the journal."""

from __future__ import annotations

from collections.abc import Iterator

from drctl.adapters.journal import JournalFile
from drctl.engine.fold import fold_all
from drctl.engine.forecast import History, learn
from drctl.engine.state import RunState
from drctl.errors import DrctlError

NEWEST = 20
"""Runs of this service, and as many of others: a journal of a thousand costs no more than one of forty."""


def history(journal: JournalFile, service: str) -> History:
    """What the newest runs tell. A run that cannot be read tells nothing: a forecast never stops a recovery."""
    ids = journal.started()
    mark = f"-{service}-"
    own = [run_id for run_id in ids if mark in run_id][:NEWEST]
    others = [run_id for run_id in ids if mark not in run_id][:NEWEST]
    return learn(_states(journal, sorted([*own, *others], reverse=True)), service=service)


def _states(journal: JournalFile, run_ids: list[str]) -> Iterator[RunState]:
    for run_id in run_ids:
        try:
            yield fold_all(journal.events(run_id))
        except DrctlError:
            continue
