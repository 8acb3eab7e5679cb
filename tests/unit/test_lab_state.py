"""The lab ends only what it started, and only one drctl at a time brings it up or down."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from drctl.errors import LockedError
from drctl.lab.state import (
    LabState,
    Process,
    exclusive,
    lock_path,
    machine_boot_id,
    read_process,
    read_state,
    write_process,
    write_state,
)
from drctl.lab.status import phase_of


def test_a_number_that_another_process_has_now_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        real = Process.of(child.pid)
        assert real is not None
        assert real.is_alive()
        impostor = Process(real.pid, real.started - 1)
        assert not impostor.is_alive()
        assert not impostor.kill()
        assert child.poll() is None, "a process was ended that is not the one that was started"
        assert real.kill()
        child.wait()
        assert not real.is_alive()
        assert not real.kill()


def test_a_zombie_does_not_live() -> None:
    with subprocess.Popen(["true"]) as child:
        waited = child.wait
        while Process.of(child.pid) is not None:
            pass
        assert Path(f"/proc/{child.pid}").exists(), "it was reaped, so this shows nothing"
        waited()


def test_what_was_remembered_before_the_machine_was_rebooted_means_nothing(tmp_path: Path) -> None:
    file = tmp_path / "init.json"
    write_process(file, Process(1, 2))
    assert read_process(file) == Process(1, 2)
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(json.dumps({"pid": 1, "started": 2, "machine_boot": "another"}))
    assert read_process(file) is None
    file.write_text("{")
    assert read_process(file) is None


def test_the_phase_of_a_lab(tmp_path: Path) -> None:
    assert phase_of(read_state(tmp_path)) == "down"
    state = LabState("up", machine_boot_id(), "10.77")
    write_state(tmp_path, state)
    assert phase_of(read_state(tmp_path)) == "up"
    write_state(tmp_path, LabState("up", "another boot", "10.77"))
    assert phase_of(read_state(tmp_path)) == "down"


def test_the_lock_is_held_by_one_and_is_gone_with_the_lab(tmp_path: Path) -> None:
    directory = tmp_path / "labs" / "one"
    with exclusive(directory):
        directory.mkdir()
        with pytest.raises(LockedError), exclusive(directory):
            pass
    assert lock_path(directory).exists()
    with exclusive(directory):
        directory.rmdir()
    assert not (tmp_path / "labs").exists()
