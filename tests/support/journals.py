"""Journals with runs in them: the sample runs as drctl would have written them, and large ones for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drctl.adapters.journal import JournalFile
from drctl.model.events import AttemptFinished, Event, RunStarted
from drctl.model.plan import Source
from drctl.plan.codec import plan_digest


def write_run(state: Path, events: Sequence[Event]) -> str:
    """Put a run into the journal of a state directory, with its outputs; the run's id.

    The documents' sums and the plan's digest are made true first, and the chain is the journal's own.
    """
    journal = JournalFile(state / "journal.db")
    try:
        at = iter([event.at for event in events])
        writer = journal.writer(events[0].run_id, now=lambda: next(at), redact=str)
        for event in events:
            writer.append(_true(event.body) if isinstance(event.body, RunStarted) else event.body)
            if isinstance(event.body, AttemptFinished):
                _keep(state / "outputs", event.body)
    finally:
        journal.close()
    return events[0].run_id


def _true(body: RunStarted) -> RunStarted:
    plan = replace(
        body.plan,
        runbook_source=_summed(body.plan.runbook_source),
        inventory_source=_summed(body.plan.inventory_source),
    )
    return replace(body, plan=plan, plan_digest=plan_digest(plan))


def _summed(source: Source) -> Source:
    return replace(source, sha256=hashlib.sha256(source.text.encode()).hexdigest())


def _keep(outputs: Path, body: AttemptFinished) -> None:
    outputs.mkdir(parents=True, exist_ok=True)
    for output in (body.output, body.errors):
        if output is not None:
            content = output.tail.encode("utf-8", "replace")
            if hashlib.sha256(content).hexdigest() == output.sha256:
                (outputs / output.sha256).write_bytes(content)
