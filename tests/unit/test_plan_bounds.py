"""The usual and the worst case of a plan, in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.model.plan import Plan, Section
from drctl.plan.bounds import bound_problems, bounds, usual_s, worst_s
from drctl.plan.build import RunbookDocument, build_plan
from drctl.plan.promised import promise_problems, timed
from drctl.plan.timing import Span
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.link import link

CASES = Path(__file__).parents[1] / "cases" / "plans"


def made(tmp_path: Path, body: str, service: str = "demo") -> tuple[Plan, RunbookDocument]:
    path = tmp_path / "runbook.yml"
    path.write_text(f"runbook: test\ntitle: Test\n{body}\n")
    runbook, problems = read_runbook(path)
    assert runbook is not None, problems
    inventory, _ = read_inventory(CASES / "inventory.yml")
    assert inventory is not None
    return build_plan(runbook, inventory, service=service, version="0"), runbook


@pytest.mark.parametrize(
    ("step", "usual", "worst"),
    [
        ("local: echo", 0, 60),
        ("local: echo, timeout: 10s, expected: 3s", 3, 10),
        ("local: echo, timeout: 10s, idempotent: true, retry: {attempts: 4, backoff: 3, max_delay: 5s}", 0, 49),
        ("local: echo, timeout: 10s, unless: 'true'", 0, 20),
        ("local: echo, timeout: 10s, verify: {local: 'true', within: 20s}", 0, 31),
        ("wait: 90s", 90, 90),
        ("wait: 90s, verify: {local: 'true', within: 20s}", 90, 111),
        ("approval: {prompt: '?'}", 0, 0),
        ("approval: {prompt: '?'}, expected: 5m", 300, 0),
        ("hosts: [primary, standby], run: echo, timeout: 10s", 0, 10),  # side by side
    ],
)  # fmt: skip
def test_a_step_in_a_plan_and_as_it_is_written(step: str, usual: float, worst: float, tmp_path: Path) -> None:
    plan, runbook = made(tmp_path, f"steps:\n  - {{id: a, {step}}}")
    assert usual_s(plan.step("a")) == usual
    assert worst_s(plan.step("a")) == worst
    (written,) = map(timed, link(runbook))
    assert (written.usual_s, written.worst_s) == (usual, worst)


def test_attempts_of_a_call_cost_the_time_for_new_ones_and_twice_the_longest(tmp_path: Path) -> None:
    (tmp_path / "copy.yml").write_text(
        "runbook: copy\ntitle: Copy\ninputs:\n  service: {type: service, required: true}\n"
        "steps:\n  - {id: a, local: echo, timeout: 10s, expected: 2s}\n  - {id: b, local: echo, timeout: 20s}\n"
    )
    for retry, most_s in (
        ("{attempts: 5}", 150),
        ("{attempts: 5, within: 1m}", 60 + 2 * 30),
        ("{attempts: 3, within: 1m}", 90),
    ):
        plan, _ = made(tmp_path, f"steps:\n  - {{id: call, runbook: copy, retry: {retry}}}")
        assert bounds(plan).total == Span(usual_s=2, worst_s=most_s), retry


SECTIONS = """
preconditions:
  - {id: p, hosts: primary, run: echo, timeout: 5s, expected: 1s}
steps:
  - parallel:
      - {id: a, local: echo, timeout: 20s, expected: 2s}
      - {id: b, local: echo, timeout: 10s, expected: 8s}
  - {id: ask, approval: {prompt: "?"}}
  - {id: restored, local: echo, timeout: 30s, expected: 4s, marks: service_restored}
  - {id: backup, local: echo, timeout: 1h}
always:
  - {id: z, local: echo, timeout: 7s, expected: 1s}
