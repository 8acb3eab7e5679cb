"""Plain lines, NDJSON and the choice of the screen."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest

from drctl.adapters.chain import canonical
from drctl.adapters.clock import SystemClock
from drctl.engine.fold import fold, fold_all
from drctl.engine.objectives import Reading, Verdict
from drctl.engine.state import RunState, Target
from drctl.model import events as ev
from drctl.model.events import Event
from drctl.model.plan import Mark
from drctl.report import words
from drctl.screens.base import write
from drctl.screens.choose import choose
from drctl.screens.lines import LinesScreen
from drctl.screens.ndjson import NdjsonScreen
from tests.support import sample_plan, sample_steps
from tests.support import sample_runs as samples


def told(events: Sequence[Event]) -> str:
    stream = io.StringIO()
    screen = LinesScreen(stream)
    state = RunState()
    for event in events:
        state = fold(state, event)
        screen.on_event(event, state)
    return stream.getvalue()


@pytest.mark.parametrize("sample", sorted(samples.SAMPLES))
def test_lines_are_harmless(sample: str) -> None:
    written = told(samples.SAMPLES[sample]())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", written)
    assert "hunter2" not in written


def test_lines_have_a_head_and_a_foot() -> None:
    lines = told(samples.succeeded()).splitlines()
    assert lines[0] == "drctl REAL: failover of acme (Acme Mining (Pty) Ltd)"
    assert "  objectives  RTO 4h 00m, RPO 24h 00m" in lines
    foot = lines[lines.index("REAL DONE: no objective was missed") :]
    assert "  RTO MET 33m 32s of 4h 00m" in foot
    assert foot[-1] == "  next: drctl report 20261123-013104-acme-failover"
    assert any(line.startswith("  exit code 0: done") for line in foot)


def test_a_line_for_each_thing_that_happened() -> None:
    lines = told(samples.succeeded()).splitlines()
    promoted = "01:32:44Z [ 6/13] succeeded promote @ azure-db-1  6.7s (expected 10s)"
    assert [line for line in lines if "succeeded promote" in line] == [promoted]
    assert any("exit code 1, it will be tried again" in line for line in lines)
    assert any("the runbook goes on" in line and "failed " in line for line in lines)
    assert any("clock   service restored" in line and "RTO MET" in line for line in lines)
    slow = next(line for line in lines if "succeeded resize-standby" in line)
    assert "12m 22s (expected 10m 00s), slower than usual" in slow


@pytest.mark.parametrize(
    ("actual_s", "target_s", "said"),
    [
        (None, 14400.0, "RTO NOT MEASURED (target 4h 00m)"),
        (90.0, 14400.0, "RTO NOT MEASURED (target 4h 00m, 1m 30s so far as known)"),
        (None, None, "RTO NOT MEASURED (no target)"),
    ],
)
def test_an_objective_without_a_target_says_so(actual_s: float | None, target_s: float | None, said: str) -> None:
    found = Reading(verdict=Verdict.NOT_MEASURED, actual_s=actual_s, target_s=target_s, basis="")
    assert words.reading("RTO", found) == said


def test_a_failure_shows_its_output() -> None:
    assert "          | pg_ctl: server did not promote in time" in told(samples.paused_after_failure()).splitlines()


def test_doubt_is_never_called_failed() -> None:
    lines = told(samples.in_doubt()).splitlines()
    assert not any("FAILED" in line and "promote" in line for line in lines)
    assert sum("IN DOUBT" in line for line in lines) == 2


def test_a_check_restores_nothing() -> None:
    assert "service restored" not in told(samples.simulated())


def test_a_long_wait_has_a_heartbeat() -> None:
    stream = io.StringIO()
    screen = LinesScreen(stream)
    events = samples.still_going()
    screen.tick(events[0].at)  # before the run there is nothing to say
    screen.on_event(events[-1], fold_all(events))
    before = len(stream.getvalue())
    screen.tick(events[-1].at + timedelta(seconds=14))
    assert len(stream.getvalue()) == before
    screen.tick(events[-1].at + timedelta(seconds=16))
    screen.tick(events[-1].at + timedelta(seconds=20))
    beats = stream.getvalue()[before:].splitlines()
    assert beats == ["01:33:00Z ...     still running resize-standby 16s; RTO clock 21m 00s, 3h 39m left"]


def test_a_heartbeat_says_who_is_waited_for() -> None:
    stream = io.StringIO()
    screen = LinesScreen(stream)
    events = samples.succeeded()[:8]
    screen.on_event(events[-1], fold_all(events))
    screen.tick(events[-1].at + timedelta(seconds=60))
    assert "waiting for an approval (declare)" in stream.getvalue().splitlines()[-1]


def test_no_heartbeat_after_the_end() -> None:
    stream = io.StringIO()
    screen = LinesScreen(stream)
    events = samples.failed()
    screen.on_event(events[-1], fold_all(events))
    before = stream.getvalue()
    screen.tick(events[-1].at + timedelta(hours=1))
    assert stream.getvalue() == before


def test_ndjson_is_the_journal_s_own_form() -> None:
    stream = io.StringIO()
    screen = NdjsonScreen(stream)
    events = samples.hostile()
    for event in events:
        screen.on_event(event, RunState())
        screen.on_output(Target("promote", "azure-db-1"), "x")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert stream.getvalue().isascii()
    assert [line["sequence"] for line in lines] == list(range(1, len(events) + 1))
    assert lines[0]["body"]["type"] == "run_started"
    assert lines[0]["at"] == "2026-11-23T01:31:04.000000Z"


def test_the_journal_s_chain_can_be_checked_from_ndjson(tmp_path_factory: pytest.TempPathFactory) -> None:
    from drctl.adapters.journal import JournalFile

    journal = JournalFile(tmp_path_factory.mktemp("journal") / "journal.db")
    stream = io.StringIO()
    writer = journal.writer("a-run", now=lambda: sample_plan.START, redact=lambda text: text)
    screen = NdjsonScreen(stream)
    for event in samples.succeeded()[:6]:
        screen.on_event(writer.append(event.body), RunState())
    journal.close()
    for line in stream.getvalue().splitlines():
        found = json.loads(line)
        sha256 = found.pop("sha256")
        assert hashlib.sha256(canonical(found).encode()).hexdigest() == sha256


class FakeStream(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "environ", "options", "name"),
    [
        (True, {"TERM": "xterm"}, {}, "live"),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, {}, "live"),
        (True, {"TERM": "dumb"}, {}, "lines"),
        (True, {}, {}, "lines"),
        (True, {"TERM": "xterm"}, {"plain": True}, "lines"),
        (True, {"TERM": "xterm"}, {"as_json": True}, "json"),
        (False, {"TERM": "xterm"}, {}, "lines"),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, {}, "lines"),
    ],
)
def test_choose(terminal: bool, environ: dict[str, str], options: dict[str, bool], name: str) -> None:
    stream = FakeStream()
    stream.terminal = terminal
    screen = choose(stdout=io.StringIO(), stderr=stream, environ=environ, clock=SystemClock(), **options)
    assert screen.name == name


def test_a_terminal_without_utf_8_gets_lines() -> None:
    stream = FakeStream()
    stream.terminal, stream.encoding = True, "iso-8859-1"  # type: ignore[misc]
    screen = choose(stdout=io.StringIO(), stderr=stream, environ={"TERM": "xterm"}, clock=SystemClock())
    assert screen.name == "lines"


def test_what_an_encoding_does_not_know_is_escaped() -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding="ascii")
    write(stream, "café ✓\n")
    assert data.getvalue() == b"caf\\xe9 \\u2713\n"


SWITCH = "at 2026-11-23 05:12:00 SAST you must switch: restore takes 1h 50m (p90 of 6 runs)"


def test_the_deadline_is_told_from_the_first_second_and_what_was_decided() -> None:
    lines = told(samples.at_the_deadline()).splitlines()
    assert "01:31:04Z expect  until the service is restored 27m 34s (from the runbook)" in lines
    assert lines.index(f"01:31:04Z clock   {SWITCH}; in 1h 41m") < next(
        n for n, line in enumerate(lines) if "start " in line
    )
    decided = next(line for line in lines if "ANSWER" in line and "fallback" in line)
    assert decided == "03:12:40Z ANSWER    the run: thandi@bastion-cpt said fallback: Azure does not answer"


def test_the_heartbeat_says_by_when_and_without_the_outage_that_it_is_not_known() -> None:
    stream = io.StringIO()
    screen, state = LinesScreen(stream), RunState()
    for event in samples.at_the_deadline()[:4]:
        state = fold(state, event)
        screen.on_event(event, state)
    screen.tick(event.at + timedelta(seconds=60))
    assert stream.getvalue().splitlines()[-1].endswith("left, switch by 2026-11-23 05:12:00 SAST")
    run = sample_steps.Builder(samples.with_a_fallback()).begin(outage=False)
    lines = told(samples.forecast_of(run).events).splitlines()
    unknown = "when you must switch is not known before the start of the outage is; the fallback takes 1h 50m"
    assert lines[-1] == f"01:31:04Z clock   {unknown} (p90 of 6 runs)"


def test_a_deadline_becomes_known_with_the_outage() -> None:
    run = samples.forecast_of(sample_steps.Builder(samples.with_a_fallback()).begin(outage=False))
    run.add(ev.ClockMarked(mark=Mark.OUTAGE_STARTED, at=sample_plan.OUTAGE, source="given"), after_s=60)
    assert told(run.events).splitlines()[-1] == f"01:32:04Z clock   {SWITCH}; in 1h 40m"
