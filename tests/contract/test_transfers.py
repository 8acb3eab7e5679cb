"""Files to and from a host, by rsync and without it: whole and right or not there, and resumed."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from drctl.adapters.progress import Progress
from drctl.engine.ports import CommandResult, Ending
from tests.contract.ear import Ear
from tests.contract.sshd import PATIENCE_S, wait_until
from tests.contract.transfers import (
    MIB,
    Direction,
    Files,
    assert_done,
    assert_no,
    data,
    part_of,
)


@pytest.mark.parametrize("size", [0, 1, 3 * MIB + 7])
def test_a_file_arrives_whole_and_for_us_alone(files: Files, direction: Direction, size: int) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(size))
    source.chmod(0o644)
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(size)
    assert target.stat().st_mode & 0o7777 == 0o600
    assert not part_of(target).exists()
    assert files.moved == size
    assert hashlib.sha256(data(size)).hexdigest().encode() in files.ear.out


def test_what_is_there_already_is_not_sent_again(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    assert_done(files.move(direction), files)
    before = target.stat().st_ino
    assert_done(files.move(direction), files)
    assert b"already" in files.ear.out
    assert target.stat().st_ino == before


def test_a_file_that_is_replaced_keeps_its_mode_and_is_never_seen_half(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    target.write_bytes(b"old")
    target.chmod(0o640)
    with target.open("rb") as old:
        assert_done(files.move(direction), files)
        assert old.read() == b"old"
    assert target.read_bytes() == data(MIB)
    assert target.stat().st_mode & 0o7777 == 0o640


def test_it_goes_on_where_it_broke_off(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(8 * MIB))
    target.write_bytes(b"old")
    files.relay(direction, 5 * MIB, "cut")
    result = files.move(direction)
    assert result.ending is Ending.LOST, result
    assert "lost in the middle" in result.detail
    assert "goes on from there" in result.detail
    assert target.read_bytes() == b"old"
    files.commands.close()
    files.server.write_config()
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(8 * MIB)
    assert 3 * MIB <= files.moved < 6 * MIB
    assert not part_of(target).exists()


@pytest.mark.parametrize("files", ["rsync"], indirect=True)
def test_a_server_that_falls_silent_in_the_middle(files: Files, tmp_path: Path) -> None:
    """Once only: it is OpenSSH that notices, whatever it carries, and it takes its time."""
    direction: Direction = "put"
    source, target = files.ends(direction)
    source.write_bytes(data(8 * MIB))
    mark = tmp_path / "mark"
    files.relay(direction, 5 * MIB, "stall", mark)
    results: list[CommandResult] = []
    moving = threading.Thread(target=lambda: results.append(files.move(direction)))
    moving.start()
    wait_until("the transfer is in its middle", mark.exists)
    files.server.stop()
    # The relay holds its connection to us still, as a gateway does whose other side has gone: OpenSSH must notice.
    moving.join(PATIENCE_S)
    assert [result.ending for result in results] == [Ending.LOST]
    assert not target.exists()
    files.server.start()
    files.server.write_config()
    files.commands.close()
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(8 * MIB)
    assert files.moved < 6 * MIB


def test_what_came_of_another_file_is_not_kept(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(2 * MIB))
    for came in (data(MIB, seed=2), data(2 * MIB, seed=2), data(3 * MIB)):
        part_of(target).write_bytes(came)
        assert_done(files.move(direction), files)
        assert target.read_bytes() == data(2 * MIB)
        assert files.moved == 2 * MIB
        target.unlink()


def test_what_came_whole_is_not_sent_again(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    part_of(target).write_bytes(data(MIB))
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(MIB)
    assert files.moved == 0


def test_two_at_once_do_not_mix(files: Files) -> None:
    source, target = files.ends("get")
    source.write_bytes(data(MIB))
    import fcntl

    with part_of(target).open("wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        assert_no(files.move("get"), files, "another drctl")
    assert_done(files.move("get"), files)


def test_lines_come_at_most_once_a_second() -> None:
    ear, now = Ear(), [0.0]
    progress = Progress(ear, "put dump", 1000 * MIB, 500 * MIB, clock=lambda: now[0])
    for tick in range(1, 100):
        now[0] = tick / 10
        progress(500 * MIB + tick * 2 * MIB)
    lines = ear.err.decode().splitlines()
    assert lines[0] == "put dump: 520.0 MiB of 1000.0 MiB (52 %), 20.0 MiB/s, 24s left"
    assert len(lines) == 9


def test_a_slow_one_does_not_bury_what_is_said_at_its_end() -> None:
    ear, now = Ear(), [0.0]
    progress = Progress(ear, "get dump", 1 << 40, clock=lambda: now[0])
    for second in range(1, 3601):
        now[0] = float(second)
        progress(second * MIB)
    assert len(ear.err.decode().splitlines()) == 360
