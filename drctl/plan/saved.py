"""A plan that was saved to be looked at, approved and carried out later, exactly as it is.

The file is what ``drctl plan --json`` prints: the plan with its digest. It carries its documents, so whoever runs it
can be told what has changed since; a plan of documents that are not so any more is refused, and never mended.
"""

from __future__ import annotations

import json
from dataclasses import replace

from drctl.errors import DocumentError
from drctl.model.plan import Mode, Plan
from drctl.plan.codec import from_json, plan_digest


def parse_saved(text: str, where: str) -> tuple[Plan, str]:
    """The plan of a file's text, as it was made, and its digest; ``where`` names the file in errors.

    Raises:
        DocumentError: when it is no saved plan, was edited, or was written by a newer drctl.
    """
    untouched = "nothing was connected to and nothing was changed"
    make = "to save one: drctl plan RUNBOOK SERVICE -o plan.json"
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"this is no saved plan: {error}", where=where, state=untouched, hint=make) from None
    if not isinstance(data, dict) or data.get("type") != "plan" or not isinstance(data.get("digest"), str):
        raise DocumentError("this is no saved plan", where=where, state=untouched, hint=make)
    try:
        plan = from_json(Plan, data.get("plan"))
    except DocumentError as error:
        error.where, error.state = where, untouched
        raise
    if plan_digest(plan) != data["digest"]:
        raise DocumentError(
            f"the plan in it is not the one of its digest {data['digest'][:16]}: it was edited, or damaged",
            where=where,
            state=untouched,
            hint=f"save it anew: drctl plan {plan.runbook} {plan.service} -o {where}",
        )
    return plan, data["digest"]


def in_mode(plan: Plan, mode: Mode) -> Plan:
    """The same plan, to be carried out in that mode."""
    return replace(plan, mode=mode)
