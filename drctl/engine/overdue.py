"""A question that stays open while the deadline comes: what the person is told meanwhile, and what happens at last.

The deadline's question comes before the one that stands, and waits as long as the runbook keeps free before the RTO is
lost. After that somebody who does not answer is nobody: the runbook's ``deadline`` is done, as in an unattended run.
What may not be decided in anybody's place, because it may be a promotion, waits for its person however late it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from drctl.engine.deadline import Deadline, deadline, must_be_settled, sentence, unattended
from drctl.engine.state import RunState
from drctl.model.events import Question
from drctl.model.promises import DeadlineAction
from drctl.model.units import format_duration, local_time

SHORTEST = timedelta(minutes=1)
"""The time for an answer, where the runbook keeps none free or the question came late."""

WARNED_BEFORE = timedelta(minutes=30)

OVERTAKEN = "overtaken"


def instead(state: RunState, now: datetime) -> str:
    """What is taken as the answer to the open question by now; empty while its person has time."""
    found, asked, asked_at = deadline(state), state.question, state.asked_at
    if found is None or asked is None or asked_at is None or state.deadline_answer or now < found.at:
        return ""
    if asked.question not in (Question.DEADLINE, Question.FAILED):
        return OVERTAKEN if asked_at < found.at and not must_be_settled(state) else ""
    if now < answered_by(found, asked_at):
        return ""
    goes_on = found.rule.action is DeadlineAction.CONTINUE and asked.question is Question.FAILED
    return "" if goes_on or found.rule.action.value not in asked.answers else found.rule.action.value


def answered_by(found: Deadline, asked_at: datetime) -> datetime:
    """When the time for an answer is over: the fallback would then end after the RTO, in one of ten cases or more."""
    return max(found.at + timedelta(seconds=found.rule.margin_s), asked_at + SHORTEST)


def reminder(state: RunState, now: datetime) -> str:
    """What is said once a minute beside the open question; empty while the deadline is far away, or there is none."""
    found, asked, asked_at = deadline(state), state.question, state.asked_at
    if found is None or asked is None or asked_at is None or state.deadline_answer or found.at - now > WARNED_BEFORE:
        return ""
    if instead(state, now):
        return ""  # its time is over
    zone = state.the_plan.timezone
    if now < found.at:
        return f"{format_duration((found.at - now).total_seconds())} left: {sentence(found, zone)}"
    late = format_duration((now - found.at).total_seconds())
    said = f"{found.fallback.upper()} SHOULD HAVE BEGUN {late} AGO"
    until = answered_by(found, asked_at)
    if instead(state, until) in ("", OVERTAKEN):
        return f"{said}. NOBODY DECIDES THIS IN YOUR PLACE."
    return f"{said}. WITHOUT AN ANSWER BY {local_time(until, zone)}: {unattended(found.rule).upper()}."
