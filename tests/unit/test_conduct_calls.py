"""The loop: calls that are tried again, gates with another way, and a service that somebody else holds."""

from __future__ import annotations

import pytest

from drctl.engine.ports import Answer, CommandResult, Ending
from drctl.engine.state import Target
from drctl.errors import DrctlError, ExitCode
from drctl.model.events import (
    Ended,
    Outcome,
)
from drctl.model.plan import (
    Mode,
    OnFailure,
    Retry,
    Round,
    Section,
    Stage,
)
from drctl.report.summary import summarise
from drctl.report.verdict import exit_code, truths
from drctl.screens.steps_table import rows
from tests.support.world import (
    ABORT,
    CONTINUE,
    Bench,
    FakeClock,
    FakeHosts,
    Killed,
    Scripted,
    endpoint,
    ends,
    exits,
    plan,
    plan_of_stages,
    step,
)


def outcome(state: object, step_id: str, host: str = "standby") -> Outcome | None:
    return state.target(Target(step_id, host)).outcome  # type: ignore[attr-defined]


TIME_OF_THREE = 25.0  # each attempt that fails takes 10 s, so that the fourth would begin after it


def rounds(breaks: dict[str, object], *, attempts: int = 3, within_s: float | None = None) -> tuple[Bench, list[str]]:
    """A call that may be tried several times: each attempt picks a copy and reads it, then the run goes on."""
    ids = [(n, name) for n in range(1, attempts + 1) for name in ("pick", "read")]
    words = [
        step(
            f"copy/{n}/{name}",
            round=Round(of="copy", number=n, within_s=within_s),
            on_failure=OnFailure.NEXT if n < attempts else ABORT,
        )
        for n, name in ids
    ]
    clock = FakeClock()

    def fails(code: int) -> CommandResult:
        clock.sleep(10)
        return exits(code)

    hosts = FakeHosts(scripts={k: lambda _, c=v: fails(c) for k, v in breaks.items()})  # type: ignore[misc]
    return Bench(plan(*words, step("open")), hosts=hosts, clock=clock), [s.id for s in words]


def test_a_call_is_tried_again_as_a_whole_and_the_attempts_after_the_good_one_are_left_out() -> None:
    bench, ids = rounds({"copy/1/pick": 1})
    state = bench.run()
    assert state.ended is Ended.DONE
    assert dict(bench.hosts.effects) == {"copy/1/pick": 1, "copy/2/pick": 1, "copy/2/read": 1, "open": 1}
    whys = [state.target(Target(i, "standby")).why for i in ids]
    assert whys == [
        "", "attempt 1 of copy ended when copy/1/pick failed", "", "", "", "",
    ]  # fmt: skip
    assert not any(target.step.startswith("copy/3/") for target in state.targets), "it was not needed"
    # What was not needed takes one row of the screen, none of the report, and a line of what the run does not show.
    summary = summarise(bench.events)
    assert [row.id for row in summary.steps] == [*ids[:4], "open"]
    assert "copy had 1 more attempts, not made" in summary.limits
    shown = [line.plain for line in rows(state, bench.events[-1].at, width=120).lines]
    assert [line for line in shown if "copy: more attempts, for when they are needed" in line] == [shown[4]]
    assert len(shown) == 6


def test_the_last_attempt_of_a_call_fails_as_any_step_does() -> None:
    bench, _ = rounds({"copy/1/read": 1, "copy/2/read": 1, "copy/3/pick": 1})
    state = bench.run()
    assert state.ended is Ended.FAILED
    assert state.ended_why == "copy/3/pick"
    assert not bench.hosts.effects["open"]


def test_when_the_time_for_attempts_is_over_there_is_the_last_one_and_it_fails_as_any_step_does() -> None:
    bench, _ = rounds({f"copy/{n}/read": 1 for n in range(1, 6)}, attempts=5, within_s=TIME_OF_THREE)
    state = bench.run()
    assert [n for n in range(1, 6) if bench.hosts.effects[f"copy/{n}/pick"]] == [1, 2, 3, 5]
    assert (state.ended, state.ended_why) == (Ended.FAILED, "copy/5/read")
    good, _ = rounds({f"copy/{n}/read": 1 for n in range(1, 5)}, attempts=5, within_s=TIME_OF_THREE)
    assert good.run().ended is Ended.DONE
    assert good.hosts.effects["copy/5/read"] == good.hosts.effects["open"] == 1


