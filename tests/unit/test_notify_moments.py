"""What people are told, of which moment, and to whom: from the events of runs, with deliveries that a test decides."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from drctl.adapters import notify
from drctl.adapters.deliver import Delivery, Left
from drctl.adapters.notify import Notifications
from drctl.engine.fold import fold
from drctl.engine.messages import Message
from drctl.engine.state import RunState
from drctl.model.events import Event, NotificationSent, NotificationSettled, Question
from drctl.model.messages import Fate, Moment, Notifier
from drctl.report.card import card_of
from drctl.report.summary import summarise
from tests.support import sample_plan, sample_steps
from tests.support import sample_runs as samples

ALL = Notifier(name="all", path="unused")


class Desk:
    """Notifications whose deliveries come here. ``now`` is what the test says; ``answer`` holds deliveries up."""

    def __init__(self, *notifiers: Notifier, known: RunState | None = None) -> None:
        self.told: list[NotificationSent | NotificationSettled] = []
        self.got: list[tuple[str, Message]] = []
        self.came, self.answer = threading.Event(), threading.Event()
        self.answer.set()
        self.now = sample_plan.OUTAGE
        self.state = known or RunState()
        self.notifications = Notifications(
            notifiers or (ALL,),
            self.deliver,
            tell=self.told.append,
            known=self.state,
            now=lambda: self.now,
            clean=lambda text: text.replace("thandi", "[redacted]"),
        )

    def deliver(self, notifier: Notifier, message: Message, *, at: datetime, left_s: Left) -> Delivery:
        self.got.append((notifier.name, message))
        self.came.set()
        self.answer.wait(30)
        return Delivery(fate=Fate.DELIVERED)

    def hear(self, events: Iterable[Event]) -> Desk:
        for event in events:
            self.state = fold(self.state, event)
            self.notifications.on_event(event, self.state)
        return self

    def messages(self) -> list[Message]:
        self.notifications.close()
        return [message for _, message in self.got]


def moments(events: Iterable[Event]) -> list[str]:
    return [message.moment.value for message in Desk().hear(events).messages()]


def test_a_run_that_goes_well_is_told_without_the_failures_that_it_expects() -> None:
    assert moments(samples.succeeded()) == [
        "started", "approval_asked", "approval_given", "service_restored", "ended",
    ]  # fmt: skip


def test_failures_and_questions_are_told() -> None:
    assert moments(samples.paused_after_failure())[3:] == ["step_failed", "person_needed", "ended"]
    assert "fact_overridden" in moments(samples.overridden())
    assert "step_failed" in moments(samples.no_go())


def test_the_messages_of_a_drill_say_so_first_and_others_do_not() -> None:
    drill = Desk().hear(samples.drill()).messages()
    assert len(drill) == 5
    assert all(text.startswith("DRILL: ") for message in drill for text in (message.title, message.text))
    real = Desk().hear(samples.succeeded()).messages()
    assert not any("DRILL" in message.title + message.text for message in real)


def test_a_message_says_what_why_how_long_what_to_type_and_the_head() -> None:
    run = sample_steps.Builder(sample_plan.failover_plan()).begin()
    prompt = "The standby is 2.4 s behind. Fail over?"
    run.asked(Question.APPROVAL, "declare", prompt=prompt, answers=("yes", "no", "pause"))
    events = run.events
    desk = Desk()
    desk.now = sample_plan.OUTAGE + timedelta(hours=1)
    asked = desk.hear(events).messages()[-1]
    assert asked.title == "failover of acme: approval asked"
    first, waits, rto, type_, of, head = asked.text.splitlines()
    assert first.startswith("failover of acme (")
    assert waits == f"declare waits for a person: {prompt}"
    assert rto == "RTO 1h 00m of 4h 00m: running"
    assert type_ == f'next: drctl approve declare {events[0].run_id} --reason "…"'
    assert of == f"run {events[0].run_id}"
    assert head == f"head {len(events)} {events[-1].sha256}"


def test_texts_are_redacted_before_they_go_anywhere() -> None:
    desk = Desk().hear(samples.succeeded())
    assert not any("thandi" in message.title + message.text for message in desk.messages())
    assert not any("thandi" in told.text for told in desk.told if isinstance(told, NotificationSent))
    assert any("[redacted]" in message.text for _, message in desk.got)


def test_an_alert_cannot_be_left_out() -> None:
    run = sample_steps.Builder(sample_plan.failover_plan()).begin()
    run.asked(Question.APPROVAL, "declare", prompt="Go?", answers=("break_glass", "no", "pause"))
    run.answered(Question.APPROVAL, "declare", "break_glass", after_s=5, why="nobody answers the telephone")
    only = Notifier(name="only", path="unused", moments=(Moment.SERVICE_RESTORED,))
    desk = Desk(only, ALL).hear(run.events)
    desk.notifications.close()
    heard = [message for name, message in desk.got if name == "only"]
    assert [message.moment for message in heard] == [Moment.GLASS_BROKEN]
    assert "ALERT: declare was NOT APPROVED; [redacted]@bastion-cpt broke the glass: nobody answers" in heard[0].text


@pytest.mark.parametrize("fallback", [True, False])
def test_a_deadline_that_comes_is_told_once_while_a_person_is_asked(fallback: bool) -> None:
    made = samples.with_a_fallback() if fallback else sample_plan.failover_plan()
    run = sample_steps.Builder(made).begin()
    if fallback:
        samples.forecast_of(run)
    run.asked(Question.APPROVAL, "declare", prompt="Go?", answers=("yes", "no", "pause"))
    only = Notifier(name="only", path="unused", moments=(Moment.DEADLINE_NEAR,))
    desk = Desk(only).hear(run.events)
    assert not desk.came.wait(1.5)  # it is hours away
    # Left for by 2 h after the outage (the restore takes 1h 50m, and 10 min are kept free), else the RTO of 4 h.
    late = timedelta(hours=2) if fallback else timedelta(hours=4)
    desk.now = sample_plan.OUTAGE + late - timedelta(minutes=29)
    assert desk.came.wait(30)
    desk.came.clear()
    assert not desk.came.wait(1.5)  # it is told once
    (heard,) = desk.messages()
    wanted = "the last moment to leave for restore and keep the RTO is" if fallback else "the RTO ends at"
    assert wanted in heard.text
    assert (heard.events, heard.head) == (len(run.events), run.events[-1].sha256)


def test_what_is_too_much_for_a_notifier_is_refused_at_once_and_the_rest_is_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notify, "MOST_WAITING", 2)
    desk = Desk(ALL, Notifier(name="other", path="unused", moments=(Moment.ENDED,)))
    desk.answer.clear()
    desk.hear(samples.succeeded())
    refused = [told for told in desk.told if isinstance(told, NotificationSettled)]
    assert [(told.number, told.fate, told.attempts) for told in refused] == [(n, "failed", 0) for n in (3, 4, 5)]
    assert refused[0].detail == "2 messages waited before it"
    assert desk.notifications.waiting() == ("all", "other")
    desk.answer.set()
    desk.notifications.close()
    settled = [told for told in desk.told if isinstance(told, NotificationSettled) and told.fate == "delivered"]
    assert sorted((told.notifier, told.number) for told in settled) == [("all", 1), ("all", 2), ("other", 5)]


def test_a_resumed_run_counts_on_and_tells_nothing_anew() -> None:
    events = samples.succeeded()
    desk = Desk().hear(events[:20])
    desk.notifications.close()
    state = replace(desk.state, notifications=len(desk.got))
    again = Desk(known=state).hear(events[20:])
    again.notifications.close()
    numbers = [told.number for told in (*desk.told, *again.told) if isinstance(told, NotificationSent)]
    assert numbers == [1, 2, 3, 4, 5]


def test_a_bug_in_a_delivery_is_a_failure_of_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "ATTEMPTS", 1)
    monkeypatch.setattr(Desk, "deliver", lambda *_, **__: 1 / 0)
    desk = Desk().hear(samples.succeeded()[:1])
    desk.notifications.close()
    (settled,) = [told for told in desk.told if isinstance(told, NotificationSettled)]
    assert (settled.fate, settled.detail) == ("failed", "ZeroDivisionError within drctl")


@pytest.mark.parametrize("sample", sorted(samples.SAMPLES))
def test_a_run_is_the_same_whoever_was_told_of_it(sample: str) -> None:
    """Messages among the events and behind them change nothing that a report says of the run itself."""
    events = samples.SAMPLES[sample]()
    told: list[Event] = []
    for number, event in enumerate(events, start=1):
        late = event.at + timedelta(seconds=0.05)
        sent = NotificationSent(
            number=number, moment=Moment.STARTED, about=event.sequence, title="t", text="t", notifiers=("log",), at=late
        )
        settled = NotificationSettled(number=number, notifier="log", fate=Fate.DELIVERED, attempts=1, at=late)
        told += [event, replace(event, body=sent, at=late), replace(event, body=settled, at=late)]
    now = events[-1].at + timedelta(minutes=5)
    alone, among = summarise(events, now=now), summarise(told, now=now)
    assert len(among.notifications) == len(events)
    assert replace(among, notifications=(), chain=alone.chain) == replace(alone, notifications=())
    assert card_of(told) == card_of(events)
