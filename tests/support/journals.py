"""Journals with runs in them: the sample runs as drctl would have written them, and large ones for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from drctl.adapters.journal import JournalFile
from drctl.model.events import (
    Act,
    AttemptFinished,
    AttemptStarted,
    Body,
    Ended,
    Event,
    Outcome,
    RunEnded,
    RunStarted,
)
from drctl.model.plan import Section, Source, Stage
from drctl.plan.codec import plan_digest
from tests.support import sample_plan, sample_steps


def write_run(state: Path, events: Sequence[Event]) -> str:
    """Put a run into the journal of a state directory, with its outputs; the run's id.

    The documents' sums and the plan's digest are made true first, and the chain is the journal's own.
    """
    journal = JournalFile(state / "journal.db")
    try:
        at = iter([event.at for event in events])
        writer = journal.writer(events[0].run_id, now=lambda: next(at), redact=str)
        for event in events:
            writer.append(true_start(event.body) if isinstance(event.body, RunStarted) else event.body)
            if isinstance(event.body, AttemptFinished):
                _keep(state / "outputs", event.body)
    finally:
        journal.close()
    return events[0].run_id


def true_start(body: RunStarted) -> RunStarted:
    """The start of a run with its documents' sums and its plan's digest as they really are."""
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


def long_run(steps: int) -> Iterator[Body]:
    """The events of a run of so many steps, each with a little output; two events a step."""
    plan = sample_plan.failover_plan()
    model = plan.step("row-counts")
    stages = tuple(
        Stage(section=Section.STEPS, steps=(replace(model, id=f"step-{number:05d}", name=f"Step {number}"),))
        for number in range(steps)
    )
    plan = replace(plan, stages=stages)
    yield RunStarted(
        plan=plan, plan_digest=plan_digest(plan), operator="thandi", controller="bastion", pid=1, interactive=False
    )
    output = sample_steps.output_of("task|1204417\nproject|9120\n")
    host = sample_plan.STANDBY.host
    for stage in stages:
        name = stage.steps[0].id
        yield AttemptStarted(step=name, host=host, attempt=1, act=Act.RUN)
        yield AttemptFinished(
            step=name, host=host, attempt=1, act=Act.RUN, outcome=Outcome.SUCCEEDED, exit_code=0, duration_s=0.9,
            output=output,
        )  # fmt: skip
    yield RunEnded(ended=Ended.DONE)


def write_large(state: Path, *, runs: int, steps: int) -> None:
    """So many runs of so many steps each, an hour apart, in one transaction: nobody waits for the disk."""
    journal = JournalFile(state / "journal.db")
    database, bodies = journal._db, list(long_run(steps))
    database.execute("BEGIN")
    for number in range(runs):
        clock = count(0)
        began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        writer = journal.writer(
            f"{began:%Y%m%d-%H%M%S}-acme-{number:04x}",
            now=lambda began=began, clock=clock: began + timedelta(seconds=next(clock)),
            redact=str,
        )
        for body in bodies:
            writer.append(body)
    database.execute("COMMIT")
    journal.close()
