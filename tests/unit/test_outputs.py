"""What commands print is kept: redacted, whole, by its sum; only the end of it in memory."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest

from drctl.adapters.outputs import TAIL_BYTES, OutputStore
from drctl.adapters.redact import MASK, Redactor
from drctl.engine.ports import Stream
from drctl.errors import DrctlError


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.add("the-secret")
    return made


@pytest.fixture
def store(tmp_path: Path, redactor: Redactor) -> OutputStore:
    return OutputStore(tmp_path / "runs" / "outputs", redactor)


def test_the_streams_are_kept_apart_under_their_sums(store: OutputStore, tmp_path: Path) -> None:
    recorder = store.recorder()
    for data in (b"one\n", b"two \xff\x00\n"):
        recorder("stdout", data)
    recorder("stderr", b"wrong\n")
    out, err = recorder.close()
    assert out is not None
    assert err is not None
    assert out.sha256 == hashlib.sha256(b"one\ntwo \xff\x00\n").hexdigest()
    assert (out.bytes, out.tail) == (11, "one\ntwo �\x00\n")
    assert store.read(out.sha256) == b"one\ntwo \xff\x00\n"
    assert store.read(err.sha256) == b"wrong\n"
    assert {path.name for path in (tmp_path / "runs" / "outputs").iterdir()} == {out.sha256, err.sha256}
    assert store.path(out.sha256).stat().st_mode & 0o077 == 0
    assert recorder.problems == []
    assert recorder.close() == (out, err)


def test_nothing_is_kept_of_nothing(store: OutputStore, tmp_path: Path) -> None:
    assert store.recorder().close() == (None, None)
    assert list((tmp_path / "runs" / "outputs").iterdir()) == []
    assert store.read(hashlib.sha256().hexdigest()) == b""


def test_secrets_are_gone_from_files_tails_and_screens(store: OutputStore) -> None:
    heard: list[tuple[Stream, str]] = []
    recorder = store.recorder()
    recorder.listen(lambda stream, text: heard.append((stream, text)))
    for piece in (b"a the-", b"sec", b"ret b the-secre"):
        recorder("stdout", piece)
    out, _ = recorder.close()
    assert out is not None
    expected = b"a " + MASK + b" b the-secre"
    assert store.read(out.sha256) == expected
    assert out.tail == expected.decode()
    assert "".join(text for _, text in heard) == expected.decode()
    assert {stream for stream, _ in heard} == {"stdout"}


def test_the_same_output_twice_is_one_file(store: OutputStore, tmp_path: Path) -> None:
    for _ in range(2):
        recorder = store.recorder()
        recorder("stdout", b"same")
        recorder("stderr", b"same")
        recorder.close()
    assert len(list((tmp_path / "runs" / "outputs").iterdir())) == 1


def test_the_tail_is_the_end_and_begins_with_a_character(store: OutputStore) -> None:
    recorder = store.recorder()
    recorder("stdout", "é".encode() * TAIL_BYTES + b"x")
    out, _ = recorder.close()
    assert out is not None
    assert out.tail == "é" * (TAIL_BYTES // 2 - 1) + "x"


def test_much_output_is_not_held_in_memory(store: OutputStore) -> None:
    block = os.urandom(65536)
    recorder = store.recorder()
    tracemalloc.start()
    for _ in range(400):
        recorder("stdout", block)
    out, _ = recorder.close()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out is not None
    assert out.bytes == 400 * 65536
    assert hashlib.sha256(block * 400).hexdigest() == out.sha256
    assert most < 4_000_000


def test_a_character_that_comes_in_two_pieces_is_one_on_screens(store: OutputStore) -> None:
    heard: list[str] = []
    recorder = store.recorder()
    recorder.listen(lambda _, text: heard.append(text))
    for byte in "日本".encode() + b"\xe6":
        recorder("stdout", bytes([byte]))
    recorder.close()
    assert "".join(heard) == "日本�"


def test_a_screen_that_fails_is_told_once_and_stops_nothing(store: OutputStore) -> None:
    heard: list[str] = []

    def broken(stream: Stream, text: str) -> None:
        raise RuntimeError("no screen")

    recorder = store.recorder()
    recorder.listen(broken)
    recorder.listen(lambda _, text: heard.append(text))
    for _ in range(3):
        recorder("stdout", b"x")
    out, _ = recorder.close()
    assert out is not None
    assert (out.tail, heard) == ("xxx", ["x", "x", "x"])
    assert recorder.problems == ["a listener failed: RuntimeError: no screen"]


def test_a_disk_that_fails_is_told_and_stops_nothing(store: OutputStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    recorder = store.recorder()
    for _ in range(3):
        recorder("stdout", b"still here\n")
    out, _ = recorder.close()
    assert out is not None
    assert out.tail == "still here\n" * 3
    assert recorder.problems == ["the output cannot be kept: No space left on device"]


def test_a_name_that_is_no_sum_leads_nowhere(store: OutputStore) -> None:
    for name in ("../../etc/passwd", "", "A" * 64, "a" * 63, "a" * 64 + "\n"):
        with pytest.raises(ValueError, match="sha256"):
            store.path(name)


def test_an_output_that_was_changed_is_not_given_out(store: OutputStore) -> None:
    recorder = store.recorder()
    recorder("stdout", b"the truth")
    out, _ = recorder.close()
    assert out is not None
    store.path(out.sha256).write_bytes(b"something else")
    with pytest.raises(DrctlError, match="not what was written"):
        store.read(out.sha256)
    with pytest.raises(DrctlError, match="cannot be read"):
        store.read("0" * 64)


def test_a_directory_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DrctlError, match="cannot make"):
        OutputStore(tmp_path / "file" / "outputs")
