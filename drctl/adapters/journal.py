"""The journal: SQLite in WAL mode, ``synchronous=FULL``, one row an event, chained by hashes.

It is the run's memory and the audit's evidence, so it has one writer a run and no update or delete anywhere. The
format is in ``docs/reference/journal.md``; ``sha256`` is over the canonical JSON of the other columns.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_type_hints

from drctl.adapters.chain import FIRST_PREVIOUS, body_of, canonical, chained, digest_of, redacted, text_of
from drctl.errors import DocumentError, JournalError
from drctl.model.events import OF_MESSAGES, Body, Ended, Event, RunEnded, RunStarted
from drctl.plan.codec import to_json

FORMAT = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    run_id   TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    at       TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    body     TEXT    NOT NULL,
    previous TEXT    NOT NULL,
    sha256   TEXT    NOT NULL,
    PRIMARY KEY (run_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_type ON events (type, run_id);
CREATE TABLE IF NOT EXISTS requests (
    id     INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    at     TEXT NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('abort', 'approve')),
    step   TEXT NOT NULL,
    who    TEXT NOT NULL,
    why    TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS approvals (
    id        INTEGER PRIMARY KEY,
    run_id    TEXT NOT NULL,
    at        TEXT NOT NULL,
    step      TEXT NOT NULL,
    statement TEXT NOT NULL,
    signature TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS events_are_facts BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


def new_run_id(now: datetime, service: str) -> str:
    """A name that sorts by time, says the service, and does not collide: ``20261123-031200-taskflow-demo-4f2a``."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{service}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHead:
    """What a listing needs of a run, without reading it all."""

    run_id: str
    service: str
    mode: str
    last: Event

    @property
    def is_open(self) -> bool:
        """Whether the run can still go on."""
        return not isinstance(self.last.body, RunEnded) or self.last.body.ended is Ended.PAUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person at another terminal wants of a run. It becomes evidence as the event that follows from it."""

    kind: Literal["abort", "approve"]
    step: str
    who: str
    why: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed approval as it was handed in. Whether it counts is decided by whoever conducts the run."""

    step: str
    statement: str
    signature: str
    at: str


