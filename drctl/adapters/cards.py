"""Cards of runs, kept beside the journal so that a thousand runs are read in no time.

The file is a cache and no evidence: each card is kept with the sha256 of the last event that it was made from, is made
anew when that has changed, and the whole file may be deleted at any time. What many cards have in common (the steps of
runs of one runbook) is kept once, and read once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from drctl.adapters.journal import JournalFile
from drctl.errors import DocumentError, DrctlError
from drctl.plan.codec import from_json, to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Card = TypeVar("Card", bound="DataclassInstance")

_FORMAT = 2
_SCHEMA = f"""
DROP TABLE IF EXISTS cards;
DROP TABLE IF EXISTS shared;
CREATE TABLE cards (
    run_id  TEXT PRIMARY KEY,
    made_by TEXT NOT NULL,
    head    TEXT NOT NULL,
    card    TEXT NOT NULL,
    shared  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE shared (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version={_FORMAT};
"""


class Cards(Generic[Card]):
    """The cards of the runs of one journal. ``kind`` is what a card is, ``make`` makes one of a run's id.

    ``shared`` names the member that many cards have in common. ``made_by`` names the program's version: a card of
    another one is made anew.
    """

    def __init__(self, path: Path, kind: type[Card], *, shared: str, made_by: str, make: Callable[[str], Card]) -> None:
        self._path, self._kind, self._shared, self._made_by, self._make = path, kind, shared, made_by, make
        self._shared_kind = get_type_hints(kind)[shared]

    def of(self, journal: JournalFile, *, progress: Callable[[int, int], None] = lambda done, all_: None) -> list[Card]:
        """A card for each run, the newest first; a run whose chain is broken has none.

        ``progress`` is told how many of those that are not kept yet have been made.
        """
        heads = journal.last_sums()
        kept = self._kept()
        found: list[Card] = []
        missing = sum(1 for run_id, head in heads if kept.get(run_id, (None,))[0] != head)
        made: list[tuple[str, str, Card]] = []
        for run_id, head in heads:
            known, card = kept.get(run_id, (None, None))
            if known != head or card is None:
                try:
                    card = self._make(run_id)
                except DrctlError:
                    continue
                made.append((run_id, head, card))
                progress(len(made), missing)
            found.append(card)
        self._keep(made)
        return found

    def _kept(self) -> dict[str, tuple[str, Card | None]]:
        """Each card that is kept, and the sum that it was made from; None for one that cannot be read any more."""
        try:
            with closing(self._open()) as db:
                shared = dict(db.execute("SELECT sha256, text FROM shared"))
                rows = db.execute(
                    "SELECT run_id, head, card, shared FROM cards WHERE made_by=?", (self._made_by,)
                ).fetchall()
        except (sqlite3.Error, OSError):
            return {}
        parts = {sha256: self._read(self._shared_kind, text) for sha256, text in shared.items()}
        return {run_id: (head, self._whole(card, parts.get(part))) for run_id, head, card, part in rows}

    def _whole(self, text: str, part: Any) -> Card | None:
        card = self._read(self._kind, text)
        return None if card is None or part is None else replace(card, **{self._shared: part})

    @staticmethod
    def _read(kind: Any, text: str) -> Any:
        try:
            return from_json(kind, json.loads(text))
        except (DocumentError, ValueError):
            return None

    def _keep(self, made: list[tuple[str, str, Card]]) -> None:
        """A cache that cannot be written is made again the next time."""
        if not made:
            return
        try:
            with closing(self._open()) as db, db:
                for run_id, head, card in made:
                    plain = to_json(card)
                    text = json.dumps(plain.pop(self._shared))
                    sha256 = hashlib.sha256(text.encode()).hexdigest()
                    db.execute("INSERT OR IGNORE INTO shared VALUES (?,?)", (sha256, text))
                    row = (run_id, self._made_by, head, json.dumps(plain), sha256)
                    db.execute("INSERT OR REPLACE INTO cards VALUES (?,?,?,?,?)", row)
                db.execute("DELETE FROM shared WHERE sha256 NOT IN (SELECT shared FROM cards)")
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        """The file; one of another format is emptied."""
        db = sqlite3.connect(self._path, timeout=5)
        if db.execute("PRAGMA user_version").fetchone() != (_FORMAT,):
            db.executescript(_SCHEMA)
        return db
