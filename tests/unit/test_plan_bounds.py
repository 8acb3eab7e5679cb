"""The usual and the worst case of a plan, in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from drctl.model.plan import Plan, Section
from drctl.plan.bounds import Span, bound_problems, bounds, usual_s, worst_s
from drctl.plan.build import RunbookDocument, build_plan
from drctl.read.documents import read_inventory, read_runbook

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
def test_a_step(step: str, usual: float, worst: float, tmp_path: Path) -> None:
    plan, _ = made(tmp_path, f"steps:\n  - {{id: a, {step}}}")
    assert usual_s(plan.step("a")) == usual
    assert worst_s(plan.step("a")) == worst


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
        ("54s", "may take 55s when every step runs into its timeout", "restored 30s, a 20s, b 10s"),
        ("13s", "may take 55s", ""),
        ("12s", "usually takes 13s, and the RTO of demo is 12s", "b 8.0s, restored 4.0s, a 2.0s"),
    ],
)
def test_an_rto_that_cannot_be_kept_is_told(rto: str, said: str, longest: str, tmp_path: Path) -> None:
    problems = bound_problems(*made(tmp_path, f"objectives: {{rto: {rto}}}{SECTIONS}"))
    assert len(problems) == bool(said)
    for problem in problems:
        assert said in problem.message
        assert longest in problem.hint
        assert problem.severity == "warning"
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
