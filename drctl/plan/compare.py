"""What differs between two plans, in the words that an approver or an auditor asks for. Pure.

Places in the documents (``where``) and digests are left out: a line that moved changes nothing that is done.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from drctl.model.plan import Plan, Source, Step
from drctl.model.words import Section
from drctl.plan.codec import canonical_json, to_json

_LEFT_OUT = ("where", "digest")
_SHORT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not as it was. ``what`` names it; ``before`` and ``after`` are empty where it was not."""

    kind: Literal["added", "removed", "changed", "moved"]
    what: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that differs. ``documents`` are unified diffs of the documents' texts, by path."""

    settings: tuple[Change, ...]  # objectives, inputs, and what else holds for the whole plan
    steps: tuple[Change, ...]
    documents: tuple[tuple[str, str], ...]

    @property
    def same(self) -> bool:
        """Whether both plans do the same, from the same documents."""
        return not (self.settings or self.steps or self.documents)


def compare(before: Plan, after: Plan) -> Comparison:
    """What is different in ``after``. The mode and the version of drctl are no difference: they are no part of it."""
    return Comparison(
        settings=tuple(_settings(before, after)),
        steps=tuple(_steps(before, after)),
        documents=tuple(_documents(before, after)),
    )


def _settings(before: Plan, after: Plan) -> Iterator[Change]:
    for name in ("runbook", "service", "service_title", "sla", "timezone", "title"):
        yield from _changed(name, getattr(before, name), getattr(after, name))
    for name in ("rto_s", "rpo_s"):
        yield from _changed(f"objective {name}", getattr(before.objectives, name), getattr(after.objectives, name))
    given = [{v.name: v.text or v.secret or "" for v in plan.inputs} for plan in (before, after)]
    yield from _of_mappings("input", given[0], given[1])


def _steps(before: Plan, after: Plan) -> Iterator[Change]:
    old, new = _placed(before), _placed(after)
    for step_id in old:
        if step_id not in new:
            yield Change(kind="removed", what=step_id, before=old[step_id][1].name)
    for step_id in _out_of_order([i for i in old if i in new], [i for i in new if i in old]):
        yield Change(kind="moved", what=step_id, before=_after_what(old, step_id), after=_after_what(new, step_id))
    for step_id, (section, step) in new.items():
        if step_id not in old:
            yield Change(kind="added", what=step_id, after=f"{step.name}, {_after_what(new, step_id)}")
            continue
        was_section, was = old[step_id]
        if was_section is not section:
            yield Change(kind="moved", what=step_id, before=f"in {was_section.value}", after=f"in {section.value}")
        for field in fields(Step):
            if field.name not in _LEFT_OUT:
                yield from _changed(f"{step_id}: {field.name}", getattr(was, field.name), getattr(step, field.name))


def _placed(plan: Plan) -> dict[str, tuple[Section, Step]]:
    return {step.id: (stage.section, step) for stage in plan.stages for step in stage.steps}


def _out_of_order(before: list[str], after: list[str]) -> list[str]:
    """The fewest steps that would have to change their place."""
    blocks = difflib.SequenceMatcher(a=before, b=after, autojunk=False).get_matching_blocks()
    kept = {step_id for block in blocks for step_id in after[block.b : block.b + block.size]}
    return [step_id for step_id in after if step_id not in kept]


def _after_what(placed: Mapping[str, tuple[Section, Step]], step_id: str) -> str:
    ids = list(placed)
    number = ids.index(step_id)
    return f"after {ids[number - 1]}" if number else "the first"


def _documents(before: Plan, after: Plan) -> Iterator[tuple[str, str]]:
    old, new = _sources(before), _sources(after)
    for path in dict.fromkeys([*old, *new]):
        one, other = old.get(path), new.get(path)
        if one is not None and other is not None and one.sha256 == other.sha256:
            continue
        lines = difflib.unified_diff(
            one.text.splitlines() if one else [],
            other.text.splitlines() if other else [],
            f"{path} as it was" if one else "it was not there",
            f"{path} as it is" if other else "it is not there any more",
            lineterm="",
            n=1,
        )
        yield path, "\n".join(lines)


def _sources(plan: Plan) -> dict[str, Source]:
    return {s.path: s for s in (plan.runbook_source, *plan.called_sources, plan.inventory_source)}


def _of_mappings(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if name not in after:
            yield Change(kind="removed", what=f"{what} {name}", before=before[name])
        elif name not in before:
            yield Change(kind="added", what=f"{what} {name}", after=after[name])
        else:
            yield from _changed(f"{what} {name}", before[name], after[name])


def _changed(what: str, before: object, after: object) -> Iterator[Change]:
    if canonical_json(before) != canonical_json(after):
        yield Change(kind="changed", what=what, before=_brief(before), after=_brief(after))


def _brief(value: object) -> str:
    """A value in one line. Of a long one the documents' diffs show what changed."""
    plain: Any = to_json(value)
    if isinstance(plain, dict) and isinstance(plain.get("script"), str):
        plain = plain["script"]
    text = plain if isinstance(plain, str) else canonical_json(plain).decode()
    text = " ".join(text.split())
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"
