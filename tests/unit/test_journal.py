"""The journal: what is written stays, whoever changes it is found out, and without it nothing is written."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.adapters.chain import FIRST_PREVIOUS, digest_of
from drctl.adapters.journal import FORMAT, JournalFile, RunJournal, new_run_id
from drctl.adapters.redact import Redactor
from drctl.errors import JournalError
from drctl.model.events import (
    Act,
    AttemptFinished,
    AttemptStarted,
    Body,
    Ended,
    MessengerFailed,
    Outcome,
    RunEnded,
    RunStarted,
    StepSkipped,
)
from tests.support.world import START, plan, step

RUN = "20261123-010000-demo-4f2a"


def started() -> RunStarted:
    return RunStarted(
        plan=plan(step("one")), plan_digest="d", operator="o", controller="m", pid=1, interactive=False, reason="INC-1"
    )


BODIES: tuple[Body, ...] = (
    started(),
    AttemptStarted(step="one", host="standby", attempt=1, act=Act.RUN),
    AttemptFinished(step="one", host="standby", attempt=1, act=Act.RUN, outcome=Outcome.SUCCEEDED, captured={"a": "1"}),
    StepSkipped(step="two", host="", who="ann", why="‘quoted’, ünïcode and \x1b[31m"),
    RunEnded(ended=Ended.DONE),
)


def writer(journal: JournalFile, run_id: str = RUN, redactor: Redactor | None = None) -> RunJournal:
    redact = (redactor or Redactor()).clean_text
    return journal.writer(run_id, now=lambda: START, redact=redact)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[JournalFile]:
    found = JournalFile(path)
    yield found
    found.close()


@pytest.fixture
def written(journal: JournalFile) -> JournalFile:
    run = writer(journal)
    for body in BODIES:
        run.append(body)
    return journal


def edit(path: Path, *statements: str) -> None:
    """As somebody would who can write the file: the triggers are only a seal."""
    with sqlite3.connect(path) as other:
        for name in ("events_are_facts", "events_stay"):
            other.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            other.execute(statement)
    other.close()


def test_what_is_written_is_read_back_by_whoever_opens_it_next(written: JournalFile, path: Path) -> None:
    again = JournalFile(path)
    events = list(again.events(RUN))
    assert tuple(e.body for e in events) == BODIES
    assert [e.sequence for e in events] == [1, 2, 3, 4, 5]
    assert events[0].previous == FIRST_PREVIOUS
    assert [e.previous for e in events[1:]] == [e.sha256 for e in events[:-1]]
    assert list(written.events(RUN)) == events
    again.close()


def test_what_append_gives_back_is_what_is_in_the_file(journal: JournalFile) -> None:
    run = writer(journal)
    assert [run.append(body) for body in BODIES] == list(journal.events(RUN))


def test_it_is_kept_from_others(written: JournalFile, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_every_event_is_synced_to_the_disk(journal: JournalFile) -> None:
    assert journal._query("PRAGMA synchronous")[0][0] == 2  # FULL
    assert journal._query("PRAGMA journal_mode")[0][0] == "wal"


@pytest.mark.parametrize("verb", ["UPDATE events SET at=at", "DELETE FROM events"])
def test_nothing_is_updated_or_deleted(written: JournalFile, path: Path, verb: str) -> None:
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(verb)
    other.close()


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ("UPDATE events SET body=replace(body, 'succeeded', 'failed') WHERE sequence=3", 3),
        ("UPDATE events SET body=replace(body, 'INC-1', 'INC-2') WHERE sequence=1", 1),
        ("UPDATE events SET at='2026-11-23T01:00:01.000000Z' WHERE sequence=2", 2),
        ("UPDATE events SET previous=sha256 WHERE sequence=4", 4),
        ("UPDATE events SET sha256=previous WHERE sequence=5", 5),
        ("DELETE FROM events WHERE sequence=1", 1),
        ("DELETE FROM events WHERE sequence=3", 3),
        ("UPDATE events SET sequence=9 WHERE sequence=4", 4),
        ("UPDATE events SET body='{}' WHERE sequence=2", 2),
    ],
)
def test_an_edited_or_missing_event_is_found_out(written: JournalFile, path: Path, change: str, at: int) -> None:
    edit(path, change)
    events = written.events(RUN)
    assert [next(events).sequence for _ in range(1, at)] == list(range(1, at)), "what stands before it can be read"
    with pytest.raises(JournalError, match=f"event {at} of the run {RUN} is not as it was written") as error:
        next(events)
    assert error.value.where == str(path)


def test_a_body_that_is_no_json_is_found_out(written: JournalFile, path: Path) -> None:
    edit(path, "UPDATE events SET body='{\"type\": ' WHERE sequence=2")
    with pytest.raises(JournalError, match=r"event 2 of the run .* is not as it was written"):
        list(written.events(RUN))


def test_a_whole_chain_that_was_made_anew_is_no_longer_the_one_that_was_printed(written: JournalFile) -> None:
    """Whoever rewrites all the hashes is found by the last one, which the report and the NDJSON have shown."""
    first, second = list(written.events(RUN))[:2]
    forged = digest_of(
        run_id=RUN, sequence=2, at="2026-11-23T01:00:00.000000Z", body='{"type":"x"}', previous=first.sha256
    )
    assert forged != second.sha256


def test_a_second_writer_is_refused_and_leaves_nothing(journal: JournalFile, path: Path) -> None:
    first, file = writer(journal), JournalFile(path)
    first.append(BODIES[0])
    second = writer(file)
    first.append(BODIES[1])
    with pytest.raises(JournalError, match="another process writes to the run"):
        second.append(BODIES[4])
    first.append(BODIES[2])
    assert [e.body for e in journal.events(RUN)] == list(BODIES[:3])
    file.close()


def test_runs_do_not_mix(journal: JournalFile) -> None:
    one, two = writer(journal, "20261123-1-a-0001"), writer(journal, "20261123-2-b-0002")
    for body in BODIES[:2]:
        one.append(body)
        two.append(body)
    one.append(BODIES[4])
    assert journal.run_ids() == ("20261123-2-b-0002", "20261123-1-a-0001")
    assert {h.run_id: h.is_open for h in journal.heads()} == {"20261123-1-a-0001": False, "20261123-2-b-0002": True}
    assert journal.find("0001") == "20261123-1-a-0001"
    assert journal.find(None) == "20261123-2-b-0002"
    with pytest.raises(JournalError, match="fits 2 runs"):
        journal.find("20261123")
    with pytest.raises(JournalError, match="there is no run 'x'"):
        journal.find("x")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=512k", "none", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    yield place
    subprocess.run(["umount", place], check=True)


def append_for_ever(run: RunJournal, body: Body) -> None:
    while True:
        run.append(body)


def test_a_full_disk_is_said_and_what_was_written_is_whole(small_disk: Path) -> None:
    journal = JournalFile(small_disk / "journal.db")
    run = writer(journal)
    run.append(BODIES[0])
    long = MessengerFailed(messenger="x", detail="y" * 20_000)
    with pytest.raises(JournalError, match="full") as error:
        append_for_ever(run, long)
    kept = run.sequence
    assert kept > 4
    assert "nothing more is begun" in error.value.state
    assert f"drctl resume {RUN}" in error.value.hint
    with pytest.raises(JournalError):  # it does not get better by itself
        run.append(long)
    assert len(list(journal.events(RUN))) == kept
    journal.close()
    again = JournalFile(small_disk / "journal.db")
    assert len(list(again.events(RUN))) == kept
    again.close()


def test_there_is_no_place_for_a_journal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used") as error:
        JournalFile(tmp_path / "file" / "journal.db")
    assert "--state-dir" in error.value.hint


READ_ONLY = """
import sys
from pathlib import Path
from drctl.adapters.journal import JournalFile
from drctl.errors import JournalError
from tests.unit.test_journal import BODIES, RUN, writer
try:
    journal = JournalFile(Path(sys.argv[1]))
    writer(journal).append(BODIES[4])
