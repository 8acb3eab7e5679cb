"""What people at other terminals ask of a run, as whoever conducts it reads it."""

from __future__ import annotations

from drctl.adapters.journal import JournalFile, Request
from drctl.engine.ports import Answer, Person
from drctl.engine.state import RunState
from drctl.errors import DrctlError
from drctl.model.events import PersonAsked, Question, StopRequested


class Requests:
    """Requests of people at other terminals. Reading them never stops a recovery."""

    def __init__(self, journal: JournalFile, run_id: str) -> None:
        self._journal, self._run_id = journal, run_id
        self._before = {r.at for r in self._requests() if r.kind == "abort"}

    def _requests(self) -> tuple[Request, ...]:
        try:
            return self._journal.requests(self._run_id)
        except DrctlError:
            return ()

    def stop(self) -> StopRequested | None:
        for request in self._requests():
            if request.kind == "abort" and request.at not in self._before:
                return StopRequested(by=f"{request.who}: {request.why}", how="abort")
        return None

    def approval(self, step: str) -> Answer | None:
        for request in self._requests():
            if request.kind == "approve" and request.step == step:
                return Answer(answer="yes", who=request.who, why=request.why)
        return None


class DecidedElsewhere:
    """Approvals that came from another terminal, before the question is put here or while it is."""

    def __init__(self, requests: Requests) -> None:
        self.here: Person | None = None
        self._requests = requests
        self._question: PersonAsked | None = None

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        self._question = question
        try:
            found = self._found()
            if found is not None:
                return found
            answer = self.here.decide(question, state) if self.here else Answer(answer=question.unattended)
            return (self._found() or answer) if answer.answer == "pause" else answer
        finally:
            self._question = None

    def came(self) -> bool:
        """Whether the answer to the question that stands has come from elsewhere, or an abort."""
        return self._found() is not None or self._requests.stop() is not None

    def _found(self) -> Answer | None:
        question = self._question
        if question is None or question.question is not Question.APPROVAL:
            return None
        return self._requests.approval(question.step)
