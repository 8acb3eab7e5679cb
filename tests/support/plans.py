"""Plans of small runbooks, built as drctl builds them from files, for a service of the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drctl.model.plan import Plan
from drctl.plan.build import InventoryDocument, RunbookDocument, build_plan
from drctl.read.documents import read_inventory, read_runbook

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases" / "plans"


def the_inventory() -> InventoryDocument:
    inventory, _ = read_inventory(CASES / "inventory.yml")
    assert inventory is not None
    return inventory


def runbook_of(tmp_path: Path, steps: str, head: str = "") -> RunbookDocument:
    path = tmp_path / "runbook.yml"
    path.write_text(f"runbook: test\ntitle: Test\n{head}steps:\n{steps}\n")
    runbook, problems = read_runbook(path)
    assert runbook is not None, problems
    return runbook


def made(tmp_path: Path, steps: str, head: str = "", **words: Any) -> Plan:
    return build_plan(
        runbook_of(tmp_path, steps, head), the_inventory(), **({"service": "demo", "version": "0"} | words)
    )


def values(plan: Plan, step: str) -> dict[str, str | None]:
    return {variable.name: variable.text for variable in plan.step(step).variables}