except JournalError as error:
    sys.exit(f"refused: {error.message}")
"""


def test_a_journal_that_cannot_be_written_is_refused_before_anything_is_sent(written: JournalFile, path: Path) -> None:
    written.close()
    before = path.read_bytes()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        words = [sys.executable, "-c", READ_ONLY, str(path)]
        if os.geteuid() == 0:
            setpriv = shutil.which("setpriv")
            if setpriv is None:
                pytest.skip("root may write everything, and there is no setpriv")
            # Root may write what it likes, but not without that capability.
            words = [setpriv, "--bounding-set=-dac_override,-dac_read_search,-fowner", *words]
            words[1:1] = ["--inh-caps=-dac_override,-dac_read_search,-fowner"]
        done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    finally:
        path.parent.chmod(0o700)
    assert "refused: the journal" in done.stderr, done.stderr
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_text("a shopping list, and a long one at that: " * 30)
    with pytest.raises(JournalError, match="not a database"):
        JournalFile(path)
    assert path.read_text().startswith("a shopping list")


def test_a_newer_format_is_refused_and_not_changed(written: JournalFile, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version={FORMAT + 1}")
    other.close()
    with pytest.raises(JournalError, match=f"has format {FORMAT + 1}, and this drctl reads up to {FORMAT}"):
        JournalFile(path)
    assert len(list(written.events(RUN))) == len(BODIES)


def test_secrets_are_redacted_before_they_are_hashed(journal: JournalFile, path: Path) -> None:
    redactor = Redactor()
    redactor.add("hunter2-and-more")
    run = writer(journal, redactor=redactor)
    run.append(BODIES[0])
    said = AttemptFinished(
        step="one",
        host="h",
        attempt=1,
        act=Act.RUN,
        outcome=Outcome.FAILED,
        detail="it said hunter2-and-more",
        captured={"a": "hunter2-and-more"},
    )
    event = run.append(said)
    assert isinstance(event.body, AttemptFinished)
    assert "hunter2" not in event.body.detail + event.body.captured["a"]
    assert list(journal.events(RUN))[1] == event, "the chain is over what is kept"
    journal.close()
    assert not [p for p in path.parent.iterdir() if b"hunter2" in p.read_bytes()]


ENDLESS = """
import sys
from pathlib import Path
from drctl.adapters.journal import JournalFile
from drctl.model.events import MessengerFailed
from tests.unit.test_journal import BODIES, writer
run = writer(JournalFile(Path(sys.argv[1])))
if not run.sequence:
    run.append(BODIES[0])
