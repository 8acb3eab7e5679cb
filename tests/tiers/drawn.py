"""A few bad days for a lesser tier of the lab, drawn by a seed that is printed. ``make tiers`` runs them all."""

from __future__ import annotations

import ast
import os
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support import needs
from tests.support.operator import ROOT

SEED = int(os.environ["DRCTL_TIERS_SEED"])
"""Drawn and told by tests/conftest.py. The same seed draws the same days again."""
DAYS = 3


def bad_days(tier: str) -> list[str]:
    """Every bad day that the tier can carry, as ``tests/e2e/FILE::TEST``."""
    return [
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in sorted(Path(ROOT, "tests", "e2e").glob("test_bad_days_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not needed(node) & set(needs.LACKING[tier])
    ]


def needed(test: ast.FunctionDef) -> set[str]:
    """What its marks say that it needs."""
    marks = [found for mark in test.decorator_list for found in ast.walk(mark) if isinstance(found, ast.Attribute)]
    return {getattr(needs, mark.attr) for mark in marks if ast.unparse(mark.value) == "needs"}


def names(tier: str, always: Mapping[str, Iterable[str]]) -> list[str]:
    """What this tier has this time, as pytest wants it: ``always``, tests by their file, and days that are drawn."""
    shown = [f"tests/e2e/{file}::{test}" for file, tests in always.items() for test in tests]
    others = [day for day in bad_days(tier) if day not in shown]
    return shown + random.Random(f"{SEED} {tier}").sample(others, DAYS)
