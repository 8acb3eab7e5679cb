"""How long it will take: from this service's runs, from size and rate, from other services' runs, from the runbook."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drctl.adapters import history as adapter
from drctl.adapters.journal import JournalFile
from drctl.engine.forecast import History, Took, forecast, learn
from drctl.engine.objectives import usual_time_left_s
from drctl.engine.ports import CommandResult
from drctl.engine.state import RunState
from drctl.model.events import Ended, Estimate, Event, ForecastMade, RunStarted
from drctl.model.plan import Capture, CaptureType, Mark, Mode, Plan, Section, Shell, Stage, Step
from drctl.model.promises import Carries
from drctl.plan.codec import from_json, to_json, work_digest
from tests.support.world import START, Bench, endpoint, exits, ok, plan_of_stages, step

SIZE = Capture(name="backup_bytes", type=CaptureType.BYTES)
COPY = step("copy", expected_s=1.0, carries=Carries(size="backup_bytes", mb_per_s=100))
UP = step("up", expected_s=2.0, mark=Mark.SERVICE_RESTORED)


def restore(*, service: str = "demo", mode: Mode = Mode.DRILL, copy: Step = COPY) -> Plan:
    """A restore as a runbook of its own, its steps on this service's hosts."""
    own = endpoint(f"{service}-standby")
    steps = [replace(s, endpoints=(own,)) for s in (step("size", read_only=True, captures=(SIZE,)), copy, UP)]
    stages = [Stage(section=Section.STEPS, steps=(s,)) for s in steps]
    return replace(plan_of_stages(*stages, mode=mode), runbook="restore", service=service)


def failover(*, service: str = "demo", copy: Step = COPY) -> Plan:
    """A failover that falls back on that restore."""
    back = tuple(
        Stage(section=Section.FALLBACK, steps=tuple(replace(s, id=f"restore/{s.id}") for s in stage.steps))
        for stage in restore(service=service, copy=copy).stages
    )
    one = Stage(section=Section.STEPS, steps=(step("promote", expected_s=9.0, mark=Mark.SERVICE_RESTORED),))
    return replace(plan_of_stages(one, *back), service=service, runbook="failover")


def ran(plan: Plan, *, seconds: float, size: bytes = b"4000000000") -> RunState:
    """A run of it in which ``copy`` takes that long."""
    bench = Bench(plan)

    def copies(_: int) -> CommandResult:
        bench.clock.sleep(seconds)
        return exits(0)

    bench.hosts.scripts |= {"copy": copies, "size": lambda _: ok(size)}
    state = bench.run()
    assert state.ended is Ended.DONE
    return state


def of(made: ForecastMade, step_id: str) -> Estimate:
    return next(found.estimate for found in made.steps if found.step == step_id)


def test_of_this_services_runs_the_median_and_the_p90_by_the_nearest_rank() -> None:
    states = [ran(restore(), seconds=s) for s in (30, 10, 20, 60, 50, 40)]
    made = forecast(failover(), learn(states, service="demo"))
    found = of(made, "restore/copy")
    assert (round(found.usual_s), round(found.careful_s), found.runs, found.basis) == (30, 60, 6, "p90 of 6 runs")
    assert made.fallback is not None
    assert (round(made.fallback.usual_s), round(made.fallback.careful_s)) == (30, 60)
    assert made.fallback.basis == "p90 of 6 runs"


def drilled(plan: Plan) -> Plan:
    """The same as a drill on a stand-in: prepared, and called under its name."""
    called = tuple(
        replace(stage, steps=tuple(replace(s, id=f"{plan.runbook}/{s.id}") for s in stage.steps))
        for stage in plan.stages
    )
    ground = Stage(section=Section.STEPS, steps=(step("ground"),))
    return replace(
        plan, stages=(ground, *called), runbook=f"drill-{plan.runbook}", service="cedar", drill_of=plan.service
    )


