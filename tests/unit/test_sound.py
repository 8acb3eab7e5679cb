"""``drctl validate`` reads nothing anew that was found sound, and everything as soon as anything is another one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drctl.cli import sound
from drctl.cli.main import execute
from drctl.errors import ExitCode
from drctl.read.documents import Library

CALLER = "runbook: caller\ntitle: Calls\nsteps: [{id: one, runbook: called}]\n"
CALLED = 'runbook: called\ntitle: Called\nsteps: [{id: one, local: "true", read_only: true}]\n'


class Read(Exception):
    """A document was read."""


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A repository that was found sound. Whoever reads a document of it from now on is found out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("runbooks").mkdir()
    Path("mine").mkdir()
    Path("mine/caller.yml").write_text(CALLER)
    Path("runbooks/called.yml").write_text(CALLED)
    assert execute(["validate", "mine"]) == ExitCode.DONE
    assert capsys.readouterr().err == "1 file: no problems\n"

    def read(*_: object) -> None:
        raise Read

    monkeypatch.setattr(Library, "kind_of", read)
    return tmp_path


def reads(*words: str) -> bool:
    """Whether the documents are read for that."""
    return execute(["validate", *words]) == ExitCode.BUG


def test_what_is_sound_is_not_read_again(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["validate", "mine"]) == ExitCode.DONE
    assert capsys.readouterr().err == "1 file: no problems\n"
    assert reads("runbooks"), "other files are another question"
    assert reads("mine", "--json"), "the kinds of the files are not remembered"


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("mine/caller.yml").write_text(CALLER + "# more"),
        lambda: Path("runbooks/called.yml").write_text(CALLED + "# more"),
        lambda: Path("mine/called.yml").write_text(CALLED),  # is called in place of the other one now
        lambda: Path("runbooks/called.yml").unlink(),
        lambda: Path("runbooks/called.yml").rename("runbooks/other.yml"),
        lambda: (Path("mine/caller.yml").rename("there"), Path("mine/caller.yml").symlink_to("../there")),
    ],
    ids=["the document", "a called one", "one nearer by", "no called one", "another name", "a link"],
)
def test_a_change_of_any_document_that_counts_is_looked_at(known: Path, change: Callable[[], object]) -> None:
    change()
    assert reads("mine")


def test_another_drctl_another_library_and_another_python_look_again(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [Path("mine/caller.yml")]
    (known / "site").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(known / "site")])
    before = sound.fingerprint(files)
    assert before == sound.fingerprint(files)
    with monkeypatch.context() as patch:
        patch.setattr(sound, "_ROOMS", ("read/*.py",))
        assert sound.fingerprint(files) != before
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "4.0")
        assert sound.fingerprint(files) != before
    (known / "site" / "pydantic-9.dist-info").mkdir()
    assert sound.fingerprint(files) not in (before, None)


def test_a_warning_is_told_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("runbooks").mkdir()
    Path("runbooks/called.yml").write_text(CALLED.replace("title", "objectives: {rpo: 1h}\ntitle"))
    for _ in range(2):
        assert execute(["validate"]) == ExitCode.DONE
        assert "warning" in capsys.readouterr().err
    assert not Path("cache").exists()


def test_what_changed_while_it_was_read_is_not_remembered(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine/caller.yml").write_text(CALLER + "# more")
    monkeypatch.setattr(Library, "kind_of", lambda *_: Path("mine/caller.yml").write_text(CALLER + "# still more"))
    remembered = (known / "cache/drctl/sound").read_text()
    assert execute(["validate", "mine"]) == ExitCode.DONE
    assert (known / "cache/drctl/sound").read_text() == remembered


def test_where_nothing_can_be_remembered_it_is_worked_out(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(known)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert execute(["validate", "mine"]) == ExitCode.DONE


@pytest.mark.parametrize("name", ["-", "nowhere.yml", "/dev/null", "."])
def test_what_cannot_be_read_twice_has_no_fingerprint(known: Path, name: str) -> None:
    assert sound.fingerprint([Path(name)]) is None
