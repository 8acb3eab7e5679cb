"""Whether a runbook by itself keeps the RTO that it promises, by what its steps say of themselves.

No plan is made for it, and nothing that plans are made of is imported: ``drctl validate`` asks this of every runbook.
"""

from __future__ import annotations

from itertools import groupby

from drctl.model.runbook import Runbook
from drctl.plan.timing import Timed, all_pauses_s, too_long, verify_s, worst_case_s
from drctl.read.diagnostics import Diagnostic
from drctl.read.document import Document
from drctl.read.link import Linked, link
from drctl.read.walk import DEFAULT_TIMEOUT_S


def promise_problems(runbook: Document[Runbook]) -> list[Diagnostic]:
    """As ``bounds.bound_problems``, of the runbook's own objectives; without hosts ``max_parallel`` costs nothing."""
    rto_s = runbook.value.objectives.rto
    if rto_s is None:
        return []
    steps = link(runbook)

    def where(step_id: str) -> str:
        step = next(step for step in steps if step.id == step_id)
        place = step.frame.document.places.of(step.path)
        return f"{step.frame.document.file}:{place.line}:{place.column}"

    beside = (list(group) for _, group in groupby(steps, key=lambda step: step.stage))
    stages = [(group[0].section, tuple(map(timed, group))) for group in beside]
    return too_long(stages, rto_s, "RTO that it promises", runbook, where=where)


def timed(placed: Linked) -> Timed:
    """The step as the arithmetic wants it; the same figures as those of the step that a plan makes of it."""
    step, attempt = placed.step, placed.frame.round
    is_repeat = attempt is not None and attempt.number > 1
    marks = step.marks or {}
    return Timed(
        id=placed.id,
        usual_s=0.0 if is_repeat else (step.wait if step.wait is not None else step.expected) or 0.0,
        worst_s=_worst_s(placed),
        begins=marks.get("outage_started", "") is None,  # preparation.begins_the_outage
        restores="service_restored" in marks,
        round=attempt,
    )


def _worst_s(placed: Linked) -> float:
    """As ``bounds.worst_s``."""
    step, retry = placed.step, placed.step.retry
    timeout_s = step.timeout if step.timeout is not None else DEFAULT_TIMEOUT_S
    within_s = step.verify.within if step.verify is not None else None
    if step.approval is not None or step.manual is not None:
        return timeout_s if step.unless is not None else 0.0
    if step.wait is not None:
        return step.wait + verify_s(within_s)
    attempts = retry.attempts if retry is not None else 1
    pauses_s = all_pauses_s(attempts, retry.delay, retry.backoff, retry.max_delay) if retry is not None else 0.0
    return worst_case_s(
        timeout_s=timeout_s,
        attempts=attempts,
        pauses_s=pauses_s,
        probes=step.unless is not None,
        within_s=within_s,
    )
