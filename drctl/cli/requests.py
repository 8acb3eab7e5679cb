"""What people at other terminals ask of a run, as whoever conducts it reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from drctl.adapters.journal import JournalFile, Request, Signed
from drctl.adapters.signatures import BadSignature, verify
from drctl.engine.approvals import NAMESPACE, is_requester, objection, parse
from drctl.engine.ports import Answer, Person
from drctl.engine.state import RunState
from drctl.errors import DrctlError
from drctl.model.events import PersonAsked, Question, StopRequested
from drctl.model.plan import Approval
from drctl.model.units import format_duration


class Requests:
    """Requests of people at other terminals. Reading them never stops a recovery."""

    def __init__(self, journal: JournalFile, run_id: str) -> None:
        self._journal, self._run_id = journal, run_id

    def _requests(self) -> tuple[Request, ...]:
        try:
            return self._journal.requests(self._run_id)
        except DrctlError:
            return ()

    def stop(self) -> StopRequested | None:
        asked = self.abort()
        return StopRequested(by=f"{asked.who}: {asked.why}", how="abort") if asked is not None else None

    def abort(self) -> Request | None:
        """The abort that was asked for, also of a process that ended before it looked: it stands until it is heard."""
        return next((r for r in self._requests() if r.kind == "abort"), None)

    def approval(self, step: str) -> Answer | None:
        """An approval without a signature, where none is asked for."""
        for request in self._requests():
            if request.kind == "approve" and request.step == step:
                return Answer(answer="yes", who=request.who, why=request.why)
        return None

    def signed(self, question: PersonAsked, state: RunState, now: datetime) -> Answer | None:
        """The next signed approval of the step that the run has not heard of, judged."""
        heard = {given.signature for given in state.approvals}
        try:
            handed_in: tuple[Signed, ...] = self._journal.handed_in(self._run_id)
        except DrctlError:
            return None
        for one in handed_in:
            if one.step == question.step and one.signature not in heard:
                return judged(one.statement, one.signature, state=state, question=question, now=now)
        return None


def judged(text: str, signature: str, *, state: RunState, question: PersonAsked, now: datetime) -> Answer:
    """Whether a signed approval counts: ``approve``, or ``refused`` with the reason; both go into the journal."""
    signers = state.the_plan.allowed_signers
    who = fingerprint = ""
    try:
        statement = parse(text)
        found = verify(text, signature, allowed_signers=signers.text if signers else "", namespace=NAMESPACE)
        who, fingerprint = found.principal, found.fingerprint
        why = objection(statement, state=state, question=question, now=now)
        if not why and is_requester(state, principal=who, fingerprint=fingerprint):
            why = f"{who} runs this, and four eyes are needed"
        reason = statement.reason
    except (BadSignature, ValueError) as error:
        why, reason = str(error), ""
    return Answer(
        answer="refused" if why else "approve",
        who=who,
        why=why or reason,
        statement=text,
        signature=signature,
        fingerprint=fingerprint,
    )


class DecidedElsewhere:
    """Approvals and aborts that came from another terminal, before the question is put here or while it is."""

    def __init__(self, requests: Requests, now: Callable[[], datetime]) -> None:
        self.here: Person | None = None
        self._requests = requests
        self._now = now
        self._asked: tuple[PersonAsked, RunState, datetime] | None = None

    def decide(self, question: PersonAsked, state: RunState) -> Answer:
        self._asked = (question, state, self._now())
        try:
            found = self._found()
            if found is not None:
                return found
            answer = self.here.decide(question, state) if self.here else Answer(answer=question.unattended)
            if answer.answer != "pause":
                return answer
            return self._found() or self._given_up() or self._not_in_time() or answer
        finally:
            self._asked = None

    def came(self) -> bool:
        """Whether the answer to the question that stands has come from elsewhere, an abort, or its time is over."""
        return any(answer is not None for answer in (self._found(), self._given_up(), self._not_in_time()))

    def _given_up(self) -> Answer | None:
        """An abort answers whatever question stands: whoever sits here has not decided to pause.

        One that the run has heard of answers no more: what is asked in ``always`` is another question.
        """
        if self._asked is None or self._asked[1].abort:
            return None
        asked = self._requests.abort()
        return Answer(answer="abort", who=asked.who, why=asked.why) if asked is not None else None

    def _found(self) -> Answer | None:
        if self._asked is None or self._asked[0].question is not Question.APPROVAL:
            return None
        question, state, _ = self._asked
        if self._policy() is not None:
            return self._requests.signed(question, state, self._now())
        return self._requests.approval(question.step)

    def _not_in_time(self) -> Answer | None:
        """A pause, because nobody approved in time; None while there is time."""
        policy = self._policy()
        if self._asked is None or policy is None or policy.within_s is None:
            return None
        if self._now() - self._asked[2] < timedelta(seconds=policy.within_s):
            return None
        return Answer(answer="pause", why=f"not enough approvals came within {format_duration(policy.within_s)}")

    def _policy(self) -> Approval | None:
        """The step's own, where signatures count."""
        if self._asked is None or self._asked[0].question is not Question.APPROVAL:
            return None
        question, state, _ = self._asked
        action = state.the_plan.step(question.step).action
        return action if isinstance(action, Approval) and action.minimum else None
