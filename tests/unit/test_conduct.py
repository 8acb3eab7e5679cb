"""The loop with the whole engine behind it, in a world without hosts."""

from __future__ import annotations

import pytest

from drctl.engine.fold import fold, fold_all
from drctl.engine.objectives import Verdict, rpo, rto
from drctl.engine.ports import Answer, Ending, NetworkAnswer
from drctl.engine.state import RunState, Target
from drctl.model.events import (
    AttemptFinished,
    AttemptStarted,
    Ended,
    MessengerFailed,
    Outcome,
    PersonAnswered,
    Question,
    Reason,
    StopRequested,
)
from drctl.model.plan import (
    Approval,
    Capture,
    CaptureType,
    Http,
    Mark,
    OnFailure,
    OnUnreachable,
    Retry,
    Section,
    Shell,
    Stage,
    Verify,
    Wait,
)
from tests.support import sample_runs
from tests.support.world import (
    ABORT,
    CONTINUE,
    Bench,
    FakeHosts,
    Killed,
    Scripted,
    ends,
    exits,
    ok,
    plan,
    plan_of_stages,
    step,
)


def outcome(state: object, step_id: str, host: str = "standby") -> Outcome | None:
    return state.target(Target(step_id, host)).outcome  # type: ignore[attr-defined]


def test_steps_run_in_order_and_each_intent_is_written_first() -> None:
    bench = Bench(plan(step("one"), step("two")))
    state = bench.run()
    assert state.ended is Ended.DONE
    told = [(type(e.body).__name__, e.body.step) for e in bench.events if hasattr(e.body, "step")]
    assert told == [
        ("AttemptStarted", "one"),
        ("AttemptFinished", "one"),
        ("AttemptStarted", "two"),
        ("AttemptFinished", "two"),
    ]
    assert fold_all(bench.events) == state


@pytest.mark.parametrize("sample", sample_runs.SAMPLES)
def test_one_more_event_leaves_the_state_that_it_came_to_alone(sample: str) -> None:
    events = sample_runs.SAMPLES[sample]()
    states = [RunState()]
    for event in events:
        states.append(fold(states[-1], event))
    for number, state in enumerate(states):
        assert state == fold_all(events[:number])


def test_all_preconditions_are_looked_at_before_the_no_go_and_nothing_is_changed() -> None:
    gates = [step("a", read_only=True), step("b", read_only=True), step("c", read_only=True)]
    hosts = FakeHosts(scripts={"a": lambda _: exits(1), "c": lambda _: exits(1)})
    bench = Bench(plan(step("change"), preconditions=gates, always=[step("tidy")]), hosts=hosts)
    state = bench.run()
    assert state.ended is Ended.NO_GO
    assert state.ended_why == "a, c"
    assert not hosts.effects


def test_a_failed_step_aborts_when_nobody_is_there_and_always_runs() -> None:
    hosts = FakeHosts(scripts={"breaks": lambda _: exits(3)})
    bench = Bench(plan(step("breaks"), step("later"), always=[step("tidy")]), hosts=hosts)
    state = bench.run()
    assert state.ended is Ended.FAILED
    assert hosts.effects == {"breaks": 1, "tidy": 1}
    assert state.target(Target("breaks", "standby")).exit_code == 3


@pytest.mark.parametrize(("word", "later"), [(CONTINUE, 1), (ABORT, 0)])
def test_on_failure(word: object, later: int) -> None:
    hosts = FakeHosts(scripts={"breaks": lambda _: exits(1)})
    state = Bench(plan(step("breaks", on_failure=word), step("later")), hosts=hosts).run()
    assert hosts.effects["later"] == later
    assert state.ended is (Ended.DONE if later else Ended.FAILED)


@pytest.mark.parametrize("strict_first", [True, False])
def test_of_steps_that_fail_side_by_side_the_strictest_decides(strict_first: bool) -> None:
    """An abort beside a pause aborts, wherever it stands: a run must not hang on the order of two lines."""
    words = [("left", ABORT), ("right", OnFailure.PAUSE)]
    steps = tuple(step(name, on_failure=word) for name, word in (words if strict_first else words[::-1]))
    hosts = FakeHosts(scripts={"left": lambda _: exits(1), "right": lambda _: exits(1)})
    state = Bench(plan_of_stages(Stage(section=Section.STEPS, steps=steps)), hosts=hosts).run()
    assert state.ended is Ended.FAILED


