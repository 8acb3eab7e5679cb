"""The last moment to leave for the fallback: when it is, who decides, and what becomes of what is under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from drctl.engine import conduct
from drctl.engine.deadline import deadline, worked_out
from drctl.engine.fold import fold_all
from drctl.engine.ports import Answer, CommandResult, Ending, JobName
from drctl.engine.state import RunState, Target
from drctl.model.events import (
    Act,
    AttemptStarted,
    Body,
    ClockMarked,
    Ended,
    Estimate,
    ForecastMade,
    Outcome,
    PersonAnswered,
    PersonAsked,
    Question,
    Reason,
    RunResumed,
    RunStarted,
)
from drctl.model.plan import Endpoint, Http, Mark, Mode, OnFailure, Plan, Retry, Section, Shell, Stage, Step, Verify
from drctl.model.promises import DeadlineAction, DeadlineRule
from tests.support.world import START, Bench, FakeHosts, Killed, Scripted, ends, exits, plan_of_stages, step

HOUR = 3600.0
TAKES = Estimate(usual_s=0.9 * HOUR, careful_s=HOUR, runs=6, basis="p90 of 6 runs")
AFTER = 3 * HOUR  # the RTO of four hours less the hour that the fallback takes
FALLBACK = Answer(answer="fallback", who="ann", why="it is time")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conduct, "TICK_S", 0.01)


@dataclass
class Hosts(FakeHosts):
    """Jobs in ``held`` come to their end only when they are ended, or let go; ``kills`` are the names that were."""

    held: dict[str, threading.Event] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)
    deaf: bool = False  # nothing can be ended

    def kill(self, endpoint: Endpoint | None, *, name: JobName, become: str | None) -> CommandResult:
        self.kills.append(str(name))
        if self.deaf:
            return ends(Ending.UNREACHABLE)
        if name.step_id in self.held:
            self.held[name.step_id].set()
        self.claimed.setdefault(str(name), exits(137))
        return exits(0)

    def hold(self, bench: Bench, step_id: str, code: int = 137, *, let_go: bool = False) -> None:
        """The script takes until after the deadline, and then until it is ended; with ``let_go`` it ends by itself."""
        gate = self.held[step_id] = threading.Event()
        if let_go:
            gate.set()

        def runs(_: int) -> CommandResult:
            bench.clock.passed_s = max(bench.clock.passed_s, AFTER + 1)
            assert gate.wait(30), f"{step_id} was never ended"
            return exits(code)

        self.scripts[step_id] = runs


def written(*steps: Step, rule: DeadlineRule | None = None, mode: Mode = Mode.REAL) -> Plan:
    """Steps that are to restore the service, and a fallback that restores it in two."""
    restored = step("serve", read_only=True, mark=Mark.SERVICE_RESTORED)
    back = [step("restore/copy", idempotent=False), step("restore/up", mark=Mark.SERVICE_RESTORED)]
    stages = [Stage(section=Section.STEPS, steps=(s,)) for s in (*steps, restored)]
    stages += [Stage(section=Section.FALLBACK, steps=(s,)) for s in back]
    return replace(plan_of_stages(*stages, mode=mode), deadline=rule)


def bench_of(*steps: Step, people: tuple[Answer, ...] = (), rule: DeadlineRule | None = None) -> tuple[Bench, Hosts]:
    hosts = Hosts()
    return Bench(written(*steps, rule=rule), hosts=hosts, person=Scripted(*people)), hosts


def first(plan: Plan) -> tuple[Body, ...]:
    return (
        RunStarted(plan=plan, plan_digest="d", operator="o@m", controller="m", pid=1, interactive=True),
        ClockMarked(mark=Mark.OUTAGE_STARTED, at=START, source="given"),
        ForecastMade(steps=(), restored=TAKES, fallback=TAKES),
    )


def run(bench: Bench, *, die_after: int | None = None) -> RunState:
    return bench.conductor(die_after=die_after).conduct(*first(bench.plan))


def slow(bench: Bench, hosts: Hosts, step_id: str, seconds: float = AFTER + 1) -> None:
    """The step ends by itself, so long after."""

    def runs(_: int) -> CommandResult:
        bench.clock.passed_s = max(bench.clock.passed_s, seconds)
        return exits(0)

    hosts.scripts[step_id] = runs


def asked(bench: Bench) -> list[PersonAsked]:
    return [e.body for e in bench.events if isinstance(e.body, PersonAsked)]


def outcome(state: RunState, step_id: str) -> Outcome | None:
    return state.target(Target(step_id, "standby")).outcome


def test_when_it_is() -> None:
    bench, _ = bench_of(rule=DeadlineRule(action=DeadlineAction.FALLBACK, margin_s=600))
    begun = bench.conductor()
    for body in first(bench.plan):
        begun._take(body)
    found = deadline(begun.state)
    assert found is not None
    assert found.at == START + timedelta(seconds=AFTER - 600)
    assert found.ends_at == START + timedelta(hours=4)
    assert found.fallback == "restore"


@pytest.mark.parametrize("without", [Mark.OUTAGE_STARTED, "forecast", "fallback", "rto", Mode.CHECK])
def test_without_any_of_these_there_is_none(without: object) -> None:
    plan = written(mode=Mode.CHECK if without is Mode.CHECK else Mode.REAL)
    if without == "rto":
        plan = replace(plan, objectives=replace(plan.objectives, rto_s=None))
    begun = Bench(plan).conductor()
    started, marked, made = first(plan)
    assert isinstance(made, ForecastMade)
    if without == "fallback":
        made = replace(made, fallback=None)
    for body in (started, *([marked] if without is not Mark.OUTAGE_STARTED else ())):
        begun._take(body)
    if without != "forecast":
        begun._take(made)
    assert worked_out(begun.state) is None


def test_between_two_steps_a_person_is_asked_with_the_facts_and_leaves() -> None:
    bench, hosts = bench_of(step("one"), step("two"), people=(FALLBACK,))
    slow(bench, hosts, "one")
    state = run(bench)
    assert state.ended is Ended.DONE
    (question,) = asked(bench)
    assert question.question is Question.DEADLINE
    assert question.prompt == "2026-11-23 06:00:00 SAST was the last moment to leave for restore and keep the RTO"
    assert question.facts == (
        "the RTO of 4h 00m ends at 2026-11-23 07:00:00 SAST",
        "restore takes 1h 00m (p90 of 6 runs)",
        "nothing is under way",
    )
    assert question.answers == ("fallback", "continue", "pause", "abort")
    assert dict(hosts.effects) == {"one": 1, "restore/copy": 1, "restore/up": 1}
    assert state.fallen_back == "ann: the deadline has come it is time"
    assert Mark.SERVICE_RESTORED in state.clock
    assert fold_all(bench.events) == state


def test_whoever_goes_on_is_not_asked_again() -> None:
    bench, hosts = bench_of(step("one"), step("two"), people=(Answer(answer="continue", who="ann", why="nearly"),))
    slow(bench, hosts, "one")
    state = run(bench)
    assert len(asked(bench)) == 1
    assert dict(hosts.effects) == {"one": 1, "two": 1}
    assert (state.ended, state.fallen_back, state.deadline_answer) == (Ended.DONE, "", "continue")


@pytest.mark.parametrize(
    ("rule", "ended", "effects"),
    [
        (DeadlineRule(action=DeadlineAction.FALLBACK), Ended.DONE, {"one", "restore/copy", "restore/up"}),
        (DeadlineRule(action=DeadlineAction.CONTINUE), Ended.DONE, {"one", "two"}),
        (DeadlineRule(action=DeadlineAction.PAUSE), Ended.PAUSED, {"one"}),
        (DeadlineRule(action=DeadlineAction.ABORT), Ended.ABORTED, {"one"}),
        (None, Ended.DONE, {"one", "two"}),  # a runbook that says nothing goes on, as it always did
    ],
)
def test_unattended_the_runbook_says(rule: DeadlineRule | None, ended: Ended, effects: set[str]) -> None:
    bench, hosts = bench_of(step("one"), step("two"), rule=rule)
    slow(bench, hosts, "one")
    state = run(bench)
    assert state.ended is ended
    assert set(hosts.effects) == effects
    answer = next(e.body for e in bench.events if isinstance(e.body, PersonAnswered))
    assert (answer.question, answer.who) == (Question.DEADLINE, "")


def test_before_it_nobody_is_asked() -> None:
    bench, hosts = bench_of(step("one"), step("two"), rule=DeadlineRule(action=DeadlineAction.FALLBACK))
    slow(bench, hosts, "one", AFTER - 60)
    assert run(bench).fallen_back == ""
    assert asked(bench) == []


def test_what_may_be_broken_off_is_ended_and_only_then_the_fallback_begins() -> None:
    """The question comes while the step is under way."""
    bench, hosts = bench_of(step("resize", idempotent=True, timeout_s=1200), step("two"), people=(FALLBACK,))
    hosts.hold(bench, "resize")
    state = run(bench)
    (question,) = asked(bench)
    assert question.facts[2].startswith("under way: resize on standby, for 3h 00m of at most 20m 00s; it is ended")
    assert hosts.kills == ["run-1.resize.1"]
    assert outcome(state, "resize") is Outcome.FAILED
    assert dict(hosts.effects) == {"resize": 1, "restore/copy": 1, "restore/up": 1}
    told = [e.body.step for e in bench.events if getattr(e.body, "step", "")]
    assert told.index("restore/copy") > max(n for n, name in enumerate(told) if name == "resize")
    assert state.ended is Ended.DONE


def test_a_promotion_under_way_is_settled_before_anybody_is_asked() -> None:
    """It went through, and its verify was looked at too, before the question."""
    promote = step("promote", verify=Verify(action=Shell(script="is-primary")))
    bench, hosts = bench_of(promote, step("two"), people=(FALLBACK,))
    hosts.hold(bench, "promote", 0, let_go=True)
    state = run(bench)
    kinds = [(type(e.body).__name__, getattr(e.body, "act", "")) for e in bench.events][3:9]
    assert kinds == [
        ("AttemptStarted", Act.RUN),
        ("AttemptFinished", Act.RUN),
        ("AttemptStarted", Act.VERIFY),
        ("AttemptFinished", Act.VERIFY),
        ("PersonAsked", ""),
        ("PersonAnswered", ""),
    ]
    assert hosts.kills == []
    assert outcome(state, "promote") is Outcome.SUCCEEDED
    assert state.ended is Ended.DONE


@pytest.mark.parametrize(("code", "asked_about"), [(0, []), (1, [Question.FAILED])])
def test_once_it_is_promoted_the_runbook_is_not_left_any_more(code: int, asked_about: list[Question]) -> None:
    """The promotion ends after the deadline: when it went through there is nothing to ask."""
    rule = DeadlineRule(action=DeadlineAction.FALLBACK, until="promote")
    bench, hosts = bench_of(step("promote"), step("two"), rule=rule)
    hosts.hold(bench, "promote", code, let_go=True)
    state = run(bench)
    assert [q.question for q in asked(bench)] == asked_about
    assert state.fallen_back == ""
    assert hosts.effects["two"] == (code == 0)
    assert worked_out(state) is not None, "the report keeps it"
    assert (deadline(state) is None) == (code == 0)


def test_a_promotion_in_doubt_is_settled_first_and_nothing_new_begins_beside_it() -> None:
    """In a parallel stage whose other step has not had its turn: only the attaching goes on."""
    steps = (step("promote"), step("other", host="witness", retry=Retry(attempts=2, delay_s=1e6), idempotent=True))
    bench = Bench(written(), hosts=Hosts(), person=Scripted(FALLBACK))
    bench.plan = replace(bench.plan, stages=(Stage(section=Section.STEPS, steps=steps), *bench.plan.stages))
    hosts = bench.hosts
    assert isinstance(hosts, Hosts)
    slow(bench, hosts, "promote")
    hosts.lose_first_answer.add("promote")
    hosts.scripts["other"] = lambda _: exits(1)
    state = run(bench)
    acts = [(e.body.step, e.body.act) for e in bench.events if isinstance(e.body, AttemptStarted)]
    assert ("promote", Act.SETTLE) in acts
    assert hosts.effects["promote"] == 1
    assert outcome(state, "promote") is Outcome.SUCCEEDED
    other = state.target(Target("other", "witness"))
    assert (other.outcome, other.not_before) == (Outcome.FAILED, None)  # it waited for a turn that will not come
    assert hosts.effects["other"] == 1
    assert state.ended is Ended.DONE


def test_a_promotion_that_nobody_can_settle_is_a_persons_before_the_deadline_is() -> None:
    bench, hosts = bench_of(step("promote"), rule=DeadlineRule(action=DeadlineAction.FALLBACK))

    def lost(_: int) -> CommandResult:
        bench.clock.passed_s = AFTER + 1
        return ends(Ending.REBOOTED)

    hosts.scripts["promote"] = lost
    state = run(bench)
    assert [q.question for q in asked(bench)] == [Question.IN_DOUBT]
    assert (state.ended, state.fallen_back) == (Ended.PAUSED, "")


def test_a_failure_at_that_moment_is_asked_about_first() -> None:
    failing = step("one", on_failure=OnFailure.FALLBACK)
    bench, hosts = bench_of(failing, rule=DeadlineRule(action=DeadlineAction.ABORT))
    slow(bench, hosts, "one")
    hosts.scripts["one"] = lambda n, runs=hosts.scripts["one"]: replace(runs(n), exit_code=1)  # type: ignore[misc,arg-type]
    state = run(bench)
    assert [q.question for q in asked(bench)] == [Question.FAILED]
    assert state.ended is Ended.DONE
    assert state.fallen_back


def test_a_service_that_came_back_while_it_was_being_left_is_not_left() -> None:
    """The door's answer arrives after the decision: there is nothing to fall back for."""
    door = step("door", host=None, action=Http(url="door", method="GET"), read_only=True, mark=Mark.SERVICE_RESTORED)
    bench, hosts = bench_of(step("one"), people=(FALLBACK,))
    bench.plan = replace(bench.plan, stages=(Stage(section=Section.STEPS, steps=(door,)), *bench.plan.stages[-2:]))
    gate = threading.Event()
    answer = bench.network.http

    def late(request: Http, *, timeout_s: float) -> object:
        bench.clock.passed_s = AFTER + 1
        assert gate.wait(30)
        return answer(request, timeout_s=timeout_s)

    bench.network.http = late  # type: ignore[method-assign,assignment]
    decide = bench.person.decide

    def decides(question: PersonAsked, state: RunState) -> Answer:
        gate.set()
        return decide(question, state)

    bench.person.decide = decides  # type: ignore[method-assign]
    state = run(bench)
    assert [q.question for q in asked(bench)] == [Question.DEADLINE]
    assert (state.ended, state.fallen_back) == (Ended.DONE, "")
    assert not hosts.effects
    assert fold_all(bench.events) == state