"""


def test_sections_and_the_part_that_the_rto_is_about(tmp_path: Path) -> None:
    found = bounds(made(tmp_path, SECTIONS)[0])
    assert dict(found.sections) == {
        Section.PRECONDITIONS: Span(usual_s=1, worst_s=5),
        Section.STEPS: Span(usual_s=12, worst_s=3650),
        Section.ALWAYS: Span(usual_s=1, worst_s=7),
    }
    assert found.total == Span(usual_s=14, worst_s=3662)
    assert found.until_restored == Span(usual_s=13, worst_s=55)
    assert found.undeclared == ("backup",)
    assert found.people == ("ask",)


def test_without_a_mark_all_steps_count(tmp_path: Path) -> None:
    found = bounds(made(tmp_path, SECTIONS.replace(", marks: service_restored", ""))[0])
    assert found.until_restored == Span(usual_s=13, worst_s=3655)


@pytest.mark.parametrize(
    ("rto", "said", "longest"),
    [
        ("56s", "", ""),
        ("55s", "", ""),
        (
            "54s",
            "may take 55s to restore the service when every step runs into its timeout, and the RTO of demo is 54s",
            "the dearest steps: restored 30s (FILE:11:5), a 20s (FILE:8:9), b 10s (FILE:9:9); lower their timeout",
        ),
        ("13s", "may take 55s", ""),
        (
            "12s",
            "usually takes 13s to restore the service, and the RTO of demo is 12s",
            "b 8.0s (FILE:9:9), restored 4.0s (FILE:11:5), a 2.0s (FILE:8:9); make them quicker",
        ),
    ],
)
def test_an_rto_that_cannot_be_kept_is_told(rto: str, said: str, longest: str, tmp_path: Path) -> None:
    problems = bound_problems(*made(tmp_path, f"objectives: {{rto: {rto}}}{SECTIONS}"))
    assert len(problems) == bool(said)
    for problem in problems:
        assert said in problem.message
        assert longest.replace("FILE", str(tmp_path / "runbook.yml")) in problem.hint
        assert problem.severity == "error"
        assert (problem.line, problem.column) == (3, 14)


def test_no_promise_no_warning(tmp_path: Path) -> None:
    text = (CASES / "inventory.yml").read_text().replace("objectives: {rto: 4h, rpo: 24h}\n", "")
    (tmp_path / "inventory.yml").write_text(text)
    inventory, _ = read_inventory(tmp_path / "inventory.yml")
    _, runbook = made(tmp_path, "steps: [{id: a, wait: 9d}]")
    assert inventory is not None
    plan = build_plan(runbook, inventory, service="demo", version="0")
    assert plan.objectives.rto_s is None
    assert bound_problems(plan, runbook) == []


FALLBACK = """
objectives: {rto: 5m}
on_failure: {runbook: other}
steps:
  - {id: try, local: echo, timeout: 60s, marks: service_restored, expected: 1s}
  - {id: backup, local: echo, timeout: 2h, expected: 1s}
"""
OTHER = """
runbook: other
title: The other way
preconditions:
  - {id: gate, local: echo, timeout: 10s, expected: 1s}
steps:
  - {id: copy, local: echo, timeout: 2m, idempotent: true, retry: {attempts: 2, delay: 9s}, expected: 1s}
  - {id: up, local: echo, verify: {local: "true", within: TIME}, marks: service_restored, expected: 1s}
  - {id: after, local: echo, timeout: 3h, expected: 1s}
"""


@pytest.mark.parametrize(("rto", "kept"), [("380s", False), ("383s", False), ("384s", True)])
def test_the_longest_way_fails_at_its_end_and_then_falls_back(rto: str, kept: bool, tmp_path: Path) -> None:
    """60 + (10 + 2 x 120 + 9) + (60 + 4 + 1) s; what comes after the mark costs nothing."""
    (tmp_path / "other.yml").write_text(OTHER.replace("TIME", "4s"))
    plan, runbook = made(tmp_path, FALLBACK.replace("rto: 5m", f"rto: {rto}"))
    problems = bound_problems(plan, runbook)
    assert [p.severity for p in promise_problems(runbook)] == [p.severity for p in problems] == ["error"] * (not kept)
    for problem in problems:
        assert "may take 6m 24s (1m 00s, then 5m 24s for the fallback)" in problem.message
        assert f"other/copy 4m 09s ({tmp_path / 'other.yml'}:7:5), other/up 1m 05s" in problem.hint
        assert "backup" not in problem.hint
        assert (problem.line, problem.column) == (4, 14)


def test_people_and_waits_count_the_same_without_an_inventory(tmp_path: Path) -> None:
    body = """
objectives: {rto: 1m}
steps:
  - {id: ask, approval: {prompt: "?"}}
  - {id: by-hand, manual: Do it}
  - {id: pause, wait: 61s}
  - {id: up, local: echo, timeout: 1s, marks: service_restored}
"""
    plan, runbook = made(tmp_path, body)
    alone, held = promise_problems(runbook), bound_problems(plan, runbook)
    assert [p.message.replace("RTO that it promises", "RTO of demo") for p in alone] == [p.message for p in held]
    assert "usually takes 1m 01s" in alone[0].message


def test_an_outage_that_the_run_begins_itself_is_counted_from_there(tmp_path: Path) -> None:
    steps = """
steps:
  - {id: prepare, local: echo, timeout: 3h, expected: 1s}
  - {id: drain, local: echo, timeout: 10s, expected: 1s, marks: outage_started}
  - {id: up, local: echo, timeout: 20s, expected: 1s, marks: service_restored}
"""
    plan, runbook = made(tmp_path, f"objectives: {{rto: 30s}}{steps}")
    assert bounds(plan).until_restored == Span(usual_s=2, worst_s=30)
    assert bound_problems(plan, runbook) == promise_problems(runbook) == []
    plan, runbook = made(tmp_path, f"objectives: {{rto: 29s}}{steps}")
    assert len(bound_problems(plan, runbook)) == len(promise_problems(runbook)) == 1


def test_what_restores_no_service_holds_no_rto(tmp_path: Path) -> None:
    steps = "steps: [{id: copy, local: echo, timeout: 9h, expected: 1s}]"
    assert bound_problems(*made(tmp_path, steps)) == []
    assert bound_problems(*made(tmp_path, f"objectives: {{rto: 1h}}\n{steps}"))
