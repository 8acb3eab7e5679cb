"""From what was typed to a plan: find the documents, read them, resolve them. Nothing is connected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from drctl import __version__
from drctl.model.plan import Mode, Plan
from drctl.plan.build import build_plan
from drctl.read.diagnostics import raise_on_problems
from drctl.read.documents import read_inventory, read_runbook
from drctl.read.find import find_inventory, find_runbook


def make_plan(
    *, runbook: str, service: str, inventory: Path | None, inputs: Mapping[str, str] | None = None, mode: Mode
) -> Plan:
    """The plan of that runbook for that service.

    Raises:
        UsageError: when a document, the service or an input is not there.
        DocumentError: with every problem of both documents.
    """
    runbook_path, inventory_path = find_runbook(runbook), find_inventory(inventory)
    book, book_problems = read_runbook(runbook_path)
    world, world_problems = read_inventory(inventory_path)
    raise_on_problems([*book_problems, *world_problems], hint=f"mend them, then: drctl validate {runbook_path}")
    assert book is not None  # noqa: S101 - no errors, so both documents are there
    assert world is not None  # noqa: S101
    return build_plan(book, world, service=service, inputs=inputs or {}, mode=mode, version=__version__)
