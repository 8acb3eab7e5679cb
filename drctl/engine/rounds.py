"""Which attempts of a call that is tried as a whole a run goes through. The others have no events at all.

The first is entered as any steps are, the next one when the one before it was given up. When the time for new attempts
is over (``retry: {within: …}``), there is one more and no other: the last, which fails as any step does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from drctl.engine.state import RunState, targets_of
from drctl.model.plan import Step
from drctl.model.words import Round


def begun(state: RunState) -> frozenset[Round]:
    """The attempts of which something is known, and all first ones."""
    plan = state.the_plan
    first = {step.round for step in plan.steps() if step.round is not None and step.round.number == 1}
    known = {plan.step(target.step).round for target in state.targets}
    return frozenset(first | {one for one in known if one is not None})


def entered(state: RunState, now: datetime) -> frozenset[Round]:
    """The attempts that were begun, and those that may begin now."""
    there = begun(state)
    found = set(there)
    for call in {one.of for one in there}:
        latest = max((one for one in there if one.of == call), key=lambda one: one.number)
        following = _following(state, latest, now)
        if following is not None:
            found.add(following)
    return frozenset(found)


def is_spare(step: Step, there: Collection[Round]) -> bool:
    """Whether the step belongs to an attempt that is not among these."""
    return step.round is not None and step.round not in there


def spare(steps: Iterable[Step], there: Collection[Round]) -> Mapping[str, int]:
    """How many more attempts than these each call has, by the call's id."""
    return Counter(one.of for one in {step.round for step in steps} if one is not None and one not in there)


def _following(state: RunState, latest: Round, now: datetime) -> Round | None:
    """The attempt that comes after a latest one that was given up; None while it goes on, or when it was the last."""
    steps = [step for step in state.the_plan.steps() if step.round is not None and step.round.of == latest.of]
    later = sorted({s.round for s in steps if s.round and s.round.number > latest.number}, key=lambda one: one.number)
    its = next(step for step in steps if step.round == latest)
    if not later or state.ended_round(its) is None:
        return None
    if latest.within_s is None:
        return later[0]
    known = [state.target(target) for step in steps for target in targets_of(step)]
    since = min(one.started_at for one in known if one.started_at is not None)
    return later[-1] if now > since + timedelta(seconds=latest.within_s) else later[0]
