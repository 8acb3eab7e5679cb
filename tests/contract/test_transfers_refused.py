"""Files to and from a host that cannot arrive: each says so, and nothing half is left under the name."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drctl.adapters import transfer
from drctl.adapters.transfer import HostFiles
from drctl.engine.ports import Ending
from drctl.model.plan import Transfer
from tests.contract.ear import Ear
from tests.contract.sshd import PATIENCE_S, make_key, wait_until
from tests.contract.transfers import (
    MIB,
    OTHER,
    Direction,
    Files,
    assert_done,
    assert_no,
    data,
    part_of,
)


def test_a_wrong_sum_is_refused_before_anything_moves(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    assert_no(files.move(direction, sha256="0" * 64), files, "0" * 64, hashlib.sha256(data(MIB)).hexdigest())
    assert not target.exists()
    assert not part_of(target).exists()
    assert_done(files.move(direction, sha256=hashlib.sha256(data(MIB)).hexdigest().upper()), files)


def test_what_changes_on_its_way_gets_no_name(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay cannot change what SSH carries, so the sum is taken of something else."""
    source, target = files.ends("put")
    source.write_bytes(data(MIB))
    from drctl.adapters.transfer_ends import NearEnd

    wrong = hashlib.sha256(b"else").hexdigest()
    monkeypatch.setattr(NearEnd, "sums", lambda self, *, prefix=0: (wrong, ""))
    assert_no(files.move("put"), files, "thrown away", wrong, hashlib.sha256(data(MIB)).hexdigest())
    assert list(files.there.iterdir()) == []
    assert not target.exists()


def test_a_source_that_is_not_there(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    assert_no(files.move(direction), files, str(source), "No such file" if direction == "put" else "is not there")
    source.mkdir()
    assert_no(files.move(direction), files, str(source), "directory")
    assert not part_of(target).exists()


def test_a_target_that_cannot_be_written(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(b"new")
    target.mkdir()
    assert_no(files.move(direction), files, "directory")
    target.rmdir()
    target.parent.rmdir()
    assert_no(files.move(direction), files, "such" if direction == "get" else "no directory")


def test_what_stands_in_the_way_is_not_written_through(files: Files, direction: Direction, tmp_path: Path) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    part_of(target).symlink_to(victim)
    assert_no(files.move(direction), files, "drctl-part")
    assert victim.read_bytes() == b"kept"
    assert not target.exists()


@pytest.mark.parametrize(
    "name",
    [
        "a b  c",
        'it\'s "so"',
        "$(touch ran)`touch ran`;touch ran",
        "-rf --delete",
        "a\\b*[x]?{1,2}",
        "back\\",
        "c:d",
        "é\u202e\udcff",
        "a\tb\r",
        "#x!y~",
    ],
)
def test_a_name_is_never_code(files: Files, direction: Direction, name: str) -> None:
    source, target = files.ends(direction, name)
    source.write_bytes(data(1000))
    assert_done(files.move(direction, name), files)
    assert target.read_bytes() == data(1000)
    assert [path.name for path in target.parent.iterdir()] == [name]
    assert not list(files.server.home.rglob("ran"))


@pytest.mark.parametrize("name", ["-rf", "$(w)"])
def test_a_path_below_the_home(files: Files, name: str) -> None:
    (files.here / "file").write_bytes(data(1000))
    assert_done(files.move("put", remote=name), files)
    assert (files.server.home / name).read_bytes() == data(1000)
    assert str(files.server.home / name).encode() in files.ear.out
    (files.here / "file").unlink()
    assert_done(files.move("get", remote=name), files)
    assert (files.here / "file").read_bytes() == data(1000)


@pytest.mark.parametrize("remote", ["a\nb", "a\0b", "~/x", "/tmp/", "..", ""])
def test_a_path_that_cannot_be_sent_is_refused(files: Files, direction: Direction, remote: str) -> None:
    (files.here / "file").write_bytes(b"x")
    order = Transfer(direction=direction, local=str(files.here / "file"), remote=remote)
    ear = Ear()
    result = HostFiles(files.commands).transfer(
        files.server.endpoint, order, become=None, timeout_s=PATIENCE_S, output=ear
    )
    assert result.ending is Ending.REFUSED
    assert "nothing was sent" in result.detail
    assert "remote path" in result.detail


def test_a_full_disk_is_said_and_what_came_is_kept(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(4 * MIB))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "drctl-test", str(target.parent)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be made here")
    try:
        assert_no(files.move(direction), files, "the disk is full", str(part_of(target)), "goes on from there")
        assert not target.exists()
        assert part_of(target).stat().st_size > MIB
        subprocess.run(["mount", "-o", "remount,size=8m", str(target.parent)], check=True)
        assert_done(files.move(direction), files)
        assert target.read_bytes() == data(4 * MIB)
        assert files.moved < 3 * MIB
    finally:
        # The far rsync needs a moment to see that it is over.
        umount = ["umount", str(target.parent)]
        wait_until("the disk is let go", lambda: subprocess.call(umount, stderr=subprocess.DEVNULL) == 0)


def test_a_changed_host_key_is_refused(files: Files, direction: Direction, tmp_path: Path) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    other = make_key(tmp_path / "other")
    files.server.known_hosts.write_text(f"[127.0.0.1]:{files.server.port} {files.server.public(other)}\n")
    files.server.write_config("  StrictHostKeyChecking no")
    result = files.move(direction)
    assert result.ending is Ending.REFUSED
    assert "has changed" in result.detail
    assert not target.exists()


def test_a_host_key_that_changes_in_between_is_refused_by_openssh_too(
    files: Files, direction: Direction, tmp_path: Path
) -> None:
    """The control connection is open; the client for the bytes meets somebody else."""
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    assert_done(files.move(direction), files)
    target.unlink()
    other = make_key(tmp_path / "other")
    files.server.known_hosts.write_text(f"[127.0.0.1]:{files.server.port} {files.server.public(other)}\n")
    files.server.write_config("  StrictHostKeyChecking no")
    result = files.move(direction)
    assert result.ending is Ending.REFUSED, result
    assert "OpenSSH's own client" in result.detail
    assert not target.exists()


def test_nobody_there_is_unreachable(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    files.server.stop()
    assert files.move(direction).ending is Ending.UNREACHABLE
    assert not target.exists()


def test_a_timeout_ends_the_client_and_says_so(files: Files, direction: Direction, tmp_path: Path) -> None:
    source, target = files.ends(direction)
    source.write_bytes(data(8 * MIB))
    files.relay(direction, 5 * MIB, "stall")
    result = files.move(direction, timeout_s=4)
    assert result.ending is Ending.TIMED_OUT
    assert "longer than 4 s" in result.detail
    assert "goes on from there" in result.detail
    assert not target.exists()

    def clients() -> list[str]:
        found = []
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = line.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] in (b"ssh", b"rsync") and any(str(files.server.directory).encode() in word for word in words):
                found.append(str(words))
        return found

    assert clients() == []
    files.server.write_config()
    files.commands.close()
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(8 * MIB)


@pytest.fixture
def for_others() -> Iterator[Path]:
    """A directory that another user may reach, and which is theirs."""
    if os.geteuid() != 0 or shutil.which("sudo") is None:
        pytest.skip("another user's files are made by root, with sudo")
    directory = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="drctl-test-"))
    os.chown(directory, pwd.getpwnam(OTHER).pw_uid, -1)
    directory.chmod(0o700)
    yield directory
    shutil.rmtree(directory)


