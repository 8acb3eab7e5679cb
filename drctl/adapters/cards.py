"""Cards of runs, kept beside the journal so that a thousand runs are read in no time.

The file is a cache and no evidence: each card is kept with the sha256 of the last event that it was made from, is made
anew when that has changed, and the whole file may be deleted at any time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from drctl.adapters.journal import JournalFile
from drctl.errors import DocumentError, DrctlError
from drctl.plan.codec import from_json, to_json

Card = TypeVar("Card")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS cards (run_id TEXT PRIMARY KEY, made_by TEXT NOT NULL, head TEXT NOT NULL, "
    "card TEXT NOT NULL) STRICT, WITHOUT ROWID"
)


class Cards(Generic[Card]):
    """The cards of the runs of one journal. ``kind`` is what a card is, ``make`` makes one of a run's id.

    ``made_by`` names the program's version: a card of another one is made anew.
    """

    def __init__(self, path: Path, kind: type[Card], *, made_by: str, make: Callable[[str], Card]) -> None:
        self._path, self._kind, self._made_by, self._make = path, kind, made_by, make

    def of(self, journal: JournalFile, *, progress: Callable[[int, int], None] = lambda done, all_: None) -> list[Card]:
        """A card for each run, the newest first; a run whose chain is broken has none.

        ``progress`` is told how many of those that are not kept yet have been made.
        """
        heads = journal.last_sums()
        kept = self._kept()
        found: list[Card] = []
        missing = [run_id for run_id, head in heads if kept.get(run_id, ("",))[0] != head]
        made: list[tuple[str, str, Card]] = []
        for run_id, head in heads:
            card = self._read(kept[run_id][1]) if kept.get(run_id, ("",))[0] == head else None
            if card is None:
                try:
                    card = self._make(run_id)
                except DrctlError:
                    continue
                made.append((run_id, head, card))
                progress(len(made), len(missing))
            found.append(card)
        self._keep(made)
        return found

    def _read(self, text: str) -> Card | None:
        try:
            return from_json(self._kind, json.loads(text))
        except (DocumentError, ValueError):
            return None

    def _kept(self) -> dict[str, tuple[str, str]]:
        try:
            with closing(self._open()) as db:
                rows = db.execute("SELECT run_id, head, card FROM cards WHERE made_by=?", (self._made_by,))
                return {run_id: (head, card) for run_id, head, card in rows}
        except (sqlite3.Error, OSError):
            return {}

    def _keep(self, made: list[tuple[str, str, Card]]) -> None:
        """A cache that cannot be written is made again the next time."""
        if not made:
            return
        rows = [(run_id, self._made_by, head, json.dumps(to_json(card))) for run_id, head, card in made]
        try:
            with closing(self._open()) as db, db:
                db.executemany("INSERT OR REPLACE INTO cards VALUES (?,?,?,?)", rows)
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=5)
        db.execute(_SCHEMA)
        return db
