"""People: asked at a real terminal, or decided beforehand, or not there."""

from __future__ import annotations

import io
import os
import pty
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import pytest

from drctl.engine.fold import fold_all
from drctl.engine.ports import Answer
from drctl.engine.state import RunState
from drctl.model.events import PersonAsked, Question
from drctl.model.plan import Mode
from drctl.screens.prompt import TerminalPerson, choice, question_lines, shortest
from drctl.screens.terminal import Terminal
from drctl.screens.unattended import UnattendedPerson
from tests.support import sample_runs as samples


def asked(sample: str, question: Question) -> tuple[PersonAsked, RunState]:
    """The last question of that kind in a sample, and the state that it was asked in."""
    events = samples.SAMPLES[sample]()
    found = [n for n, e in enumerate(events) if isinstance(e.body, PersonAsked) and e.body.question is question]
    body = events[found[-1]].body
    assert isinstance(body, PersonAsked)
    return body, fold_all(events[: found[-1] + 1])


class Keyboard:
    """The other end of a terminal: what the person types, and what they have seen."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = io.StringIO()
        self.terminal = Terminal(self.slave, self.screen)

    def type(self, *lines: str) -> None:
        """Type, once the question is on the screen: what is typed before it is thrown away."""

        def typing() -> None:
            while not self.screen.getvalue().endswith(("? ", ": ")):
                time.sleep(0.005)
            for line in lines:
                os.write(self.master, line.encode())
                time.sleep(0.02)

        Thread(target=typing, daemon=True).start()

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    found = Keyboard()
    yield found
    found.close()


def decide(keyboard: Keyboard, sample: str, question: Question, *typed: str) -> Answer:
    body, state = asked(sample, question)
    person = TerminalPerson(keyboard.terminal, who="thandi@bastion")

    keyboard.type(*typed)
    return person.decide(body, state)


def test_yes(keyboard: Keyboard) -> None:
    answer = decide(keyboard, "succeeded", Question.APPROVAL, "y\n", "\n")
    assert answer == Answer(answer="yes", who="thandi@bastion", why="")
    seen = keyboard.screen.getvalue()
    assert "REAL run of acme: The standby is 2.4 s behind. Fail over acme to azure-db-1?" in seen
    assert "RTO RUNNING 19m 06s of 4h 00m" in seen
    assert "- nothing was changed" in seen
    assert "- primary_fenced: not proved" in seen


def test_what_is_not_understood_is_asked_again(keyboard: Keyboard) -> None:
    answer = decide(keyboard, "succeeded", Question.APPROVAL, "\n", "maybe\n", "YES\n", "INC-9\n")
    assert answer == Answer(answer="yes", who="thandi@bastion", why="INC-9")
    assert keyboard.screen.getvalue().count("Please answer one of: yes, no, pause.") == 2


def test_what_was_typed_before_the_question_is_no_answer(keyboard: Keyboard) -> None:
    os.write(keyboard.master, b"yes\n")
    time.sleep(0.05)
    assert decide(keyboard, "succeeded", Question.APPROVAL, "no\n", "not now\n").answer == "no"


def test_a_no_has_a_reason(keyboard: Keyboard) -> None:
    answer = decide(keyboard, "succeeded", Question.APPROVAL, "n\n", "\n", "Johannesburg is back\n")
    assert answer == Answer(answer="no", who="thandi@bastion", why="Johannesburg is back")


def test_an_override_is_typed_in_full(keyboard: Keyboard) -> None:
    typed = ("o\n", "yes\n", "override\n", "primary_fenced\n", "the rack has no power\n")
    answer = decide(keyboard, "overridden", Question.OVERRIDE, *typed)
    assert answer == Answer(answer="override", who="thandi@bastion", why="the rack has no power")
    assert "That is not it; nothing was decided." in keyboard.screen.getvalue()


def test_the_glass_is_broken_by_typing_it_and_never_without_a_reason(keyboard: Keyboard) -> None:
    typed = ("break\n", "yes\n", "break_glass\n", "break glass\n", "\n", "nobody answers the telephone\n")
    answer = decide(keyboard, "broken_glass", Question.APPROVAL, *typed)
    assert answer == Answer(answer="break_glass", who="thandi@bastion", why="nobody answers the telephone")
    said = keyboard.screen.getvalue()
    assert "That is not it; nothing was decided." in said
    assert said.count("Why? It goes into the report: ") == 2, "an empty reason is none"


@pytest.mark.parametrize("typed", [("\x04",), ("s\n", "\x04")])
def test_the_end_of_the_input_is_pause(keyboard: Keyboard, typed: tuple[str, ...]) -> None:
    assert decide(keyboard, "paused_after_failure", Question.FAILED, *typed).answer == "pause"


def test_a_terminal_that_is_gone_is_pause() -> None:
    keyboard = Keyboard()
    body, state = asked("succeeded", Question.APPROVAL)
    os.close(keyboard.master)
    assert TerminalPerson(keyboard.terminal, who="t").decide(body, state).answer == "pause"
    os.close(keyboard.slave)


def test_a_stopping_run_is_pause(keyboard: Keyboard) -> None:
    body, state = asked("succeeded", Question.APPROVAL)
    began = time.monotonic()
    stopping: Callable[[], bool] = lambda: time.monotonic() - began > 0.1  # noqa: E731
    assert TerminalPerson(keyboard.terminal, stopping=stopping, who="t").decide(body, state).answer == "pause"


def test_the_screen_is_away_while_asking(keyboard: Keyboard) -> None:
    steps: list[str] = []

    @contextmanager
    def suspended() -> Iterator[None]:
        steps.append("away")
        yield
        steps.append(f"back, {'asked' if 'You can answer' in keyboard.screen.getvalue() else 'not asked'}")

    body, state = asked("succeeded", Question.APPROVAL)
    TerminalPerson(keyboard.terminal, suspended=suspended, stopping=lambda: True, who="t").decide(body, state)
    assert steps == ["away", "back, asked"]


@pytest.mark.parametrize(("typed", "confirmed"), [("acme\n", True), ("ACME\n", False), ("y\n", False), ("\x04", False)])
def test_a_real_failover_is_confirmed_by_name(keyboard: Keyboard, typed: str, confirmed: bool) -> None:
    person = TerminalPerson(keyboard.terminal, who="t")
    keyboard.type(typed)
    assert person.confirm_service("acme", Mode.REAL, ("13 steps, 7 of which change something",)) is confirmed
    assert "REAL run of acme" in keyboard.screen.getvalue()
    assert "  - 13 steps, 7 of which change something" in keyboard.screen.getvalue()


@pytest.mark.parametrize("width", [40, 80])
def test_what_the_step_printed_is_shown_whole(width: int) -> None:
    body, state = asked("paused_after_failure", Question.FAILED)
    printed = "psql: error: connection to server at 10.20.0.11 failed: " + "FATAL " * 30 + "no pg_hba.conf entry"
    lines = question_lines(replace(body, facts=(printed,)), state, width=width)
    assert "".join(line.removeprefix("  | ") for line in lines if line.startswith("  | ")) == printed
    assert max(len(line) for line in lines) <= width


def test_a_hostile_question_is_harmless() -> None:
    body, state = asked("hostile", Question.APPROVAL)
    for width in (40, 80, 200):
        lines = question_lines(body, state, width=width)
        assert not any(c in "".join(lines) for c in "\x1b\x9b\x07\x00\r\n\u202e")
        assert max(len(line) for line in lines) <= width


@pytest.mark.parametrize(
    ("said", "answer"),
    [("r", "run_again"), ("run again", "run_again"), ("RUN-AGAIN", "run_again"), ("p", "pause"), ("", None),
     ("x", None), ("pauses", None)],
)  # fmt: skip
def test_choice(said: str, answer: str | None) -> None:
    assert choice(said, ("succeeded", "run_again", "pause", "abort")) == answer


def test_a_beginning_that_fits_two_is_none() -> None:
    assert choice("s", ("skip", "succeeded")) is None


class Somebody:
    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        return Answer(answer="abort", who="somebody", why="asked")


def unattended(**more: object) -> UnattendedPerson:
    return UnattendedPerson(
        approvals={"declare": "CAB-17"}, overrides={"primary_fenced": "rack is off"}, who="ci@runner", **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_flags_answer_what_they_name() -> None:
    assert unattended().decide(*asked("succeeded", Question.APPROVAL)) == Answer(
        answer="yes", who="ci@runner", why="CAB-17"
    )
    assert unattended().decide(*asked("overridden", Question.OVERRIDE)) == Answer(
        answer="override", who="ci@runner", why="rack is off"
    )


def test_nobody_takes_the_default_without_a_name() -> None:
    nobody = UnattendedPerson(approvals={"another": "x"}, overrides={"another": "x"}, who="ci@runner")
    for sample, question in (
        ("succeeded", Question.APPROVAL), ("overridden", Question.OVERRIDE), ("paused_after_failure", Question.FAILED),
    ):  # fmt: skip
        body, state = asked(sample, question)
        assert nobody.decide(body, state) == Answer(answer=body.unattended, who="")


def test_what_no_flag_answers_goes_to_whoever_is_there() -> None:
    person = unattended(otherwise=Somebody())
    assert person.decide(*asked("paused_after_failure", Question.FAILED)).who == "somebody"
    assert person.decide(*asked("succeeded", Question.APPROVAL)).who == "ci@runner"


def test_the_letters_that_are_offered_mean_one_answer_each() -> None:
    answers = ("retry", "skip", "fallback", "rollback", "pause", "abort")
    letters = {answer: shortest(answer, answers) for answer in answers}
    assert letters == {
        "retry": "re", "skip": "s", "fallback": "f", "rollback": "ro", "pause": "p", "abort": "a",
    }  # fmt: skip
    assert all(choice(short, answers) == answer for answer, short in letters.items())
    assert shortest("fail", ("fail", "failed")) == "fail"


def test_a_failed_step_says_what_to_do_about_it() -> None:
    body, state = asked("paused_after_failure", Question.FAILED)
    step = replace(state.the_plan.step(body.step), failure_hint="Free some space on ${service}")
    stages = tuple(
        replace(stage, steps=tuple(step if s.id == step.id else s for s in stage.steps))
        for stage in state.the_plan.stages
    )
    state = replace(state, plan=replace(state.the_plan, stages=stages), values={**state.values, "service": "acme"})
    assert "To do: Free some space on acme" in question_lines(body, state, width=80)