class JournalFile:
    """All the runs of one state directory. Reading and writing may go on at once, from several processes."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it when it is not there.

        Raises:
            JournalError: when it cannot be opened, is no journal, or was written by a newer drctl.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            found = int(self._db.execute("PRAGMA user_version").fetchone()[0])
            if found > FORMAT:
                raise JournalError(
                    f"the journal {path} has format {found}, and this drctl reads up to {FORMAT}",
                    state="nothing was changed",
                    hint="use the drctl that wrote it, or a newer one",
                )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            if found < FORMAT:
                self._db.executescript(_SCHEMA)
                self._db.execute(f"PRAGMA user_version={FORMAT}")
                path.chmod(0o600)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(
            f"the journal {self.path} cannot be used: {error}",
            state="without a journal nothing is sent: nothing more was changed",
            hint="free some space or mend the permissions. A journal elsewhere (drctl --state-dir DIR …) can be a copy "
            "to read, or the place of a new run: it knows nothing of the runs that are open in this one",
        )

    def close(self) -> None:
        self._db.close()

    def writer(self, run_id: str, *, now: Callable[[], datetime], redact: Callable[[str], str]) -> RunJournal:
        """The one place from which events of this run are written."""
        row = self._query("SELECT sequence, sha256 FROM events WHERE run_id=? ORDER BY sequence DESC LIMIT 1", run_id)
        sequence, head = row[0] if row else (0, FIRST_PREVIOUS)
        return RunJournal(file=self, run_id=run_id, sequence=sequence, head=head, now=now, redact=redact)

    def insert(self, event: Event, body: str) -> None:
        """Write a row, and return when it would survive a power cut.

        Raises:
            JournalError: when it cannot be written, or another process has written this sequence number.
        """
        row = (event.run_id, event.sequence, text_of(event.at), event.body.type, body, event.previous, event.sha256)
        try:
            self._db.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?)", row)
        except sqlite3.IntegrityError:
            raise JournalError(
                f"another process writes to the run {event.run_id}",
                state="this process sent nothing that is not in the journal, and stops here",
                hint=f"drctl status, then drctl report {event.run_id}",
            ) from None
        except sqlite3.Error as error:
            if event.sequence == 1:
                raise self._unusable(error) from None
            raise JournalError(
                f"the journal {self.path} cannot be written: {error}",
                state="what was sent goes on at its host, and how it ended is not written down; nothing more is begun",
                hint=f"free some space or mend the permissions, then: drctl resume {event.run_id}",
            ) from None

    def events(self, run_id: str, *, after: int = 0) -> Iterator[Event]:
        """The run's events in order, or those after a sequence number, their chain checked on the way.

        Raises:
            JournalError: at the first event that is not what it was when it was written, or that is missing.
        """
        before = self._query("SELECT sha256 FROM events WHERE run_id=? AND sequence=?", run_id, after)
        previous, expected = before[0][0] if before else FIRST_PREVIOUS, after + 1
        rows = self._query(
            "SELECT sequence, at, body, previous, sha256 FROM events WHERE run_id=? AND sequence>? ORDER BY sequence",
            run_id,
            after,
        )
        for sequence, at, body, told, sha256 in rows:
            right = digest_of(run_id=run_id, sequence=sequence, at=at, body=body, previous=told)
            if (sequence, told, sha256) != (expected, previous, right):
                raise self._broken(run_id, expected)
            previous, expected = sha256, expected + 1
            yield self._event(run_id, (sequence, at, body, told, sha256))

    def _broken(self, run_id: str, sequence: int) -> JournalError:
        return JournalError(
            f"event {sequence} of the run {run_id} is not as it was written: its chain of hashes is broken",
            where=str(self.path),
            state="the run cannot be trusted or resumed from this journal",
            hint="keep the file as evidence, and compare it with a copy",
        )

    def lines(self, run_id: str) -> Iterator[bytes]:
        """The run's events in order, each as the text that its sha256 is over; ``events`` is what checks them."""
        rows = self._query("SELECT sequence, at, body, previous FROM events WHERE run_id=? ORDER BY sequence", run_id)
        for sequence, at, body, previous in rows:
            yield chained(run_id=run_id, sequence=sequence, at=at, body=body, previous=previous)

    def _event(self, run_id: str, row: tuple[int, str, str, str, str]) -> Event:
        sequence, at, body, previous, sha256 = row
        try:
            parsed = body_of(body)
        except json.JSONDecodeError:
            raise self._broken(run_id, sequence) from None
        except (DocumentError, KeyError, TypeError, ValueError) as error:
            why = error.message if isinstance(error, DocumentError) else "its type is not known"
            raise JournalError(
                f"event {sequence} of the run {run_id} cannot be read: {why}",
                where=str(self.path),
                hint="use the drctl that wrote it, or a newer one",
            ) from None
        return Event(
            run_id=run_id,
            sequence=sequence,
            at=datetime.fromisoformat(at),
            body=parsed,
            previous=previous,
            sha256=sha256,
        )

    def ask(self, run_id: str, request: Request) -> None:
        """Leave a request for whoever conducts the run.

        Raises:
            JournalError: when it cannot be written.
        """
        row = (run_id, request.at, request.kind, request.step, request.who, request.why)
        try:
            self._db.execute("INSERT INTO requests (run_id, at, kind, step, who, why) VALUES (?,?,?,?,?,?)", row)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def requests(self, run_id: str) -> tuple[Request, ...]:
        """All that was ever asked of the run, in order."""
        rows = self._query("SELECT kind, step, who, why, at FROM requests WHERE run_id=? ORDER BY id", run_id)
        return tuple(Request(kind=kind, step=step, who=who, why=why, at=at) for kind, step, who, why, at in rows)

    def hand_in(self, run_id: str, signed: Signed) -> None:
        """Leave a signed approval for whoever conducts the run.

        Raises:
            JournalError: when it cannot be written.
        """
        row = (run_id, signed.at, signed.step, signed.statement, signed.signature)
        try:
            self._db.execute("INSERT INTO approvals (run_id, at, step, statement, signature) VALUES (?,?,?,?,?)", row)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def handed_in(self, run_id: str) -> tuple[Signed, ...]:
        """All the signed approvals of the run, in order."""
        rows = self._query("SELECT step, statement, signature, at FROM approvals WHERE run_id=? ORDER BY id", run_id)
        return tuple(Signed(step=step, statement=text, signature=mark, at=at) for step, text, mark, at in rows)

    def run_ids(self) -> tuple[str, ...]:
        """All the runs, the newest first."""
        rows = self._query("SELECT run_id FROM events WHERE type='run_started' ORDER BY at DESC, run_id DESC")
        return tuple(row[0] for row in rows)

    def last_sums(self) -> list[tuple[str, str]]:
        """Every run with the sha256 of its last event, the newest run first. Reads nothing else, so it is quick."""
        rows = self._query(
            "SELECT first.run_id, (SELECT sha256 FROM events WHERE run_id = first.run_id ORDER BY sequence DESC "
            "LIMIT 1) FROM events AS first WHERE first.type = 'run_started' ORDER BY first.run_id DESC"
        )
        return [(run_id, head) for run_id, head in rows]

    def started(self) -> tuple[str, ...]:
        """All the runs, the newest first, as their names sort: from an index alone, however many there are."""
        rows = self._query("SELECT run_id FROM events WHERE type='run_started' ORDER BY run_id DESC")
        return tuple(row[0] for row in rows)

    def heads(self) -> Iterator[RunHead]:
        """Every run with its last event, the newest first; what became of messages may be written after the end."""
        rows = self._query(
            "SELECT first.run_id, json_extract(first.body, '$.plan.service'), json_extract(first.body, '$.plan.mode'), "
            "last.sequence, last.at, last.body, last.previous, last.sha256 "
            "FROM events AS first JOIN events AS last ON last.run_id = first.run_id "
            "AND last.sequence = (SELECT sequence FROM events WHERE run_id = first.run_id "
            "AND type NOT IN (?, ?) ORDER BY sequence DESC LIMIT 1) "
            "WHERE first.type = 'run_started' ORDER BY first.at DESC, first.run_id DESC",
            *(get_type_hints(kind)["type"].__args__[0] for kind in OF_MESSAGES),
        )
        for run_id, service, mode, *last in rows:
            yield RunHead(run_id=run_id, service=service, mode=mode, last=self._event(run_id, tuple(last)))

    def find(self, part: str | None) -> str:
        """The run of that id, or of that unmistakable beginning or ending; the newest for None.

        Raises:
            JournalError: when there is none, or more than one.
        """
        ids = self.run_ids()
        if not ids:
            raise JournalError("there are no runs in this journal", where=str(self.path), hint="drctl failover --help")
        if part is None or part in ids:
            return part or ids[0]
        found = [i for i in ids if i.startswith(part) or i.endswith(part)]
        if len(found) == 1:
            return found[0]
        some = ", ".join(found[:5])
        message = f"{part!r} fits {len(found)} runs: {some}" if found else f"there is no run {part!r}"
        raise JournalError(message, where=str(self.path), hint="drctl runs")

    def _query(self, sql: str, *values: object) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from None


@dataclass(slots=True, kw_only=True)
class RunJournal:
    """The writer of one run; the engine's ``Journal`` port."""

    file: JournalFile
    run_id: str
    sequence: int
    head: str
    now: Callable[[], datetime]
    redact: Callable[[str], str]

    def append(self, body: Body) -> Event:
        """Write the next event.

        Raises:
            JournalError: when it cannot be written; then nothing may be done.
        """
        # The plan holds references only, and its digest must stay what it is: everything else is redacted by value.
        plain = to_json(body)
        text = canonical(plain if isinstance(body, RunStarted) else redacted(plain, self.redact))
        at = text_of(self.now())
        sequence = self.sequence + 1
        sha256 = digest_of(run_id=self.run_id, sequence=sequence, at=at, body=text, previous=self.head)
        event = Event(
            run_id=self.run_id,
            sequence=sequence,
            at=datetime.fromisoformat(at),
            body=body_of(text),
            previous=self.head,
            sha256=sha256,
        )
        self.file.insert(event, text)
        self.sequence, self.head = sequence, sha256
        return event
