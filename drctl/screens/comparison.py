"""The difference between two plans, for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterator

from drctl.model.events import JsonObject
from drctl.plan.codec import to_json
from drctl.plan.compare import Change, Comparison
from drctl.report.harmless import one_line, visible

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


def comparison_text(found: Comparison, *, before: str, after: str) -> str:
    """The difference in lines; one line when there is none. ``before`` and ``after`` name the two plans."""
    if found.same:
        return f"no difference: {after} does what {before} does\n"
    return "\n".join([f"{before} → {after}", *_lines(found)]) + "\n"


def comparison_json(found: Comparison, *, before: str, after: str) -> JsonObject:
    """The same for programs."""
    return {
        "type": "plan_comparison",
        "before": before,
        "after": after,
        "same": found.same,
        "settings": to_json(found.settings),
        "steps": to_json(found.steps),
        "documents": [{"path": path, "diff": diff} for path, diff in found.documents],
    }


def _lines(found: Comparison) -> Iterator[str]:
    for title, changes in (("SETTINGS", found.settings), ("STEPS", found.steps)):
        if changes:
            yield from ("", title)
            yield from (f"  {_SIGNS[change.kind]} {change.kind:<8} {_said(change)}" for change in changes)
    for path, diff in found.documents:
        yield from ("", f"DOCUMENT {one_line(path)}")
        yield from (f"  {visible(line)}" for line in diff.splitlines())


def _said(change: Change) -> str:
    ends = [one_line(end) for end in (change.before, change.after)]
    if change.kind == "changed":
        return f"{one_line(change.what)}: {ends[0] or '(empty)'} → {ends[1] or '(empty)'}"
    return f"{one_line(change.what)}: {' → '.join(end for end in ends if end)}"
