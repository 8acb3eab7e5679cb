"""An abort that was asked for takes effect, whatever moment it came at; or whoever asked hears that it did not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drctl.adapters.journal import JournalFile, Request
from drctl.adapters.lock import service_lock
from drctl.cli import elsewhere
from drctl.cli.main import execute
from drctl.cli.open_runs import state_of
from drctl.cli.session import Manner, go_on
from drctl.cli.settings import Settings
from drctl.engine.state import RunState
from drctl.errors import ExitCode, UsageError
from drctl.model.events import AttemptStarted, Ended, Event, RunEnded, RunResumed, RunStarted, StopRequested
from drctl.model.words import OnFailure
from tests.support.world import Bench, exits, plan, step

ASKED = StopRequested(by="thandi: the data centre is back", how="abort")


class Letter:
    """A mailbox in which an abort lies from the moment on when the journal has this many events."""

    def __init__(self, events: list[Event], *, since: int) -> None:
        self.events, self.since = events, since

    def stop(self) -> StopRequested | None:
        return ASKED if len(self.events) >= self.since else None


def pausing_bench() -> Bench:
    """A run that changes something, pauses by itself at a failure, and would go on with ``later``."""
    bench = Bench(
        plan(
            step("change"),
            step("gate", read_only=True, on_failure=OnFailure.PAUSE),
            step("later"),
            always=[step("tidy")],
        )
    )
    bench.hosts.scripts["gate"] = lambda n: exits(1 if n == 1 else 0)
    return bench


def life(bench: Bench, since: int, *, resumed: bool) -> RunState:
    """The run, or its next life; the abort comes with event number ``since``."""
    conductor = bench.conductor()
    conductor.mailbox = Letter(bench.events, since=since)
    bench.clock.passed_s += 5
    if resumed:
        return conductor.conduct(RunResumed(operator="p@n", controller="n", pid=2, interactive=False))
    return conductor.conduct(
        RunStarted(plan=bench.plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=False)
    )


EVENTS_UNTIL_THE_PAUSE = 8  # started, change (2), gate (2), asked, answered, ended


def test_an_abort_takes_effect_whichever_event_of_a_run_that_pauses_it_came_with() -> None:
    whole = pausing_bench()
    assert life(whole, 1000, resumed=False).ended is Ended.PAUSED
    assert len(whole.events) == EVENTS_UNTIL_THE_PAUSE, "the run itself is another one now: so are its moments"
    for since in range(1, EVENTS_UNTIL_THE_PAUSE + 2):
        bench = pausing_bench()
        state = life(bench, since, resumed=False)
        if state.ended is Ended.PAUSED:
            before = len(bench.events)
            state = life(bench, since, resumed=True)
            taken_up = [type(e.body) for e in bench.events[before:]]
            assert taken_up[:2] == [RunResumed, StopRequested], f"since event {since}: something came before it"
        assert state.ended is Ended.ABORTED, f"it came with event {since}"
        assert "the data centre is back" in state.ended_why
        assert bench.hosts.effects["later"] == 0
        assert bench.hosts.effects["tidy"] == 1


def test_an_abort_is_more_than_the_stop_that_a_signal_asked_for_before() -> None:
    """The step in hand is not waited for any more: its job is ended."""
    bench = Bench(plan(step("long"), step("later"), always=[step("tidy")]))
    killed = threading.Event()
    conductor = bench.conductor()
    conductor.mailbox = mailbox = Letter(bench.events, since=1000)

    def long(_: int) -> object:
        conductor.inbox.put(StopRequested(by="o@m", how="SIGINT"))
        mailbox.since = 3  # started, intent, and the stop
        assert killed.wait(30)
        return exits(143)

    def kill(*_: object, **__: object) -> object:
        killed.set()
        return exits(0)

    bench.hosts.scripts["long"] = long  # type: ignore[assignment]
    bench.hosts.kill = kill  # type: ignore[assignment,method-assign]
    bench.listeners.append(_Hurries(bench))
    conductor.listeners = list(bench.listeners)  # type: ignore[arg-type]
    state = conductor.conduct(
        RunStarted(plan=bench.plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=False)
    )
    assert state.ended is Ended.ABORTED
    assert bench.hosts.effects == {"long": 1, "tidy": 1}


class _Hurries:
    """Time passes while the loop waits, as it does everywhere else."""

    name = "hurries"

    def __init__(self, bench: Bench) -> None:
        self._clock = bench.clock

    def on_event(self, event: Event, state: RunState) -> None:
        return

    def on_output(self, *_: object) -> None:
        return

    def tick(self, now: datetime) -> None:
        self._clock.sleep(1)


INVENTORY = """inventory: office
residency: ZA
sites: {jnb: {provider: X, country: ZA, kind: datacentre}}
hosts: {db: {site: jnb, address: 192.0.2.1}}
services: {acacia: {title: Acacia, sla: false, roles: {primary: db}}}
"""
RUNBOOK = """runbook: tidy
title: Tidy
steps:
  - {id: gate, approval: {prompt: "Go?"}}
  - {id: change, local: touch changed}
always:
  - {id: last, local: touch last}
"""
TWO_QUESTIONS = """runbook: tidy
title: Tidy
steps:
  - {id: first, approval: {prompt: "Go?"}}
  - {id: change, local: touch changed}
  - {id: second, approval: {prompt: "On?"}}
