"""A place's repository as files: which backups it lists, and where their parts lie on the machine's own disk."""

from __future__ import annotations

import configparser
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drctl.errors import LabError, UsageError
from drctl.lab.host import Host
from drctl.lab.topology import REPOSITORY, STANZA, Settings

_SEGMENT = 24  # letters of a WAL file's name; the first eight are its timeline


@dataclass(frozen=True)
class Backup:
    """One line of backup.info: when it stopped, and the first and the last file of WAL that it needs."""

    label: str
    stopped: datetime
    wal_start: str
    wal_stop: str


class Repository:
    """The repository on one host. It is read as files, so that the host may be off or out of reach."""

    def __init__(self, settings: Settings, host: str) -> None:
        self.host = host
        root = settings.disk(host, REPOSITORY)
        self.replicated = root / ".replicated"
        self._backups = root / "backup" / STANZA
        self._archive = root / "archive" / STANZA

    def backups(self) -> list[Backup]:
        """What backup.info lists, oldest first; nothing when it is not there."""
        parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(self._backups / "backup.info")
        section = dict(parser["backup:current"]) if parser.has_section("backup:current") else {}
        return [
            Backup(
                label,
                datetime.fromtimestamp(row["backup-timestamp-stop"], UTC),
                row["backup-archive-start"],
                row["backup-archive-stop"],
            )
            for label, row in sorted((label, json.loads(text)) for label, text in section.items())
        ]

    def newest(self) -> Backup:
        """The newest backup that is listed. Raises LabError when there is none."""
        listed = self.backups()
        if not listed:
            raise LabError(
                f"{self.host} lists no backup", state="nothing was changed", hint="type: drctl lab wait-backup"
            )
        return listed[-1]

    def find(self, label: str) -> Backup:
        """The backup of this label, or the newest when it is empty. Raises UsageError when it is not listed."""
        if not label:
            return self.newest()
        for backup in self.backups():
            if backup.label == label:
                return backup
        raise UsageError(
            f"{self.host} lists no backup {label!r}",
            state="nothing was changed",
            hint=f"backups: {', '.join(backup.label for backup in self.backups()) or 'none'}",
        )

    def backup(self, label: str) -> Path:
        """The directory of a backup. Raises LabError when it is not there."""
        place = self._backups / self.find(label).label
        if not place.is_dir():
            raise LabError(f"{self.host}: the directory of {label} is gone already", state="nothing was changed")
        return place

    def largest_file(self, label: str) -> Path:
        """The largest file of the client's and PostgreSQL's own tables in a backup."""
        files = [path for path in (self.backup(label) / "pg_data" / "base").rglob("*") if path.is_file()]
        return max(files, key=lambda path: (path.stat().st_size, path.name))

    def segments(self) -> dict[str, Path]:
        """The files of WAL in the archive by their plain name, in the order of the log on each timeline."""
        files = sorted(path for path in self._archive.glob("*-*/*/*-*") if path.is_file())
        return {path.name[:_SEGMENT]: path for path in files}

    def segment(self, name: str) -> Path:
        """One file of WAL. Raises LabError when it is not there."""
        found = self.segments().get(name)
        if found is None:
            raise LabError(f"{self.host}: the file of WAL {name} is gone already", state="nothing was changed")
        return found

    def segments_after(self, name: str) -> list[str]:
        """The names of the files of WAL that follow one on its timeline."""
        return [other for other in self.segments() if other > name and other[:8] == name[:8]]


def list_anew(host: Host) -> None:
    """Let pgBackRest bring its list of backups in line with the directories that are there, and expire none."""
    words = ["pgbackrest", f"--stanza={STANZA}", "--log-level-console=error", "--repo1-retention-full=9999", "expire"]
    host.execute(words, user="postgres")