while True:
    event = run.append(MessengerFailed(messenger="x", detail="y" * 500))
    sys.stdout.write(f"{event.sequence} {event.sha256}\\n")
    sys.stdout.flush()
"""


def test_a_writer_that_is_killed_leaves_every_event_that_it_was_told_is_safe(path: Path) -> None:
    """Killed in the middle of writing, several times over, and gone on with each time."""
    told: dict[int, str] = {}
    for round_ in range(1, 3):
        words = [sys.executable, "-c", ENDLESS, str(path)]
        with subprocess.Popen(words, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as writing:
            assert writing.stdout
            for line in writing.stdout:
                number, sha256 = line.split()
                told[int(number)] = sha256
                if len(told) >= 40 * round_:
                    os.kill(writing.pid, signal.SIGKILL)
                    break
            rest = writing.stdout.read()
        for line in rest.splitlines():
            if len(line.split()) == 2 and len(line.split()[1]) == 64:
                told[int(line.split()[0])] = line.split()[1]
        journal = JournalFile(path)
        found = {e.sequence: e.sha256 for e in journal.events(RUN)}
        journal.close()
        assert told.items() <= found.items()
        assert len(found) <= max(told) + 1, "at most the event that was being written"


def test_a_torn_log_gives_a_prefix_and_never_a_changed_event(path: Path, tmp_path: Path) -> None:
    """As a power cut leaves it: the end of the write-ahead log cut off or garbled, at every kind of place."""
    journal = JournalFile(path)
    run = writer(journal)
    whole = [run.append(body) for body in BODIES]
    log = path.with_name("journal.db-wal")
    content = log.read_bytes()
    lengths = {0, 1, 31, 32, 33, *range(0, len(content), 2063), len(content) - 1}
    for number, length in enumerate(sorted(lengths)):
        for garbled in (False, True):
            place = tmp_path / f"torn-{number}-{garbled}"
            place.mkdir()
            shutil.copy(path, place / "journal.db")
            tail = bytes(len(content) - length) if garbled else b""
            (place / "journal.db-wal").write_bytes(content[:length] + tail)
            torn = JournalFile(place / "journal.db")
            events = list(torn.events(RUN))
            assert events == whole[: len(events)]
            if events:
                # Another process goes on from there.
                again = writer(torn).append(replace(BODIES[4], ended=Ended.PAUSED))  # type: ignore[type-var]
                assert list(torn.events(RUN)) == [*events, again]
            torn.close()
    journal.close()


def test_a_run_id_sorts_by_time_and_says_the_service() -> None:
    first = new_run_id(datetime(2026, 11, 23, 1, 12, tzinfo=UTC), "taskflow-demo")
    later = new_run_id(datetime(2026, 11, 23, 1, 13, tzinfo=UTC), "a")
    assert first.startswith("20261123-011200-taskflow-demo-")
    assert first < later