def test_on_unreachable_continue_goes_on_only_when_nothing_was_sent() -> None:
    words = {"on_unreachable": OnUnreachable.CONTINUE}
    hosts = FakeHosts(scripts={"fence": lambda _: ends(Ending.UNREACHABLE)})
    assert Bench(plan(step("fence", **words), step("later")), hosts=hosts).run().ended is Ended.DONE
    hosts = FakeHosts(scripts={"fence": lambda _: exits(1)})
    assert Bench(plan(step("fence", **words), step("later")), hosts=hosts).run().ended is Ended.FAILED


def test_a_person_retries_then_skips_with_a_reason() -> None:
    hosts = FakeHosts(scripts={"breaks": lambda n: exits(1)})
    person = Scripted(Answer(answer="retry", who="ann"), Answer(answer="skip", who="ann", why="done by hand"))
    bench = Bench(plan(step("breaks"), step("later")), hosts=hosts, person=person)
    state = bench.run()
    assert state.ended is Ended.DONE
    assert hosts.effects == {"breaks": 2, "later": 1}
    known = state.target(Target("breaks", "standby"))
    assert (known.outcome, known.who, known.why) == (Outcome.SKIPPED, "ann", "done by hand")


def test_retry_waits_longer_each_time_and_counts_its_attempts() -> None:
    hosts = FakeHosts(scripts={"flaky": lambda n: exits(0 if n == 3 else 1)})
    bench = Bench(plan(step("flaky", retry=Retry(attempts=3, delay_s=0.01, backoff=2))), hosts=hosts)
    bench.clock.now = _real_now  # type: ignore[method-assign]
    state = bench.run()
    assert state.ended is Ended.DONE
    assert hosts.effects["flaky"] == 3


def _real_now() -> object:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_a_lost_answer_is_settled_by_attaching_and_nothing_runs_twice() -> None:
    hosts = FakeHosts(lose_first_answer={"promote"})
    bench = Bench(plan(step("promote")), hosts=hosts)
    state = bench.run()
    assert state.ended is Ended.DONE
    assert hosts.effects == {"promote": 1}
    acts = [(e.body.act.value, e.body.outcome.value) for e in bench.events if isinstance(e.body, AttemptFinished)]
    assert acts == [("run", "in_doubt"), ("settle", "succeeded")]


def test_a_reboot_in_mid_step_is_settled_by_the_verify() -> None:
    check = Verify(action=Shell(script="check"), within_s=5)
    hosts = FakeHosts(scripts={"promote": lambda _: ends(Ending.REBOOTED)})
    state = Bench(plan(step("promote", verify=check)), hosts=hosts).run()
    assert state.ended is Ended.DONE
    assert hosts.effects == {"promote": 1}
    assert hosts.probes == {"check": 1}


def test_a_reboot_with_no_verify_runs_an_idempotent_step_again_and_asks_about_another() -> None:
    hosts = FakeHosts(scripts={"set": lambda n: ends(Ending.REBOOTED) if n == 1 else exits(0)})
    assert Bench(plan(step("set", idempotent=True)), hosts=hosts).run().ended is Ended.DONE
    assert hosts.effects == {"set": 2}

    hosts = FakeHosts(scripts={"add": lambda _: ends(Ending.REBOOTED)})
    bench = Bench(plan(step("add")), hosts=hosts)
    assert bench.run().ended is Ended.PAUSED
    assert bench.person.asked[0].question is Question.IN_DOUBT
    assert hosts.effects == {"add": 1}
    bench.person = Scripted(Answer(answer="succeeded", who="ann", why="looked"))
    assert bench.resume().ended is Ended.DONE
    assert hosts.effects == {"add": 1}


def test_a_failed_verify_fails_the_step_and_a_retry_looks_before_it_runs_again() -> None:
    check = Verify(action=Shell(script="check"), within_s=2, every_s=1)
    hosts = FakeHosts(scripts={"check": lambda n: exits(0 if n > 3 else 1)})
    person = Scripted(Answer(answer="retry", who="ann"))
    state = Bench(plan(step("promote", verify=check)), hosts=hosts, person=person).run()
    assert state.ended is Ended.DONE
    assert hosts.effects == {"promote": 1}


def test_nothing_is_promoted_without_proof_of_a_fence() -> None:
    steps = [step("fence", proves="fenced", on_failure=CONTINUE), step("promote", requires="fenced")]
    hosts = FakeHosts(scripts={"fence": lambda _: exits(1)})
    bench = Bench(plan(*steps), hosts=hosts)
    assert bench.run().ended is Ended.PAUSED
    assert hosts.effects == {"fence": 1}
    bench.person = Scripted(Answer(answer="override", who="ann", why="saw the rack dark"))
    state = bench.resume()
    assert state.ended is Ended.DONE
    assert hosts.effects == {"fence": 1, "promote": 1}
    assert state.overrides[0].why == "saw the rack dark"


