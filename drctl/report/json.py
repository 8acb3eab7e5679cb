"""The report as JSON: the classes of ``facts.py``, field by field. Its keys are a promise."""

from __future__ import annotations

import json

from drctl.model.events import JsonObject
from drctl.plan.codec import to_json
from drctl.report.facts import Summary

FORMAT = 1


def as_object(summary: Summary) -> JsonObject:
    """The report as JSON values; ``format`` grows when a key changes its meaning or goes."""
    found: JsonObject = to_json(summary)
    for proof, row in zip(summary.proofs, found["proofs"], strict=True):
        row["holds"] = proof.holds
    return {"format": FORMAT, **found, "exit_code": None if summary.ongoing else int(summary.exit_code)}


def render(summary: Summary) -> str:
    """The report as a text of JSON, in ASCII: an escape sequence in an output stays an escape, also in a terminal."""
    return json.dumps(as_object(summary), indent=2, ensure_ascii=True) + "\n"
