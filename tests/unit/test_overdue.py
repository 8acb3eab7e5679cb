"""Nobody answers: what the terminal says meanwhile, what the deadline's question does, and what it never does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from drctl.adapters.journal import JournalFile
from drctl.cli.overdue import Overdue
from drctl.cli.requests import Requests
from drctl.cli.session import Manner, _person
from drctl.cli.signals import Signals
from drctl.engine.fold import fold_all
from drctl.engine.ports import Answer, Ending
from drctl.engine.state import RunState
from drctl.model.events import Ended, PersonAnswered, PersonAsked, Question
from drctl.model.plan import Approval, OnFailure
from drctl.model.promises import DeadlineAction, DeadlineRule
from tests.support.world import START, ends, exits, step
from tests.unit.test_deadline import AFTER, HOUR, Bench, asked, bench_of, first, run
from tests.unit.test_screens_prompt import Keyboard

MARGIN = DeadlineRule(action=DeadlineAction.FALLBACK, margin_s=600)
DUE = AFTER - 600  # seconds after the start of the outage


class Silent:
    """Sits at the terminal and says nothing; gives up, with a pause, after some hours."""

    def __init__(self, bench: Bench, hours: float = 6) -> None:
        self.bench, self.hours = bench, hours
        self.heard: list[tuple[float, str]] = []
        self.overdue = Overdue(bench.clock.now)
        self.overdue.here = self

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        clock = self.bench.clock
        while not self.overdue.came() and clock.passed_s < self.hours * HOUR:
            clock.passed_s += 5
            if said := self.overdue.word():
                self.heard.append((clock.passed_s, said))
        return Answer(answer="pause", who="ann")


def nobody_answers(bench: Bench, hours: float = 6) -> Silent:
    silent = Silent(bench, hours)
    bench.person = silent.overdue  # type: ignore[assignment]
    return silent


def answers(bench: Bench) -> list[tuple[Question, str, str, str]]:
    return [
        (e.body.question, e.body.answer, e.body.who, e.body.why)
        for e in bench.events
        if isinstance(e.body, PersonAnswered)
    ]


APPROVE = step("agree", host=None, action=Approval(prompt="Go?"))
OVERTAKEN = (Question.APPROVAL, "overtaken", "drctl", "the deadline came, and its question comes first")


def test_the_deadline_s_question_comes_before_one_that_stands_open_and_then_the_runbook_is_done() -> None:
    bench, hosts = bench_of(APPROVE, rule=MARGIN)
    silent = nobody_answers(bench)
    state = run(bench)
    assert answers(bench) == [OVERTAKEN, (Question.DEADLINE, "fallback", "", "nobody answered in time")]
    assert dict(hosts.effects) == {"restore/copy": 1, "restore/up": 1}
    assert (state.ended, state.abort) == (Ended.DONE, "")
    times = [(e.at - START).total_seconds() for e in bench.events if isinstance(e.body, PersonAnswered)]
    assert times == pytest.approx([DUE, AFTER], abs=6), "as long as the runbook keeps free"
    assert fold_all(bench.events) == state
    # Said once a minute, for the last half hour and until it is over.
    before = [said for at, said in silent.heard if at < DUE]
    assert len(before) == 30
    assert before[-1].startswith("1m")
    assert "left: at 2026-11-23 05:50:00 SAST you must switch: restore takes 1h 00m (p90 of 6 runs)" in before[0]
    after = [said for at, said in silent.heard if at > DUE]
    assert len(after) == 9
    assert after[-1].startswith("RESTORE SHOULD HAVE BEGUN 9m")
    assert after[-1].endswith("WITHOUT AN ANSWER BY 2026-11-23 06:00:00 SAST: LEAVE FOR THE FALLBACK.")


@pytest.mark.parametrize(
    ("rule", "then", "after_s"),
    [
        (MARGIN, "fallback", 600),
        (DeadlineRule(action=DeadlineAction.FALLBACK), "fallback", 60),  # at least a minute
        (DeadlineRule(action=DeadlineAction.PAUSE), "pause", 60),
        (DeadlineRule(action=DeadlineAction.ABORT), "abort", 60),
        (None, "continue", 60),
    ],
)
def test_who_does_not_answer_is_nobody(rule: DeadlineRule | None, then: str, after_s: float) -> None:
    bench, _ = bench_of(APPROVE, rule=rule)
    nobody_answers(bench)
    run(bench)
    assert answers(bench)[:2] == [OVERTAKEN, (Question.DEADLINE, then, "", "nobody answered in time")]
    moments = [e.at for e in bench.events if isinstance(e.body, PersonAnswered)]
    assert (moments[1] - moments[0]).total_seconds() == pytest.approx(after_s, abs=6)


def test_after_going_on_the_question_that_was_overtaken_is_put_again_and_waits() -> None:
    bench, _ = bench_of(APPROVE)
    nobody_answers(bench)
    state = run(bench)
    assert [q.question for q in asked(bench)] == [Question.APPROVAL, Question.DEADLINE, Question.APPROVAL]
    assert answers(bench)[-1][:3] == (Question.APPROVAL, "pause", "ann")
    assert state.ended is Ended.PAUSED


@pytest.mark.parametrize(
    ("rule", "last"),
    [(MARGIN, ("fallback", "", "nobody answered in time")), (None, ("pause", "ann", ""))],
)
def test_a_failure_keeps_its_own_question_which_offers_the_fallback(
    rule: DeadlineRule | None, last: tuple[str, str, str]
) -> None:
    bench, hosts = bench_of(step("breaks", on_failure=OnFailure.PAUSE), rule=rule)
    hosts.scripts["breaks"] = lambda _: exits(1)
    nobody_answers(bench)
    run(bench)
    assert [q.question for q in asked(bench)] == [Question.FAILED]
    assert answers(bench) == [(Question.FAILED, *last)]


def test_a_promotion_that_may_have_happened_is_decided_in_nobody_s_place() -> None:
    bench, hosts = bench_of(step("promote"), rule=MARGIN)
    hosts.scripts["promote"] = lambda _: ends(Ending.REBOOTED)
    silent = nobody_answers(bench)
    state = run(bench)
    assert [q.question for q in asked(bench)] == [Question.IN_DOUBT]
    assert (state.ended, state.fallen_back) == (Ended.PAUSED, "")
    assert silent.heard[-1][1].endswith("AGO. NOBODY DECIDES THIS IN YOUR PLACE.")


def test_an_answer_in_time_counts_and_a_pause_is_a_pause() -> None:
    bench, _ = bench_of(APPROVE, rule=MARGIN)
    nobody_answers(bench, hours=1)  # gives up before the deadline
    state = run(bench)
    assert answers(bench) == [(Question.APPROVAL, "pause", "ann", "")]
    assert state.ended is Ended.PAUSED


def test_without_a_deadline_nothing_is_said_or_done() -> None:
    bench, _ = bench_of(APPROVE, rule=MARGIN)
    silent = nobody_answers(bench)
    started, _, made = first(bench.plan)
    bench.conductor().conduct(started, made)
    assert silent.heard == []
    assert answers(bench) == [(Question.APPROVAL, "pause", "ann", "")]


def test_at_a_real_terminal_it_is_said_with_the_bell_and_the_prompt_stands_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's own person, at a deadline that was some minutes ago: the run does not hang at the prompt."""
    bench, _ = bench_of(APPROVE, rule=MARGIN)
    nobody_answers(bench, hours=(DUE + 300) / HOUR)
    begun = bench.conductor()
    for body in first(bench.plan):
        begun._take(body)
    begun._take(
        PersonAsked(
            question=Question.DEADLINE, step="", prompt="Now?", answers=("fallback", "pause"), unattended="pause"
        )
    )
    late = replace(begun.state, asked_at=START + timedelta(seconds=DUE))
    moments = iter([START + timedelta(seconds=DUE + 60 * n) for n in (*range(1, 8), *[20] * 50)])
    now: Callable[[], object] = lambda: next(moments)  # noqa: E731
    monkeypatch.setattr("drctl.cli.session.SystemClock", lambda: SimpleNamespace(now=now))
    keyboard = Keyboard()
    with closing(JournalFile(tmp_path / "journal.db")) as journal:
        screen = SimpleNamespace(suspended=nullcontext)
        person = _person(Manner(terminal=keyboard.terminal), screen, Signals(), Requests(journal, "r"))  # type: ignore[arg-type]
        question = late.question
        assert question is not None
        answer = person.decide(question, late)
    keyboard.close()
    assert answer == Answer(answer="fallback", why="nobody answered in time")
    seen = keyboard.screen.getvalue()
    assert "\a\nRESTORE SHOULD HAVE BEGUN" in seen
    assert seen.count("fallback, pause? ") > seen.count("\a") > 0
