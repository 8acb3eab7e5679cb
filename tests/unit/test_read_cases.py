"""YAML in, problems or a plan out: each case in tests/cases is a document with the text that drctl makes of it.

To accept a change of these texts: ``DRCTL_ACCEPT_CASES=1 pytest tests/unit/test_read_cases.py``, then read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drctl.errors import DocumentError
from drctl.plan.bounds import bound_problems
from drctl.plan.build import build_plan
from drctl.read.diagnostics import count, render_all
from drctl.read.documents import read_inventory, read_runbook
from drctl.screens.plan import plain_text

CASES = Path(__file__).parents[1] / "cases"
RUNBOOKS = sorted((CASES / "runbooks").glob("*.yml"))
INVENTORIES = sorted((CASES / "inventories").glob("*.yml"))
PLANS = sorted(path for path in (CASES / "plans").glob("*.yml") if path.stem != "inventory")


def held_to(path: Path, made: str) -> None:
    """Compare with the text beside the case."""
    expected = path.with_suffix(".txt")
    if os.environ.get("DRCTL_ACCEPT_CASES") == "1":
        expected.write_text(made, encoding="utf-8")
    assert made == expected.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _beside_the_cases(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Paths in messages are relative to where one stands."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is not None:
        monkeypatch.chdir(callspec.params["case"].parent)


@pytest.mark.parametrize("case", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook(case: Path) -> None:
    document, problems = read_runbook(case.name)
    text = render_all(problems)
    held_to(case, f"{text}\n\n{count(problems)}\n".lstrip())
    assert (document is None) == any(problem.severity == "error" for problem in problems)


@pytest.mark.parametrize("case", INVENTORIES, ids=lambda path: path.stem)
def test_an_inventory(case: Path) -> None:
    document, problems = read_inventory(case.name)
    held_to(case, f"{render_all(problems)}\n\n{count(problems)}\n".lstrip())
    assert (document is None) == any(problem.severity == "error" for problem in problems)


@pytest.mark.parametrize("case", PLANS, ids=lambda path: path.stem)
def test_a_plan(case: Path) -> None:
    first = case.read_text(encoding="utf-8").splitlines()[0]
    service = first.removeprefix("# service: ") if first.startswith("# service: ") else "demo"
    runbook, problems = read_runbook(case.name)
    inventory, more = read_inventory("inventory.yml")
    assert not problems or runbook is not None, render_all(problems)
    assert inventory is not None, render_all(more)
    assert runbook is not None
    inputs = {"ticket": "INC-1 $$ ${lag}"} if "ticket" in runbook.value.inputs else {}
    try:
        plan = build_plan(runbook, inventory, service=service, inputs=inputs, version="0")
    except DocumentError as error:
        made = f"{error.message}\n\nnext: {error.hint}\n"
    else:
        warnings = [*problems, *bound_problems(plan, runbook)]
        made = f"{plain_text(plan)}\n{render_all(warnings)}\n"
    held_to(case, made)


def test_there_are_cases() -> None:
    assert len(RUNBOOKS) > 15
    assert len(INVENTORIES) > 4
    assert len(PLANS) > 3
