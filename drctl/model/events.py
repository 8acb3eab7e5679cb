"""What happened: the closed list of event types. State, screens, reports and evidence are readings of these.

An event states a fact and never a conclusion: whether the RTO was met, or whether a step is done, is what ``fold``
makes of the facts. Each event carries the sha256 of the one before it (``docs/reference/journal.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from drctl.model.circumstances import ClockReading, EarlierRun, Programmed, Repository
from drctl.model.exposure import Exposure
from drctl.model.messages import Fate, Moment
from drctl.model.plan import Plan
from drctl.model.words import Mark


class Act(StrEnum):
    """What an attempt does for its step."""

    UNLESS = "unless"  # the read-only probe that asks whether it is done already
    RUN = "run"  # the action itself
    SETTLE = "settle"  # find out what became of a run whose end is not known, by attaching to its job
    VERIFY = "verify"  # the read-only check afterwards


class Outcome(StrEnum):
    """How an attempt ended; ``SIMULATED`` is never counted as succeeded."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    SIMULATED = "simulated"
    IN_DOUBT = "in_doubt"


class Reason(StrEnum):
    """Why an attempt did not succeed, where it changes what happens next."""

    EXIT_CODE = "exit_code"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    HELD = "held"  # another run may change the service on that host
    TIMED_OUT = "timed_out"
    LOST = "lost"
    REBOOTED = "rebooted"
    EXPECTATION = "expectation"  # it ran, and its output or answer was not what was expected
    DECLINED = "declined"  # a person said no
    NOBODY = "nobody"  # a person was needed and none was there
    ABORTED = "aborted"  # its process group was ended: by an abort, or because the run left for its fallback
    CAPTURE = "capture"  # its output could not be read as the type that was promised


class Question(StrEnum):
    """What a person is asked."""

    APPROVAL = "approval"  # answers: yes, no, pause; where signatures count: approve, refused, break_glass, no, pause
    MANUAL = "manual"  # answers: done, failed, pause
    FAILED = "failed"  # answers: retry, skip, fallback and rollback where there are such, pause, abort
    IN_DOUBT = "in_doubt"  # answers: succeeded, run_again, pause, abort
    OVERRIDE = "override"  # answers: override, pause, abort (a required fact is not proved)
    DEADLINE = "deadline"  # answers: fallback, continue, pause, abort (the last moment to leave for the fallback)