def test_what_cannot_be_ended_for_certain_stays_in_doubt_and_holds_nothing_up() -> None:
    """drctl dies while an idempotent step is under way; its host does not answer the one who resumes."""
    bench, hosts = bench_of(step("resize", idempotent=True), people=(FALLBACK,))
    hosts.deaf = True
    slow(bench, hosts, "resize")
    with pytest.raises(Killed):
        run(bench, die_after=4)  # after the intent
    bench.clock.passed_s = AFTER + 1
    state = resumed(bench)
    known = state.target(Target("resize", "standby"))
    assert (known.outcome, known.doubt, known.reason) == (None, True, Reason.ABORTED)
    assert state.ended is Ended.DONE
    assert hosts.kills == ["run-1.resize.1"]
    assert {"restore/copy", "restore/up"} <= set(hosts.effects)


def resumed(bench: Bench, *, die_after: int | None = None) -> RunState:
    again = RunResumed(operator="p@n", controller="n", pid=2, interactive=True)
    return bench.conductor(die_after=die_after).conduct(again)


MOMENTS = 17  # one more than the run has events


@pytest.mark.parametrize("moment", range(3, MOMENTS))
def test_killed_at_any_event_a_resume_leaves_once_and_does_nothing_twice(moment: int) -> None:
    promote = step("promote", verify=Verify(action=Shell(script="is-primary")))
    bench, hosts = bench_of(promote, step("resize", idempotent=True), rule=DeadlineRule(action=DeadlineAction.FALLBACK))
    hosts.hold(bench, "resize")
    try:
        run(bench, die_after=moment)
    except Killed:
        bench.clock.passed_s = max(bench.clock.passed_s, AFTER + 2)
        state = resumed(bench)
    else:
        assert moment == MOMENTS - 1
        state = fold_all(bench.events)
    assert state.ended is Ended.DONE
    assert state.fallen_back
    assert hosts.effects["promote"] == (moment > 3)  # at 3 it had not begun, and does not any more
    assert hosts.effects["restore/copy"] == hosts.effects["restore/up"] == 1
    answers = [e.body for e in bench.events if isinstance(e.body, PersonAnswered)]
    assert [a.answer for a in answers] == ["fallback"]
    assert fold_all(bench.events) == state
