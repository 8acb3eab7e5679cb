"""Runbooks and bad luck, drawn from a small grammar: enough words to meet every rule of the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from drctl.model.events import Body, ClockMarked, Estimate, ForecastMade, StopRequested
from drctl.model.plan import (
    Approval,
    Capture,
    CaptureType,
    Http,
    Manual,
    Mark,
    Mode,
    OnFailure,
    OnUnreachable,
    Plan,
    Retry,
    Round,
    Section,
    Shell,
    Stage,
    Step,
    Verify,
    Wait,
)
from drctl.model.promises import DeadlineAction, DeadlineRule
from tests.support.faults import Crowd, Fault, Hosts, Run
from tests.support.world import START, endpoint, plan_of_stages, step

HOSTS = ("standby", "primary", "backup")
FACT = "fenced"
BAD_LUCK = st.lists(
    st.sampled_from([Fault.NONE, Fault.NONE, *(f for f in Fault if f is not Fault.NONE)]), max_size=4
).map(tuple)


@dataclass(frozen=True)
class Drawn:
    """A step's words, and the faults of its own script, its verify and its unless."""

    step: Step
    faults: dict[tuple[str, str], tuple[Fault, ...]]


def _action(draw: st.DrawFn, step_id: str, kind: str) -> Any:
    match kind:
        case "manual":
            return Manual(prompt="Do it")
        case "approval":
            return Approval(prompt="Go?")
        case "wait":
            return Wait(seconds=draw(st.sampled_from((0.5, 90.0))))
        case "http":
            return Http(url=step_id, method=draw(st.sampled_from(("GET", "POST"))))
        case _:
            return Shell(script=step_id, local=kind == "local")


@st.composite
def steps(draw: st.DrawFn, step_id: str, section: Section) -> Drawn:
    """One step of a section."""
    gate = section is Section.PRECONDITIONS
    kinds = ["run", "run", "run", "run", "local", "http"]
    if section in (Section.STEPS, Section.FALLBACK):
        kinds += ["manual", "approval", "wait"]
    kind = draw(st.sampled_from(kinds))
    hosts = draw(st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)) if kind == "run" else []
    action = _action(draw, step_id, kind)
    asks_only = kind == "wait" or (isinstance(action, Http) and action.method == "GET")
    read_only = gate or asks_only or (kind in ("run", "local") and draw(st.integers(0, 4)) == 0)
    if gate and isinstance(action, Http):
        action = Http(url=step_id)
    words: dict[str, Any] = {"read_only": read_only}
    shell = kind in ("run", "local")
    if not gate and not read_only and draw(st.booleans()):
        words["idempotent"] = True
    if (shell or kind == "http") and draw(st.integers(0, 2)) == 0:
        words["retry"] = Retry(attempts=draw(st.integers(2, 3)), delay_s=draw(st.sampled_from((0.1, 5.0))))
    if shell and not gate and draw(st.integers(0, 2)) == 0:
        words["verify"] = Verify(
            action=Shell(script=f"verify-{step_id}"), within_s=draw(st.sampled_from((1.0, 3.0))), every_s=1
        )
    if shell and not gate and draw(st.integers(0, 3)) == 0:
        words["unless"] = Shell(script=f"unless-{step_id}")
    if shell and len(hosts) < 2 and draw(st.integers(0, 3)) == 0:
        words["captures"] = (Capture(name=f"of_{step_id.replace('-', '_')}", type=CaptureType.INT),)
    words["on_failure"] = draw(st.sampled_from(_on_failure(section)))
    if draw(st.integers(0, 3)) == 0:
        words["on_unreachable"] = OnUnreachable.CONTINUE
    if section is Section.STEPS:
        word = draw(st.sampled_from(["", "", "", "proves", "requires", "unless_proved"]))
        if word:
            words[word] = FACT
    if draw(st.integers(0, 7)) == 0:
        words["modes"] = (Mode.DRILL,)
    if len(hosts) == 2 and draw(st.booleans()):
        words["max_parallel"] = 1
    made = step(step_id, host=None, action=action, **words)
    made = _on_hosts(made, hosts)
    faults = {}
    for host in hosts or [""]:
        for script in (step_id, f"verify-{step_id}", f"unless-{step_id}"):
            luck = draw(BAD_LUCK)
            if luck:
                faults[script, host] = luck
    return Drawn(made, faults)


def _on_hosts(made: Step, hosts: list[str]) -> Step:
    return replace(made, endpoints=tuple(endpoint(h) for h in hosts))