def test_a_drill_on_a_stand_in_tells_of_the_service_and_the_runbook_that_it_is_for() -> None:
    states = [ran(drilled(restore()), seconds=30), ran(restore(), seconds=10)]
    made = forecast(failover(), learn(states, service="demo"))
    assert of(made, "restore/copy").basis == "p90 of 2 runs, 1 on a stand-in"
    assert made.fallback is not None
    assert (round(made.fallback.usual_s), made.fallback.basis) == (10, "p90 of 2 runs, 1 on a stand-in")
    own = forecast(drilled(restore()), learn(states, service="demo"))
    assert (own.restored.runs, own.restored.basis) == (1, "p90 of 1 run, 1 on a stand-in")


def test_one_run_is_what_is_known_and_one_that_was_resumed_or_only_looked_is_not() -> None:
    whole = ran(restore(), seconds=30)
    looked = replace(whole, plan=restore(mode=Mode.CHECK))
    assert forecast(failover(), learn([whole, looked], service="demo")).fallback == Estimate(
        usual_s=pytest.approx(30, abs=1), careful_s=pytest.approx(30, abs=1), runs=1, basis="p90 of 1 run"
    )
    made = forecast(failover(), learn([replace(whole, resumed=1)], service="demo"))
    assert made.fallback is not None
    assert made.fallback.basis == "p90 of 1 run"  # each step's is known still
    assert of(made, "promote").basis == "from the runbook"


def test_without_history_it_is_size_by_the_rate_that_the_inventory_assumes() -> None:
    copy = replace(COPY, carries=Carries(size="backup_bytes", size_bytes=5.7e9, mb_per_s=200))
    made = forecast(failover(copy=copy), History())
    found = of(made, "restore/copy")
    assert (found.usual_s, found.careful_s) == (28.5, 28.5)
    assert found.basis == "estimated: 5.7 GB at 200 MB/s, as the inventory assumes"
    assert made.fallback is not None
    assert made.fallback.careful_s == pytest.approx(28.5 + 2)
    assert made.fallback.basis == f"{found.basis}; the rest from the runbook; 1 step does not say"


def test_the_newest_size_that_was_captured_and_the_rate_of_other_services_come_first() -> None:
    """Ten times faster elsewhere than the inventory assumes, and the slower of two is the careful one."""
    others = [ran(restore(service="other"), seconds=s) for s in (4, 8)]
    own = replace(ran(restore(), seconds=1, size=b"9000000000"), targets={})  # it captured, and was never seen to copy
    older = replace(own, values={"backup_bytes": "1"})
    found = of(forecast(failover(), learn([own, older, *others], service="demo")), "restore/copy")
    assert found.basis == "estimated: 9.0 GB at 500 MB/s, as in 2 runs of other services"
    assert (round(found.usual_s), round(found.careful_s)) == (18, 18)


def test_without_a_size_other_services_runs_are_taken_and_said_to_be_theirs() -> None:
    copy = replace(COPY, carries=None)
    states = [ran(restore(service="other", copy=copy), seconds=30)]
    made = forecast(failover(copy=copy), learn(states, service="demo"))
    assert of(made, "restore/copy").basis == "p90 of 1 run of other services"
    assert made.fallback is not None
    assert round(made.fallback.careful_s) == 30


def test_last_comes_what_the_runbook_says() -> None:
    made = forecast(failover(copy=replace(COPY, carries=None)), History())
    assert made.restored == Estimate(usual_s=9.0, careful_s=9.0, basis="from the runbook")
    assert made.fallback == Estimate(usual_s=3.0, careful_s=3.0, basis="from the runbook; 1 step does not say")


def test_another_script_of_the_same_name_is_another_step() -> None:
    state = ran(restore(), seconds=30)
    other = replace(COPY, action=Shell(script="copy faster"), carries=None)
    made = forecast(failover(copy=other), learn([state], service="demo"))
    assert of(made, "restore/copy").basis == "from the runbook"
    assert of(made, "restore/size").basis == "p90 of 1 run"
    assert made.fallback is not None
    assert made.fallback.basis == "p90 of 1 run; the rest from the runbook"


