"""The person at the terminal: what they need to know to decide, what they can say, and what they said."""

from __future__ import annotations

import getpass
import socket
import textwrap
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from drctl.engine.ports import Answer
from drctl.engine.state import RunState
from drctl.engine.values import fill
from drctl.model.events import PersonAsked, Question
from drctl.model.plan import Mode
from drctl.report import verdict, words
from drctl.report.harmless import one_line, tail_lines
from drctl.screens.terminal import Terminal

FACT_LINES = 12
_MARK = "  | "
_MEANING = {
    (Question.APPROVAL, "yes"): "go on",
    (Question.APPROVAL, "no"): "abort the run",
    (Question.APPROVAL, "break_glass"): "go on without the approvals; everybody will hear of it, and why",
    (Question.FAILED, "retry"): "try it again",
    (Question.FAILED, "skip"): "go on without it",
    (Question.FAILED, "fallback"): "leave this runbook for its fallback, on the same clock",
    (Question.FAILED, "rollback"): "undo what was begun, the last step first",
    (Question.MANUAL, "done"): "you did it",
    (Question.MANUAL, "failed"): "it cannot be done",
    (Question.IN_DOUBT, "succeeded"): "you looked, and it was done",
    (Question.IN_DOUBT, "run_again"): "you looked, and it was not done: send it again",
    (Question.DEADLINE, "fallback"): "leave this runbook for its fallback now, on the same clock",
    (Question.DEADLINE, "continue"): "go on here, although the fallback would then end after the RTO",
    (Question.OVERRIDE, "override"): "you vouch for the fact yourself; it goes into the evidence",
}
_ALWAYS = {"pause": "stop here; drctl resume goes on", "abort": "give the run up; what always runs still does"}
_WANT_A_REASON = (
    "override",
    "skip",
    "continue",
    "succeeded",
    "run_again",
    "abort",
    "no",
    "fallback",
    "rollback",
    "failed",
    "break_glass",
)


class TerminalPerson:
    """Asks whoever sits at the terminal. The end of the input, Ctrl-C and a stopping run mean "pause"."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        suspended: Callable[[], AbstractContextManager[None]] = nullcontext,
        stopping: Callable[[], bool] = lambda: False,
        meanwhile: Callable[[], str] = lambda: "",
        who: str | None = None,
    ) -> None:
        """``suspended`` takes a live screen out of the way; ``stopping`` says that a signal has come.

        ``meanwhile`` is what to say while nobody answers, when there is anything to say.
        """
        self._terminal = terminal
        self._suspended = suspended
        self._stopping = stopping
        self._meanwhile = meanwhile
        self.who = who if who is not None else login()

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        """The person's answer, with a reason where one matters."""
        with self._suspended():
            self._terminal.forget_what_was_typed()
            for line in question_lines(question, state, width=self._terminal.columns):
                self._terminal.say(line)
            return self._answer(question, state)

    def _answer(self, question: PersonAsked, state: RunState) -> Answer:
        pause = Answer(answer="pause", who=self.who)
        while True:
            said = self._ask(f"{', '.join(question.answers)}? ")
            if said is None:
                return pause
            chosen = choice(said, question.answers)
            if chosen is None:
                meant = [a for a in question.answers if said.strip() and a.startswith(said.strip().lower())]
                also = f"That may be {' or '.join(meant)}. " if len(meant) > 1 else ""
                again = f"{also}Please answer one of: {', '.join(question.answers)}."
                for line in _plain_wrapped(again, self._terminal.columns):
                    self._terminal.say(line)
                continue
            if chosen == "override" and not self._vouches(state.the_plan.step(question.step).requires or ""):
                continue
            if chosen == "break_glass" and not self._types("break glass", "Nobody approved it."):
                continue
            why = self._reason(needed=chosen in _WANT_A_REASON)
            return Answer(answer=chosen, who=self.who, why=why) if why is not None else pause

    def _ask(self, prompt: str) -> str | None:
        def waited() -> bool:
            said = self._meanwhile()
            if said:
                self._terminal.interrupt(one_line(said), prompt)
            return self._stopping()

        return self._terminal.ask(prompt, stopping=waited)

    def _vouches(self, fact: str) -> bool:
        """Typing the fact in full is slow on purpose: two primaries cost more than ten seconds."""
        return self._types(fact, "Nothing proved it.", "to vouch for it")

    def _types(self, wanted: str, why: str, purpose: str = "to go on all the same") -> bool:
        said = self._ask(f"{why} Type {wanted} {purpose}: ")
        if said == wanted:
            return True
        self._terminal.say("That is not it; nothing was decided.")
        return False

    def _reason(self, *, needed: bool) -> str | None:
        prompt = f"Why? It goes into the report{'' if needed else '; Enter for no reason'}: "
        while (said := self._ask(prompt)) is not None:
            if said or not needed:
                return said
        return None

    def confirm_service(self, service: str, mode: Mode, facts: Iterable[str]) -> bool:
        """Whether the person typed the service's name. Anything else is a no."""
        with self._suspended():
            self._terminal.forget_what_was_typed()
            self._terminal.say()
            self._terminal.say(f"{mode.value.upper()} run of {one_line(service)}")
            for fact in facts:
                for line in _wrapped(fact, self._terminal.columns):
                    self._terminal.say(line)
            said = self._ask(f"Type {one_line(service)} to begin, anything else to leave: ")
            return said == service


