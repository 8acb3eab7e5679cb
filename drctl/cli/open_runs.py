"""Which runs are not over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.cli.settings import Settings

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile
    from drctl.engine.state import RunState


def open_run(settings: Settings, service: str | None) -> str | None:
    """The newest run (of the service) that is neither done, failed nor aborted; None when all are over."""
    journal = settings.journal()
    try:
        for head in journal.heads():
            if head.is_open and service in (None, head.service):
                return head.run_id
        return None
    finally:
        journal.close()


def state_of(journal: JournalFile, run_id: str) -> RunState:
    """The state of a run, as its events tell.

    Raises:
        JournalError: when the run is not there, or its chain is broken.
    """
    from drctl.engine.fold import fold_all

    return fold_all(journal.events(run_id))
