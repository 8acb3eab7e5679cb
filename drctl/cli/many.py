"""Readings of many runs, each from its card: what a listing says of it, and what is reckoned over all runs."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from drctl import __version__
from drctl.errors import DrctlError

if TYPE_CHECKING:
    from drctl.adapters.cards import Cards
    from drctl.adapters.journal import JournalFile
    from drctl.cli.settings import Settings
    from drctl.report.card import RunCard
    from drctl.report.facts import Brief

_WORTH_TELLING = 100


def cards(
    settings: Settings, *, wanted: Callable[[str], bool] = lambda run_id: True, newest: int | None = None
) -> list[RunCard]:
    """A card for each run whose id is wanted, the newest first; a run that cannot be read has none, and
    that is said."""
    with _reading(settings) as journal:
        return _cards(settings, journal).of(journal, wanted=wanted, newest=newest, progress=_tell)


def briefs(settings: Settings, newest: int) -> list[Brief]:
    """So many of the newest runs as they stand, the newest first.

    Raises:
        JournalError: when the chain of one is broken.
    """
    from drctl.adapters.clock import SystemClock

    with _reading(settings) as journal:
        found = _briefs(settings, journal).of(journal, newest=newest, progress=_tell)
    now = SystemClock().now()
    return [brief.at(now) for brief in found]


def keep(settings: Settings, journal: JournalFile, run_id: str) -> None:
    """Keep the cards of a run that has just ended. What fails here is in nobody's way: they are made again."""
    with suppress(Exception):
        _cards(settings, journal).keep(journal, run_id)
        _briefs(settings, journal).keep(journal, run_id)


def _cards(settings: Settings, journal: JournalFile) -> Cards[RunCard]:
    from drctl.adapters.cards import Cards
    from drctl.report.card import RunCard, card_of

    def make(run_id: str) -> RunCard | None:
        try:
            return card_of(tuple(journal.events(run_id)))
        except DrctlError as error:
            sys.stderr.write(f"warning: the run {run_id} is left out: {error.message}\n")
            return None

    return Cards(path=settings.cards_path, kind=RunCard, made_by=__version__, make=make, shared="steps")


def _briefs(settings: Settings, journal: JournalFile) -> Cards[Brief]:
    from drctl.adapters.cards import Cards
    from drctl.cli.records import as_it_stands
    from drctl.report.facts import Brief

    def make(run_id: str) -> Brief:
        from drctl.report.summary import in_brief

        return as_it_stands(settings, journal, run_id, in_brief)

    return Cards(
        path=settings.cards_path,
        kind=Brief,
        made_by=__version__,
        make=make,
        lasting=lambda brief: brief.over,
    )


@contextmanager
def _reading(settings: Settings) -> Iterator[JournalFile]:
    """The journal. Events hold no cycles: to look for some in thousands of them is in vain."""
    journal = settings.journal()
    gc.disable()
    try:
        yield journal
    finally:
        gc.enable()
        journal.close()


def _tell(done: int, all_: int) -> None:
    if all_ >= _WORTH_TELLING and sys.stderr.isatty():
        end = "\n" if done == all_ else "\r"
        sys.stderr.write(f"reading runs for the first time: {done} of {all_}{end}")
        sys.stderr.flush()
