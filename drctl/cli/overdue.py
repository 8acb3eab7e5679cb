"""The person at the terminal, and the deadline that does not wait for them for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from drctl.engine.overdue import OVERTAKEN, instead, reminder
from drctl.engine.ports import Answer, Person
from drctl.engine.state import RunState
from drctl.model.events import PersonAsked

REMINDED_EVERY_S = 60.0


class Overdue:
    """Hands a question to ``here``, and answers it when the time for an answer is over."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.here: Person | None = None
        self._now = now
        self._state: RunState | None = None
        self._instead = ""
        self._reminded_at: datetime | None = None

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        self._state, self._instead, self._reminded_at = state, "", self._now()
        try:
            answer = self.here.decide(question, state) if self.here else Answer(answer=question.unattended)
        finally:
            self._state = None
        if not self._instead or answer.answer != "pause":
            return answer
        if self._instead == OVERTAKEN:
            return Answer(answer=OVERTAKEN, who="drctl", why="the deadline came, and its question comes first")
        return Answer(answer=self._instead, why="nobody answered in time")

    def came(self) -> bool:
        """Whether the time for an answer is over."""
        if self._state is not None and not self._instead:
            self._instead = instead(self._state, self._now())
        return bool(self._instead)

    def word(self) -> str:
        """What to say beside the open question now; once a minute, else nothing."""
        now = self._now()
        if self._state is None or self._reminded_at is None:
            return ""
        if (now - self._reminded_at).total_seconds() < REMINDED_EVERY_S:
            return ""
        self._reminded_at = now
        return reminder(self._state, now)
