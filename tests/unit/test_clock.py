"""A machine's clock that is set while a run goes on: durations stay true, and the RTO says what it does not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drctl.adapters.clock import SystemClock
from drctl.cli.watches import ClockWatch
from drctl.engine import objectives
from drctl.engine.fold import fold_all
from drctl.engine.objectives import Verdict
from drctl.engine.ports import ShellCommand
from drctl.model.events import ClockMarked, MessengerFailed, RunResumed, RunStarted
from drctl.model.plan import Mark
from tests.support.world import Bench, CommandResult, FakeHosts, JobName, exits, plan, step

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Hands:
    """The hands of a wall clock that somebody sets, over seconds that nobody can set."""

    def __init__(self) -> None:
        self.passed_s, self.set_by = 0.0, timedelta(0)
        self.clock = SystemClock(wall=self.wall, passing=lambda: self.passed_s)

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s) + self.set_by


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_the_time_of_a_run_goes_on_as_it_passes_when_the_clock_is_set(jump: timedelta) -> None:
    hands = Hands()
    hands.passed_s = 60
    hands.set_by = jump
    assert hands.clock.now() == NOON + timedelta(seconds=60)
    assert hands.clock.moved_s() == jump.total_seconds()
    hands.passed_s = 90
    assert hands.clock.now() == NOON + timedelta(seconds=90)
    # A clock that is made now has never known another time: another process sees the jump.
    assert SystemClock(wall=hands.wall, passing=lambda: hands.passed_s).now() == hands.wall()


@pytest.mark.parametrize(("jump", "how"), [(HOUR, "forward by 1h 00m"), (-HOUR, "back by 1h 00m")])
def test_a_jump_is_said_once_each_time_it_happens(jump: timedelta, how: str) -> None:
    hands, said = Hands(), list[MessengerFailed]()
    watch = ClockWatch(hands.clock, said.append)
    hands.set_by = timedelta(seconds=1)  # what NTP does on any day
    watch.tick(hands.clock.now())
    assert said == []
    hands.set_by = jump
    watch.tick(hands.clock.now())
    watch.tick(hands.clock.now())
    assert [m.messenger for m in said] == ["clock"]
    expected = f"it was set {how} while the run goes on: the run's times and its RTO leave the jump out"
    assert said[0].detail == expected
    hands.set_by = timedelta(0)
    watch.tick(hands.clock.now())
    assert len(said) == 2


def test_a_run_taken_up_before_its_last_event_says_that_the_rto_may_read_too_small() -> None:
    hands, said = Hands(), list[MessengerFailed]()
    watch = ClockWatch(hands.clock, said.append)
    watch.behind(None)
    watch.behind(NOON - HOUR)
    assert said == []
    watch.behind(NOON + HOUR)
    assert said[0].detail == (
        "it is 1h 00m behind the last event of this run: how much time has passed since is not known, and the RTO may "
        "read too small"
    )


def test_a_step_takes_as_long_as_it_takes_whatever_the_clock_does() -> None:
    """The run's whole loop over a clock that is set back an hour in the middle of a step of two minutes."""
    hands = Hands()

    class Slow(FakeHosts):
        def job(self, endpoint: object, command: ShellCommand, *, name: JobName, **more: object) -> CommandResult:
            hands.passed_s += 120
            hands.set_by = -HOUR
            return exits(0)

    class Clock(SystemClock):
        def monotonic(self) -> float:
            return hands.passed_s

    bench = Bench(plan(step("restore", mark=Mark.SERVICE_RESTORED)), hosts=Slow())
    bench.clock = Clock(wall=hands.wall, passing=lambda: hands.passed_s)  # type: ignore[assignment]
    conductor = bench.conductor()
    conductor.journal = _Journal(bench)  # type: ignore[assignment]
    first = RunStarted(plan=bench.plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=False)
    given = ClockMarked(mark=Mark.OUTAGE_STARTED, at=NOON - timedelta(minutes=10), source="given")
    state = conductor.conduct(first, given)
    took = [e.body.duration_s for e in bench.events if e.body.type == "attempt_finished"]  # type: ignore[union-attr]
    assert took == [120.0]
    reading = objectives.rto(state, bench.clock.now())
    assert (reading.actual_s, reading.verdict) == (720.0, Verdict.MET)
    assert [e.at for e in bench.events] == sorted(e.at for e in bench.events)


class _Journal:
    """Events in memory, at the times of the run's own clock."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def append(self, body: object) -> object:
        from drctl.model.events import Event

        number = len(self.bench.events) + 1
        event = Event(
            run_id="r", sequence=number, at=self.bench.clock.now(), body=body, previous="", sha256=""  # type: ignore[arg-type]
        )  # fmt: skip
        self.bench.events.append(event)
        return event


def test_a_restoration_before_the_outage_is_not_an_rto_of_nothing() -> None:
    """The host that dated the outage is ahead of this machine, or this machine was set back between two processes."""
    bench = Bench(plan(step("restore", mark=Mark.SERVICE_RESTORED)))
    bench.run()
    state = fold_all(bench.events)
    ahead = ClockMarked(mark=Mark.OUTAGE_STARTED, at=bench.clock.now() + HOUR, source="step outage")
    journal = _Journal(bench)
    journal.append(ahead)
    journal.append(RunResumed(operator="o@m", controller="m", pid=2, interactive=False))
    reading = objectives.rto(fold_all(bench.events), bench.clock.now())
    assert state.clock[Mark.SERVICE_RESTORED]
    assert (reading.actual_s, reading.verdict) == (None, Verdict.NOT_MEASURED)
    assert reading.basis == "the clocks do not agree: restored (step restore) before it started (step outage)"
