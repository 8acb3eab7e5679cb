"""``pgbackrest info --output=json``: what a repository says that it holds. It is a claim, and no proof."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from drctl.backups.wal import lsn


class UnreadableInfo(ValueError):
    """What was printed is not pgBackRest's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A backup as the repository lists it.

    ``consistent_at`` is pgBackRest's ``timestamp.stop``, from the database's own clock: before it the copied files are
    of many moments, and recovery must have replayed the WAL up to there. It is the age that counts. ``size`` is in
    bytes as restored, ``stored`` in the repository.
    """

    label: str
    type: str
    started_at: datetime
    consistent_at: datetime
    wal_start: str
    wal_stop: str
    lsn_stop: int | None
    size: int
    stored: int
    damaged: bool  # pgBackRest saw broken pages while it copied
    archive_id: str
    references: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        return (self.consistent_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """A repository's answer for one stanza. ``problem`` is its own word for what is wrong; empty when it says ok."""

    backups: tuple[Backup, ...]
    problem: str
    backup_running: bool


def parse_info(text: str, stanza: str) -> Stanza:
    """The stanza of that name, its backups the oldest first.

    Raises:
        UnreadableInfo: when it is no JSON of pgBackRest, or there is no such stanza.
    """
    try:
        answers = json.loads(text)
        found = next((a for a in answers if a["name"] == stanza), None)
        if found is None:
            raise UnreadableInfo(f"the repository knows no stanza {stanza!r}")
        return _stanza(found)
    except UnreadableInfo:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise UnreadableInfo(f"what pgbackrest info printed is not its JSON ({type(error).__name__})") from None


def _stanza(found: dict[str, Any]) -> Stanza:
    status = found["status"]
    archives = {a["database"]["id"]: str(a["id"]) for a in found.get("archive", ()) if a.get("id")}
    versions = {d["id"]: f"{d['version']}-{d['id']}" for d in found.get("db", ())}
    backups = [_backup(b, {**versions, **archives}) for b in found.get("backup", ())]
    return Stanza(
        backups=tuple(sorted(backups, key=lambda b: b.consistent_at)),
        problem="" if status["code"] == 0 else str(status["message"]),
        backup_running=bool(status.get("lock", {}).get("backup", {}).get("held", False)),
    )


def _backup(found: dict[str, Any], archives: dict[int, str]) -> Backup:
    archive, info, stamp = found["archive"] or {}, found["info"], found["timestamp"]
    position = (found.get("lsn") or {}).get("stop")
    return Backup(
        label=str(found["label"]),
        type=str(found["type"]),
        started_at=datetime.fromtimestamp(stamp["start"], UTC),
        consistent_at=datetime.fromtimestamp(stamp["stop"], UTC),
        wal_start=str(archive.get("start") or ""),
        wal_stop=str(archive.get("stop") or ""),
        lsn_stop=lsn(position) if position else None,
        size=int(info["size"]),
        stored=int((info.get("repository") or {}).get("size") or 0),
        damaged=bool(found.get("error")),
        archive_id=archives.get(found["database"]["id"], ""),
        references=tuple(str(r) for r in found.get("reference") or ()),
    )
