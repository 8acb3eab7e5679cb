"""Readings of many runs: the cards of all runs of a journal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from drctl import __version__

if TYPE_CHECKING:
    from drctl.cli.settings import Settings
    from drctl.report.card import RunCard

_WORTH_TELLING = 100


def cards(settings: Settings) -> list[RunCard]:
    """A card for each run, the newest first. What is not kept yet is made, with progress when it is much."""
    from drctl.adapters.cards import Cards
    from drctl.report.card import RunCard, card_of

    journal = settings.journal()
    try:
        kept = Cards(
            settings.state_dir / "cards.db",
            RunCard,
            shared="steps",
            made_by=__version__,
            make=lambda run_id: card_of(tuple(journal.events(run_id))),
        )
        return kept.of(journal, progress=_tell)
    finally:
        journal.close()


def _tell(done: int, all_: int) -> None:
    if all_ >= _WORTH_TELLING and sys.stderr.isatty():
        end = "\n" if done == all_ else "\r"
        sys.stderr.write(f"reading runs for the first time: {done} of {all_}{end}")
        sys.stderr.flush()
