"""The pack as files: a tar that climbs out, links, what is gone from it, and a run that is not over."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from drctl.cli.main import execute
from tests.support import sample_runs
from tests.support.journals import write_run
from tests.support.packs import MANIFEST, chained_anew, edit, resigned, rows_of, verify


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


@pytest.mark.parametrize(
    "bad",
    [
        member("../outside"),
        member("evidence/../../outside"),
        member("/tmp/outside"),
        member("evidence/link", tarfile.SYMTYPE, "/etc/passwd"),
        member("evidence/link", tarfile.LNKTYPE, "evidence/plan.json"),
        member("evidence/null", tarfile.CHRTYPE),
        member("evidence/\x1b[2J"),
        member("evidence/HEAD"),
        member("elsewhere/HEAD"),
    ],
    ids=lambda m: repr(m.name) + m.type.decode(),
)
def test_a_tar_that_climbs_out_is_refused(
    bad: tarfile.TarInfo, pack: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pack.tar"
    with tarfile.open(target, "w") as tar:
        tar.add(pack, arcname="evidence")
        tar.addfile(bad, io.BytesIO())
    code, _, said = verify(target, keys, capsys=capsys)
    assert code == 9
    assert "the pack is refused" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("target", ["/etc/hostname", "plan.json"])
def test_a_directory_with_a_link_is_refused(
    target: str, pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pack / "link").symlink_to(target)
    code, _, said = verify(pack, keys, capsys=capsys)
    assert (code, "the pack is refused: link" in said) == (9, True)


def test_a_list_that_climbs_out_is_caught(pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (pack / MANIFEST).open("a") as file:
        file.write(f"{'0' * 64}  ../outside\n")
    assert "has a line that is none" in verify(pack, keys, capsys=capsys)[1]["files"]


@pytest.mark.parametrize("name", ["pack.tar", "pack.tar.gz"])
def test_a_tar_file_holds_the_same(name: str, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "state", sample_runs.succeeded())
    words = ["--state-dir", str(tmp_path / "state"), "evidence", run[-8:], "-o", str(tmp_path / name)]
    assert execute([*words, "--key", str(keys / "trusted")]) == 0
    assert verify(tmp_path / name, keys, capsys=capsys)[:2] == (0, {})
    assert (tmp_path / name).stat().st_mode & 0o077 == 0
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".drctl")] == []
    assert execute(words) == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:2000])
    assert verify(tmp_path / name, keys, capsys=capsys)[0] == 9


def test_a_run_that_goes_on_and_a_pack_without_a_signature_say_so(
    keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = write_run(tmp_path / "state", sample_runs.still_going())
    assert execute(["--state-dir", "state", "evidence"]) == 0
    said = capsys.readouterr()
    assert said.out == f"evidence-{run}\n"
    assert "THE RUN IS NOT OVER" in said.err
    assert "it is not signed" in said.err
    pack = tmp_path / f"evidence-{run}"
    assert "THE RUN IS NOT OVER" in (pack / "README.md").read_text()
    resigned(pack, keys / "trusted")
    assert execute(["evidence", "verify", str(pack), "--allowed-signers", str(keys / "allowed_signers")]) == 0
    assert "THE RUN IS NOT OVER" in capsys.readouterr().out


def test_an_output_that_is_gone_is_named(keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    run = write_run(state, sample_runs.succeeded())
    gone = sorted((state / "outputs").iterdir())[0]
    gone.unlink()
    pack = tmp_path / "pack"
    assert execute(["--state-dir", str(state), "evidence", run, "-o", str(pack), "--key", str(keys / "trusted")]) == 0
    assert "1 outputs are not on the disk" in capsys.readouterr().err
    assert gone.name in (pack / "README.md").read_text()
    assert verify(pack, keys, capsys=capsys)[:2] == (0, {})


def test_what_sensitive_steps_printed_is_not_in_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "state", sample_runs.succeeded())
    assert execute(["--state-dir", str(tmp_path / "state"), "evidence", run, "-o", str(tmp_path / "pack")]) == 0
    printed = hashlib.sha256(b"ALTER ROLE\nhunter2\n").hexdigest()
    assert not (tmp_path / "pack" / "outputs" / printed).exists()


def test_a_pack_of_a_newer_drctl_is_refused_by_its_number(
    pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("pack.json", '"format": 1', '"format": 2')(pack)
    code, _, said = verify(pack, keys, capsys=capsys)
    assert (code, "the pack has format 2" in said) == (9, True)


def test_an_event_of_a_kind_that_is_not_known_breaks_no_chain(
    pack: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(pack)
    rows[-1]["body"] = {"type": "tea_was_made"}
    chained_anew(pack, rows)
    resigned(pack, keys / "trusted")
    code, broken, said = verify(pack, keys, capsys=capsys)
    assert (code, broken) == (0, {})
    assert "is of a kind that this drctl does not know" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("evidence", "nothing-like-it"), 1, "there is no run"),
        (("evidence", "verify", "nowhere", "--allowed-signers", "x"), 2, "there is no evidence pack nowhere"),
        (("evidence", "verify", "."), 2, "--allowed-signers"),
        (("evidence", "verify", ".", "--allowed-signers", "x"), 2, "the allowed signers x cannot be read"),
        (("evidence", "verify", ".", "--allowed-signers", "/dev/null"), 9, "this is no evidence pack"),
        (("evidence", "--key", "nowhere"), 2, "ssh-keygen cannot sign with nowhere"),
        (("evidence", "-o", "no/such/place"), 1, "cannot be written"),
    ],
)
def test_what_is_wrong_is_said(
    words: tuple[str, ...], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "state", sample_runs.no_go())
    assert execute(["--state-dir", "state", *words]) == code
    err = re.sub(r"[\s│]+", " ", capsys.readouterr().err)
    assert said in err
    assert "Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == ["state"]
