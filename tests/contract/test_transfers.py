"""Files to and from a host, by rsync and without it: whole and right or not there, and resumed."""

from __future__ import annotations

import hashlib
import os
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from drctl.adapters import transfer
from drctl.adapters.commands import Commands
from drctl.adapters.progress import Progress
from drctl.adapters.redact import Redactor
from drctl.adapters.secrets import SecretResolver
from drctl.adapters.transfer import HostFiles
from drctl.engine.ports import CommandResult, Ending
from drctl.model.plan import Transfer
from tests.contract.conftest import Ear
from tests.contract.sshd import PATIENCE_S, SSHD, Sshd, make_key, wait_until

OTHER = "nobody"
MIB = 1_048_576
FREE = 1 << 60
Direction = Literal["put", "get"]


@dataclass
class Files:
    """A host, the files of both sides, and what is said."""

    server: Sshd
    here: Path
    there: Path
    way: str
    commands: Commands = field(default_factory=lambda: Commands(SecretResolver(Redactor())))
    ear: Ear = field(default_factory=Ear)

    def move(
        self,
        direction: Direction,
        name: str = "file",
        *,
        sha256: str | None = None,
        become: str | None = None,
        timeout_s: float = PATIENCE_S,
        remote: str | None = None,
    ) -> CommandResult:
        self.ear = Ear()
        order = Transfer(
            direction=direction, local=str(self.here / name), remote=remote or str(self.there / name), sha256=sha256
        )
        return HostFiles(self.commands).transfer(
            self.server.endpoint, order, become=become, timeout_s=timeout_s, output=self.ear
        )

    def ends(self, direction: Direction, name: str = "file") -> tuple[Path, Path]:
        """Source and target."""
        ends = (self.here / name, self.there / name)
        return ends if direction == "put" else ends[::-1]

    def relay(self, direction: Direction, limit: int, how: str, mark: Path | None = None) -> None:
        """From now on a connection carries so many bytes of data only."""
        up, down = (limit, FREE) if direction == "put" else (FREE, limit)
        script = Path(__file__).with_name("relay.py")
        self.server.write_config(
            f"  ProxyCommand {sys.executable} {script} {self.server.port} {up} {down} {how} {mark or ''}"
        )

    @property
    def moved(self) -> int:
        """The bytes that went over the line, by rsync's count or our own."""
        match = re.search(rb"(\d+) of \d+ bytes were (?:sent|fetched) by " + self.way.encode(), self.ear.out)
        assert match, (self.ear.out, self.ear.err)
        return int(match[1])


def data(size: int, seed: int = 1) -> bytes:
    """Bytes that no compression makes smaller."""
    return random.Random(seed).randbytes(size)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".drctl-part")


def without_rsync(directory: Path) -> str:
    """A PATH with all that this machine has, but rsync."""
    tools = directory / "no-rsync"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin", "/usr/sbin"):
        for tool in Path(folder).iterdir():
            if tool.name != "rsync" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    return str(tools)


@pytest.fixture(params=["rsync", "a plain stream"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Files]:
    """A host with rsync, and one without."""
    if SSHD is None:
        pytest.skip("OpenSSH's sshd is not installed")
    if request.param == "rsync" and shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    for name in ("sshd", "here", "there"):
        (tmp_path / name).mkdir()
    server = Sshd(tmp_path / "sshd")
    if request.param != "rsync":
        text = server.server_config.read_text()
        server.server_config.write_text(text.replace("SetEnv ", f"SetEnv PATH={without_rsync(tmp_path)} "))
    server.start()
    found = Files(server=server, here=tmp_path / "here", there=tmp_path / "there", way=request.param)
    yield found
    found.commands.close()
    server.stop()


@pytest.fixture(params=["put", "get"])
def direction(request: pytest.FixtureRequest) -> Direction:
    """To the host, and from it."""
    found: Direction = request.param
    return found


def assert_done(result: CommandResult, files: Files) -> None:
    assert (result.ending, result.exit_code) == (Ending.FINISHED, 0), (result, files.ear.err)


def assert_no(result: CommandResult, files: Files, *words: str) -> None:
    """Exit code 1, and one clear line on standard error."""
    assert (result.ending, result.exit_code) == (Ending.FINISHED, 1), (result, files.ear.err)
    said = files.ear.err.decode().strip().splitlines()[-1]
    assert said == result.detail
    for word in words:
        assert word in said
    assert files.ear.out == b""


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
