"""What a journal, a host or a person may hand in: each is said in words, and nothing is believed or hidden."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from drctl.adapters.journal import FORMAT, JournalFile
from drctl.cli.main import execute
from drctl.model.events import RunResumed
from tests.support import sample_runs as samples
from tests.support.journals import write_run

READERS = (["runs"], ["status"], ["report"], ["report", "--format", "html"], ["evidence", "-o", "pack"],
           ["resume", "--no-input"], ["watch"], ["abort", "--reason", "x"])  # fmt: skip
OVER_ALL_RUNS = (["history"], ["sla"], ["drill", "due"])


RUNBOOK = """\
runbook: tidy
title: Tidy up
steps:
  - {id: look, local: echo looked, read_only: true}
  - {id: agree, approval: {prompt: Shall it be done?}}
  - {id: tidy, local: echo tidied}
"""
INVENTORY = """\
inventory: office
residency: ZA
drills: {runbooks: [tidy]}
sites: {here: {provider: TaskFlow, country: ZA, kind: office}}
hosts: {desk: {site: here, address: 192.0.2.1, user: drctl}}
services: {acacia: {title: Acacia, sla: false, roles: {primary: desk}}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("DRCTL_INVENTORY", raising=False)
    return tmp_path


def office() -> None:
    """An inventory and a runbook of nobody's hosts."""
    for name, text in (("runbooks/tidy.yml", RUNBOOK), ("inventories/office.yml", INVENTORY)):
        Path(name).parent.mkdir()
        Path(name).write_text(text)


def said(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = execute(words)
    found = capsys.readouterr()
    assert "Traceback" not in found.out + found.err
    return code, " ".join((found.out + found.err).split())


@pytest.mark.parametrize("words", [*READERS, *OVER_ALL_RUNS], ids=" ".join)
def test_a_journal_of_a_newer_version_is_refused_by_its_number_and_not_changed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("state"), samples.still_going())
    office()
    with closing(sqlite3.connect("state/journal.db")) as newer:
        newer.execute(f"PRAGMA user_version={FORMAT + 1}")
    before = Path("state/journal.db").read_bytes()
    code, text = said(capsys, words)
    assert code == 1
    assert f"has format {FORMAT + 1}, and this drctl reads up to {FORMAT}" in text
    assert "use the drctl that wrote it, or a newer one" in text
    assert Path("state/journal.db").read_bytes() == before
    assert not Path("pack").exists()


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_an_event_of_a_newer_version_is_named_and_nothing_is_made_of_the_run(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(Path("state"), samples.still_going())
    with closing(JournalFile(Path("state/journal.db"))) as journal:
        count = len(list(journal.events(run)))
        with monkeypatch.context() as newer:
            newer.setattr("drctl.adapters.journal.to_json", lambda body: {"type": "tea_was_made"})
            newer.setattr("drctl.adapters.journal.body_of", lambda text: tea)
            tea = RunResumed(operator="o", controller="c", pid=1, interactive=False)
            journal.writer(run, now=lambda: datetime.now(UTC), redact=str).append(tea)
    code, text = said(capsys, words)
    assert code == 1
    assert f"event {count + 1} of the run {run} cannot be read: its type is not known" in text
    assert "use the drctl that wrote it, or a newer one" in text
    assert not Path("pack").exists()


def torn(state: Path, place: Path, cut: int) -> Path:
    """A copy of a state directory as a power cut leaves it: the end of the write-ahead log is not there."""
    shutil.copytree(state, place)
    log = place / "journal.db-wal"
    log.write_bytes(log.read_bytes()[:-cut])
    return place


def test_after_a_torn_last_event_the_run_is_what_was_written_before_it_and_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power is lost while an event is being written: half of it is in the log."""
    office()
    assert execute(["run", "tidy", "acacia", "--yes", "--no-input"]) == 6
    with closing(JournalFile(Path("state/journal.db"))) as journal:
        run = journal.find(None)
        whole = len(list(journal.events(run)))
        writer = journal.writer(run, now=lambda: datetime.now(UTC), redact=str)
        writer.append(RunResumed(operator="o" * 9000, controller="c", pid=1, interactive=False))
        place = torn(Path("state"), folder / "torn", 1000)
    monkeypatch.setenv("DRCTL_STATE_DIR", str(place))
    for words in (["runs"], ["status"], ["report"], ["evidence", "-o", "pack"]):
        code, text = said(capsys, words)
        assert code == 0, text
    assert len(Path("pack/events.jsonl").read_text().splitlines()) == whole
    code, text = said(capsys, ["runs", "--json"])
    assert json.loads(text)[0]["ended"] == "paused"
    assert execute(["resume", "--no-input", "--approve", "agree=yes"]) == 0
    with closing(JournalFile(place / "journal.db")) as journal:
        assert [e.sequence for e in journal.events(run)][whole] == whole + 1
    assert said(capsys, ["report"])[0] == 0


def test_an_event_that_is_cut_in_the_file_itself_is_found_by_all_that_read_the_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = write_run(Path("state"), samples.still_going())
    with closing(sqlite3.connect("state/journal.db")) as disk:
        disk.execute("DROP TRIGGER events_are_facts")
        (last,) = disk.execute("SELECT max(sequence) FROM events").fetchone()
        disk.execute("UPDATE events SET body = substr(body, 1, 40) WHERE sequence = ?", (last,))
        disk.commit()
    for words in READERS:
        code, text = said(capsys, words)
        assert code == 1, words
        assert f"event {last} of the run {run} is not as it was written: its chain of hashes is broken" in text, words
        assert "keep the file as evidence, and compare it with a copy" in text


@pytest.mark.parametrize(
    ("form", "loud"),
    [
        ("text", "its last event is of"),
        ("md", "its last event is of"),
        ("html", 'class="warning">'),
        ("json", '"ongoing": true'),
        ("junit", "<testsuite"),
        ("svg", "<svg"),
    ],
)
def test_a_run_that_goes_on_is_reported_as_one(form: str, loud: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("state"), samples.still_going())
    code, text = said(capsys, ["report", "--format", form])
    assert code == 0
    assert loud in text


EVIL = "<script>alert(1)</script>\\e]0;owned\\a\\e[2J\\u202e[/bold]`|`"


def test_names_and_outputs_full_of_markup_and_controls_are_shown_and_never_obeyed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runbooks").mkdir()
    Path("inventories").mkdir()
    output = "printf '<script>alert(2)</script>\\033]0;owned\\007\\033[2J\\342\\200\\256[/bold]```\\n'; exit 3"
    Path("runbooks/tidy.yml").write_text(
        f'runbook: tidy\ntitle: "{EVIL}"\nsteps:\n'
        f'  - {{id: look, name: "{EVIL}", local: {json.dumps(output)}, on_failure: continue}}\n'
        f'  - {{id: agree, approval: {{prompt: "{EVIL}"}}}}\n'
    )
    Path("inventories/office.yml").write_text(
        INVENTORY.replace("title: Acacia", f'title: "{EVIL}"').replace("provider: TaskFlow", f'provider: "{EVIL}"')
        + "notify: [{name: log, file: log.jsonl}]\n"
    )
    evil = yaml.safe_load(f'"{EVIL}"')
    words = ["run", "tidy", "acacia", "--yes", "--no-input", "--plain", "--reason", evil, "--approve", f"agree={evil}"]
    assert execute(words) == 0
    assert execute(["evidence", "-o", "pack"]) == 0
    seen = capsys.readouterr()
    shown = {"run": seen.out + seen.err}
    asked = [
        ["report", "--details"],
        ["status"],
        ["runs"],
        ["history"],
        ["plan", "tidy", "acacia"],
        ["show", "tidy", "acacia"],
    ]
    for form in ("html", "md", "json", "junit", "svg"):
        asked.append(["report", "--format", form])
    for words in asked:
        assert execute(words) == 0
        shown[" ".join(words)] = capsys.readouterr().out
    for path in ("pack/report.html", "pack/report.md", "pack/README.md", "inventories/log.jsonl"):
        shown[path] = Path(path).read_text()
    for where, text in shown.items():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text), where
    for where in ("report --format html", "pack/report.html", "report --format svg", "report --format junit"):
        assert "<script" not in shown[where], where
    assert "alert(2)" in shown["report --format html"]
    for text in (shown["report --format md"], shown["pack/README.md"]):
        outside = re.sub(r"^(`{3,})[a-z]*\n.*?^\1$", "", text, flags=re.S | re.M)
        assert "<script" not in re.sub(r"`[^`\n]*`", "", outside)


def test_a_clock_that_went_back_in_mid_run_is_said_and_durations_stay_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = samples.succeeded()
    back = [replace(e, at=e.at - timedelta(hours=2)) if e.sequence > 12 else e for e in events]
    write_run(Path("state"), back)
    code, text = said(capsys, ["report"])
    assert code == 0
    assert "the clock went back by 2h 00m before event 13" in text
    assert "The clock went back by 2h 00m during the run: this may read too small by as much." in text
    code, text = said(capsys, ["report", "--format", "json"])
    found = json.loads(text)
    assert found["elapsed"]["run_s"] >= 0
    assert all(
        host["duration_s"] is None or host["duration_s"] >= 0 for step in found["steps"] for host in step["hosts"]
    )
    assert said(capsys, ["runs"])[0] == said(capsys, ["status"])[0] == 0


@pytest.mark.parametrize("words", OVER_ALL_RUNS, ids=" ".join)
def test_a_run_that_cannot_be_read_is_left_out_of_what_is_reckoned_over_all_and_that_is_said(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(Path("state"), samples.succeeded())
    with closing(sqlite3.connect("state/journal.db")) as disk:
        disk.execute("DROP TRIGGER events_are_facts")
        disk.execute("UPDATE events SET body = replace(body, 'azure', 'azura') WHERE sequence = 7")
        disk.commit()
    office()
    code, text = said(capsys, words)
    assert code in (0, 1)
    assert f"warning: the run {run} is left out: event 7 of the run {run} is not as it was written" in text
