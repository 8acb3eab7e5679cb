"""Nobody at the terminal: decisions that were given beforehand by flags, and defaults for all others."""

from __future__ import annotations

from collections.abc import Mapping

from drctl.engine.ports import Answer, Person
from drctl.engine.state import RunState
from drctl.model.events import PersonAsked, Question


class UnattendedPerson:
    """Answers an approval of a named step, and an override of a named fact, with the reason that was given.

    Whatever else is asked goes to ``otherwise`` when somebody is there, and else gets the question's own default with
    an empty ``who``: the report says that nobody decided.
    """

    def __init__(
        self,
        *,
        approvals: Mapping[str, str],
        overrides: Mapping[str, str],
        break_glass: Mapping[str, str] | None = None,
        who: str,
        otherwise: Person | None = None,
    ) -> None:
        """``approvals`` and ``break_glass`` map a step's id to the reason, ``overrides`` a fact's name to it."""
        self._approvals = approvals
        self._overrides = overrides
        self._break_glass = break_glass or {}
        self._who = who
        self._otherwise = otherwise

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        match question.question:
            case Question.APPROVAL if "break_glass" in question.answers:
                if question.step in self._break_glass:
                    return Answer(answer="break_glass", who=self._who, why=self._break_glass[question.step])
            case Question.APPROVAL if question.step in self._approvals:
                return Answer(answer="yes", who=self._who, why=self._approvals[question.step])
            case Question.OVERRIDE:
                fact = state.the_plan.step(question.step).requires or ""
                if fact in self._overrides:
                    return Answer(answer="override", who=self._who, why=self._overrides[fact])
        if self._otherwise is not None:
            return self._otherwise.decide(question, state)
        return Answer(answer=question.unattended)