def test_a_second_fence_is_left_out_when_the_first_held() -> None:
    steps = [
        step("power-off", proves="fenced", on_failure=CONTINUE),
        step("stop", proves="fenced", unless_proved="fenced"),
        step("promote", requires="fenced"),
    ]
    hosts = FakeHosts()
    state = Bench(plan(*steps), hosts=hosts).run()
    assert hosts.effects == {"power-off": 1, "promote": 1}
    assert outcome(state, "stop") is Outcome.SKIPPED


@pytest.mark.parametrize(("loss", "asked", "ended"), [(b"30", 0, Ended.DONE), (b"90001", 1, Ended.PAUSED)])
def test_an_approval_is_asked_only_above_its_limit(loss: bytes, asked: int, ended: Ended) -> None:
    measure = step("measure", read_only=True, captures=(Capture(name="loss", type=CaptureType.DURATION),))
    approve = step("approve", host=None, action=Approval(prompt="Lose ${loss} s?", only_if_above=("loss", 86400)))
    bench = Bench(plan(measure, approve), hosts=FakeHosts(scripts={"measure": lambda _: ok(loss)}))
    assert bench.run().ended is ended
    assert len(bench.person.asked) == asked


def test_a_declined_approval_aborts_and_says_who() -> None:
    approve = step("approve", host=None, action=Approval(prompt="Go?"))
    bench = Bench(plan(approve, step("later")), person=Scripted(Answer(answer="no", who="ann", why="not yet")))
    state = bench.run()
    assert state.ended is Ended.ABORTED
    assert "ann" in state.ended_why
    assert not bench.hosts.effects


def test_unless_leaves_out_what_is_done_already_and_its_proof_holds() -> None:
    fence = step("fence", unless=Shell(script="is-off"), proves="fenced")
    hosts = FakeHosts()
    state = Bench(plan(fence, step("promote", requires="fenced")), hosts=hosts).run()
    assert hosts.effects == {"promote": 1}
    assert outcome(state, "fence") is Outcome.SKIPPED


def test_captured_values_reach_the_scripts_that_name_them_and_the_clocks() -> None:
    seen = step(
        "seen",
        read_only=True,
        captures=(Capture(name="last_seen", type=CaptureType.TIME),),
        mark=Mark.OUTAGE_STARTED,
        mark_value="last_seen",
        last_write="last_seen",
    )
    point = step(
        "point",
        read_only=True,
        captures=(Capture(name="point_at", type=CaptureType.TIME),),
        recovery_point="point_at",
    )
    use = step("echo $last_seen")
    restored = step("up", host=None, action=Http(url="http://x/"), mark=Mark.SERVICE_RESTORED, read_only=True)
    hosts = FakeHosts(
        scripts={
            "seen": lambda _: ok(b"2026-11-23 02:30:00+02\n"),
            "point": lambda _: ok(b"2026-11-23T00:29:50Z\n"),
        }
    )
    bench = Bench(plan(seen, point, use, restored), hosts=hosts)
    state = bench.run()
    sent = next(c for c in hosts.commands if c.script == "echo $last_seen")
    assert sent.variables == {"last_seen": "2026-11-23T00:30:00+00:00"}
    assert rto(state, bench.clock.now()).verdict is Verdict.MET
    assert 1800 <= (rto(state, bench.clock.now()).actual_s or 0) < 1801
    assert rpo(state).actual_s == 10


def test_output_that_is_not_what_was_promised_fails_and_is_never_run_again_by_itself() -> None:
    words = {"captures": (Capture(name="n", type=CaptureType.INT),)}
    hosts = FakeHosts(scripts={"count": lambda _: ok(b"many")})
    state = Bench(plan(step("count", **words)), hosts=hosts).run()
    assert state.target(Target("count", "standby")).reason is Reason.CAPTURE
    assert hosts.effects == {"count": 1}


def test_without_the_start_of_the_outage_the_rto_is_not_measured() -> None:
    bench = Bench(plan(step("up", mark=Mark.SERVICE_RESTORED)))
    assert rto(bench.run(), bench.clock.now()).verdict is Verdict.NOT_MEASURED