@pytest.mark.parametrize("within_s", [None, TIME_OF_THREE])
def test_attempts_of_a_call_survive_a_death_after_any_event(within_s: float | None) -> None:
    whole, _ = rounds({"copy/1/pick": 1, "copy/2/read": 1}, within_s=within_s)
    assert whole.run().ended is Ended.DONE
    for dies in range(1, len(whole.events)):
        bench, _ = rounds({"copy/1/pick": 1, "copy/2/read": 1}, within_s=within_s)
        with pytest.raises(Killed):
            bench.run(die_after=dies)
        assert bench.resume().ended is Ended.DONE
        assert bench.hosts.effects == whole.hosts.effects, f"killed after {dies}"


def gated(*, other: int = 0, mode: Mode = Mode.REAL, person: Scripted | None = None) -> Bench:
    """A standby that cannot be used, a primary that is alive (or not), and a restore to go over to."""
    stages = [
        Stage(section=Section.PRECONDITIONS, steps=(step("silent", read_only=True),)),
        Stage(section=Section.PRECONDITIONS, steps=(step("usable", read_only=True, on_failure=OnFailure.FALLBACK),)),
        Stage(section=Section.STEPS, steps=(step("promote"),)),
        Stage(section=Section.FALLBACK, steps=(step("restore"),)),
    ]
    hosts = FakeHosts(
        scripts={"usable": lambda n: exits(1 if n < 2 or not person else 0), "silent": lambda _: exits(other)}
    )
    return Bench(plan_of_stages(*stages, mode=mode), hosts=hosts, person=person or Scripted())


def test_a_no_that_has_another_way_goes_over_to_it_unattended() -> None:
    bench = gated()
    state = bench.run()
    assert state.ended is Ended.DONE
    assert dict(bench.hosts.effects) == {"restore": 1}
    assert "usable" in state.fallen_back


@pytest.mark.parametrize("words", [{"other": 1}, {"mode": Mode.CHECK}])
def test_a_no_without_another_way_stays_a_no_go_whatever_else_said_no(words: dict[str, object]) -> None:
    bench = gated(**words)  # type: ignore[arg-type]
    assert bench.run().ended is Ended.NO_GO
    assert not bench.hosts.effects


def test_a_person_is_asked_about_the_no_and_cannot_leave_the_gate_out() -> None:
    bench = gated(person=Scripted(Answer(answer="retry", who="ann")))
    assert bench.run().ended is Ended.DONE
    assert dict(bench.hosts.effects) == {"promote": 1}
    assert bench.person.asked[0].answers == ("retry", "fallback", "pause", "abort")


def test_being_stuck_is_a_bug_that_is_said_and_not_a_loop() -> None:
    bench = Bench(plan(step("one")))
    conductor = bench.conductor()
    conductor.state = bench.run()
    from dataclasses import replace

    from drctl.model.events import Act

    stuck = replace(conductor.state.target(Target("one", "standby")), outcome=None, in_flight=Act.RUN)
    conductor.state = replace(conductor.state, ended=None, targets={Target("one", "standby"): stuck})
    with pytest.raises(DrctlError, match="does not know how to go on"):
        conductor.conduct()
    assert endpoint("x").country == "ZA"


def test_where_another_run_holds_the_service_nothing_more_is_tried_and_there_is_nothing_to_tidy_up() -> None:
    """No retry, no other way, no going on in spite of it, and no clean-up of what is the other run's."""
    hosts = FakeHosts(scripts={"change": lambda _: ends(Ending.HELD, "held by the run X; nothing was run")})
    fallback = Stage(section=Section.FALLBACK, steps=(step("restore"),))
    stages = [Stage(section=Section.STEPS, steps=(s,)) for s in (
        step("change", on_failure=CONTINUE, retry=Retry(attempts=5, delay_s=1)), step("later"),
    )]  # fmt: skip
    always = Stage(section=Section.ALWAYS, steps=(step("tidy"),))
    state = Bench(plan_of_stages(*stages, fallback, always), hosts=hosts).run()
    assert (state.ended, exit_code(state)) == (Ended.FAILED, ExitCode.LOCKED)
    assert [c.script for c in hosts.commands] == ["change"]
    assert "nothing was changed" in truths(state)


def test_what_a_run_changed_before_it_was_held_up_is_tidied_up() -> None:
    hosts = FakeHosts(scripts={"second": lambda _: ends(Ending.HELD, "held")})
    bench = Bench(
        plan(step("first", host="primary"), step("second"), step("third"), always=[step("tidy")]), hosts=hosts
    )
    state = bench.run()
    assert exit_code(state) is ExitCode.LOCKED
    assert [c.script for c in hosts.commands] == ["first", "second", "tidy"]