def test_what_a_step_does_is_not_where_or_with_which_words() -> None:
    here = Shell(script='exec "$@"', words=("az", "acacia"), command="resize", local=True)
    one, other = step("a", action=here), step("a", host="elsewhere", action=replace(here, words=("az", "baobab")))
    assert work_digest(one) == work_digest(other)
    assert work_digest(one) != work_digest(step("a", action=replace(here, command="shrink")))
    assert work_digest(one) != work_digest(replace(one, become="postgres"))


def test_a_forecast_is_read_back_as_it_was_written() -> None:
    made = forecast(failover(), History(took=(Took(service="x", what="x", work="x", seconds=1.0),)))
    assert from_json(ForecastMade, to_json(made)) == made


def kept(path: Path, states: list[list[Event]], ids: list[str]) -> JournalFile:
    journal = JournalFile(path)
    for events, run_id in zip(states, ids, strict=True):
        writer = journal.writer(run_id, now=lambda: START, redact=lambda text: text)
        for event in events:
            writer.now = lambda at=event.at: at  # type: ignore[misc]
            writer.append(event.body)
    return journal


def events_of(plan: Plan, seconds: float) -> list[Event]:
    bench = Bench(plan)

    def copies(_: int) -> CommandResult:
        bench.clock.sleep(seconds)
        return exits(0)

    bench.hosts.scripts |= {"copy": copies, "size": lambda _: ok(b"4000000000")}
    bench.run()
    return bench.events


def test_a_journal_of_many_runs_is_read_in_its_newest_parts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, late = events_of(restore(), 10), events_of(restore(), 99)
    other = events_of(restore(service="other"), 50)
    number = 120
    ids = [f"20261123-{n:06d}-{'demo' if n % 2 else 'other'}-abcd" for n in range(number)]
    newest = number - 2 * adapter.NEWEST
    states = [other if n % 2 == 0 else late if n >= newest else quick for n in range(number)]
    journal = kept(tmp_path / "journal.db", states, ids)
    read: list[str] = []
    events = JournalFile.events
    monkeypatch.setattr(JournalFile, "events", lambda self, run_id: read.append(run_id) or events(self, run_id))
    found = adapter.history(journal, "demo")
    assert len(read) == 2 * adapter.NEWEST
    made = forecast(failover(), found)
    assert of(made, "restore/copy").runs == adapter.NEWEST
    assert round(of(made, "restore/copy").usual_s) == 99  # none of the quick ones, which are older


def test_a_run_that_cannot_be_read_tells_nothing_and_stops_nothing(tmp_path: Path) -> None:
    events = events_of(restore(), 10)
    ids = ["20261123-000001-demo-aaaa", "20261123-000002-demo-bbbb"]
    journal = kept(tmp_path / "journal.db", [events, events], ids)
    journal._db.execute("DROP TRIGGER events_are_facts")
    journal._db.execute("UPDATE events SET at='2026-11-23T01:00:09.000000Z' WHERE run_id LIKE '%bbbb' AND sequence=3")
    assert of(forecast(failover(), adapter.history(journal, "demo")), "restore/copy").runs == 1


def test_the_forecast_of_what_is_left_uses_it_and_leaves_the_fallback_out() -> None:
    plan = failover()
    begun = Bench(plan).conductor()
    begun._take(RunStarted(plan=plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False))
    begun._take(forecast(plan, learn([ran(restore(), seconds=30)], service="demo")))
    now, until = START + timedelta(seconds=1), Mark.SERVICE_RESTORED
    assert usual_time_left_s(begun.state, now, until=until) == 9.0
    assert round(usual_time_left_s(replace(begun.state, fallen_back="x"), now, until=until)) == 30
