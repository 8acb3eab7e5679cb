"""How long a run will take, from how long earlier runs took: pure functions of plans and of what was measured.

Of a step or a whole way the best that is known is taken, in this order: earlier runs of this service; how much it
carries, divided by how fast it went or is assumed to go; earlier runs of other services; the runbook's ``expected``.
Each estimate says which of these it is. All figures are seconds. A drill on a stand-in is a run of the service that it
is for, and of the runbook that it exercises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from drctl.engine.state import RunState, TargetState, targets_of
from drctl.model.events import Estimate, ForecastMade, Outcome, StepEstimate
from drctl.model.plan import CaptureType, Mode, Plan, Stage, Step
from drctl.model.words import Mark, Section
from drctl.plan.codec import work_digest
from drctl.plan.drill import exercised_by

CAREFUL = 0.9  # of ten runs, nine were as quick
MB = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a step, or a whole way, took in one run. ``what`` is its name, ``work`` the digest of what it does."""

    service: str
    what: str
    work: str
    seconds: float
    carried_bytes: float | None = None
    stand_in: bool = False  # it ran on a stand-in's hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of earlier runs, the newest first. ``sizes`` are the newest captured sizes of one service."""

    took: tuple[Took, ...] = ()
    sizes: Mapping[str, float] = field(default_factory=dict)


def learn(states: Iterable[RunState], *, service: str) -> History:
    """What these runs, the newest first, tell of how long things take; runs that only looked tell nothing."""
    took: list[Took] = []
    sizes: dict[str, float] = {}
    for state in states:
        if state.plan is None or state.mode not in (Mode.DRILL, Mode.REAL):
            continue
        took += [*_steps_took(state), *_ways_took(state)]
        if _whose(state.the_plan) == service:
            for name, size in _sizes(state):
                sizes.setdefault(name, size)
    return History(took=tuple(took), sizes=sizes)


def forecast(plan: Plan, history: History) -> ForecastMade:
    """What is to be expected of a run of this plan."""
    estimates = {step.id: _estimate(plan, step, history) for step in plan.steps()}
    fallback = way(plan, Section.FALLBACK)
    return ForecastMade(
        steps=tuple(StepEstimate(step=step, estimate=estimate) for step, estimate in estimates.items()),
        restored=_whole(plan, way(plan, Section.STEPS), history, estimates),
        fallback=_whole(plan, fallback, history, estimates) if fallback else None,
    )


def way(plan: Plan, section: Section) -> tuple[Stage, ...]:
    """The stages of a section up to the one that restores the service; all of them when none does."""
    stages = tuple(stage for stage in plan.stages if stage.section is section)
    marking = [n for n, stage in enumerate(stages) if any(s.mark is Mark.SERVICE_RESTORED for s in stage.steps)]
    return stages[: marking[-1] + 1] if marking else stages


def _name(plan: Plan, step: Step) -> str:
    """The step's name wherever it runs: ``restore: files`` in a restore, and in a failover that fell back on it.

    The attempts of a call that is tried several times are one and the same step.
    """
    written = step.id
    if step.round is not None:
        written = f"{step.round.of}/{step.id.removeprefix(f'{step.round.of}/{step.round.number}/')}"
    if plan.section_of(step.id) is Section.FALLBACK:
        runbook, _, own = written.partition("/")
        return f"{runbook}: {own}"
    exercised = exercised_by(plan.runbook)
    if exercised and written.startswith(f"{exercised}/"):
        return f"{exercised}: {written.removeprefix(f'{exercised}/')}"
    return f"{plan.runbook}: {written}"


def _whose(plan: Plan) -> str:
    """The service that the plan is about."""
    return plan.drill_of or plan.service


def _way_name(plan: Plan, stages: Sequence[Stage]) -> tuple[str, str]:
    """The name of a whole way, and the digest of all that is done on it."""
    steps = [step for stage in stages for step in stage.steps]
    names = [_name(plan, step) for step in steps]
    return names[0].partition(": ")[0], "+".join(work_digest(step)[:16] for step in steps)


def _steps_took(state: RunState) -> Iterator[Took]:
    plan = state.the_plan
    for step in plan.steps():
        known = [state.target(target) for target in targets_of(step)]
        seconds = _seconds(known)
        if seconds is not None and not any(s.outcome is not Outcome.SUCCEEDED for s in known):
            yield Took(
                service=_whose(plan),
                what=_name(plan, step),
                work=work_digest(step),
                seconds=seconds,
                carried_bytes=_captured_size(state, step),
                stand_in=plan.drill_of is not None,
            )


def _ways_took(state: RunState) -> Iterator[Took]:
    """A way that led to the service restored, unless drctl was dead for a part of it: nobody's forecast is that."""
    plan = state.the_plan
    straight = way(plan, Section.STEPS)
    for stages in (straight, _exercised(plan, straight), way(plan, Section.FALLBACK)):
        steps = [step for stage in stages for step in stage.steps]
        if state.resumed or not any(step.mark is Mark.SERVICE_RESTORED and state.holds(step) for step in steps):
            continue
        seconds = _seconds([state.target(target) for step in steps for target in targets_of(step)])
        if seconds is not None:
            name, work = _way_name(plan, stages)
            yield Took(service=_whose(plan), what=name, work=work, seconds=seconds, stand_in=plan.drill_of is not None)


