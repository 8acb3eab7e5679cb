"""What every verb knows: where the state is, who is there, and what kind of terminal."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drctl.errors import UsageError

if TYPE_CHECKING:
    from drctl.adapters.journal import JournalFile
    from drctl.adapters.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The global options."""

    given: str = ""  # with --state-dir

    @property
    def state_dir(self) -> Path:
        """Where journal and outputs are. It is looked up when it is asked for: who only reads documents never asks."""
        return state_directory(self.given)

    @property
    def outputs(self) -> Path:
        return self.state_dir / "outputs"

    @property
    def journal_path(self) -> Path:
        return self.state_dir / "journal.db"

    @property
    def cards_path(self) -> Path:
        return self.state_dir / "cards.db"

    @property
    def locks(self) -> Path:
        return self.state_dir / "locks"

    def exposure_line(self, service: str) -> str:
        """What a restore would lose, as ``drctl backups`` last measured it, in one line."""
        from drctl.adapters.clock import SystemClock
        from drctl.adapters.kept import KeptFiles
        from drctl.model.exposure import exposure_line

        found = KeptFiles(self.state_dir / "backups", service).exposure()
        return exposure_line(found, now=SystemClock().now(), service=service)

    def journal(self) -> JournalFile:
        """The journal, opened.

        Raises:
            JournalError: when it cannot be used.
        """
        from drctl.adapters.journal import JournalFile

        return JournalFile(self.journal_path)

    def ledger(self) -> Ledger:
        """What is remembered across runs, opened.

        Raises:
            JournalError: when it cannot be used.
        """
        from drctl.adapters.ledger import Ledger

        return Ledger(self.state_dir / "journal.db")


def state_directory(given: str) -> Path:
    """The directory that was given, else the user's own state directory."""
    if given:
        return Path(given).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("drctl")


def controller() -> str:
    """The operator's machine, as it calls itself."""
    import socket

    return socket.gethostname()


def operator() -> str:
    """Who types: the person behind sudo, when there is one."""
    import getpass

    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{controller()}"


def this_program() -> str:
    """The path of this drctl, for a step that calls it: the script beside the interpreter that runs now."""
    beside = Path(sys.executable).with_name("drctl")
    return str(beside) if beside.exists() else str(Path(sys.argv[0]).absolute())


def pairs(option: str, given: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping.

    Raises:
        UsageError: for one without ``=``, or a name that is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"{option} {text}: this is not NAME=VALUE", hint=f"write it as {option} NAME=VALUE")
        if name in found:
            raise UsageError(f"{option} {name} is given twice", hint=f"give {option} {name} once")
        found[name] = value
    return found
