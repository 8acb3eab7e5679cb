"""Which commit of a git repository the documents of a run are, asked of ``git`` itself. Nothing in it is written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from drctl.model.circumstances import Repository

_LIMIT_S = 5.0
# What a repository's own settings could start is not started, and no index is refreshed.
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


class _Unknown(Exception):
    """Why git has no answer."""


def repository_of(runbook: Path, documents: Sequence[Path]) -> Repository:
    """The repository that ``runbook`` is in, and which of ``documents`` are not as its commit has them.

    A document that git does not know, or ignores, counts as one that is not. Those outside the repository do not count.
    """
    place = runbook.absolute().parent
    try:
        top = Path(_git(place, "rev-parse", "--show-toplevel").strip())
        commit = _git(place, "rev-parse", "--verify", "HEAD").strip()
        changed = _git(top, "status", "--porcelain", "--untracked-files=no")
        inside = [path.resolve() for path in documents if path.resolve().is_relative_to(top.resolve())]
        # With -z names are written as they are; without it some are quoted.
        told = _git(top, "status", "--porcelain", "-z", "--ignored", "--", *map(str, inside)) if inside else ""
    except _Unknown as error:
        return Repository(why=str(error))
    changes = [(top / entry[3:]).resolve() for entry in told.split("\0") if entry[2:3] == " "]
    # What is ignored as a whole is told of by its directory.
    uncommitted = [path for path in inside if any(path.is_relative_to(change) for change in changes)]
    return Repository(
        commit=commit,
        dirty=bool(changed or uncommitted),
        uncommitted=tuple(str(path.relative_to(top.resolve())) for path in uncommitted),
    )


def _git(place: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            [*_GIT, *words],
            cwd=place,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError:
        raise _Unknown("there is no git on this machine") from None
    except subprocess.TimeoutExpired:
        raise _Unknown(f"git did not answer within {_LIMIT_S:.0f} s") from None
    except OSError as error:
        raise _Unknown(f"git could not be asked: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise _Unknown("the runbook is in no git repository" if "not a git repository" in said else said[:200])
    return done.stdout