"""
RUN = ["run", "tidy.yml", "acacia", "-i", "office.yml", "--yes", "--no-input"]
ABORT = ["abort", "--reason", "the client is back"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The state of a run that has paused by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DRCTL_STATE_DIR", str(tmp_path / "state"))
    for path, text in (("office.yml", INVENTORY), ("tidy.yml", RUNBOOK)):
        Path(path).write_text(text)
    assert execute(RUN) == ExitCode.NEEDS_A_PERSON
    return Settings(given=str(tmp_path / "state"))


def paused(settings: Settings) -> RunState:
    journal = settings.journal()
    try:
        return state_of(journal, journal.find(None))
    finally:
        journal.close()


def asked(journal: JournalFile, run_id: str) -> bool:
    return any(r.kind == "abort" for r in journal.requests(run_id))


@contextmanager
def somebody_conducts(
    settings: Settings, run_id: str, once_asked: Callable[[JournalFile], None] | None
) -> Iterator[None]:
    """Another process has the service's lock for this run; once it is asked to abort it does that, and is gone."""
    there, over = threading.Event(), threading.Event()

    def hold() -> None:
        journal = settings.journal()
        now = datetime.now(UTC)
        with service_lock(settings.locks, "acacia", run_id=run_id, who="sipho@here", now=now):
            there.set()
            while not over.wait(0.05):
                if once_asked is not None and asked(journal, run_id):
                    once_asked(journal)
                    break
        journal.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert there.wait(30)
    try:
        yield
    finally:
        over.set()
        holder.join()


def test_an_abort_that_comes_while_a_run_that_has_paused_lets_go_of_its_service_ends_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with somebody_conducts(settings, paused(settings).run_id, lambda _: None):
        assert execute(ABORT) == ExitCode.ABORTED
    assert "ABORTED by" in capsys.readouterr().err
    state = paused(settings)
    assert state.ended is Ended.ABORTED
    assert "the client is back" in state.ended_why
    assert not Path("changed").exists()
    assert Path("last").exists()


def test_an_abort_that_nobody_lived_to_hear_is_taken_up_by_the_next_resume_before_anything_begins(
    settings: Settings,
) -> None:
    run_id = paused(settings).run_id
    journal = settings.journal()
    journal.ask(run_id, Request(kind="abort", step="", who="thandi@there", why="it is back", at="2026-11-24T01:00:00Z"))
    journal.close()
    assert execute(["resume", "--no-input", "--approve", "gate=yes"]) == ExitCode.ABORTED
    assert not Path("changed").exists()
    assert Path("last").exists()
    assert paused(settings).abort == "thandi@there: it is back"


def test_an_abort_that_comes_after_the_end_says_so(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = paused(settings).run_id

    def ends_well(journal: JournalFile) -> None:
        journal.writer(run_id, now=lambda: datetime.now(UTC), redact=str).append(RunEnded(ended=Ended.DONE))

    with somebody_conducts(settings, run_id, ends_well):
        assert execute(ABORT) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "is over: done" in said
    assert "the abort came too late, and changed nothing" in said


def test_an_abort_that_is_heard_says_so_and_leaves_the_rest_to_whoever_heard_it(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = paused(settings).run_id

    def hears(journal: JournalFile) -> None:
        writer = journal.writer(run_id, now=lambda: datetime.now(UTC), redact=str)
        writer.append(ASKED)
        writer.append(RunEnded(ended=Ended.ABORTED, why=ASKED.by))

    with somebody_conducts(settings, run_id, hears):
        assert execute(ABORT) == ExitCode.DONE
    assert f"{run_id} is being given up" in capsys.readouterr().err


def test_an_abort_that_is_not_heard_says_that_it_stands(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "PATIENCE_S", 0.2)
    with somebody_conducts(settings, paused(settings).run_id, None):
        assert execute(ABORT) == ExitCode.NEEDS_A_PERSON
    said = " ".join(capsys.readouterr().err.split())
    assert "has not taken the abort up" in said
    assert "the abort stands" in said
    assert execute(["resume", "--no-input"]) == ExitCode.ABORTED


def test_an_abort_of_a_paused_run_whose_service_another_run_holds_is_refused(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = paused(settings).run_id
    with somebody_conducts(settings, "another-run", None):
        assert execute(ABORT) == ExitCode.LOCKED
    assert "is held by the run another-run" in capsys.readouterr().err
    journal = settings.journal()
    assert not asked(journal, run_id)
    journal.close()


def test_what_happened_between_a_look_at_the_journal_and_the_lock_is_not_done_again(settings: Settings) -> None:
    """Two resumes at once: the second has read the journal before the first went on."""
    Path("tidy.yml").write_text(TWO_QUESTIONS)
    assert execute(RUN) == ExitCode.NEEDS_A_PERSON
    stale = paused(settings)
    assert execute(["resume", "--no-input", "--approve", "first=yes"]) == ExitCode.NEEDS_A_PERSON
    yes = Manner(plain=True, approvals={"first": "yes", "second": "yes"})
    assert go_on(settings, stale, yes) == ExitCode.DONE
    journal = settings.journal()
    begun = [e.body.step for e in journal.events(stale.run_id) if isinstance(e.body, AttemptStarted)]
    journal.close()
    assert begun == ["change"]
    with pytest.raises(UsageError, match="is over: done"):
        go_on(settings, stale, yes)