def test_parallel_steps_are_all_started_before_the_first_ends_and_hosts_count_one_by_one() -> None:
    import threading

    both = threading.Barrier(2, timeout=10)

    def meet(_: int) -> object:
        both.wait()
        return exits(0)

    hosts = FakeHosts(scripts={"left": meet, "right": meet})  # type: ignore[dict-item]
    stage = Stage(section=Section.STEPS, steps=(step("left"), step("right", host="backup")))
    assert Bench(plan_of_stages(stage), hosts=hosts).run().ended is Ended.DONE


def test_a_health_check_is_asked_until_it_answers() -> None:
    check = Verify(action=Http(url="http://edge/health"), within_s=10, every_s=1)
    bench = Bench(plan(step("repoint", verify=check)))
    no = NetworkAnswer(ok=False, detail="503", body="no")
    bench.network.answers["http://edge/health"] = [no, no, NetworkAnswer(ok=True, detail="200", body="{}")]
    assert bench.run().ended is Ended.DONE
    assert bench.clock.passed_s >= 2


def test_a_stop_starts_nothing_new_and_a_resume_goes_on() -> None:
    bench = Bench(plan(step("one"), step("two")))
    conductor = bench.conductor()

    def stop_now(_: int) -> object:
        conductor.inbox.put(StopRequested(by="ann", how="SIGINT"))
        return exits(0)

    bench.hosts.scripts["one"] = stop_now  # type: ignore[assignment]
    from drctl.model.events import RunStarted

    state = conductor.conduct(
        RunStarted(plan=bench.plan, plan_digest="d", operator="o", controller="m", pid=1, interactive=False)
    )
    assert state.ended is Ended.PAUSED
    assert bench.hosts.effects == {"one": 1}
    assert bench.resume().ended is Ended.DONE
    assert bench.hosts.effects == {"one": 1, "two": 1}


def test_a_wait_takes_its_time() -> None:
    bench = Bench(plan(step("pause", host=None, action=Wait(seconds=30), read_only=True)))
    assert bench.run().ended is Ended.DONE
    assert bench.clock.passed_s >= 30


def test_a_messenger_that_fails_is_noted_and_let_go() -> None:
    class Broken:
        name = "broken"

        def on_event(self, event: object, state: object) -> None:
            raise OSError("gone")

    bench = Bench(plan(step("one")), listeners=[Broken()])
    assert bench.run().ended is Ended.DONE
    assert [e.body.detail for e in bench.events if isinstance(e.body, MessengerFailed)] == ["OSError: gone"]


def test_a_bug_in_an_adapter_leaves_a_changing_step_in_doubt_and_never_ends_the_run_in_silence() -> None:
    def burst(_: int) -> object:
        raise RuntimeError("boom")

    hosts = FakeHosts(scripts={"change": burst})  # type: ignore[dict-item]
    bench = Bench(plan(step("change")), hosts=hosts)
    state = bench.run()
    assert state.ended is Ended.PAUSED
    assert "boom" in state.target(Target("change", "standby")).detail


def sample() -> Bench:
    """A run with every kind of decision in it."""
    hosts = FakeHosts(scripts={"fence": lambda _: exits(1)}, lose_first_answer={"promote"})
    steps = [
        step("fence", proves="fenced", on_failure=CONTINUE),
        step("power", proves="fenced"),
        step("promote", requires="fenced", verify=Verify(action=Shell(script="check"), within_s=3)),
        step("canary", captures=(Capture(name="n"),)),
        step("flush", idempotent=True),
    ]
    return Bench(plan(*steps, preconditions=[step("gate", read_only=True)], always=[step("tidy")]), hosts=hosts)


def test_killed_after_any_event_a_resume_ends_recovered_and_nothing_ran_twice() -> None:
    whole = sample()
    assert whole.run().ended is Ended.DONE
    for dies in range(1, len(whole.events)):
        bench = sample()
        with pytest.raises(Killed):
            bench.run(die_after=dies)
        state = bench.resume()
        assert state.ended is Ended.DONE, f"killed after {dies}: {state.ended_why}"
        assert bench.hosts.effects == whole.hosts.effects, f"killed after {dies}"
        assert fold_all(bench.events) == state


def test_answers_and_attempts_are_all_in_the_journal() -> None:
    bench = sample()
    bench.run()
    started = [e.body for e in bench.events if isinstance(e.body, AttemptStarted)]
    finished = [e.body for e in bench.events if isinstance(e.body, AttemptFinished)]
    assert [(b.step, b.act) for b in started] == [(b.step, b.act) for b in finished]
    assert not [e for e in bench.events if isinstance(e.body, PersonAnswered)]