class Ended(StrEnum):
    """How a run ended. PAUSED can be resumed; the others are final."""

    DONE = "done"
    FAILED = "failed"
    NO_GO = "no_go"
    ABORTED = "aborted"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A command's output: where it is kept (by sha256 of what was kept, after redaction) and its last lines."""

    sha256: str
    bytes: int
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Always the first. It holds the whole plan."""

    type: Literal["run_started"] = "run_started"
    plan: Plan
    plan_digest: str
    operator: str
    controller: str  # the operator's machine
    pid: int
    interactive: bool
    reason: str = ""  # why this run: a ticket, a sentence
    way: str = ""  # which way it goes and why, when drctl found that out
    operator_keys: tuple[str, ...] = ()  # fingerprints of the operator's own SSH keys: they cannot approve
    exposure: Exposure | None = None  # what a restore would lose, as it was last measured before the run


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """Another process goes on. What was in flight is in doubt until it is settled."""

    type: Literal["run_resumed"] = "run_resumed"
    operator: str
    controller: str
    pid: int
    interactive: bool
    operator_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """The intent: on disk before anything is sent."""

    type: Literal["attempt_started"] = "attempt_started"
    step: str
    host: str  # empty on the operator's machine
    attempt: int  # counts RUN attempts from 1; SETTLE and VERIFY carry the number of the run they belong to
    act: Act
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished:
    """The outcome of an attempt. ``duration_s`` is monotonic and None when another process saw the start."""

    type: Literal["attempt_finished"] = "attempt_finished"
    step: str
    host: str
    attempt: int
    act: Act
    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    exit_code: int | None = None
    duration_s: float | None = None
    attached: bool = False
    output: Output | None = None
    errors: Output | None = None
    captured: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """A step that will not be done, who decided it, and why."""

    type: Literal["step_skipped"] = "step_skipped"
    step: str
    host: str
    who: str
    why: str
    simulated: bool = False  # it would have run in another mode: never counted as done


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAsked:
    """A decision is waited for."""

    type: Literal["person_asked"] = "person_asked"
    question: Question
    step: str
    host: str = ""
    prompt: str
    facts: tuple[str, ...] = ()
    answers: tuple[str, ...]
    unattended: str  # the answer when nobody is there


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAnswered:
    """The decision, with who took it and why. ``who`` is empty when nobody was there, and the answer a default."""

    type: Literal["person_answered"] = "person_answered"
    question: Question
    step: str
    host: str = ""
    answer: str
    who: str
    why: str = ""
    statement: str = ""  # what was signed, and its signature: both can be checked with ssh-keygen alone
    signature: str = ""
    fingerprint: str = ""  # of the key that signed


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMarked:
    """A point of the RTO clock that a person gave. Those that steps mark are read from the steps' own events."""

    type: Literal["clock_marked"] = "clock_marked"
    mark: Mark
    at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long something takes, as far as is known beforehand: usually, and in nine of ten cases.

    ``basis`` says in words what that is known from; ``runs`` is the number of earlier runs, 0 when it is none.
    """

    usual_s: float
    careful_s: float
    runs: int = 0
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEstimate:
    """The estimate of one step."""

    step: str
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastMade:
    """What was to be expected of the run when it began. The deadline is worked out from it and from the clock.

    ``restored`` goes from the first step to the one that restores the service, ``fallback`` the same in the fallback.
    """

    type: Literal["forecast_made"] = "forecast_made"
    steps: tuple[StepEstimate, ...]
    restored: Estimate
    fallback: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerNoted:
    """From where a process conducts the run, with which drctl, by which clock, and what the runbook is a version of.

    ``site`` and ``country`` are empty when the machine is no host of the inventory.
    """

    type: Literal["controller_noted"] = "controller_noted"
    site: str
    country: str
    drctl_version: str
    clock: ClockReading
    repository: Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseNoted:
    """As which exercise the run began. The dates are the programme's, before the run and once it has come to its end;
    ``programme`` says what decides them, or why there are none. ``earlier`` goes from the oldest to the newest.
    """

    type: Literal["exercise_noted"] = "exercise_noted"
    scenario: str = ""
    excluded: tuple[str, ...] = ()
    observers: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()  # key persons whose absence is part of the exercise
    planned_at: datetime | None = None
    next_due_at: datetime | None = None
    programme: str = ""
    changed: tuple[str, ...] = ()  # steps that are not as they were when they last succeeded in an exercise
    never: tuple[str, ...] = ()  # steps that never did
    programmed: tuple[Programmed, ...] = ()  # the whole programme of a drill: who was exercised when
    earlier: tuple[EarlierRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClocksRead:
    """The clocks of the plan's hosts, against the controller's, when the run began."""

    type: Literal["clocks_read"] = "clocks_read"
    readings: tuple[ClockReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """A signal or an abort: nothing new is started."""

    type: Literal["stop_requested"] = "stop_requested"
    by: str
    how: Literal["SIGINT", "SIGTERM", "SIGHUP", "abort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerFailed:
    """A screen, notification or report that failed. The run goes on (law 10)."""

    type: Literal["messenger_failed"] = "messenger_failed"
    messenger: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSent:
    """People are told of a moment of the run. ``about`` is the event that was the last one then; ``number`` counts
    from 1 within the run, and ``at`` is when it was handed over, which may be before this was written down."""

    type: Literal["notification_sent"] = "notification_sent"
    number: int
    moment: Moment
    about: int
    title: str
    text: str
    notifiers: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSettled:
    """What became of a message on one of its ways. It may come after the end of the run that it tells of."""

    type: Literal["notification_settled"] = "notification_settled"
    number: int
    notifier: str
    fate: Fate
    attempts: int
    detail: str = ""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over, or paused. Only what became of messages is written after it."""

    type: Literal["run_ended"] = "run_ended"
    ended: Ended
    why: str = ""


Body = (
    RunStarted
    | RunResumed
    | AttemptStarted
    | AttemptFinished
    | StepSkipped
    | PersonAsked
    | PersonAnswered
    | ClockMarked
    | ForecastMade
    | ControllerNoted
    | ExerciseNoted
    | ClocksRead
    | StopRequested
    | MessengerFailed
    | NotificationSent
    | NotificationSettled
    | RunEnded
)


OF_MESSAGES = (NotificationSent, NotificationSettled)
"""What people were told of the run. The run is the same without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact with its place in the chain. ``at`` is UTC; ``sequence`` counts from 1 within a run."""

    run_id: str
    sequence: int
    at: datetime
    body: Body
    previous: str  # sha256 of the event before, 64 zeros for the first
    sha256: str


JsonObject = dict[str, Any]
