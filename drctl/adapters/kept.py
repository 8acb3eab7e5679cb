"""What ``drctl backups`` found out of a service's copies and is worth keeping between calls.

Two files beside the journal, see decision 24: ``SERVICE.verified.jsonl``, to which lines are
only ever added, and ``SERVICE.exposure.json``, which is replaced as a whole.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from drctl.backups.copies import Verified
from drctl.errors import DocumentError, JournalError
from drctl.model.exposure import Exposure
from drctl.plan.codec import from_json, to_json


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """The files of one service, below ``STATE/backups/``."""

    directory: Path
    service: str

    @property
    def verified_path(self) -> Path:
        return self.directory / f"{self.service}.verified.jsonl"

    @property
    def exposure_path(self) -> Path:
        return self.directory / f"{self.service}.exposure.json"

    def add_verified(self, found: tuple[Verified, ...]) -> None:
        """Write down what was verified, and return when it would survive a power cut.

        Raises:
            JournalError: when it cannot be written.
        """
        text = "".join(json.dumps(to_json(one), sort_keys=True) + "\n" for one in found)
        try:
            self._make_directory()
            # One write on a file that is open for appending: two verifies at once do not tear each other's lines.
            handle = os.open(self.verified_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, text.encode())
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            self._refused(self.verified_path, error)

    def verified(self) -> dict[tuple[str, str], Verified]:
        """The last word on each copy, by location and label. A line that cannot be read says nothing."""
        try:
            lines = self.verified_path.read_text("utf-8", "replace").splitlines()
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

    def keep_exposure(self, found: Exposure) -> None:
        """Put it in the place of the last one.

        Raises:
            JournalError: when it cannot be written.
        """
        new = self.exposure_path.with_suffix(f".{os.getpid()}.new")
        try:
            self._make_directory()
            new.write_text(json.dumps(to_json(found), indent=2) + "\n")
            new.replace(self.exposure_path)
        except OSError as error:
            self._refused(self.exposure_path, error)

    def exposure(self) -> Exposure | None:
        """As it was last measured; None when it never was, or cannot be read."""
        try:
            found: Exposure = from_json(Exposure, json.loads(self.exposure_path.read_text()))
        except (OSError, DocumentError, ValueError, TypeError):
            return None
        return found

    def _make_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _refused(self, path: Path, error: OSError) -> NoReturn:
        raise JournalError(
            f"what was found of the backups cannot be kept in {path}: {error.strerror}",
            state="the copies were only read, and nothing was changed",
            hint="free some space or mend the permissions, and type the same again",
        ) from None
