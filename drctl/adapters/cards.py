"""Cards of runs, kept beside the journal so that a thousand runs are read in no time.

The file is a cache and no evidence: each card is kept with the sha256 of the last event that it was made from, is made
anew when that has changed, and the whole file may be deleted at any time. What many cards have in common (the steps of
runs of one runbook) is kept once, and read once. A run's cards are written when it ends, so that nobody waits for them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_type_hints

from drctl.adapters.journal import JournalFile
from drctl.errors import DocumentError
from drctl.plan.codec import from_json, to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Card = TypeVar("Card", bound="DataclassInstance")

_FORMAT = 3
_SCHEMA = f"""
DROP TABLE IF EXISTS cards;
DROP TABLE IF EXISTS shared;
CREATE TABLE cards (
    kind    TEXT NOT NULL,
    run_id  TEXT NOT NULL,
    made_by TEXT NOT NULL,
    head    TEXT NOT NULL,
    card    TEXT NOT NULL,
    shared  TEXT NOT NULL,
    PRIMARY KEY (kind, run_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE shared (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version={_FORMAT};
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards(Generic[Card]):
    """The cards of one kind of the runs of one journal.

    ``make`` makes one of a run's id, or None for a run that has none; it may raise DrctlError. ``lasting`` says whether
    a card stays true for as long as its run has no new event. ``shared`` names a member that many cards have in
    common. ``made_by`` names the program's version: a card of another one is made anew.
    """

    path: Path
    kind: type[Card]
    made_by: str
    make: Callable[[str], Card | None]
    lasting: Callable[[Card], bool] = lambda card: True
    shared: str = ""

    def of(
        self,
        journal: JournalFile,
        *,
        wanted: Callable[[str], bool] = lambda run_id: True,
        newest: int | None = None,
        progress: Callable[[int, int], None] = lambda done, all_: None,
    ) -> list[Card]:
        """A card for each run whose id is ``wanted``, or for so many of the newest of those, the newest first.

        ``progress`` is told how many of those that are not kept yet have been made.
        """
        heads = [(run_id, head) for run_id, head in journal.last_sums() if wanted(run_id)][:newest]
        kept = self._kept(oldest=heads[-1][0]) if heads else {}
        missing = sum(1 for run_id, head in heads if kept.get(run_id, (None,))[0] != head)
        found: list[Card] = []
        made: list[tuple[str, str, Card]] = []
        read = 0
        for run_id, head in heads:
            known, card = kept.get(run_id, (None, None))
            if known != head or card is None:
                card = self.make(run_id)
                read += 1
                progress(read, missing)
                if card is not None and self.lasting(card):
                    made.append((run_id, head, card))
            if card is not None:
                found.append(card)
        self._keep(made)
        return found

    def keep(self, journal: JournalFile, run_id: str) -> None:
        """Make the card of a run whose events have just been written, and keep it."""
        head = dict(journal.last_sums()).get(run_id)
        card = self.make(run_id) if head is not None else None
        if head is not None and card is not None and self.lasting(card):
            self._keep([(run_id, head, card)])

    def _kept(self, *, oldest: str) -> dict[str, tuple[str, Card | None]]:
        """Each card that is kept, and the sum that it was made from; None for one that cannot be read any more."""
        wanted = (self.kind.__name__, self.made_by, oldest)
        try:
            with closing(self._open()) as db:
                rows = db.execute(
                    "SELECT run_id, head, card, shared FROM cards WHERE kind=? AND made_by=? AND run_id>=?", wanted
                ).fetchall()
                texts = dict(db.execute("SELECT sha256, text FROM shared")) if self.shared else {}
        except (sqlite3.Error, OSError):
            return {}
        parts = {sha256: self._part(text) for sha256, text in texts.items()}
        return {run_id: (head, self._whole(card, parts.get(part))) for run_id, head, card, part in rows}

    def _part(self, text: str) -> Any:
        return _read(get_type_hints(self.kind)[self.shared], text)

    def _whole(self, text: str, part: Any) -> Card | None:
        card: Card | None = _read(self.kind, text)
        if card is None or not self.shared:
            return card
        return None if part is None else replace(card, **{self.shared: part})

    def _keep(self, made: list[tuple[str, str, Card]]) -> None:
        """A cache that cannot be written is made again the next time."""
        if not made:
            return
        try:
            with closing(self._open()) as db, db:
                for run_id, head, card in made:
                    plain, sha256 = to_json(card), ""
                    if self.shared:
                        text = json.dumps(plain.pop(self.shared))
                        sha256 = hashlib.sha256(text.encode()).hexdigest()
                        db.execute("INSERT OR IGNORE INTO shared VALUES (?,?)", (sha256, text))
                    row = (self.kind.__name__, run_id, self.made_by, head, json.dumps(plain), sha256)
                    db.execute("INSERT OR REPLACE INTO cards VALUES (?,?,?,?,?,?)", row)
                db.execute("DELETE FROM shared WHERE sha256 NOT IN (SELECT shared FROM cards)")
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        """The file; one of another format is emptied."""
        db = sqlite3.connect(self.path, timeout=5)
        if db.execute("PRAGMA user_version").fetchone() != (_FORMAT,):
            db.executescript(_SCHEMA)
        return db


def _read(kind: Any, text: str) -> Any:
    try:
        return from_json(kind, json.loads(text))
    except (DocumentError, ValueError):
        return None
