"""Running the machine's own programs: one place that turns a failure into an error that says what to do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drctl.errors import LabError

Progress = Callable[[str], None]


def silent(_: str) -> None:
    """A progress callback that tells nobody."""


def search_path() -> str:
    """PATH, and where root's programs lie, which a person's own PATH often leaves out."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(
    argv: Sequence[str],
    *,
    what: str,
    stdin: str = "",
    timeout: float = 60.0,
    check: bool = True,
    state: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with its output kept as text.

    ``timeout`` is in seconds. Raises LabError when the program is missing, takes longer, or (with ``check``) fails.
    """
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, "PATH": search_path()},
        )
    except FileNotFoundError as error:
        raise LabError(f"{what}: {argv[0]} is not installed", state=state, hint="type: drctl lab doctor") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what}: no answer from {argv[0]} within {timeout:g} s", state=state) from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-800:] or "it said nothing"
        raise LabError(f"{what}: {argv[0]} ended with exit code {done.returncode}: {said}", state=state)
    return done


def detach(argv: Sequence[str], log: Path) -> int:
    """Start a program that outlives this one, in a session of its own, its output appended to ``log``; its number.

    It becomes nobody's child here: Ctrl-C does not reach it, and nobody has to wait for it.
    """
    script = 'log=$1; shift; cd /; setsid -- "$@" </dev/null >>"$log" 2>&1 & echo $!'
    done = run(["sh", "-c", script, "sh", str(log), *argv], what=f"start {argv[0]}")
    return int(done.stdout)


def wait_until(condition: Callable[[], bool], *, within: float, every: float = 0.02) -> bool:
    """Ask again and again until the condition holds; False when it still does not after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True
