"""What people write down that belongs to no run: declared outages, corrective actions and the like.

A table of the journal's own file, append-only and chained by hashes as the events are (docs/reference/journal.md), so
that what is said later corrects what was said before and never replaces it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from drctl.adapters.chain import FIRST_PREVIOUS, canonical, text_of
from drctl.adapters.journal import JournalFile
from drctl.errors import JournalError
from drctl.model.events import JsonObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    number   INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    kind     TEXT NOT NULL,
    who      TEXT NOT NULL,
    body     TEXT NOT NULL,
    previous TEXT NOT NULL,
    sha256   TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS notes_are_facts BEFORE UPDATE ON notes
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS notes_stay BEFORE DELETE ON notes
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that somebody wrote down; ``number`` counts from 1, ``sha256`` covers it and all before it."""

    number: int
    at: datetime
    kind: str
    who: str
    body: JsonObject
    previous: str
    sha256: str


class Ledger:
    """The notes of one journal's file. Several processes may read and write it at once."""

    def __init__(self, path: Path) -> None:
        """Open it; the journal is made when it is not there.

        Raises:
            JournalError: when it cannot be opened.
        """
        JournalFile(path).close()
        self._path = path
        with closing(self._open()) as db:
            self._do(lambda: db.executescript(_SCHEMA))

    def append(self, *, kind: str, who: str, body: JsonObject, at: datetime) -> Note:
        """Write a note down, and return when it would survive a power cut.

        Raises:
            JournalError: when it cannot be written.
        """
        with closing(self._open()) as db:
            note: Note = self._do(lambda: self._insert(db, kind=kind, who=who, body=body, at=at))
            return note

    def _insert(self, db: sqlite3.Connection, *, kind: str, who: str, body: JsonObject, at: datetime) -> Note:
        db.execute("BEGIN IMMEDIATE")  # the number and the sum before it are read and used by one writer at a time
        row = db.execute("SELECT number, sha256 FROM notes ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (row[0] + 1, row[1]) if row else (1, FIRST_PREVIOUS)
        moment = text_of(at)
        sha256 = _sum(_line(number=number, at=moment, kind=kind, who=who, body=body, previous=previous))
        values = (number, moment, kind, who, canonical(body), previous, sha256)
        db.execute("INSERT INTO notes VALUES (?,?,?,?,?,?,?)", values)
        db.execute("COMMIT")
        return Note(
            number=number,
            at=datetime.fromisoformat(moment),
            kind=kind,
            who=who,
            body=body,
            previous=previous,
            sha256=sha256,
        )

    def notes(self, kind: str | None = None) -> Iterator[Note]:
        """All notes in order, or those of a kind, their chain checked on the way.

        Raises:
            JournalError: at the first note that is not what it was when it was written, or that is missing.
        """
        import json

        with closing(self._open()) as db:
            rows: list[Any] = self._do(lambda: db.execute("SELECT * FROM notes ORDER BY number").fetchall())
        expected, previous = 1, FIRST_PREVIOUS
        for number, at, of_kind, who, text, told, sha256 in rows:
            try:
                body = json.loads(text)
                right = _sum(_line(number=number, at=at, kind=of_kind, who=who, body=body, previous=told))
            except ValueError:
                body, right = {}, ""
            if (number, told, sha256) != (expected, previous, right):
                raise JournalError(
                    f"note {expected} of the ledger is not as it was written: its chain of hashes is broken",
                    where=str(self._path),
                    state="nothing that is in it can be relied on from there on",
                    hint="keep the file as evidence, and compare it with a copy",
                )
            expected, previous = expected + 1, sha256
            if kind in (None, of_kind):
                moment = datetime.fromisoformat(at)
                yield Note(number=number, at=moment, kind=of_kind, who=who, body=body, previous=told, sha256=sha256)

    def _open(self) -> sqlite3.Connection:
        try:
            db = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            db.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        return db

    def _do(self, work: Any) -> Any:
        try:
            return work()
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(
            f"the ledger in {self._path} cannot be used: {error}",
            state="nothing was written down",
            hint="free some space or mend the permissions",
        )


def line_of(note: Note) -> bytes:
    """The text that a note's sha256 is over, on one line."""
    at = text_of(note.at)
    return _line(number=note.number, at=at, kind=note.kind, who=note.who, body=note.body, previous=note.previous)


def note_of(line: bytes) -> Note:
    """The note that such a line is, with the sha256 that the ledger has for it.

    Raises:
        ValueError: when it is none.
    """
    import json

    row = json.loads(line)
    if not isinstance(row, dict) or set(row) != {"number", "at", "kind", "who", "body", "previous"}:
        raise ValueError("it is no note of a ledger")
    if not isinstance(row["number"], int) or not isinstance(row["body"], dict):
        raise ValueError("it is no note of a ledger")
    return Note(
        number=row["number"],
        at=datetime.fromisoformat(str(row["at"])),
        kind=str(row["kind"]),
        who=str(row["who"]),
        body=row["body"],
        previous=str(row["previous"]),
        sha256=_sum(line),
    )


def _line(*, number: int, at: str, kind: str, who: str, body: JsonObject, previous: str) -> bytes:
    row = {"number": number, "at": at, "kind": kind, "who": who, "body": body, "previous": previous}
    return canonical(row).encode("utf-8", "surrogatepass")


def _sum(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
