"""A run that begins the outage itself: what prepares it is on no clock, and proves nothing of what comes after."""

from __future__ import annotations

from pathlib import Path

from drctl.model.events import RunStarted
from drctl.model.plan import Mark, Plan, Section, Stage
from drctl.model.promises import DeadlineAction, DeadlineRule
from drctl.plan.bounds import bounds
from drctl.plan.build import build_plan
from drctl.plan.codec import step_digest
from drctl.plan.preparation import without_a_clock_in_the_preparation
from drctl.plan.timing import Span
from drctl.read.documents import read_inventory, read_runbook
from drctl.screens.clocks import clock_lines
from tests.support.world import CONTINUE, Bench, exits, plan_of_stages, step

CASES = Path(__file__).parents[1] / "cases" / "plans"
CALLED = """\
runbook: RUNBOOK
title: It recovers
LEAVES
steps:
  - {id: seen, local: date -u +%FT%TZ, capture: {seen: time}, marks: {outage_started: seen}, last_write: seen}
  - {id: fence, local: echo, proves: primary_fenced}
  - {id: promote, local: echo, requires: primary_fenced}
  - {id: point, local: date -u +%FT%TZ, capture: {point: time}, recovery_point: point}
  - {id: up, local: echo, timeout: 2h, marks: service_restored}
"""
LEAVES = "deadline: {action: fallback, margin: 10m, until: up}\non_failure: {runbook: last}"
DRILL = """\
runbook: drill
title: It prepares, and loses a server
objectives: {rto: 4h, rpo: 24h}
steps:
  - {id: before, runbook: first}
  - {id: loss, local: echo, LOSS}
  - {id: after, runbook: second}
"""


def made(folder: Path, *, loss: str = "marks: outage_started") -> Plan:
    texts = {
        "first": CALLED.replace("RUNBOOK", "first").replace("LEAVES", ""),
        "second": CALLED.replace("RUNBOOK", "second").replace("LEAVES", LEAVES),
        "last": "runbook: last\ntitle: Last\nsteps: [{id: back, local: echo, marks: service_restored}]\n",
        "drill": DRILL.replace("LOSS", loss),
    }
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    runbook, problems = read_runbook(folder / "drill.yml")
    assert runbook is not None, problems
    inventory, _ = read_inventory(CASES / "inventory.yml")
    assert inventory is not None
    return build_plan(runbook, inventory, service="demo", version="0")


def test_the_clock_is_that_of_the_outage(tmp_path: Path) -> None:
    plan = made(tmp_path)
    assert {s.id: s.mark for s in plan.steps() if s.mark} == {
        "loss": Mark.OUTAGE_STARTED,
        "after/up": Mark.SERVICE_RESTORED,
        "last/back": Mark.SERVICE_RESTORED,
    }
    assert [s.id for s in plan.steps() if s.recovery_point] == ["after/point"]
    assert [s.id for s in plan.steps() if s.last_write] == ["after/seen"]
    assert all(s.digest == step_digest(s) for s in plan.steps())
    # Two hours and three short steps, of which none is the preparation's; and so the RTO of 4 h can be held.
    assert bounds(plan).until_restored == Span(usual_s=0, worst_s=5 * 60 + 7200)


def test_the_deadline_is_that_of_the_runbook_that_falls_back(tmp_path: Path) -> None:
    assert made(tmp_path).deadline == DeadlineRule(action=DeadlineAction.FALLBACK, margin_s=600, until="after/up")


def test_an_outage_that_was_found_leaves_everything_as_it_is(tmp_path: Path) -> None:
    plan = made(tmp_path, loss="read_only: true")
    assert [s.id for s in plan.steps() if s.mark is Mark.OUTAGE_STARTED] == ["before/seen", "after/seen"]
    assert {s.proves for s in plan.steps() if s.proves} == {"primary_fenced"}


def test_a_server_that_was_put_to_use_since_is_fenced_anew() -> None:
    steps = (
        step("fence", proves="primary_fenced"),
        step("clone", requires="primary_fenced"),
        step("loss", mark=Mark.OUTAGE_STARTED),
        step("fence-again", proves="primary_fenced", on_failure=CONTINUE),
        step("promote", requires="primary_fenced"),
    )
    stages = [Stage(section=Section.STEPS, steps=(one,)) for one in steps]
    for code, promoted in ((0, 1), (1, 0)):
        bench = Bench(plan_of_stages(*without_a_clock_in_the_preparation(stages)))
        bench.hosts.scripts["fence-again"] = lambda _, code=code: exits(code)
        bench.run()
        assert bench.hosts.effects["clone"] == 1
        assert bench.hosts.effects["promote"] == promoted


def test_until_then_nobody_is_asked_when_the_outage_began() -> None:
    bench = Bench(plan_of_stages(Stage(section=Section.STEPS, steps=(step("loss", mark=Mark.OUTAGE_STARTED),))))
    begun = bench.conductor()
    begun._take(RunStarted(plan=bench.plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False))
    clock = next(iter(clock_lines(begun.state, bench.clock.now(), width=100, notes=False)))
    assert clock.plain == " RTO  the outage begins with step loss, target 4h 00m; this run 0.0s"
