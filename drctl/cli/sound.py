"""Documents that were found without a problem before, so that ``drctl validate`` need not read them again.

Only that answer is remembered, as the sha256 of everything that it depends on: the bytes of every document that was
named or can be called, where each of them is, the code that reads documents, every library that is installed, the
interpreter, and the time zones of the machine. A word that is not remembered is worked out; so is every problem.
docs/decisions/0033-a-command-pays-for-itself.md says why.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import drctl
from drctl.read.find import RUNBOOKS, STDIN, documents_in

_ROOMS = ("errors.py", "cli/validate.py", "cli/sound.py", "model/*.py", "read/*.py", "plan/*.py")
_LARGEST = 1_048_576  # bytes; no document is larger
_REMEMBERED = 64


def fingerprint(files: Iterable[Path]) -> str | None:
    """What the answer for these documents depends on; None when one of them is no file that can be read again."""
    named = list(files)
    callable_too = {path for folder in {RUNBOOKS, *(path.parent for path in named)} for path in documents_in(folder)}
    found = hashlib.sha256()
    try:
        for text in _machine():
            found.update(text.encode() + b"\0")
        for path in _code():
            found.update(_said(path, path))
        for path in (*named, *sorted(callable_too)):
            if str(path) == STDIN or not path.is_file() or path.stat().st_size > _LARGEST:
                return None
            found.update(_said(path, path.resolve()))
    except OSError:
        return None
    return found.hexdigest()


def _said(path: Path, really: Path) -> bytes:
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path}\0{really}\0{content}\0".encode("utf-8", "surrogateescape")


def _code() -> Iterator[Path]:
    house = Path(drctl.__file__).parent
    for room in _ROOMS:
        yield from sorted(house.glob(room))


def _machine() -> Iterator[str]:
    """The interpreter, the libraries by name and version, and when the time zones were last changed."""
    from zoneinfo import TZPATH

    yield sys.version
    for place in (*sys.path, *TZPATH):
        if os.path.isdir(place):
            yield f"{place} {os.stat(place).st_mtime_ns if place in TZPATH else ''}"
            yield from sorted(name for name in os.listdir(place) if name.endswith((".dist-info", ".egg-info")))


def is_remembered(known: str) -> bool:
    """Whether no problem was found with exactly this."""
    return known in _words()


def remember(known: str) -> None:
    """Keep it; where nothing can be written, it is worked out again."""
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text("\n".join([*_words(), known][-_REMEMBERED:]) + "\n")
        new.replace(path)
    except OSError:
        return


def _words() -> list[str]:
    try:
        return _path().read_text().split()
    except (OSError, ValueError):
        return []


def _path() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("drctl") / "sound"
