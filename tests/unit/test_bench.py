"""The bench's own parts: the bare script that a plan is made into, what counts as waiting, and the page of figures."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from drctl.model.events import Act
from drctl.plan.build import build_plan
from drctl.read.documents import read_inventory, read_runbook
from tests.bench import page
from tests.bench.bare import Done, bare_script, read_log
from tests.bench.failovers import waited_s
from tests.support.plans import made

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "control": str(tmp_path), "log": str(tmp_path / "log")},
    )  # fmt: skip


def test_the_script_does_what_the_plan_says(tmp_path: Path) -> None:
    """What is captured is passed on whatever is in it, what fails is tried again, and what must be seen is awaited."""
    steps = r"""
  - {id: look, local: "printf '%s\n' 'a $b `c` \\ d' 2", capture: {odd: text, number: int}}
  - id: use
    local: |
      printf '%s|%s' "$odd" "$number" >used
      echo x >>tries
      [ "$(wc -l <tries)" -ge 3 ]
    idempotent: true
    retry: {attempts: 5, delay: 0s}
    verify: {local: "echo y >>looks; wc -l <looks", expect: "2", within: 1s, every: 1s}
  - {id: never, local: touch never, when: {odd: something else}}
"""
    plan = made(tmp_path, steps)
    done = run(tmp_path, bare_script(plan))
    assert done.returncode != 0  # the verification may look once, and wants to see two lines
    (tmp_path / "tries").unlink()
    (tmp_path / "log").unlink()
    done = run(tmp_path, bare_script(plan))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "used").read_text() == r"a $b `c` \ d|2"
    assert not (tmp_path / "never").exists()
    log = read_log(tmp_path / "log")
    assert [(d.step, d.host, d.act) for d in log] == [
        ("look", "", Act.RUN), *[("use", "", Act.RUN)] * 3, ("use", "", Act.VERIFY)
    ]  # fmt: skip
    assert all(one.began <= one.ended <= other.began for one, other in itertools.pairwise(log))


def test_a_step_that_fails_ends_the_script(tmp_path: Path) -> None:
    plan = made(tmp_path, "  - {id: no, local: 'false'}\n  - {id: after, local: touch after}\n")
    assert run(tmp_path, bare_script(plan)).returncode == 1
    assert not (tmp_path / "after").exists()


def test_the_failover_becomes_a_script_that_bash_can_read() -> None:
    runbook, _ = read_runbook(ROOT / "runbooks" / "failover.yml")
    inventory, _ = read_inventory(ROOT / "inventories" / "taskflow.example.yml")
    assert runbook is not None
    assert inventory is not None
    script = bare_script(build_plan(runbook, inventory, service="acacia", version="0"))
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "tried promote" in script
    assert "tried fence/over-ssh" not in script  # the power was switched off, and that has to succeed


def test_waiting_is_what_the_plan_says_it_is_and_counts_once(tmp_path: Path) -> None:
    plan = made(
        tmp_path,
        """
  - {id: silent, hosts: [old, new], run: pg_isready -h x, read_only: true}
  - {id: polled, hosts: new, run: "true", read_only: true, retry: {attempts: 9}}
  - id: works
    hosts: new
    run: "true"
    idempotent: true
    verify: {run: "true", within: 9s, every: 2s}
""",
    )
    side_by_side = [Done("silent", "old", Act.RUN, 0, 3), Done("silent", "new", Act.RUN, 1, 4)]
    tries = [Done("polled", "new", Act.RUN, 10, 11), Done("polled", "new", Act.RUN, 15, 16)]
    works = [Done("works", "new", Act.RUN, 20, 25), Done("works", "new", Act.VERIFY, 25, 29.5)]
    assert waited_s(plan, side_by_side) == 4
    assert waited_s(plan, tries) == 5
    assert waited_s(plan, works) == 4
    assert waited_s(plan, [*works, *tries, *side_by_side]) == 13
    assert waited_s(plan, works, ("works",)) == 9


def test_a_section_is_replaced_and_the_others_stay() -> None:
    text = f"before\n{page.BEGIN}\n{page.END}\nafter\n"
    order = ("one", "two")
    text = page.with_section(text, "two", ["old"], "Two", order)
    text = page.with_section(text, "one", ["first"], "One", order)
    text = page.with_section(text, "two", ["new"], "Two", order)
    assert text == (
        f"before\n{page.BEGIN}\n<!-- section: one -->\n### One\n\nfirst\n\n"
        f"<!-- section: two -->\n### Two\n\nnew\n\n{page.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="figures"):
        page.with_section("nothing", "one", [], "One", order)
