"""One run a service at a time, on this machine: a file lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from drctl.errors import LockedError


@contextmanager
def service_lock(directory: Path, service: str, *, run_id: str, who: str, now: datetime) -> Iterator[None]:
    """Hold the service for the time of the block.

    The file's text only says who holds it; the lock is the kernel's, so a crash releases it.

    Raises:
        LockedError: when another run holds it; it says which, whose and since when.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{service}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(path, service) from None
        holder = {"run": run_id, "who": who, "since": now.isoformat(timespec="seconds"), "pid": os.getpid()}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(handle)


def _held(path: Path, service: str) -> LockedError:
    try:
        holder = json.loads(path.read_text())
        by = f"the run {holder['run']} of {holder['who']} (process {holder['pid']}) since {holder['since']}"
        hint = f"drctl report {holder['run']} shows how far it is"
    except (OSError, ValueError, KeyError, TypeError):
        by, hint = "another run", "drctl runs"
    return LockedError(f"the service {service} is held by {by}", state="this command changed nothing", hint=hint)
