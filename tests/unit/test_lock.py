"""The lock says who conducts a run, and a death lets go of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.adapters.lock import conducts, run_lock, service_lock
from drctl.errors import LockedError

NOW = datetime(2026, 11, 23, 1, 31, tzinfo=UTC)
HOLDS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from drctl.adapters.lock import run_lock, service_lock
directory, service, run = sys.argv[1:]
now = datetime.now(UTC)
lock = service_lock(Path(directory), service, run_id=run, who="ann", now=now) if service else run_lock(
    Path(directory), run_id=run, who="ann", now=now)
with lock:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of a service, or with an empty name the run's own."""
    words = [sys.executable, "-c", HOLDS, str(tmp_path), request.param, "run-1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("held", ["acme", ""], indirect=True)
def test_a_run_is_conducted_until_its_process_is_killed(held: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert conducts(tmp_path, service="acme", run_id="run-1")
    assert not conducts(tmp_path, service="acme", run_id="run-2")
    held.kill()
    held.wait()
    assert not conducts(tmp_path, service="acme", run_id="run-1")


@pytest.mark.parametrize("held", ["acme"], indirect=True)
def test_who_is_refused_is_told_by_whom(held: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with (
        pytest.raises(LockedError, match=rf"held by the run run-1 of ann \(process {held.pid}\) since ") as refused,
        service_lock(tmp_path, "acme", run_id="run-2", who="bob", now=NOW),
    ):
        pass
    assert refused.value.hint.startswith("drctl watch run-1")


def test_a_look_takes_nothing(tmp_path: Path) -> None:
    """Whoever only looks, however often, never keeps a recovery from beginning."""
    with run_lock(tmp_path, run_id="run-1", who="ann", now=NOW):
        pass
    assert not conducts(tmp_path, service="acme", run_id="run-1")
    with service_lock(tmp_path, "acme", run_id="run-2", who="ann", now=NOW):
        assert conducts(tmp_path, service="acme", run_id="run-2")