def _on_failure(section: Section) -> list[OnFailure]:
    if section is Section.STEPS:
        return [word for word in OnFailure if word is not OnFailure.NEXT]
    if section is Section.PRECONDITIONS:
        return [OnFailure.DEFAULT, OnFailure.CONTINUE, OnFailure.FALLBACK]
    if section is Section.FALLBACK:
        return [OnFailure.DEFAULT, OnFailure.ABORT, OnFailure.CONTINUE, OnFailure.PAUSE]
    return [OnFailure.DEFAULT, OnFailure.CONTINUE]


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """A runbook, its hosts with their faults, the people, and perhaps a signal."""
    faults: dict[tuple[str, str], tuple[Fault, ...]] = {}
    stages: list[Stage] = []

    def section(name: Section, most: int, least: int = 0) -> None:
        for number in range(draw(st.integers(least, most))):
            width = 2 if draw(st.integers(0, 3)) == 0 else 1
            made = [draw(steps(f"{name}-{number}{'ab'[n]}", name)) for n in range(width)]
            for one in made:
                faults.update(one.faults)
            stages.append(Stage(section=name, steps=tuple(one.step for one in made)))

    section(Section.PRECONDITIONS, 2)
    section(Section.STEPS, 4, 1)
    breaks = draw(st.integers(0, 3)) == 0
    if breaks:
        stages = [*stages[:-1], _broken(stages[-1], faults)]
    if draw(st.integers(0, 2)) == 0:
        stages = _in_rounds(stages, draw)
    section(Section.FALLBACK, 2)
    for undone in reversed([s for stage in stages if stage.section is Section.STEPS for s in stage.steps]):
        if draw(st.integers(0, 2)) <= breaks:
            made = _undo(undone, draw)
            faults.update(made.faults)
            stages.append(Stage(section=Section.ROLLBACK, steps=(made.step,)))
    section(Section.ALWAYS, 2)
    mode = draw(st.sampled_from((Mode.REAL, Mode.REAL, Mode.REAL, Mode.DRILL, Mode.CHECK)))
    rule = draw(st.one_of(st.none(), st.sampled_from(DeadlineAction).map(lambda a: DeadlineRule(action=a))))
    made_plan: Plan = replace(plan_of_stages(*stages, mode=mode), deadline=rule)
    answers = st.none() if breaks else st.one_of(st.none(), st.integers(0, 5))
    people = draw(st.lists(answers, min_size=4 * breaks, max_size=4).map(tuple))
    return Run(
        plan=made_plan,
        hosts=Hosts(faults=faults),
        people=Crowd(choices=people),
        last_first=draw(st.booleans()),
        sent_in=_signals(draw),
        given=_given(draw, made_plan),
    )


def _broken(stage: Stage, faults: dict[tuple[str, str], tuple[Fault, ...]]) -> Stage:
    """The stage fails for good where it can, and what was begun is undone unless a person says otherwise."""
    for one in stage.steps:
        for endpoint_ in one.endpoints:
            faults[one.id, endpoint_.host] = (Fault.EXIT,) * 9
    return replace(stage, steps=tuple(replace(one, on_failure=OnFailure.ROLLBACK, modes=()) for one in stage.steps))


def _given(draw: st.DrawFn, made: Plan) -> tuple[Body, ...]:
    """Half of the runs with a fallback have a deadline, most of them one that comes while they go on."""
    if not made.steps(Section.FALLBACK) or draw(st.booleans()):
        return ()
    after_s = draw(st.sampled_from((0.0, 0.01, 0.5, 3.0, 60.0, 1e4)))
    takes = Estimate(usual_s=1.0, careful_s=4 * 3600 - after_s, basis="drawn")
    return (
        ClockMarked(mark=Mark.OUTAGE_STARTED, at=START, source="given"),
        ForecastMade(steps=(), restored=takes, fallback=takes),
    )


def _in_rounds(stages: list[Stage], draw: st.DrawFn) -> list[Stage]:
    """The steps as two or three attempts of one call, of which the last fails as any step does."""
    from dataclasses import replace

    steps_ = [stage for stage in stages if stage.section is Section.STEPS]
    cuts = sorted(draw(st.lists(st.integers(1, len(steps_)), min_size=1, max_size=2, unique=True)))
    numbers = {stage: 1 + sum(1 for cut in cuts if n >= cut) for n, stage in enumerate(steps_)}
    last = max(numbers.values())

    def placed(one: Step, number: int) -> Step:
        goes_on = one.on_failure is OnFailure.DEFAULT and number < last
        word = OnFailure.NEXT if goes_on else one.on_failure
        return replace(one, round=Round(of="call", number=number), on_failure=word)

    return [
        replace(stage, steps=tuple(placed(one, numbers[stage]) for one in stage.steps)) if stage in numbers else stage
        for stage in stages
    ]


def _undo(undone: Step, draw: st.DrawFn) -> Drawn:
    found = draw(steps(f"undo-{undone.id}", Section.ROLLBACK))
    return Drawn(replace(found.step, undoes=undone.id), found.faults)


def _signals(draw: st.DrawFn) -> tuple[tuple[int, StopRequested], ...]:
    if draw(st.integers(0, 4)):
        return ()
    how = draw(st.sampled_from(("SIGINT", "SIGTERM", "abort")))
    return ((draw(st.integers(1, 12)), StopRequested(by="ann", how=how)),)