def question_lines(question: PersonAsked, state: RunState, *, width: int) -> list[str]:
    """The question as it is put: what it is about, what is true now, and what can be said."""
    lines = ["", "─" * min(width, 100)]
    lines += _plain_wrapped(f"{state.mode.value.upper()} run of {state.the_plan.service}: {question.prompt}", width)
    for fact in question.facts:
        lines += [piece for line in tail_lines(fact, FACT_LINES) for piece in _whole(line, width)]
    if state.asked_at is not None and verdict.exercise(state):
        rto, rpo = verdict.rto(state, state.asked_at), verdict.rpo(state)
        lines += _plain_wrapped(f"{words.reading('RTO', rto)}; {words.reading('RPO', rpo)}", width)
        if question.question is not Question.DEADLINE and (due := verdict.deadline_line(state, state.asked_at)):
            lines += _plain_wrapped(due, width)
    hint = state.the_plan.step(question.step).failure_hint if question.question is Question.FAILED else ""
    if hint:
        lines += _plain_wrapped(f"To do: {fill(hint, state.values)}", width)
    lines.append("True of the systems now:")
    for truth in verdict.truths(state):
        lines += _wrapped(truth, width)
    lines.append("You can answer:")
    for answer in question.answers:
        meaning = _MEANING.get((question.question, answer)) or _ALWAYS.get(answer, "")
        short = shortest(answer, question.answers)
        lines += _plain_wrapped(f"  {short}, {answer}: {meaning}".rstrip(": "), width, hang="     ")
    return lines


def choice(said: str, answers: Sequence[str]) -> str | None:
    """The answer that was meant: the word, or any beginning of it that fits no other."""
    wanted = said.strip().lower().replace(" ", "_").replace("-", "_")
    if wanted in answers:
        return wanted
    found = [a for a in answers if wanted and a.startswith(wanted)]
    return found[0] if len(found) == 1 else None


def shortest(answer: str, answers: Sequence[str]) -> str:
    """The fewest letters that mean this answer and no other."""
    return next(answer[:n] for n in range(1, len(answer) + 1) if choice(answer[:n], answers) == answer)


def login() -> str:
    """``name@machine`` of whoever runs drctl."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no such user, as in a bare container
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def _whole(line: str, width: int) -> list[str]:
    """A line of output, over as many lines of the screen as it takes: what is cut off may be what matters."""
    room = max(20, width) - len(_MARK)
    return [_MARK + line[at : at + room] for at in range(0, len(line), room)] or [_MARK.rstrip()]


def _wrapped(text: str, width: int) -> list[str]:
    return _plain_wrapped(f"  - {one_line(text)}", width, hang="    ")


def _plain_wrapped(text: str, width: int, *, hang: str = "  ") -> list[str]:
    lead = text[: len(text) - len(text.lstrip())]
    room = max(20, width)
    return textwrap.wrap(one_line(text), room, initial_indent=lead, subsequent_indent=hang, break_on_hyphens=False)
