"""What was verified of a service's copies, kept between calls: a file of JSON lines for each service.

Why not in the journal: see docs/decisions/.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from drctl.backups.copies import Verified
from drctl.errors import DocumentError, JournalError
from drctl.plan.codec import from_json, to_json


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """``STATE/verified/SERVICE.jsonl``. Lines are only ever added; the last one of a copy counts."""

    directory: Path
    service: str

    @property
    def path(self) -> Path:
        return self.directory / f"{self.service}.jsonl"

    def add(self, found: tuple[Verified, ...]) -> None:
        """Write them down, and return when they would survive a power cut.

        Raises:
            JournalError: when they cannot be written.
        """
        text = "".join(json.dumps(to_json(one), sort_keys=True) + "\n" for one in found)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # One write on a file that is open for appending: two verifies at once do not tear each other's lines.
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, text.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise JournalError(
                f"what was verified cannot be kept in {self.path}: {error.strerror}",
                state="the copies were verified, and nothing was changed",
                hint="free some space or mend the permissions, and verify again",
            ) from None

    def last(self) -> dict[tuple[str, str], Verified]:
        """The last word on each copy, by location and label. A line that cannot be read says nothing."""
        try:
            lines = self.path.read_text("utf-8", "replace").splitlines()
        except OSError:
            return {}
        kept: dict[tuple[str, str], Verified] = {}
        for line in lines:
            try:
                one: Verified = from_json(Verified, json.loads(line))
            except (DocumentError, ValueError, TypeError):
                continue
            kept[one.location, one.label] = one
        return kept