def test_another_users_files(files: Files, for_others: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if files.way != "rsync":  # sudo has a PATH of its own, and rsync is on it
        monkeypatch.setattr(transfer, "way_of", lambda remote, rsync_there: "a plain stream")
    files.there = for_others
    (files.here / "file").write_bytes(data(MIB))
    assert_done(files.move("put", become=OTHER), files)
    arrived = (for_others / "file").stat()
    assert (arrived.st_uid, arrived.st_mode & 0o7777) == (pwd.getpwnam(OTHER).pw_uid, 0o600)
    assert files.moved == MIB
    (files.here / "file").unlink()
    assert_done(files.move("get", become=OTHER), files)
    assert (files.here / "file").read_bytes() == data(MIB)
    (for_others / "file").unlink()
    (for_others / "file").write_bytes(b"root's")
    (for_others / "file").chmod(0o600)
    (files.here / "file").unlink()
    assert_no(files.move("get", become=OTHER), files, f"cannot be read by {OTHER}")


def test_a_user_that_is_none_is_refused(files: Files, direction: Direction) -> None:
    source, target = files.ends(direction)
    source.write_bytes(b"x")
    for user in ("no-such-user-here", "-u root"):
        assert files.move(direction, become=user).ending is Ending.REFUSED
    assert not target.exists()


def test_a_login_shell_that_prints_changes_no_file(files: Files, direction: Direction) -> None:
    """It breaks rsync; the plain stream begins after a token."""
    source, target = files.ends(direction)
    source.write_bytes(data(MIB))
    (files.server.home / "noise").write_text("echo a banner of many words that is none of the file\n")
    text = files.server.server_config.read_text()
    files.server.stop()
    files.server.server_config.write_text(f'{text}ForceCommand cat $HOME/noise; exec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    files.server.start()
    assert_done(files.move(direction), files)
    assert target.read_bytes() == data(MIB)
    assert b"by a plain stream" in files.ear.out
