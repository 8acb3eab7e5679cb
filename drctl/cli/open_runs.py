"""Which runs are not over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drctl.cli.settings import Settings
from drctl.errors import UsageError

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


def state_to_go_on_from(journal: JournalFile, run_id: str, *, so: str = "this command changed nothing") -> RunState:
    """The state of a run that is not over.

    Raises:
        UsageError: when it is over. ``so`` says what that means for whoever asked.
    """
    state = state_of(journal, run_id)
    refuse_what_is_over(state, so=so)
    return state


def refuse_what_is_over(state: RunState, *, so: str) -> None:
    """Say that nothing can be done with the run any more.

    Raises:
        UsageError: when it is over. ``so`` says what that means for whoever asked.
    """
    from drctl.model.events import Ended

    if state.ended not in (None, Ended.PAUSED):
        raise UsageError(
            f"the run {state.run_id} is over: {state.ended}", state=so, hint=f"drctl report {state.run_id}"
        )
