"""What a person reads when what they typed is wrong: where, what is true now, what to type next; no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drctl.adapters.journal import JournalFile
from drctl.cli.main import execute
from drctl.errors import ExitCode
from tests.support import sample_runs

ROOT = Path(__file__).parents[2]
EXAMPLE = "inventories/taskflow.example.yml"


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)


def service() -> str:
    from drctl.read.documents import read_inventory

    document = read_inventory(EXAMPLE)[0]
    assert document
    return next(iter(document.value.services))


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = execute(list(words))
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("falover", "x"), 2, "No such command 'falover'"),
        (("failover", "x", "--inventroy", "y"), 2, "--inventory"),
        (("failover",), 2, "Missing argument 'SERVICE'"),
        (("failover", "nobody", "-i", EXAMPLE, "--yes"), 2, "there is no service"),
        (("failover", "x", "-i", "inventories/none.yml", "--yes"), 2, 'there is no file "inventories/none.yml"'),
        (("run", "failovr", "x", "-i", EXAMPLE, "--yes"), 2, "failover"),
        (("resume",), 2, "no run is open"),
        (("resume", "4711"), 1, "there are no runs in this journal"),
        (("report",), 1, "there are no runs in this journal"),
        (("abort",), 2, "needs a reason"),
        (("approve", "x"), 2, "needs a reason"),
        (("report", "--format", "docx"), 2, "docx"),
    ],
)
def test_what_is_wrong_is_said(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    found, text = typed(capsys, *words)
    assert found == code, text
    assert said in re.sub(r"\s+", " ", text.replace("│", " "))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--outage-started", "yesterday"), "'yesterday' is not a time"),
        (("--outage-started", "2026-11-23 03:00"), "has no offset from UTC"),
        (("--outage-started", "2199-01-01T00:00:00Z"), "is in the future"),
        (("--override", "primary_fencd=why"), 'did you mean "primary_fenced"'),
        (("--override", "primary_fenced="), "a reason is needed"),
        (("--approve", "x"), "is not NAME=VALUE"),
        (("--input", "size=1"), "size"),
        (("--no-input",), "add --yes"),
    ],
)
def test_nothing_begins_before_all_options_are_understood(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    yes = () if words == ("--no-input",) else ("--yes",)
    code, text = typed(capsys, "failover", service(), "-i", EXAMPLE, *yes, *words)
    assert code == 2, text
    assert said in text
    assert "Next:" in text
    state = tmp_path / "state" / "journal.db"
    assert not state.exists() or not _runs(state)


def test_a_restore_without_a_copy_that_is_left_asks_and_tries_no_more() -> None:
    from drctl.model.plan import OnFailure
    from drctl.plan.build import try_plan
    from drctl.read.documents import read_inventory, read_runbook

    runbook, inventory = read_runbook(Path("runbooks/restore.yml"))[0], read_inventory(EXAMPLE)[0]
    assert runbook
    assert inventory
    made, _ = try_plan(runbook, inventory, service=service())
    assert made
    says = {step: made.step(f"from-a-copy/1/{step}").on_failure for step in ("pick", "files", "room")}
    assert says == {"pick": OnFailure.DEFAULT, "files": OnFailure.NEXT, "room": OnFailure.PAUSE}


def test_all_runbooks_are_without_an_error_for_all_services_of_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = typed(capsys, "validate", "--inventory", EXAMPLE)
    assert code == 0, text


def _runs(path: Path) -> tuple[str, ...]:
    journal = JournalFile(path)
    try:
        return journal.run_ids()
    finally:
        journal.close()


def test_a_run_that_is_over_is_not_resumed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    journal = JournalFile(tmp_path / "state" / "journal.db")
    events = sample_runs.succeeded()
    at = iter([e.at for e in events])
    writer = journal.writer(events[0].run_id, now=lambda: next(at), redact=str)
    for event in events:
        writer.append(event.body)
    journal.close()
    for verb in (("resume",), ("abort", "--reason", "x")):
        code, text = typed(capsys, verb[0], events[0].run_id[-4:], *verb[1:])
        assert code == 2
        assert "is over: done" in text
        assert f"drctl report {events[0].run_id}" in text
    code, text = typed(capsys, "report", "nothing-like-it")
    assert code == 1
    assert "there is no run" in text
    assert execute(["report", "--format", "json"]) == 0
    written = capsys.readouterr().out
    assert events[0].run_id in written
    assert execute(["report", "--json"]) == 0
    again = capsys.readouterr().out
    assert list(json.loads(again)) == list(json.loads(written))
    code, text = typed(capsys, "report", "--json", "--format", "html")
    assert (code, "--json and --format html are two forms" in text) == (2, True)
    assert execute(["watch", "--plain"]) == 0
    assert "run ended: done" in capsys.readouterr().err


def test_a_state_directory_that_cannot_be_used_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a directory")
    code, text = typed(capsys, "--state-dir", str(tmp_path / "file"), "runs")
    assert code == 1
    assert "cannot be used" in text
    assert "--state-dir" in text


def test_errors_are_json_when_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    code, text = typed(capsys, "failover", "nobody", "-i", EXAMPLE, "--yes", "--json")
    assert code == 2
    assert json.loads(text)["exit_code"] == 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = f"{sys.executable} -m drctl schema runbook | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""


def test_a_long_line_arrives_whole_although_signals_cut_its_writing_short() -> None:
    """Found by the crash sweep: without a buffer Python loses what a pipe does not take at once."""
    program = (
        "import itertools, os, signal, sys\n"
        "from drctl.cli.main import whole\n"
        "out, signals = whole(sys.stdout), itertools.count(1)\n"
        "signal.signal(signal.SIGALRM, lambda *_: next(signals) == 5 and os.write(2, b'!'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
        "out.write('x' * 2_000_000 + '\\n')\n"
        "out.flush()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    words = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writing:
        assert writing.stdout
        assert writing.stderr
        writing.stderr.read(1)  # the pipe is full, and the writer in the middle of its line
        size = len(writing.stdout.read())
    assert (writing.returncode, size) == (0, 2_000_001)


def test_a_bug_shows_no_traceback_and_no_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("hunter" + str(2))

    monkeypatch.setattr("drctl.read.find.find_inventory", broken)
    monkeypatch.setattr("drctl.cli.plan.find_inventory", broken, raising=False)
    code, text = typed(capsys, "failover", "x", "-i", EXAMPLE, "--yes")
    assert code == 70
    assert "hunter2" not in text
    kept = re.search(r"trace is in (\S+)\.\n", text)
    assert kept
    assert "hunter2" not in Path(kept.group(1)).read_text()
    Path(kept.group(1)).unlink()


def test_the_doctor_says_when_the_disk_under_the_journal_is_nearly_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(100, 96, 4))
    assert execute(["--state-dir", str(tmp_path), "doctor", "--offline"]) == ExitCode.STEP_FAILED
    said = capsys.readouterr().out
    assert re.search(r"^NOT OK +journal's disk +96 % full\n +next: free some space for ", said, re.M), said
