"""One run a service at a time, on this machine: a file lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from drctl.errors import LockedError

_LOOK_S = 0.02
_LOOKS = 10  # whoever only looks (``conducts``) holds the lock for less than one of these


@contextmanager
def service_lock(directory: Path, service: str, *, run_id: str, who: str, now: datetime) -> Iterator[None]:
    """Hold the service for the time of the block.

    The file's text only says who holds it; the lock is the kernel's, so a crash releases it.

    Raises:
        LockedError: when another run holds it; it says which, whose and since when.
    """
    with _held(_of_service(directory, service), _words(run_id, who, now), what=f"the service {service}"):
        yield


def refuse_if_held(directory: Path, service: str) -> None:
    """Say at once what ``service_lock`` would say later.

    Raises:
        LockedError: when a run holds the service; it says which, whose and since when.
    """
    path = _of_service(directory, service)
    if _is_held(path):
        raise _locked_error(path, f"the service {service}")


@contextmanager
def run_lock(directory: Path, *, run_id: str, who: str, now: datetime) -> Iterator[None]:
    """Hold a run that changes nothing, and not its service: it must never stand in the way of a recovery.

    Raises:
        LockedError: when another process conducts this run.
    """
    with _held(_of_run(directory, run_id), _words(run_id, who, now), what=f"the run {run_id}"):
        yield


def conducts(directory: Path, *, service: str, run_id: str) -> bool:
    """Whether a living process of this machine conducts the run; the kernel's locks say so, and no file alone."""
    return any(_is_held_by(path, run_id) for path in (_of_service(directory, service), _of_run(directory, run_id)))


def _words(run_id: str, who: str, now: datetime) -> dict[str, str | int]:
    return {"run": run_id, "who": who, "since": now.isoformat(timespec="seconds"), "pid": os.getpid()}


def _of_service(directory: Path, service: str) -> Path:
    return directory / f"{service}.lock"


def _of_run(directory: Path, run_id: str) -> Path:
    return directory / "runs" / f"{run_id}.lock"


@contextmanager
def _held(path: Path, holder: dict[str, str | int], *, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(handle):
            raise _locked_error(path, what)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    for look in range(_LOOKS):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if look < _LOOKS - 1:
                time.sleep(_LOOK_S)
            continue
        return True
    return False


def _is_held_by(path: Path, run_id: str) -> bool:
    return _is_held(path) and _holder(path).get("run") == run_id


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _holder(path: Path) -> dict[str, str | int]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _locked_error(path: Path, what: str) -> LockedError:
    holder = _holder(path)
    try:
        by = f"the run {holder['run']} of {holder['who']} (process {holder['pid']}) since {holder['since']}"
        hint = f"drctl watch {holder['run']} follows it; drctl report {holder['run']} shows how far it is"
    except KeyError:
        by, hint = "another run", "drctl runs"
    return LockedError(f"{what} is held by {by}", state="this command changed nothing", hint=hint)
