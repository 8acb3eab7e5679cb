"""The ways off the straight road: fallback, rollback, manual steps, modes, conditions, aborts."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from drctl.engine.ports import Answer, CommandResult, Ending
from drctl.engine.state import Target
from drctl.model.events import AttemptFinished, Ended, Outcome, Question, Reason, RunStarted, StopRequested
from drctl.model.plan import (
    Approval,
    Capture,
    Manual,
    Mode,
    OnFailure,
    Plan,
    Retry,
    Section,
    Shell,
    Stage,
    Step,
    Transfer,
    Variable,
    Verify,
)
from drctl.report import verdict
from tests.support.world import (
    CONTINUE,
    Bench,
    FakeHosts,
    Scripted,
    endpoint,
    ends,
    exits,
    ok,
    plan,
    plan_of_stages,
    step,
)


def staged(**sections: list[Step]) -> Plan:
    """A plan with one stage for each step, by section."""
    return plan_of_stages(*(Stage(section=Section(n), steps=(s,)) for n, steps in sections.items() for s in steps))


def failing(*scripts: str) -> FakeHosts:
    return FakeHosts(scripts={script: lambda _: exits(1) for script in scripts})


def test_a_failure_falls_back_on_the_other_runbook_in_the_same_run() -> None:
    fall = {"on_failure": OnFailure.FALLBACK}
    whole = staged(steps=[step("try", **fall), step("never")], fallback=[step("restore")], always=[step("tidy")])
    bench = Bench(whole, hosts=failing("try"))
    state = bench.run()
    assert state.ended is Ended.DONE
    assert bench.hosts.effects == {"try": 1, "restore": 1, "tidy": 1}
    assert "try failed" in state.fallen_back


def test_a_fallback_that_fails_too_fails_the_run() -> None:
    whole = staged(steps=[step("try", on_failure=OnFailure.FALLBACK)], fallback=[step("restore")])
    state = Bench(whole, hosts=failing("try", "restore")).run()
    assert state.ended is Ended.FAILED
    assert state.ended_why == "restore"


def test_a_person_may_choose_the_fallback() -> None:
    whole = staged(steps=[step("try")], fallback=[step("restore")])
    bench = Bench(whole, hosts=failing("try"), person=Scripted(Answer(answer="fallback", who="ann", why="no time")))
    assert bench.run().ended is Ended.DONE
    assert bench.person.asked[0].answers == ("retry", "skip", "fallback", "pause", "abort")


def test_rollbacks_run_in_reverse_and_only_for_what_was_begun() -> None:
    steps = [step("one"), step("two"), step("breaks", on_failure=OnFailure.ROLLBACK), step("never")]
    undos = [step(f"undo-{s.id}", undoes=s.id) for s in reversed(steps)]
    bench = Bench(staged(steps=steps, rollback=undos, always=[step("tidy")]), hosts=failing("breaks"))
    state = bench.run()
    assert state.ended is Ended.FAILED
    order = [e.body.step for e in bench.events if isinstance(e.body, AttemptFinished)]
    assert order == ["one", "two", "breaks", "undo-breaks", "undo-two", "undo-one", "tidy"]


def test_without_a_failure_no_undo_and_no_fallback_runs() -> None:
    whole = staged(steps=[step("one")], rollback=[step("undo", undoes="one")], fallback=[step("restore")])
    bench = Bench(whole)
    assert bench.run().ended is Ended.DONE
    assert bench.hosts.effects == {"one": 1}


@pytest.mark.parametrize(("answer", "ended"), [("done", Ended.DONE), ("failed", Ended.FAILED)])
def test_a_manual_step_is_done_by_a_person_who_says_so(answer: str, ended: Ended) -> None:
    by_hand = step("call", host=None, action=Manual(prompt="Call the client"))
    bench = Bench(plan(by_hand), person=Scripted(Answer(answer=answer, who="ann", why="nobody answers")))
    assert bench.run().ended is ended
    assert bench.person.asked[0].question is Question.MANUAL


def test_a_manual_step_with_nobody_there_pauses() -> None:
    assert Bench(plan(step("call", host=None, action=Manual(prompt="Call")))).run().ended is Ended.PAUSED


def test_when_compares_with_captured_values_and_inputs() -> None:
    kind = step("kind", read_only=True, captures=(Capture(name="engine"),))
    steps = [kind, step("pg", when=(("engine", "postgresql"),)), step("my", when=(("engine", "mysql"),))]
    bench = Bench(plan(*steps), hosts=FakeHosts(scripts={"kind": lambda _: ok(b"postgresql")}))
    state = bench.run()
    assert bench.hosts.effects == {"pg": 1}
    assert state.target(Target("my", "standby")).why == "only when engine is mysql, and it is postgresql"

    given = replace(plan(step("x", when=(("size", "big"),))), inputs=(Variable(name="size", text="big"),))
    bench = Bench(given)
    bench.run()
    assert bench.hosts.effects == {"x": 1}


@pytest.mark.parametrize(
    ("errors", "facts"),
    [
        (b"the disk is full\n", ("the disk is full",)),
        (b"10 %\nthe disk is full\n", ("the disk is full", "10 %")),
        (b"beware: the disk is full\n", ("the disk is full", "beware: the disk is full\n")),
    ],
)
def test_why_a_step_failed_is_said_once_when_it_printed_that_too(errors: bytes, facts: tuple[str, ...]) -> None:
    result = CommandResult(ending=Ending.FINISHED, exit_code=1, detail="the disk is full")
    bench = Bench(plan(step("send")), hosts=FakeHosts(scripts={"send": lambda _: (result, errors)}))
    bench.run()
    assert bench.person.asked[0].facts == facts


def test_check_mode_runs_read_only_steps_and_counts_nothing_else_as_done() -> None:
    steps = [step("look", read_only=True), step("change"), step("use", read_only=True, requires="fenced")]
    bench = Bench(plan(*steps, mode=Mode.CHECK))
    state = bench.run()
    assert state.ended is Ended.DONE
    assert not bench.hosts.effects
    assert bench.hosts.probes == {"look": 1, "use": 1}
    assert state.target(Target("change", "standby")).outcome is Outcome.SIMULATED


def test_check_mode_asks_nobody_for_an_approval_and_looks_at_what_comes_after_it() -> None:
    asked = [Approval(prompt="Go?"), Approval(prompt="Go?", minimum=2), Approval(prompt="?", only_if_above=("x", 1.0))]
    gates = [step(f"gate-{n}", host=None, action=action, read_only=True) for n, action in enumerate(asked)]
    bench = Bench(plan(*gates, step("look", read_only=True), mode=Mode.CHECK))
    state = bench.run()
    assert state.ended is Ended.DONE
    assert not bench.person.asked
    assert bench.hosts.probes == {"look": 1}
    assert {state.target(Target(gate.id, "")).outcome for gate in gates} == {Outcome.SIMULATED}


def test_a_step_for_other_modes_is_left_out() -> None:
    bench = Bench(plan(step("only-drill", modes=(Mode.DRILL,))))
    assert bench.run().ended is Ended.DONE
    assert not bench.hosts.effects


def test_no_more_hosts_at_once_than_max_parallel() -> None:
    at_once, most, lock = [0], [0], threading.Lock()

    def count(_: int) -> object:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        threading.Event().wait(0.02)
        with lock:
            at_once[0] -= 1
        return exits(0)

    many = replace(step("each"), endpoints=tuple(endpoint(f"h{n}") for n in range(6)), max_parallel=2)
    hosts = FakeHosts(scripts={"each": count})  # type: ignore[dict-item]
    bench = Bench(plan(many), hosts=hosts)
    # The job's name does not hold the host, so that the fake would take six hosts for one.
    hosts.claimed = _NeverClaimed()
    assert bench.run().ended is Ended.DONE
    assert hosts.effects["each"] == 6
    assert most[0] == 2


class _NeverClaimed(dict):  # type: ignore[type-arg]
    def __contains__(self, key: object) -> bool:
        return False


def test_a_transfer_goes_through_its_own_port() -> None:
    put = step("send", action=Transfer(direction="put", local="/a", remote="/b"))
    state = Bench(plan(put)).run()
    known = state.target(Target("send", "standby"))
    assert known.outcome is Outcome.SUCCEEDED
    assert known.output is not None
    assert known.output.tail == "/a /b"


def test_an_abort_ends_the_job_that_runs_and_always_still_runs() -> None:
    killed = threading.Event()
    bench = Bench(plan(step("long"), step("never"), always=[step("tidy")]))
    conductor = bench.conductor()

    def long(_: int) -> object:
        conductor.inbox.put(StopRequested(by="ann: enough", how="abort"))
        assert killed.wait(10)
        return exits(143)

    bench.hosts.scripts["long"] = long  # type: ignore[assignment]
    bench.hosts.kill = lambda *a, **k: (killed.set(), exits(0))[1]  # type: ignore[method-assign]
    state = conductor.conduct(
        RunStarted(plan=bench.plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False)
    )
    assert state.ended is Ended.ABORTED
    assert "enough" in state.ended_why
    assert bench.hosts.effects == {"long": 1, "tidy": 1}


def test_an_abort_leaves_no_retry() -> None:
    bench = Bench(plan(step("flaky", retry=Retry(attempts=10, delay_s=60))))
    conductor = bench.conductor()

    def flaky(_: int) -> object:
        conductor.inbox.put(StopRequested(by="ann: enough", how="abort"))
        threading.Event().wait(0.05)
        return exits(143)

    bench.hosts.scripts["flaky"] = flaky  # type: ignore[assignment]
    state = conductor.conduct(
        RunStarted(plan=bench.plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False)
    )
    assert state.ended is Ended.ABORTED
    assert state.target(Target("flaky", "standby")).outcome is Outcome.FAILED


def test_an_approval_of_what_was_not_measured_is_asked() -> None:
    measure = step("measure", on_failure=OnFailure.CONTINUE, captures=(Capture(name="loss"),))
    approve = step("approve", host=None, action=Approval(prompt="Lose ${loss}?", only_if_above=("loss", 1.0)))
    bench = Bench(plan(measure, approve), hosts=failing("measure"))
    assert bench.run().ended is Ended.PAUSED
    assert bench.person.asked[0].question is Question.APPROVAL


def test_an_abort_of_a_dead_run_ends_what_it_left_on_the_hosts() -> None:
    from drctl.model.events import RunResumed
    from tests.support.world import Killed

    bench = Bench(plan(step("long"), always=[step("tidy")]))
    with pytest.raises(Killed):
        bench.run(die_after=2)
    ended: list[object] = []
    bench.hosts.kill = lambda *a, name, **k: (ended.append(str(name)), exits(0))[1]  # type: ignore[method-assign]
    state = bench.conductor().conduct(
        RunResumed(operator="p", controller="n", pid=2, interactive=False), StopRequested(by="ann: x", how="abort")
    )
    assert state.ended is Ended.ABORTED
    assert ended == ["run-1.long.1"]
    known = state.target(Target("long", "standby"))
    assert (known.outcome, known.reason) == (Outcome.FAILED, Reason.ABORTED)


def test_what_was_ended_in_the_middle_is_told_apart_from_what_failed_and_by_host() -> None:
    long = replace(step("long", on_failure=CONTINUE), endpoints=(endpoint("left"), endpoint("right")))
    hosts = FakeHosts(scripts={"long": lambda _: ends(Ending.ENDED), "breaks": lambda _: exits(1)})
    state = Bench(plan(long, step("breaks", on_failure=CONTINUE)), hosts=hosts).run()
    said = verdict.truths(state)
    assert "ended in the middle, and left half done: long @ left, long @ right" in said
    assert "failed, and may have changed something: breaks" in said
    assert not any(line.startswith("failed, and changed nothing") for line in said)


def test_nothing_of_a_sensitive_output_is_written_down_but_its_size_and_sum() -> None:
    keys = step("keys", read_only=True, sensitive=True, expect="hunter2")
    bench = Bench(plan(keys), hosts=FakeHosts(scripts={"keys": lambda _: ok(b"hunter2")}))
    assert bench.run().ended is Ended.DONE
    assert "hunter2" not in repr([e for e in bench.events if not isinstance(e.body, RunStarted)])
    finished = next(e.body for e in bench.events if isinstance(e.body, AttemptFinished))
    assert finished.output is not None
    assert finished.output.bytes == 7


def test_what_a_sensitive_step_printed_against_its_word_is_not_written_down_either() -> None:
    look = Verify(action=Shell(script="look"), expect="rows", within_s=1)
    held = step("keys", read_only=True, sensitive=True, expect="key", on_failure=CONTINUE)
    verified = step("made", sensitive=True, verify=look, on_failure=CONTINUE)
    hosts = FakeHosts(scripts={"keys": lambda _: ok(b"hunter2"), "look": lambda _: ok(b"hunter2")})
    bench = Bench(plan(held, verified), hosts=hosts)
    state = bench.run()
    assert "hunter2" not in repr([e for e in bench.events if not isinstance(e.body, RunStarted)])
    for name, wanted in (("keys", "key"), ("made", "rows")):
        known = state.target(Target(name, "standby"))
        said = f"it printed something else (withheld: the step is sensitive), and {wanted!r} was expected"
        assert (known.outcome, known.detail) == (Outcome.FAILED, said)


def test_every_question_has_words_for_who_is_waited_for() -> None:
    from drctl.model.events import PersonAsked
    from drctl.report.verdict import waiting_for

    state = Bench(plan(step("one"))).run()
    for question in Question:
        asked = PersonAsked(question=question, step="one", prompt="?", answers=("x",), unattended="x")
        assert waiting_for(replace(state, question=asked)).endswith("(one)")