def _exercised(plan: Plan, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages of the runbook that a drill calls, and prepares and cleans up around; none in any other run."""
    called = f"{exercised_by(plan.runbook)}/"
    return tuple(stage for stage in stages if any(step.id.startswith(called) for step in stage.steps))


def _seconds(known: Sequence[TargetState]) -> float | None:
    """From the first beginning to the last end; None when nothing of it ran."""
    begun = [s.started_at for s in known if s.started_at is not None and s.attempts]
    ended = [s.finished_at for s in known if s.finished_at is not None and s.attempts]
    if not begun or not ended:
        return None
    return max(0.0, (max(ended) - min(begun)).total_seconds())


def _captured_size(state: RunState, step: Step) -> float | None:
    if step.carries is None or not step.carries.size:
        return None
    return _bytes(state.values.get(step.carries.size))


def _sizes(state: RunState) -> Iterator[tuple[str, float]]:
    for step in state.the_plan.steps():
        for capture in step.captures:
            size = _bytes(state.values.get(capture.name)) if capture.type is CaptureType.BYTES else None
            if size is not None:
                yield capture.name, size


def _bytes(text: str | None) -> float | None:
    try:
        size = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return size if 0 < size < math.inf else None


def _whole(plan: Plan, stages: Sequence[Stage], history: History, estimates: Mapping[str, Estimate]) -> Estimate:
    """The whole way's own history, else the sum of its steps'."""
    if not stages:
        return Estimate(usual_s=0.0, careful_s=0.0, basis="nothing is to be done")
    name, work = _way_name(plan, stages)
    same = [took for took in history.took if (took.what, took.work) == (name, work)]
    own = [took for took in same if took.service == _whose(plan)]
    if own:
        return _of_runs(own, "")
    steps = [step for stage in stages for step in stage.steps if not step.is_repeat]
    parts = [estimates[step.id] for step in steps]
    measured = [part for part in parts if part.runs]
    if same and not measured and not any(_ESTIMATED in part.basis for part in parts):
        return _of_runs(same, _OTHERS)
    bases = dict.fromkeys(part.basis for part in parts if part.runs or _ESTIMATED in part.basis)
    said = [*bases][:3]
    if len(measured) < len(parts):
        said.append("the rest from the runbook" if said else "from the runbook")
    unsaid = sum(1 for step, part in zip(steps, parts, strict=True) if not part.runs and step.expected_s is None)
    if unsaid:
        said.append(f"{unsaid} {'step does' if unsaid == 1 else 'steps do'} not say")
    return Estimate(
        usual_s=_sum(stages, lambda step: estimates[step.id].usual_s),
        careful_s=_sum(stages, lambda step: estimates[step.id].careful_s),
        runs=min((part.runs for part in measured), default=0) if len(measured) == len(parts) else 0,
        basis="; ".join(said),
    )


def _sum(stages: Iterable[Stage], of: Callable[[Step], float]) -> float:
    return sum(max((of(step) for step in stage.steps if not step.is_repeat), default=0.0) for stage in stages)


def _estimate(plan: Plan, step: Step, history: History) -> Estimate:
    name, work = _name(plan, step), work_digest(step)
    same = [took for took in history.took if (took.what, took.work) == (name, work)]
    own = [took for took in same if took.service == _whose(plan)]
    if own:
        return _of_runs(own, "")
    carried = _by_size(step, same, history)
    if carried is not None:
        return carried
    if same:
        return _of_runs(same, _OTHERS)
    expected_s = step.expected_s or 0.0
    return Estimate(usual_s=expected_s, careful_s=expected_s, basis="from the runbook")


_OTHERS = " of other services"
_ESTIMATED = "estimated: "


def _by_size(step: Step, same: Sequence[Took], history: History) -> Estimate | None:
    """Size by rate: the rate that was measured elsewhere, else the one that the inventory assumes."""
    carries = step.carries
    if carries is None:
        return None
    size = history.sizes.get(carries.size, carries.size_bytes)
    rates = [took.carried_bytes / took.seconds for took in same if took.carried_bytes and took.seconds > 0]
    if size is None or not (rates or carries.mb_per_s):
        return None
    if rates:
        usual, careful = _rank(rates, 0.5), _rank(rates, 1 - CAREFUL)
        whence = f"as in {_runs(len(rates))}{_OTHERS}"
    else:
        usual = careful = (carries.mb_per_s or 0.0) * MB
        whence = "as the inventory assumes"
    return Estimate(
        usual_s=size / usual,
        careful_s=size / careful,
        basis=f"{_ESTIMATED}{size / 1e9:.1f} GB at {careful / MB:.0f} MB/s, {whence}",
    )


def _of_runs(found: Sequence[Took], whose: str) -> Estimate:
    seconds = [took.seconds for took in found]
    drilled = sum(took.stand_in for took in found)
    where = f", {drilled} on a stand-in" if drilled else ""
    return Estimate(
        usual_s=_rank(seconds, 0.5),
        careful_s=_rank(seconds, CAREFUL),
        runs=len(seconds),
        basis=f"p90 of {_runs(len(seconds))}{whose}{where}",
    )


def _runs(number: int) -> str:
    return f"{number} {'run' if number == 1 else 'runs'}"


def _rank(found: Sequence[float], share: float) -> float:
    """The nearest rank: a value that was really measured, and with few of them rather the slower."""
    ordered = sorted(found)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
